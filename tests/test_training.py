import numpy as np
import pandas as pd
import pytest
import torch
from conftest import make_clips

from condi_lib import labelling, training
from condi_lib.data import planted, probe_videos
from condi_lib.models import build_student, build_teacher
from condi_lib.training import LOSSES, EpochSampler, student_batch_loss


class RandomClips(torch.utils.data.Dataset):
    """Clips whose brightness tells the class."""

    def __init__(self, n=48):
        rng = torch.Generator().manual_seed(0)
        self.label = torch.arange(n) % 2
        noise = torch.randint(0, 100, (n, 3, 4, 32, 32), generator=rng)
        self.clips = (noise + 120 * self.label.view(-1, 1, 1, 1, 1)).to(torch.uint8)
        self.teacher = torch.randn(n, 2, generator=rng)
        self.correct = self.teacher.argmax(1) == self.label

    def __len__(self):
        return len(self.label)

    def __getitems__(self, i):
        columns = {"label": self.label, "teacher_logits": self.teacher, "correct": self.correct}
        return {"clips": self.clips[i], **{k: v[i] for k, v in columns.items()}}


def train(loss, seed=0, epochs=1):
    data = RandomClips()
    torch.manual_seed(seed)
    student = build_student(0.25, 2)
    balance = data.correct if loss == "bce_c" else None
    history = training.fit(student, data, student_batch_loss(loss), epochs, 1e-3, 16, seed, balance=balance)
    return history, student.state_dict()


@pytest.mark.parametrize("loss", LOSSES)
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(loss):
    (h1, w1), (h2, w2), (_, w3) = train(loss), train(loss), train(loss, seed=1)
    assert h1.equals(h2) and all(torch.equal(w1[k], w2[k]) for k in w1)
    assert any(not torch.equal(w1[k], w3[k]) for k in w1)


def test_training_learns_what_is_plain_to_see():
    data = RandomClips(128)
    torch.manual_seed(0)
    network = build_teacher("resnext14_small", 2)
    history = training.fit(network, data, training.classifier_batch_loss, 4, 2e-3, 16, seed=0)
    assert list(history.epoch) == [1, 2, 3, 4] and history.accuracy.iloc[-1] > 0.9
    assert history.loss.iloc[-1] < history.loss.iloc[0] / 2 and not network.training


def test_bce_c_sees_as_many_wrong_clips_as_right_ones_and_others_each_epoch():
    correct = torch.arange(100) < 80
    order = EpochSampler(100, seed=0, correct=correct)
    first = list(order)
    order.epoch = 1
    second = list(order)
    assert len(first) == len(order) == 40 and len(set(first)) == 40
    assert correct[first].sum() == 20 and set(first) != set(second)
    order.epoch = 0
    assert list(order) == first


def test_a_teacher_that_is_always_right_is_an_error_for_bce_c():
    with pytest.raises(ValueError, match="bce_c has nothing to learn"):
        EpochSampler(10, 0, torch.ones(10, dtype=torch.bool))


def test_an_infinite_loss_stops_with_the_step():
    data = RandomClips()
    network = build_teacher("resnext14_small", 2)

    def broken(logits, batch):
        return logits.sum() * float("nan"), {}

    with pytest.raises(FloatingPointError, match="the loss is nan at step 0; lower lr"):
        training.fit(network, data, broken, 1, 1e-3, 16, seed=0)


def test_an_unknown_loss_is_an_error():
    with pytest.raises(ValueError, match="loss: 'condi' is unknown; expected one of st_ent"):
        student_batch_loss("condi")


def test_columns_are_tensors():
    clips = make_clips(0)
    found = training.columns(clips, "label", "teacher_logits", "correct")
    assert found["teacher_logits"].shape == (len(clips), 4) and found["teacher_logits"].dtype == torch.float32
    assert found["correct"].dtype == torch.bool and found["label"].tolist() == list(clips.label)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Four planted test videos; the second file is broken."""
    folder, rows = tmp_path_factory.mktemp("videos"), []
    for i in range(4):
        frames, _, label = planted.draw_video(planted.World(), "test", i)
        path = folder / f"v{i}.mp4"
        planted.write_video(path, frames[: 40 + 3 * i])
        rows.append((f"v{i}", str(path), label, "test"))
    videos = probe_videos(pd.DataFrame(rows, columns=["video", "path", "label", "split"]))
    (folder / "v1.mp4").write_bytes(b"broken since it was listed")
    return videos


def test_the_clip_table_is_the_teacher_on_every_clip_whatever_the_batches(videos):
    torch.manual_seed(0)
    teacher = build_teacher("resnext14_small", 10).eval()
    clips, bad = labelling.label_clips(teacher, videos, 8, 32)
    assert list(bad) == ["v1"] and "v1.mp4" in bad["v1"]
    assert clips.groupby("video").size().to_dict() == {"v0": 5, "v2": 6, "v3": 7}
    assert list(clips.n_real_frames[clips.video == "v3"]) == [8] * 6 + [1]
    assert (clips.start_frame == 8 * clips["clip"]).all()
    logits = np.stack(clips.teacher_logits)
    assert (clips.correct == (logits.argmax(1) == clips.label)).all()
    one_by_one, _ = labelling.label_clips(teacher, videos, 8, 32, batch_size=1)
    np.testing.assert_allclose(np.stack(one_by_one.teacher_logits), logits, rtol=1e-4, atol=1e-5)
    again, _ = labelling.label_clips(teacher, videos, 8, 32)
    assert all(np.array_equal(a, b) for a, b in zip(again.teacher_logits, clips.teacher_logits, strict=True))


@pytest.mark.parametrize("loss", ["st_ent", "condi_sr"])
def test_the_score_table_is_the_student_on_every_clip(videos, loss):
    student = build_student(0.25, 10).eval()
    scores = labelling.score_clips(student, loss, videos, 8, 32)
    assert len(scores) == 18 and scores.score.dtype == np.float32
    logits = np.stack(scores.student_logits)
    if loss == "st_ent":
        assert scores.confidence.isna().all()
        np.testing.assert_allclose(scores.score, -labelling.predictive_entropy(logits), rtol=1e-5)
    else:
        assert scores.score.equals(scores.confidence) and scores.score.between(0, 1).all()


def test_labels_that_the_teacher_does_not_have_are_an_error(videos):
    teacher = build_teacher("resnext14_small", 2).eval()
    with pytest.raises(ValueError, match="label: v2 has 2, expected 0 to 1"):
        labelling.label_clips(teacher, videos, 8, 32)
