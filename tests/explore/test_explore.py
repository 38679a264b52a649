"""The explorer's numbers against evaluation's, on a small run written here; its widgets without a browser."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import make_study, numbered_frames

from condi_lib import evaluation, explore, runs, sampler
from condi_lib.data.planted import write_video
from condi_lib.models import build_student, build_teacher

PARAMETERS = {"dataset": "folder", "teacher": "resnext14_small", "frames": 8, "size": 32}
COSTS = {
    "multiply_adds": {"teacher": 100, "student": 7},
    "seconds": {"decode": 2e-3, "student": 1e-3, "teacher": 5e-3},
    "device": "cpu",
}


@pytest.fixture
def folder(tmp_path):
    """A finished run: random tables, untrained networks, a real file for each video."""
    clips, scores = make_study(3, 10, losses=("st_ent", "condi_sr"), seeds=1)
    folder = tmp_path / "runs" / "test" / "folder" / "resnext14_small"
    run = runs.Run("03_teacher_labels", PARAMETERS, folder)
    one = clips.drop_duplicates("video")
    videos = one[["video", "label", "split"]].assign(class_name="class " + one.label.astype(str), fps=25.0, ok=True)
    for row in videos.itertuples():
        write_video(tmp_path / f"{row.video}.mp4", numbered_frames(8 * (clips.video == row.video).sum()))
    videos["path"] = [str(tmp_path / f"{v}.mp4") for v in videos.video]
    run.write_table(folder / "clips.parquet", clips)
    run.write_table(folder / "labelled_videos.parquet", videos)
    run.write_table(folder / "videos.parquet", videos)
    torch.manual_seed(0)
    run.write_weights(folder / "teacher.safetensors", build_teacher("resnext14_small", 4))
    own = {**PARAMETERS, "student_width": 0.25, "student_repeats": [1, 2, 1]}
    for loss, (table,) in scores.items():
        student = runs.Run("05_train_sampler", own, folder)
        student.write_table(folder / loss / "seed0" / "scores.parquet", table)
        student.write_weights(
            folder / loss / "seed0" / "student.safetensors", build_student(0.25, 4, repeats=(1, 2, 1))
        )
    runs.Run("08_flops_and_time", PARAMETERS, folder).write_json(folder / "costs.json", COSTS)
    return folder


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize(("k", "k_student"), [(1, 0), (3, 2), (4, 4), (9, 3)])
def test_the_sliders_show_what_evaluation_says(folder, split, k, k_student):
    study = explore.read_study(folder)
    found = study.at(split, k, k_student)
    arrays = study.arrays(split)
    one = arrays["condi_sr"][0]
    rows = evaluation.division([one], [k]).set_index("k_student")
    assert found["accuracy"] == pytest.approx(rows.accuracy[k_student])
    assert found["dense"] == evaluation.dense_right(one).mean()
    n, seen = one.mask.sum(1).mean(), rows.n_clips[k_student]
    assert found["multiply_adds"] == pytest.approx(7 * n + 100 * seen)
    assert found["multiply_adds_of_dense"] == pytest.approx((7 * n + 100 * seen) / (100 * n))
    assert found["seconds"] == pytest.approx(3e-3 * n + 5e-3 * seen)
    assert found["seconds_of_dense"] == pytest.approx((3e-3 * n + 5e-3 * seen) / (7e-3 * n))
    np.testing.assert_allclose(found["probs"].sum(1), 1)


def test_filters_pick_what_they_say(folder):
    study = explore.read_study(folder)
    test = study.arrays("test")[""][0]
    dense = dict(zip(test.videos, evaluation.dense_right(test) > 0, strict=True))
    right = dict(zip(test.videos, study.at("test", 2)["right"], strict=True))
    won = study.pick("test", "dense wrong, ConDi-SR right", 2)
    lost = study.pick("test", "dense right, ConDi-SR wrong", 2)
    assert set(won) == {v for v in test.videos if right[v] and not dense[v]}
    assert set(lost) == {v for v in test.videos if dense[v] and not right[v]}
    lengths = dict(zip(test.videos, test.mask.sum(1), strict=True))
    in_order = [lengths[v] for v in study.pick("test", "longest")]
    assert in_order == sorted(in_order, reverse=True)
    for which in explore.FILTERS:
        assert set(study.pick("test", which)) <= set(test.videos)


def test_the_table_of_choices_is_each_samplers(folder):
    study = explore.read_study(folder)
    arrays = study.arrays("test")
    test = arrays[""][0]
    v = int(test.mask.sum(1).argmax())
    chosen = explore.chosen_table(study, "test", test.videos[v], 2, study.at("test", 2, 1))
    for name in ("oracle", "equidistant", "st_ent", "condi_sr", "st_ent_scaled"):
        expected = sampler.keep(name, arrays)[0](2)[v][test.mask[v]]
        np.testing.assert_array_equal(chosen[sampler.SAMPLERS[name].label], expected > 0, name)
    assert chosen["ConDi-SR: to the student"].sum() == chosen["ConDi-SR: to the teacher"].sum() == 1


def test_widgets_follow_each_other(folder, tmp_path):
    box = explorer_parts(explore.explorer(tmp_path / "runs", tmp_path / "figures"))
    numbers, table = box["numbers"], box["table"]
    assert "accuracy" in numbers.value and box["picture"].value[:4] == b"\x89PNG"
    before = numbers.value, table.value
    box["K"].value += 1
    assert numbers.value != before[0] and table.value != before[1]
    box["K"].value = 2
    assert box["K_s"].max == 2
    box["K_s"].value = 2
    assert "to the student" in table.value
    first = box["video"].value
    box["show"].value = "longest"
    study = explore.read_study(folder)
    assert list(box["video"].options) == study.pick("test", "longest") and box["video"].index == 0
    box["split"].value = "val"
    assert box["video"].value.startswith("val") and first.startswith("test")
    box["save view"].click()
    assert len(list((tmp_path / "figures").glob("*.png"))) == len(list((tmp_path / "figures").glob("*.svg"))) == 1
    box["play clip"].click()
    assert box["movie"].value[:3] == b"GIF" and box["movie"].layout.display == ""


def explorer_parts(box):
    """The widgets of the explorer by their description, or their place."""
    parts, picture, movie, html = {}, [], [], []
    for child in box.children:
        for one in getattr(child, "children", [child]):
            if getattr(one, "description", ""):
                parts[one.description] = one
            elif type(one).__name__ == "Image":
                (picture if one.format == "png" else movie).append(one)
            else:
                html.append(one)
    return {**parts, "picture": picture[0], "movie": movie[0], "numbers": html[0], "table": html[1]}


def test_a_video_that_is_gone_is_said_and_the_rest_is_shown(folder, tmp_path):
    study = explore.read_study(folder)
    first = study.pick("test")[0]
    (tmp_path / f"{first}.mp4").unlink()
    box = explore.explorer(tmp_path / "runs", tmp_path / "figures")
    text = " ".join(c.value for c in box.children if type(c).__name__ == "HTML")
    assert "cannot be decoded" in text and "accuracy" in text


def test_a_run_without_its_costs_is_named(tmp_path):
    with pytest.raises(runs.MissingStep, match="run notebooks/08_flops_and_time.ipynb first"):
        explore.read_study(tmp_path)
    with pytest.raises(runs.MissingStep, match="holds no finished run"):
        explore.explorer(tmp_path)


def test_two_lines_classify_a_video(folder, tmp_path):
    predict = explore.load_predictor(folder)
    video = next(tmp_path.glob("*.mp4"))
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


def test_published_weights_need_their_class_names(folder, tmp_path):
    torch.save(build_teacher("resnext14_small", 7).state_dict(), tmp_path / "published.pth")
    with pytest.raises(ValueError, match="class_names: empty"):
        explore.load_predictor(folder, checkpoint=tmp_path / "published.pth")
    (tmp_path / "names.txt").write_text("\n".join("abcdefg"))
    predict = explore.load_predictor(folder, checkpoint=tmp_path / "published.pth", class_names=tmp_path / "names.txt")
    found = predict(next(tmp_path.glob("*.mp4")), k=1)
    assert {name for name, _ in found["top5"]} <= set("abcdefg") and len(found["top5"]) == 5


def test_the_book_has_a_page_for_each_notebook_and_needs_no_network(tmp_path, monkeypatch):
    from workflow import book

    monkeypatch.chdir(tmp_path)
    source = json.loads((runs.ROOT / "notebooks" / "04_oracle.ipynb").read_text())
    for name in ("04_oracle", "05_train_sampler"):
        path = tmp_path / "runs" / "x" / "planted" / "t" / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(source))
    (tmp_path / "x.yaml").write_text("out: runs/x\n")
    book.main("x.yaml")
    index = (tmp_path / "book" / "x" / "index.html").read_text()
    for name in ("04_oracle", "05_train_sampler"):
        assert f'href="planted/t/{name}.html"' in index
    page = (tmp_path / "book" / "x" / "planted" / "t" / "04_oracle.html").read_text()
    assert 'href="05_train_sampler.html"' in page and "data:image/png;base64" in page
    assert "<script src" not in page and not pd.Series([page]).str.contains(r'<link[^>]+href="http').any()
