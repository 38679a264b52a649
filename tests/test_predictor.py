import copy
import dataclasses
import json
import warnings

import numpy as np
import pytest
import torch
from conftest import make_videos

from condi_lib import flops, labelling
from condi_lib.data import VideoError, find_teacher_videos, planted, read_clips
from condi_lib.models import build_student, build_teacher, drop_class_head, inputs, to_input
from condi_lib.predictor import SHIPPED, Predictor, shipped_predictor
from condi_lib.runs import read_provenance
from condi_lib.sampler import clip_arrays, divide, select


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    path = tmp_path_factory.mktemp("predict") / "video.mp4"
    planted.write_video(path, planted.draw_video(planted.World(), "test", 0)[0])
    torch.manual_seed(0)
    networks = build_teacher("resnext14_small", 6).eval(), build_student(0.25, 6, repeats=(1, 2, 1)).eval()
    return path, *networks


def by_hand(path, teacher, student, k, k_student, mode):
    """The prediction from each network on each clip alone."""
    clips = read_clips(path, 8, 32)
    with torch.inference_mode():
        logits, confidence = (x.numpy() for x in student(to_input(clips, student)))
        t = labelling.softmax(teacher(to_input(clips, teacher)).numpy())
    s, entropy = labelling.softmax(logits), labelling.predictive_entropy(logits)
    mask = np.ones((1, len(clips)), bool)
    (by_s,), (by_t,) = divide(confidence[None], entropy[None], k, k_student, mask, mode)
    return by_s, by_t, np.concatenate([s[by_s], t[by_t]]).mean(0)


@pytest.mark.parametrize("mode", ["nested", "disjoint"])
@pytest.mark.parametrize(("k", "k_student"), [(1, 0), (5, 0), (5, 2), (5, 5), (500, 3)])
def test_a_prediction_is_the_mean_over_the_chosen_clips(setup, k, k_student, mode):
    path, teacher, student = setup
    found = Predictor(teacher, student, 8, 32, batch_size=5)(path, k, k_student, mode)
    by_s, by_t, mean = by_hand(path, teacher, student, k, k_student, mode)
    np.testing.assert_array_equal(found["by_student"], by_s)
    np.testing.assert_array_equal(found["by_teacher"], by_t)
    assert [c for c, _ in found["top5"]] == list(np.argsort(-mean)[:5])
    np.testing.assert_allclose([p for _, p in found["top5"]], np.sort(mean)[::-1][:5], rtol=1e-4)
    n = len(by_s)
    assert found["multiply_adds"] == {
        "student": n * flops.count(student, 8, 32)[0],
        "teacher": by_t.sum() * flops.count(teacher, 8, 32)[0],
    }
    assert set(found["seconds"]) == {"decode", "student", "teacher"} and len(found["confidence"]) == n
    assert found["n_frames"] > 8 * (n - 1) and found["fault"] == ""


def test_without_a_student_the_teacher_sees_all_clips(setup):
    path, teacher, student = setup
    names = ["a", "b", "c", "d", "e", "f"]
    found = Predictor(teacher, None, 8, 32, names)(path)
    all_clips = Predictor(teacher, student, 8, 32, names)(path)
    assert all(found["by_teacher"]) and found["confidence"] is None and found["multiply_adds"]["student"] == 0
    assert found["top5"] == all_clips["top5"] and found["top5"][0][0] in names
    with pytest.raises(ValueError, match="without a student all clips go to the teacher"):
        Predictor(teacher, None, 8, 32)(path, k=3)


def test_a_student_without_its_class_head_chooses_and_does_not_classify(setup):
    path, teacher, _ = setup
    torch.manual_seed(1)
    student = build_student(0.25, 6, repeats=(1, 2, 1)).eval()
    whole = Predictor(teacher, student, 8, 32)(path, 3)
    small = Predictor(teacher, drop_class_head(student), 8, 32)
    found = small(path, 3)
    np.testing.assert_array_equal(found["by_teacher"], whole["by_teacher"])
    assert found["multiply_adds"]["student"] < whole["multiply_adds"]["student"]
    with pytest.raises(ValueError, match="k_student: found 1, but the student has no classification head"):
        small(path, 3, 1)


def test_bad_values_and_files_are_errors(setup, tmp_path):
    path, teacher, student = setup
    predict = Predictor(teacher, student, 8, 32)
    for k, k_student, message in [(0, 0, "k: found 0"), (3, 4, "k_student: found 4"), (3, -1, "k_student: found -1")]:
        with pytest.raises(ValueError, match=message):
            predict(path, k, k_student)
    with pytest.raises(VideoError, match="nowhere.mp4"):
        predict(tmp_path / "nowhere.mp4", 3)


