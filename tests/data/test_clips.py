import numpy as np
import pandas as pd
import pytest
import torch
from conftest import numbered_frames, read_numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_videos import encode, moving, remux

from condi_lib import training
from condi_lib.data import (
    AUGMENTATIONS,
    ClipDataset,
    Store,
    VideoDataset,
    VideoError,
    codecs,
    decoded_folder,
    probe,
    read_clips,
)
from condi_lib.data import index as index_module
from condi_lib.data import segment as segment_module
from condi_lib.data.clips import recolour
from condi_lib.data.planted import write_video
from condi_lib.data.video import read_some_clips


def test_recolouring_leaves_luminance_patterns_but_not_colours():
    torch.manual_seed(0)
    clips = torch.from_numpy(numbered_frames(8)).permute(3, 0, 1, 2).expand(64, 3, 8, 32, 32).clone()
    clips[:, 0] //= 2
    out = recolour(clips)
    kinds = {tuple(c.float().mean((1, 2, 3)).round().tolist()) for c in out}
    assert out.dtype == torch.uint8 and len(kinds) == 6  # red is one of three channels, inverted or not
    plain = torch.stack((clips, 255 - clips)).sum(2)
    assert all((c.sum(0) == plain[:, i]).flatten(1).all(1).any() for i, c in enumerate(out))


@pytest.mark.parametrize("cache_gb", [4.0, 0.0])
def test_clip_dataset_gives_the_clips_that_its_table_lists(numbered_video, cache_gb):
    videos = pd.DataFrame({"video": ["a", "b"], "path": [numbered_video(20), numbered_video(37)]})
    table = pd.DataFrame({"video": ["b", "a", "b"], "clip": [3, 1, 0]})
    data = ClipDataset(videos, table, {"label": torch.tensor([5, 6, 7])}, 8, 32, cache_gb=cache_gb)
    batch = data.__getitems__([2, 0, 1])
    assert batch["label"].tolist() == [7, 5, 6]
    assert read_numbers(batch["clips"])[:, 0].tolist() == [0, 24, 8]


@pytest.mark.parametrize("name", ["crop", "crop_flip", "recolour"])
def test_augmentations_change_a_clip_in_the_same_way_in_all_its_frames(name):
    torch.manual_seed(0)
    picture = torch.randint(0, 255, (16, 3, 1, 24, 24), dtype=torch.uint8)
    clips = picture.expand(16, 3, 5, 24, 24).contiguous()
    out = AUGMENTATIONS[name](clips)
    assert out.shape == clips.shape and out.dtype == torch.uint8
    assert (out == out[:, :, :1]).all() and (out != clips).any()
    assert len({c.numpy().tobytes() for c in out - out.min()}) == 16


def test_crops_mirror_only_where_asked():
    torch.manual_seed(0)
    ramp = torch.arange(0, 240, 10, dtype=torch.uint8).expand(64, 3, 2, 24, 24).contiguous()  # brighter to the right
    rises = {n: (AUGMENTATIONS[n](ramp).float().diff(dim=-1).mean((1, 2, 3, 4)) > 0) for n in ("crop", "crop_flip")}
    assert rises["crop"].all() and 16 < rises["crop_flip"].sum() < 48


def bad_and_good(numbered_video, tmp_path, n_good=30):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    names = [f"v{i:02d}" for i in range(n_good)]
    paths = [str(numbered_video(20))] * n_good
    return pd.DataFrame({"video": ["bad", *names], "path": [str(bad), *paths]})


@pytest.mark.parametrize("cache_gb", [4.0, 0.0])
def test_a_bad_video_is_left_out_of_training_and_recorded(numbered_video, tmp_path, cache_gb):
    videos = bad_and_good(numbered_video, tmp_path)
    table = videos[["video"]].assign(clip=1)
    columns = {"label": torch.arange(len(table))}
    data = ClipDataset(videos, table, columns, 8, 32, cache_gb=cache_gb)
    seen, bad = [], dict(data.bad)
    for i in range(len(data)):
        batch = data.__getitems__([i])
        seen += batch["label"].tolist()
        bad |= batch["bad"]
        assert len(batch["clips"]) == len(batch["label"])
    assert seen == list(range(1, 31)) and list(bad) == [videos.path[0]] and "cannot be decoded" in bad[videos.path[0]]
    with pytest.raises(VideoError, match=r"1 of 31 videos cannot be read, more than max_bad_share = 1.0%"):
        ClipDataset(videos, table, columns, 8, 32, cache_gb=cache_gb, max_bad_share=0.01).note_bad(bad)


