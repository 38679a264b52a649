"""The clip table and the score table, of planted videos and of outputs that are broken."""

import decimal

import av
import numpy as np
import pytest
import torch
from conftest import make_videos

from condi_lib import labelling
from condi_lib.data import VideoError, read_clips
from condi_lib.models import build_student, build_teacher


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Four planted test videos; the second file is broken."""
    return make_videos(tmp_path_factory.mktemp("videos"), [40 + 3 * i for i in range(4)], broken=1)


def test_the_clip_table_is_the_teacher_on_every_clip_whatever_the_batches(videos):
    torch.manual_seed(0)
    teacher = build_teacher("resnext14_small", 10).eval()
    clips, seen = labelling.label_clips(teacher, videos, 8, 32, max_bad_share=0.25)
    assert list(seen.ok) == [True, False, True, True] and list(seen.n_frames) == [40, 0, 46, 49]
    assert list(seen.error[seen.ok]) == [""] * 3 and "v1.mp4: cannot be decoded" in seen.error[1]
    assert clips.groupby("video").size().to_dict() == {"v0": 5, "v2": 6, "v3": 7}
    assert list(clips.n_real_frames[clips.video == "v3"]) == [8] * 6 + [1]
    assert (clips.start_frame == 8 * clips["clip"]).all()
    logits = np.stack(clips.teacher_logits)
    assert (clips.correct == (logits.argmax(1) == clips.label)).all()
    one_by_one, _ = labelling.label_clips(teacher, videos, 8, 32, max_bad_share=0.25, batch_size=1, workers=2)
    np.testing.assert_allclose(np.stack(one_by_one.teacher_logits), logits, rtol=1e-4, atol=1e-5)
    again, _ = labelling.label_clips(teacher, videos, 8, 32, max_bad_share=0.25)
    assert all(np.array_equal(a, b) for a, b in zip(again.teacher_logits, clips.teacher_logits, strict=True))
    with pytest.raises(
        VideoError, match=r"1 of 4 videos cannot be read, more than max_bad_share = 5.0%; first: .*v1.mp4"
    ):
        labelling.label_clips(teacher, videos, 8, 32)


def test_what_was_decoded_counts_not_what_a_header_declares(tmp_path, videos):
    path = tmp_path / "cut.avi"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt, stream.options = "yuv420p", {"g": "1"}
        for i in range(60):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 4 * i, np.uint8), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    cut = videos.head(1).assign(path=str(path), n_frames=60)
    clips, seen = labelling.label_clips(build_teacher("resnext14_small", 10), cut, 8, 32)
    assert 5 < seen.n_frames[0] < 50 and seen.ok[0] and seen.error[0]
    assert clips.n_real_frames.sum() == seen.n_frames[0]


def test_any_module_from_clips_to_logits_is_a_teacher(videos):
    class Mean(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(3, 10)

        def forward(self, x):
            return self.linear(x.mean((2, 3, 4)))

    teacher = Mean()
    clips, _ = labelling.label_clips(teacher, videos.drop(index=1), 8, 32)
    first = read_clips(videos.path[0], 8, 32).float() / 255
    mean, std = torch.tensor([0.43216, 0.394666, 0.37645]), torch.tensor([0.22803, 0.22145, 0.216989])
    expected = teacher.linear((first.mean((2, 3, 4)) - mean) / std).detach()
    np.testing.assert_allclose(np.stack(clips.teacher_logits[clips.video == "v0"]), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("loss", ["st_ent", "condi_sr"])
def test_the_score_table_is_the_student_on_every_clip(videos, loss):
    student = build_student(0.25, 10).eval()
    scores = labelling.score_clips(student, loss, videos.drop(index=1), 8, 32)
    with pytest.raises(VideoError, match="v1 could be read when it was labelled, and cannot now"):
        labelling.score_clips(student, loss, videos, 8, 32)
    assert len(scores) == 18 and scores.score.dtype == np.float32
    logits = np.stack(scores.student_logits)
    if loss == "st_ent":
        assert scores.confidence.isna().all()
        np.testing.assert_allclose(scores.score, -labelling.predictive_entropy(logits), rtol=1e-5)
    else:
        np.testing.assert_allclose(scores.confidence, 1 / (1 + np.exp(-scores.score)), rtol=1e-5)


def test_labels_that_the_teacher_does_not_have_are_an_error(videos):
    teacher = build_teacher("resnext14_small", 2).eval()
    with pytest.raises(ValueError, match="label: v2 has 2, expected 0 to 1"):
        labelling.label_clips(teacher, videos.drop(index=1), 8, 32)


class Broken(torch.nn.Module):
    """A network of 10 classes and 2 outputs; one number of the third clip of a batch is `value`."""

    def __init__(self, value, student=False):
        super().__init__()
        self.weight, self.value, self.student = torch.nn.Parameter(torch.zeros(1)), value, student

    def forward(self, x):
        logits, confidence = torch.zeros(len(x), 10), torch.zeros(len(x))
        (confidence if self.student else logits[:, 3])[2] = self.value
        return (logits, confidence) if self.student else logits


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_not_finite_are_an_error_with_clip_and_file(videos, value):
    message = rf"ing: the network's output for clip 2 of v0 \(.*v0.mp4\) is {value}, expected finite"
    with pytest.raises(ValueError, match=message):
        labelling.label_clips(Broken(value), videos.head(1), 8, 32)
    with pytest.raises(ValueError, match=message):
        list(labelling.run_over_videos(Broken(value, student=True), videos.head(1), 8, 32, desc="scoring"))


def test_outputs_of_another_shape_and_no_videos_are_errors(videos):
    with pytest.raises(ValueError, match="teacher: found 2 outputs for the clips of a video, expected logits"):
        labelling.label_clips(Broken(0.0, student=True), videos.drop(index=1), 8, 32)
    with pytest.raises(ValueError, match="videos: found none"):
        labelling.score_clips(build_student(0.25, 10).eval(), "st_ent", videos.head(0), 8, 32)


def test_scores_of_a_student_that_is_sure_keep_their_order():
    """Where the probability rounds to 1, or 0, in float32 or float64."""
    logits = np.array([-800, -110, -80, 0, 17, 18, 40, 41, 700, 800], np.float32)
    for loss in ("st_conf", "bce_c", "condi_sr", "condi_sr_rank", "sc_rank"):
        score, confidence = labelling.clip_scores(loss, np.zeros((10, 2), np.float32), logits)
        assert score.dtype == confidence.dtype == np.float32 and (np.diff(score) > 0).all()
        if loss == "sc_rank":
            assert np.isnan(confidence).all()
        else:
            assert confidence.min() == 0 and confidence.max() == 1 and (np.diff(confidence) >= 0).all()
    gaps = np.arange(1, 85).astype(np.float32)
    sure = np.stack([gaps, np.zeros_like(gaps), -gaps], 1)
    score, _ = labelling.clip_scores("st_ent", sure, gaps)
    assert (np.diff(score) > 0).all() and score[-1] < 0


@pytest.mark.parametrize("gap", [1e-3, 1.0, 30.0, 36.5, 37.0, 60.0, 300.0, 700.0])
def test_the_entropy_of_a_sure_softmax_against_exact_arithmetic(gap):
    with decimal.localcontext(prec=700):
        e = [decimal.Decimal(-g).exp() for g in (0.0, gap, 2 * gap)]
        p = [x / sum(e) for x in e]
        expected = float(-sum(x * x.ln() for x in p))
    for shift in (0.0, -1000.0, 1000.0):
        found = labelling.predictive_entropy(np.array([shift - gap, shift, shift - 2 * gap]))
        assert found == pytest.approx(expected, rel=1e-9 if shift else 1e-13)
    probs = np.array([float(x) for x in p])
    assert labelling.entropy(probs) == pytest.approx(expected, rel=1e-12)


def test_entropies_of_batches_of_zero_classes_and_of_uniform_ones():
    assert labelling.predictive_entropy(np.zeros((2, 3, 0))).shape == labelling.entropy(np.zeros((2, 3, 0))).shape
    np.testing.assert_allclose(labelling.entropy(np.full((2, 3, 4), 0.25)), np.log(4))
    np.testing.assert_allclose(labelling.predictive_entropy(np.full((2, 3, 4), 7.0)), np.log(4))


def test_softmax_and_entropy_against_torch():
    logits = np.random.default_rng(0).normal(0, 30, (7, 5))
    p = torch.from_numpy(logits).softmax(1)
    np.testing.assert_allclose(labelling.softmax(logits), p, rtol=1e-12)
    expected = torch.distributions.Categorical(logits=torch.from_numpy(logits)).entropy()
    np.testing.assert_allclose(labelling.predictive_entropy(logits), expected, rtol=1e-9, atol=1e-12)
    assert labelling.predictive_entropy(np.zeros(5)) == pytest.approx(np.log(5))