def test_the_networks_given_are_left_as_they_were(setup):
    path, teacher, student = setup
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    Predictor(teacher, student, 8, 32)(path, 2)
    assert teacher.state_dict().keys() == before.keys()
    assert all(torch.equal(v, before[k]) for k, v in teacher.state_dict().items())


@pytest.mark.parametrize("batch_size", [1, 20, 1000])
@pytest.mark.parametrize(("k", "k_student"), [(None, 0), (3, 0), (3, 2), (3, 3)])
def test_many_videos_together_are_what_each_is_alone(setup, tmp_path, batch_size, k, k_student):
    _, teacher, student = setup
    paths = []
    for i in range(4):
        paths.append(tmp_path / f"{i}.mp4")
        planted.write_video(paths[-1], planted.draw_video(planted.World(), "test", i)[0])
    paths.insert(2, tmp_path / "none.mp4")
    predict = Predictor(teacher, student, 8, 32, batch_size=batch_size)
    found = list(predict.each(paths, k, k_student))
    assert [path for path, _ in found] == paths
    assert isinstance(found[2][1], VideoError) and "none.mp4" in str(found[2][1])
    for path, together in found[:2] + found[3:]:
        alone = predict(path, k, k_student)
        for name in ("by_student", "by_teacher", "clips"):
            assert (np.asarray(together[name]) == np.asarray(alone[name])).all()
        assert [c for c, _ in together["top5"]] == [c for c, _ in alone["top5"]]
        np.testing.assert_allclose([p for _, p in together["top5"]], [p for _, p in alone["top5"]], rtol=1e-4)
        assert together["multiply_adds"] == alone["multiply_adds"] and together["n_frames"] == alone["n_frames"]
    assert list(predict.each([])) == []
    with pytest.raises(ValueError, match="k: found 0"):
        list(predict.each(paths, 0))


@pytest.mark.parametrize("loss", ["condi_sr", "st_ent", "sc_rank"])
def test_what_is_found_is_json_and_shown_in_a_line(setup, loss):
    path, teacher, student = setup
    found = Predictor(teacher, student, 8, 32, loss=loss)(path, 3, 1)
    again = json.loads(json.dumps({name: value for name, value in found.items() if name != "clips"}, allow_nan=False))
    assert again == found.to_json() and set(found) - set(again) == {"clips"}
    assert all(type(c) is int for c, _ in found["top5"]) and again["path"] == str(path)
    assert (found["confidence"] is None) == (loss != "condi_sr")
    assert repr(found).startswith(f"Prediction({found['top5'][0][0]} 0.") and len(repr(found)) < 150
    assert f"2 of {len(found['score'])} clips by the teacher, 1 by the student" in repr(found)
    table = found.table()
    assert table["classified by"].value_counts().to_dict()["teacher"] == 2 and len(table) == len(found["score"])
    dense = Predictor(teacher, None, 8, 32, class_names=list("<<<<<<"))(path)
    json.dumps(dense.to_json(), allow_nan=False)
    assert (dense.table()["classified by"] == "teacher").all() and "&lt;" in dense._repr_html_()


@pytest.mark.parametrize("names", [["a", "b"], list("abcdefg"), []])
def test_names_of_another_number_than_classes_are_an_error(setup, names):
    _, teacher, student = setup
    with pytest.raises(ValueError, match=f"class_names: found {len(names)} names, but the teacher has 6 classes"):
        Predictor(teacher, student, 8, 32, names)


def test_a_student_of_other_classes_may_choose_but_not_classify(setup):
    path, teacher, _ = setup
    predict = Predictor(teacher, build_student(0.25, 4, repeats=(1, 2, 1)), 8, 32)
    assert sum(predict(path, 3)["by_teacher"]) == 3
    with pytest.raises(ValueError, match="k_student: found 1, but the student has 4 classes and the teacher 6"):
        predict(path, 3, 1)


