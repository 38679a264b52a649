import av
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import make_clips, make_videos

from condi_lib import labelling, training
from condi_lib.data import ClipDataset, VideoError, read_clips
from condi_lib.models import build_student, build_teacher
from condi_lib.training import LOSSES, EpochSampler, student_batch_loss


class RandomClips(torch.utils.data.Dataset):
    """Clips whose brightness tells the class."""

    def __init__(self, n=48):
        rng = torch.Generator().manual_seed(0)
        self.label = torch.arange(n) % 2
        noise = torch.randint(0, 100, (n, 3, 4, 32, 32), generator=rng)
        self.clips = (noise + 120 * self.label.view(-1, 1, 1, 1, 1)).to(torch.uint8)
        teacher = torch.randn(n, 2, generator=rng)
        correct = teacher.argmax(1) == self.label
        video = torch.arange(n) // 4
        self.columns = {"label": self.label, "teacher_logits": teacher, "correct": correct, "video": video}

    def __len__(self):
        return len(self.label)

    def __getitems__(self, i):
        return {"clips": self.clips[i], **{k: v[i] for k, v in self.columns.items()}}


def train(loss, seed=0, epochs=1):
    data = RandomClips()
    torch.manual_seed(seed)
    student = build_student(0.25, 2)
    balance = "correct" if loss == "bce_c" else ""
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
    assert 10 < seen.n_frames[0] < 50 and seen.ok[0] and seen.error[0]
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


def test_training_goes_on_without_a_bad_video_also_with_workers(tmp_path, videos):
    table = videos.loc[videos.index.repeat(5)].assign(clip=np.tile(np.arange(5), 4)).reset_index(drop=True)
    columns = training.columns(table, "label")
    options = {"cache_gb": 0.0, "max_bad_share": 0.25}
    data = ClipDataset(videos, table, columns, 8, 32, **options)
    network = build_teacher("resnext14_small", 10)
    history = training.fit(network, data, training.classifier_batch_loss, 1, 1e-3, 4, seed=0, workers=2)
    assert len(history) == 1 and np.isfinite(history.loss[0])
    assert list(data.bad) == [videos.path[1]]


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
        assert scores.score.equals(scores.confidence) and scores.score.between(0, 1).all()


def test_labels_that_the_teacher_does_not_have_are_an_error(videos):
    teacher = build_teacher("resnext14_small", 2).eval()
    with pytest.raises(ValueError, match="label: v2 has 2, expected 0 to 1"):
        labelling.label_clips(teacher, videos.drop(index=1), 8, 32)


@pytest.mark.parametrize("seed", range(3))
def test_pairs_are_of_one_video_and_no_clip_comes_twice(seed):
    video = torch.from_numpy(np.random.default_rng(seed).integers(0, 9, 50))
    order = EpochSampler(50, seed, video=video)
    drawn = list(order)
    assert len(drawn) == len(order) == sum(int(n) // 2 * 2 for n in video.unique(return_counts=True)[1])
    assert len(set(drawn)) == len(drawn)
    assert all(video[a] == video[b] for a, b in zip(drawn[::2], drawn[1::2], strict=True))
    again, order.epoch = list(order), 1
    assert again == drawn and list(order) != drawn


def test_a_ranking_loss_needs_a_video_with_two_clips():
    with pytest.raises(ValueError, match="no video has two clips"):
        EpochSampler(3, 0, video=torch.arange(3))


@pytest.mark.parametrize("loss", LOSSES)
def test_each_loss_gives_its_heads_a_gradient_and_the_others_none(loss):
    torch.manual_seed(0)
    logits, confidence = torch.randn(8, 4, requires_grad=True), torch.randn(8, requires_grad=True)
    batch = {
        "label": torch.randint(0, 4, (8,)),
        "teacher_logits": torch.randn(8, 4),
        "correct": torch.rand(8) < 0.5,
        "video": torch.arange(8) // 4,
    }
    value, _ = student_batch_loss(loss)((logits, confidence), batch)
    value.backward()
    assert (logits.grad is not None) == (loss in ("st_ent", "st_conf", "condi_sr", "condi_sr_rank"))
    assert (confidence.grad is not None) == (loss != "st_ent")


def test_columns_number_the_videos():
    table = pd.DataFrame({"video": ["b", "a", "b"], "label": [1, 2, 3]})
    found = training.columns(table, "video", "label")
    assert found["video"].tolist() == [0, 1, 0] and found["label"].tolist() == [1, 2, 3]