def test_only_what_fits_is_kept(tmp_path):
    videos = pd.DataFrame({"n_frames": [16, 17]})  # 2 + 3 clips of 8 frames
    gb = 5 * 3 * 8 * 32 * 32 / 2**30
    assert decoded_folder(tmp_path, videos, 8, 32, limit_gb=gb).folder == tmp_path
    assert decoded_folder(tmp_path, videos, 8, 32, limit_gb=0.99 * gb) is None
    assert decoded_folder(tmp_path, videos, 8, 32, limit_gb=0.99 * gb, quality=95).quality == 95
    assert decoded_folder(tmp_path, videos, 8, 32, limit_gb=0, quality=95) is None


def numbered_table(folder, lengths, pairs=False):
    """(video table, clip table) of numbered videos v0, v1, ...; of clips of 4 frames, the last perhaps shorter."""
    for i, n in enumerate(lengths):
        write_video(folder / f"v{i}.mp4", (numbered_frames(n) + i).clip(0, 255).astype(np.uint8))
    rows = [(f"v{i}", str(folder / f"v{i}.mp4"), n, True) for i, n in enumerate(lengths)]
    videos = pd.DataFrame(rows, columns=["video", "path", "n_frames", "ok"])
    table = training.clip_rows(videos, 4)
    return videos, table[["video", "clip"]].reset_index(drop=True)


def streamed(videos, table, workers=0, seed=1, buffer=20, start=0, count=None, **options):
    """Batches of 8 of an epoch as `fit` takes them where memory does not hold the clips."""
    columns = {"n": torch.arange(len(table)), "video": torch.from_numpy(pd.factorize(table.video)[0])}
    data = ClipDataset(videos, table, columns, 4, 32, cache_gb=0.0, **options)
    order = training.EpochSampler(len(table), seed, source=data.sources, buffer=buffer)
    parts = training.Parts(order, 8, 1)
    parts.start = start
    return data, list(data.batches(parts, workers))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kept", [False, True])
def test_an_epoch_that_memory_does_not_hold_reads_each_video_once(tmp_path, monkeypatch, workers, kept):
    videos, table = numbered_table(tmp_path, [40, 17, 3, 60, 24, 33])
    log, read = tmp_path / "log", segment_module.read_some_clips

    def logged(path, *args, **options):
        with log.open("a") as file:
            file.write(f"{path}\n")
        return read(path, *args, **options)

    monkeypatch.setattr(segment_module, "read_some_clips", logged)
    store = Store(tmp_path / "store") if kept else None
    data, batches = streamed(videos, table, workers, augment=AUGMENTATIONS["recolour"], decoded=store)
    assert kept or sorted(log.read_text().split()) == sorted(videos.path)
    n = torch.cat([batch["n"] for batch in batches])
    assert sorted(n.tolist()) == list(range(len(table)))
    for batch in batches:  # the same clips, augmented in the same way, as by access
        by_access = data.__getitems__(batch["n"].tolist())
        assert torch.equal(batch["clips"], by_access["clips"]) and batch["paths"] == by_access["paths"]
    data.augment = None
    clips = data.__getitems__(list(range(len(table))))["clips"]
    assert torch.equal(clips, torch.cat([read_clips(path, 4, 32) for path in videos.path]))
    later = streamed(videos, table, workers, augment=AUGMENTATIONS["recolour"], decoded=store, start=3)[1]
    assert len(later) == len(batches) - 3
    assert all(torch.equal(a["clips"], b["clips"]) for a, b in zip(later, batches[3:], strict=True))


def test_a_video_that_cannot_be_read_is_named_once_and_left_out(tmp_path):
    videos, table = numbered_table(tmp_path, [40, 17, 3, 60])
    (tmp_path / "v1.mp4").write_bytes(b"broken since")
    _, batches = streamed(videos, table)
    bad = [batch["bad"] for batch in batches if batch["bad"]]
    assert len(bad) == 1 and list(bad[0]) == [videos.path[1]]
    left = {i for batch in batches for i in batch["n"].tolist()}
    assert left == set(table.index[table.video != "v1"])


