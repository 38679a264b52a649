import numpy as np
import pytest
import torch

from condi_lib import flops, labelling
from condi_lib.data import VideoError, planted, read_clips
from condi_lib.models import build_student, build_teacher, drop_class_head, to_input
from condi_lib.predictor import Predictor
from condi_lib.sampler import divide


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
    assert set(found["seconds"]) == {"decode", "student", "teacher"} and found["confidence"].shape == (n,)
    assert found["n_frames"] > 8 * (n - 1) and found["fault"] == ""


def test_without_a_student_the_teacher_sees_all_clips(setup):
    path, teacher, student = setup
    names = ["a", "b", "c", "d", "e", "f"]
    found = Predictor(teacher, None, 8, 32, names)(path)
    all_clips = Predictor(teacher, student, 8, 32, names)(path)
    assert found["by_teacher"].all() and found["confidence"] is None and found["multiply_adds"]["student"] == 0
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
