import numpy as np
import pandas as pd
import pytest
import torch
from conftest import bit_for_bit, make_clips, make_videos

from condi_lib import training
from condi_lib.data import ClipDataset
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


@bit_for_bit
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


def test_training_goes_on_without_a_bad_video_also_with_workers(tmp_path, videos):
    table = videos.loc[videos.index.repeat(5)].assign(clip=np.tile(np.arange(5), 4)).reset_index(drop=True)
    columns = training.columns(table, "label")
    options = {"cache_gb": 0.0, "max_bad_share": 0.25}
    data = ClipDataset(videos, table, columns, 8, 32, **options)
    network = build_teacher("resnext14_small", 10)
    history = training.fit(network, data, training.classifier_batch_loss, 1, 1e-3, 4, seed=0, workers=2)
    assert len(history) == 1 and np.isfinite(history.loss[0])
    assert list(data.bad) == [videos.path[1]]


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