class Tilted(torch.nn.Module):
    """A student whose confidence logit is so large that the sigmoid of most clips is 1, in float32 and float64."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 6)

    def trunk(self, x):
        return x.mean((2, 3, 4))

    def classifier(self, features):
        return 90 * self.linear(features)

    def confidence(self, features):
        return 40 + 3000 * features[:, :1]

    def forward(self, x):
        features = self.trunk(x)
        return self.classifier(features), self.confidence(features).squeeze(1)


@pytest.mark.parametrize("loss", ["condi_sr", "st_conf", "st_ent"])
def test_predictor_and_score_table_choose_the_same_clips_also_of_a_sure_student(setup, tmp_path, loss, monkeypatch):
    _, teacher, _ = setup
    videos = make_videos(tmp_path, [130, 144, 120])
    torch.manual_seed(3)
    student = Tilted().eval()
    monkeypatch.setattr(labelling, "MonteCarloDropout", WithoutDropout)
    scores = labelling.score_clips(student, loss, videos, 8, 32)
    clips, _ = labelling.label_clips(teacher, videos, 8, 32)
    arrays = clip_arrays(clips, scores)
    if loss != "st_ent":
        assert (scores.confidence == 1).mean() > 0.5 and scores.score.nunique() > 0.9 * len(scores)
    predict = Predictor(teacher, student, 8, 32, loss=loss)
    for k in (1, 3, 7):
        chosen = select(arrays.score, k, arrays.mask)
        for v, path in enumerate(videos.path):
            found = predict(path, k)
            n = len(found["score"])
            np.testing.assert_array_equal(found["by_teacher"], chosen[v, :n])
            np.testing.assert_allclose(found["score"], arrays.score[v, :n], rtol=1e-5)
            assert np.argmax(found["score"]) == np.argmax(arrays.score[v, :n])


class WithoutDropout(torch.nn.Module):
    def __init__(self, student):
        super().__init__()
        self.student = student

    def forward(self, x):
        logits, confidence = self.student(x)
        return logits, confidence, logits.softmax(1)


def test_outputs_that_are_not_finite_are_an_error_with_clip_and_file(setup):
    path, teacher, _ = setup

    class Broken(Tilted):
        def __init__(self, at):
            super().__init__()
            self.at = at

        def forward(self, x):
            logits, confidence = super().forward(x)
            (logits[:, 0] if self.at == "logits" else confidence)[len(x) // 2 :] = torch.inf
            return logits, confidence

    class BrokenTeacher(Broken):
        def forward(self, x):
            return super().forward(x)[0] if len(x) > 1 else torch.zeros(1, 6)

    n = len(read_clips(path, 8, 32))
    for at in ("logits", "confidence"):
        with pytest.raises(
            ValueError, match=rf"student: the network's output for clip {n // 2} of video.mp4 \({path}\)"
        ):
            Predictor(teacher, Broken(at), 8, 32)(path, 3)
    predict = Predictor(BrokenTeacher("logits"), Tilted(), 8, 32)
    best = np.flatnonzero(Predictor(teacher, Tilted(), 8, 32)(path, 4)["by_teacher"])
    with pytest.raises(ValueError, match=f"teacher: the network's output for clip {best[2]} of video.mp4"):
        predict(path, 4)


@pytest.mark.skipif(not hasattr(inputs, "device_of"), reason="to_input asks for a parameter")
def test_a_teacher_without_parameters_runs_on_the_cpu(setup):
    path, _, student = setup

    class Colours(torch.nn.Module):
        def forward(self, x):
            return x.mean((2, 3, 4))

    found = Predictor(Colours(), student, 8, 32, ["red", "green", "blue"])(path, 2)
    assert {name for name, _ in found["top5"]} == {"red", "green", "blue"}


def test_pixels_that_the_teacher_has_not_seen_are_said_once(setup):
    path, teacher, student = setup[0], copy.deepcopy(setup[1]), setup[2]
    clips = to_input(read_clips(path, 8, 32), teacher)
    teacher.train()(clips)  # its batch norms have seen these
    teacher.bn1.momentum = None
    teacher.eval().bn1.reset_running_stats()
    teacher.train()(clips)
    teacher.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Predictor(teacher, student, 8, 32)(path, 2)
    teacher.input = dataclasses.replace(teacher.input, std=(255.0, 255.0, 255.0))
    predict = Predictor(teacher, student, 8, 32)
    with pytest.warns(UserWarning, match="pixels: far from what the network was trained on"):
        predict(path, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predict(path, 2)


def test_the_shipped_networks_reach_the_accuracy_that_they_state(tmp_path):
    """In half precision under 4 MB; the accuracy is of the world tiny's trimmed validation videos."""
    world = planted.world_of("tiny", {"trimmed_train": 1, "train": 1, "val": 1, "test": 1})
    videos = find_teacher_videos("planted", planted.write(tmp_path / "tiny", world), None)
    val = videos[videos.split == "val"]
    predict = shipped_predictor()
    for name, network in (("teacher", predict.networks["teacher"]), ("student_start", predict.networks["student"])):
        stated = read_provenance(SHIPPED / f"{name}.safetensors")
        clips = torch.cat([read_clips(path, 8, 32) for path in val.path])
        with torch.inference_mode():
            out = network(to_input(clips, network))
        right = (out if name == "teacher" else out[0]).argmax(1) == torch.tensor(val.label.to_numpy())
        assert right.float().mean() == pytest.approx(stated["clip_accuracy"], abs=0.011) and len(val) == 100
        assert stated["clip_accuracy"] > 0.9 and len(stated["history"]["epoch"]) == 9 - (name != "teacher")
    assert sum(path.stat().st_size for path in SHIPPED.glob("*.safetensors")) < 4e6
    assert predict(val.path.iloc[0], k=1)["top5"][0][0] in planted.CLASSES
