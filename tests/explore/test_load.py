"""A run's networks as a Predictor, and what is said where they cannot be had."""

import numpy as np
import pytest
import torch
from small_run import make_run

from condi_lib import context, explore, runs
from condi_lib.models import build_teacher


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("load")
    make_run(root, n_videos=8)
    torch.save({"state_dict": build_teacher("resnext14_small", 7).state_dict()}, root / "published.pth")
    (root / "seven.txt").write_text("\ufeff" + "\n".join("abcdefg") + "\n\n")
    (root / "six.txt").write_text("a\r\nb\r\nc\r\nd\r\ne\r\nf\r\n")
    (root / "twice.txt").write_text("a\nb\na\nd\ne\nf\ng")
    (root / "gap.txt").write_text("a\n\nc\nd\ne\nf\ng")
    return root


def folder(root):
    return root / "runs" / "test" / "folder" / "resnext14_small"


def test_two_lines_classify_a_video(root):
    predict = explore.load_predictor(folder(root))
    video = next(root.glob("*.mp4"))
    found = predict(video, k=2)
    assert {name for name, _ in found["top5"]} == {f"class {i}" for i in range(4)}
    dense = explore.dense_predictor(predict)(video)
    assert all(dense["by_teacher"]) and dense["multiply_adds"]["student"] == 0
    table, chosen = explore.view_of(found)
    assert len(table) == len(found["score"]) and chosen["to the teacher"].sum() == min(2, len(table))
    costs = explore.cost_table(found, dense).data
    assert costs.loc["chosen clips: multiply-adds (10^9)", "total"] * 1e9 == pytest.approx(
        sum(found["multiply_adds"].values())
    )


def test_the_example_is_the_longest_test_video(root):
    path, name = explore.example_video(folder(root))
    videos = explore.read_study(folder(root)).videos
    longest = videos[videos.split == "test"].sort_values("n_frames").iloc[-1]
    assert (videos.n_frames[videos.path == path] == longest.n_frames).all() and name.startswith("class ")
    with pytest.raises(runs.MissingStep, match="labelled_videos.parquet is missing: run notebooks/03"):
        explore.example_video(root)


def test_a_student_that_only_ranks_is_shown_by_rank(root):
    found = explore.load_predictor(folder(root), "st_ent")(next(root.glob("*.mp4")), k=1)
    shown = explore.view_of(found)[0].confidence.to_numpy()
    assert shown[np.argmax(found["score"])] == 1 and ((shown >= 0) & (shown <= 1)).all()


def test_a_context_network_brings_its_student_and_shares(root):
    torch.manual_seed(0)
    network = context.ContextNetwork(torch.zeros(1029), torch.ones(1029), 4).eval()
    run = runs.Run("13_context", {"loss": "condi_sr"}, folder(root))
    place = folder(root) / "context" / "seed0"
    with pytest.raises(runs.MissingStep, match="network.safetensors is missing: run notebooks/13_context"):
        explore.load_predictor(folder(root), "context")
    run.write_weights(place / "network.safetensors", network)
    run.write_json(place / "shares.json", {0: 1.0, 1: 0.5, 10: 0.25})
    predict = explore.load_predictor(folder(root), "context")
    assert predict.shares == {0: 1.0, 1: 0.5, 10: 0.25}
    video = next(root.glob("*.mp4"))
    alone = explore.load_predictor(folder(root), "condi_sr")(video, 1)
    found = predict(video, 1)
    assert (
        found["score"] != alone["score"] and sum(found["by_teacher"]) == 1 and not any(predict(video, 0)["by_teacher"])
    )


def test_published_weights_take_their_own_classes(root):
    weights = {"teacher_checkpoint": root / "published.pth", "class_names": root / "seven.txt"}
    found = explore.load_predictor(folder(root), **weights)(next(root.glob("*.mp4")), k=1)
    assert {name for name, _ in found["top5"]} <= set("abcdefg") and len(found["top5"]) == 5


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"loss": "condi"}, ValueError, "loss: 'condi' is unknown; expected one of st_ent"),
        (
            {"loss": "bce_c"},
            runs.MissingStep,
            "bce_c/seed0/student.safetensors is missing; students there: condi_sr/seed0, st",
        ),
        ({"seed": 4}, runs.MissingStep, "condi_sr/seed4/.*with loss condi_sr and seed 4"),
        ({"teacher_checkpoint": "published.pth"}, ValueError, "class_names: empty, but teacher_checkpoint is given"),
        ({"class_names": "seven.txt"}, ValueError, "teacher_checkpoint: empty, but class_names is given"),
        (
            {"teacher_checkpoint": "published.pth", "class_names": "six.txt"},
            ValueError,
            "six.txt lists 6 classes; expected 7, as many as .*published.pth",
        ),
        (
            {"teacher_checkpoint": "published.pth", "class_names": "no.txt"},
            ValueError,
            "class_names: .*no.txt cannot be read",
        ),
        ({"teacher_checkpoint": "published.pth", "class_names": "twice.txt"}, ValueError, "found a twice"),
        ({"teacher_checkpoint": "published.pth", "class_names": "gap.txt"}, ValueError, "found an empty line"),
    ],
)
def test_each_wrong_use_is_one_plain_error(root, options, error, message):
    files = {name: str(root / value) for name, value in options.items() if name not in ("loss", "seed")}
    with pytest.raises(error, match=message) as raised:
        explore.load_predictor(folder(root), **{**options, **files})
    assert "\n" not in str(raised.value)


def test_a_run_that_is_not_there_is_named_with_those_that_are(root):
    with pytest.raises(runs.MissingStep, match="other: holds no run.*finished runs: .*test/folder/resnext14_small"):
        explore.load_predictor(root / "runs" / "test" / "folder" / "other")
    with pytest.raises(runs.MissingStep, match="nowhere: holds no run"):
        explore.load_predictor("nowhere")


def test_what_the_classes_are_is_said(root):
    predict = explore.load_predictor(folder(root))
    assert "knows 4 classes (class 0, class 1, class 2, class 3)" in explore.known_classes(predict)
    predict.class_names = ["Left", "Right", "Up"]
    assert "only the 3 toy motions of the embedded benchmark (Left, Right, Up)" in explore.known_classes(predict)
    predict.class_names = [f"c{i}" for i in range(400)]
    assert "knows 400 classes (c0, c1" in explore.known_classes(predict) and "388 more" in explore.known_classes(
        predict
    )
