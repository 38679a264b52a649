"""Turned segments: their end goes before their beginning, however they are read."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import numbered_frames, read_numbers
from odd_videos import encode, pictures

from condi_lib.data import ClipDataset, Segment, Store, VideoDataset, iter_frames, read_clips, segments, stored_clips


@pytest.fixture(params=["mp4", "ts", "pictures"])
def path(request, tmp_path):
    frames = numbered_frames(40, 64)
    kind = request.param
    return pictures(tmp_path / "v", frames) if kind == "pictures" else encode(tmp_path / f"v.{kind}", frames, g="8")


@pytest.mark.parametrize(("start", "end"), [(0, None), (0, -1), (7, 30), (5, -1)])
def test_turned_frames_by_brute_force(path, tmp_path, start, end):
    last = 40 if end in (None, -1) else end
    for turn, stride in [(0, 1), (1, 1), (9, 1), (last - start - 1, 2), (last - start, 1), (74, 3)]:
        whole = list(range(start, last))
        expected = [whole[(i + turn) % len(whole)] for i in range(len(whole))][::stride]
        report = {}
        found = list(iter_frames(path, 32, start, end, stride, report, turn))
        clips = torch.from_numpy(np.stack(found)).permute(3, 0, 1, 2)[None]
        assert read_numbers(clips).ravel().tolist() == expected and report["n_frames"] == len(whole)
        every = read_clips(path, 8, 32, start=start, end=end, stride=stride, turn=turn)
        assert read_numbers(every).ravel()[: len(expected)].tolist() == expected
        one, numbers = Segment(path, start, end, turn), list(range(0, len(every), 2))
        for store in (None, Store(tmp_path / "store")):
            assert torch.equal(stored_clips(one, 8, 32, store, stride=stride), every)
            assert torch.equal(stored_clips(one, 8, 32, store, numbers, stride=stride), every[numbers])


@pytest.mark.parametrize("cache_gb", [0.0, 1.0])
def test_training_and_labelling_see_the_turned_video(path, cache_gb):
    videos = pd.DataFrame({"video": ["a", "b"], "path": str(path), "turn": [10, 0]})
    table = pd.DataFrame({"video": ["a", "b", "a"], "clip": [0, 0, 3]})
    data = ClipDataset(videos, table, {}, 8, 32, cache_gb=cache_gb)
    shown = read_numbers(data.__getitems__([0, 1, 2])["clips"])
    assert shown.tolist() == [list(range(10, 18)), list(range(8)), [34, 35, 36, 37, 38, 39, 0, 1]]
    (batch,) = data.batches([[0, 2]]) if cache_gb == 0.0 else [data.__getitems__([0, 2])]
    assert read_numbers(batch["clips"]).tolist() == shown[[0, 2]].tolist()
    clips, _ = VideoDataset(videos, 8, 32)[0]
    assert read_numbers(clips).ravel().tolist() == [*range(10, 40), *range(10)]
    assert segments(videos[["video", "path"]]) == [Segment(str(path), 0, -1)] * 2