@pytest.mark.parametrize("cache_gb", [4.0, 0.0])
def test_rows_may_be_segments_of_one_file(numbered_video, cache_gb):
    path = str(numbered_video(60))
    videos = pd.DataFrame({"video": ["a", "b"], "path": [path] * 2, "start_frame": [0, 21], "end_frame": [10, -1]})
    table = pd.DataFrame({"video": ["b", "a", "b"], "clip": [1, 2, 0]})
    data = ClipDataset(videos, table, {"label": torch.tensor([5, 6, 7])}, 4, 32, cache_gb=cache_gb)
    batch = data.__getitems__([0, 1, 2])
    assert read_numbers(batch["clips"]).tolist() == [[25, 26, 27, 28], [8, 9, 9, 9], [21, 22, 23, 24]]
    spread = ClipDataset(videos, table.assign(clip=[1, 1, 0]), {}, 2, 32, cache_gb=cache_gb, stride=3)
    assert read_numbers(spread.__getitems__([0, 2])["clips"]).tolist() == [[27, 30], [21, 24]]
    clips, report = VideoDataset(videos, 4, 32)[0]
    assert len(clips) == 3 and report["n_frames"] == 10


@settings(max_examples=15, deadline=None)
@given(numbers=st.sets(st.integers(0, 49), min_size=1, max_size=8), start=st.integers(0, 9), stride=st.integers(1, 2))
def test_some_clips_are_those_of_all(tmp_path_factory, numbers, start, stride):
    path = tmp_path_factory.getbasetemp() / "some.mp4"
    if not path.exists():
        encode(path, moving(410), g="12")
    numbers = [n for n in sorted(numbers) if n < (410 - start) / (4 * stride)] or [0]
    report, options = {}, {"start": start, "stride": stride}
    every = read_clips(path, 4, 32, **options)
    some = read_some_clips(path, numbers=numbers, end=None, frames=4, size=32, report=report, **options)
    assert torch.equal(some, every[numbers])
    span = 4 * stride
    gaps = np.diff([-start / span, *numbers]) * span  # 64 frames and the way to a key frame
    assert report["n_decoded"] <= np.minimum(gaps, 64 + 12 + span).sum() + span + 12


@pytest.fixture
def damaged(tmp_path, monkeypatch):
    """An MJPEG file of 49 packets, of which 48 are shown, and demuxing does not tell."""
    source = encode(tmp_path / "0.avi", moving(49), "mjpeg", "yuvj420p")
    path = remux(source, tmp_path / "a.avi", lambda i, pts, dts, data: [(pts, dts, data[:30] if i == 3 else data)])
    monkeypatch.setattr(codecs, "_is_jpeg", lambda data: True)
    monkeypatch.setattr(index_module, "_SHOWN", {})
    assert probe(path)[0] == 49
    return str(path)


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("cache_gb", [4.0, 0.0])
def test_of_a_video_with_fewer_frames_only_the_clips_that_are_not_there_are_left_out(damaged, tmp_path, cache_gb, kept):
    videos = pd.DataFrame({"video": ["a"], "path": [damaged], "n_frames": [49], "ok": [True]})
    table = training.clip_rows(videos, 8)
    assert len(table) == 7
    columns = {"n": torch.arange(7)}
    store = Store(tmp_path / "store") if kept else None
    data = ClipDataset(videos, table, columns, 8, 32, cache_gb=cache_gb, max_bad_share=0.0, decoded=store)
    expected = read_clips(damaged, 8, 32)
    parts = [data.__getitems__(list(range(len(data))))]
    if not cache_gb:
        parts += data.batches([[5, 6, 1], [0, 3]])
    for part in parts:
        assert not part["bad"] and torch.equal(part["clips"], expected[part["n"]]) and 6 not in part["n"]
    data.note_bad({})
    assert "has no clip 6 of 8 frames" in data.bad[damaged] and len(expected) == 6
    with pytest.raises(VideoError, match="1 of 1 videos"):
        data.note_bad({damaged: "cannot be decoded"})


@pytest.mark.parametrize("cache_gb", [4.0, 0.0])
def test_clips_of_a_labelled_table_are_those_that_were_labelled(damaged, monkeypatch, cache_gb):
    """Another process decoded the file, and wrote how many frames it shows."""
    expected = read_clips(damaged, 8, 32)
    monkeypatch.setattr(index_module, "_SHOWN", {})
    videos = pd.DataFrame({"video": ["a"], "path": [damaged], "n_frames": [48], "ok": [True]})
    table = pd.DataFrame({"video": ["a"], "clip": [4]})
    data = ClipDataset(videos, table, {}, 8, 32, cache_gb=cache_gb)
    assert torch.equal(data.__getitems__([0])["clips"][0], expected[4])
