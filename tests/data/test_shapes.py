"""Clips of other shapes through all that reads them: every s-th frame, three crops; networks and Predictor agree."""

import numpy as np
import pandas as pd
import pytest
import torch
from odd_videos import encode, moving
from torchvision.transforms.functional import center_crop, crop

from condi_lib import flops, labelling, training
from condi_lib.data import (
    ClipDataset,
    Segment,
    Store,
    VideoDataset,
    iter_frames,
    probe_videos,
    stored_clips,
    three_crops,
)
from condi_lib.evaluation import clip_kinds, with_truth
from condi_lib.models import build_student, build_teacher, to_input
from condi_lib.predictor import Predictor

F, SIZE = 4, 32


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A wide video, a tall one, and a segment of a wide one, none a whole number of clips long."""
    folder = tmp_path_factory.mktemp("shapes")
    rows = []
    for name, n, width, height, start, end in [
        ("wide", 27, 86, 48, 0, -1),
        ("tall", 9, 40, 74, 0, -1),
        ("part", 30, 86, 48, 5, 22),
    ]:
        encode(folder / f"{name}.mp4", moving(n, width, height), g="6")
        rows.append((name, str(folder / f"{name}.mp4"), 0, "test", start, end))
    return probe_videos(pd.DataFrame(rows, columns=["video", "path", "label", "split", "start_frame", "end_frame"]))


def by_hand(row, stride, whole):
    """The clips of a row, cut from all its frames: uint8 [N, 3, F, H, W], and the real frames of each."""
    frames = np.stack(list(iter_frames(row.path, SIZE, whole=whole)))[row.start_frame :]
    frames = frames[: row.end_frame - row.start_frame] if row.end_frame > 0 else frames
    clips, real = [], []
    for first in range(0, len(frames), F * stride):
        clip = frames[first : first + F * stride : stride]
        real.append(len(clip))
        clips.append(np.concatenate([clip, np.repeat(clip[-1:], F - len(clip), 0)]))
    return torch.from_numpy(np.stack(clips)).permute(0, 4, 1, 2, 3), real


@pytest.mark.parametrize(("stride", "crops"), [(1, 1), (2, 1), (3, 1), (1, 3), (2, 3)])
def test_tables_and_predictor_see_the_same_clips(videos, tmp_path, stride, crops):
    torch.manual_seed(0)
    teacher, student = build_teacher("resnext14_small", 5).eval(), build_student(0.25, 5, repeats=(1, 2, 1)).eval()
    store = Store(tmp_path)
    stored_clips(Segment(videos.path[0]), F, SIZE, store)  # other pixels of the same video, which must not be taken
    options = {"stride": stride, "decoded": store}
    clips, seen = labelling.label_clips(teacher, videos, F, SIZE, crops=crops, **options)
    scores = labelling.score_clips(student, "condi_sr", videos, F, SIZE, **options)
    assert seen.n_frames.tolist() == [27, 9, 17]
    predict = Predictor(teacher, student, F, SIZE, stride=stride, crops=crops)
    assert predict.multiply_adds["teacher"] == crops * flops.count(teacher, F, SIZE)[0]
    for row in videos.itertuples():
        own, expected = clips[clips.video == row.video], by_hand(row, stride, crops > 1)
        assert own.n_real_frames.tolist() == expected[1]
        assert own.start_frame.tolist() == [F * stride * i for i in range(len(own))]
        with torch.no_grad():
            parts = [three_crops(expected[0])[:, i] for i in range(3)] if crops > 1 else [expected[0]]
            probs = torch.stack([teacher(to_input(part, teacher)).softmax(1) for part in parts]).mean(0)
            middle = by_hand(row, stride, False)[0]
            _, confidence = student(to_input(middle, student))
        found = labelling.softmax(np.stack(own.teacher_logits))
        np.testing.assert_allclose(found, probs, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(scores[scores.video == row.video].score, confidence.numpy(), rtol=1e-4, atol=1e-5)
        if row.end_frame < 0:
            result = predict(row.path)
            assert torch.equal(result["clips"], middle) and result["n_frames"] == row.n_frames
            np.testing.assert_allclose(result["score"], confidence.numpy(), rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(
                dict(result["top5"])[0], found.mean(0)[0], rtol=1e-3, atol=1e-6
            )  # all clips to the teacher
            assert result["multiply_adds"]["teacher"] == len(own) * predict.multiply_adds["teacher"]


def test_three_crops_are_torchvisions(videos):
    for row in videos[:2].itertuples():
        wide = torch.stack([stored_clips(Segment(row.path), F, SIZE, None, whole=True)])[0]
        height, width = wide.shape[-2:]
        found = three_crops(wide)
        assert min(height, width) == SIZE < max(height, width)
        assert torch.equal(found[:, 0], crop(wide, 0, 0, SIZE, SIZE))
        assert torch.equal(found[:, 2], crop(wide, height - SIZE, width - SIZE, SIZE, SIZE))
        assert torch.equal(found[:, 1], stored_clips(Segment(row.path), F, SIZE, None))
        if (max(height, width) - SIZE) % 2 == 0:
            assert torch.equal(found[:, 1], center_crop(wide, [SIZE, SIZE]))
        assert torch.equal(VideoDataset([Segment(row.path)], F, SIZE, crops=3)[0][0], found.flatten(0, 1))


def test_training_takes_every_third_frame(videos):
    rows = training.clip_rows(videos, F, 3)
    assert rows.groupby("video").size().to_dict() == {"wide": 3, "tall": 1, "part": 2}
    for cache_gb in (0.0, 1.0):
        data = ClipDataset(videos, rows, {}, F, SIZE, cache_gb=cache_gb, stride=3)
        found = data.__getitems__(list(range(len(rows))))["clips"]
        assert torch.equal(found, torch.cat([by_hand(row, 3, False)[0] for row in videos.itertuples()]))


def test_the_truth_of_a_clip_is_that_of_its_own_frames():
    rng = np.random.default_rng(0)
    shows = rng.random(31) < 0.5
    truth = pd.DataFrame({"video": "a", "frame": range(31), "shows": shows, "kind": np.where(shows, "x", "y")})
    for stride in (1, 2, 5):
        n = -(-31 // (F * stride))
        clips = pd.DataFrame({"video": "a", "clip": range(n)})
        own = [shows[c * F * stride : (c + 1) * F * stride : stride] for c in range(n)]
        np.testing.assert_allclose(with_truth(clips, truth, F, stride).shows, [x.mean() for x in own], rtol=1e-6)
        expected = ["x" if x.all() else "mixed" if x.any() else "y" for x in own]
        assert clip_kinds(clips, truth, F, stride).tolist() == expected
