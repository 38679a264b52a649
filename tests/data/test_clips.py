import pandas as pd
import pytest
import torch
from conftest import numbered_frames, read_numbers

from condi_lib.data import AUGMENTATIONS, ClipDataset, VideoError, read_clips
from condi_lib.data import clips as clips_module
from condi_lib.data.clips import recolour
from condi_lib.data.planted import write_video


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


def test_decoded_clips_are_kept_and_follow_the_file(numbered_video, tmp_path, monkeypatch):
    path, folder = numbered_video(20), tmp_path / "decoded"
    first = {}
    clips = clips_module.cached_clips(path, 8, 32, folder, first)
    assert torch.equal(clips, read_clips(path, 8, 32))
    monkeypatch.setattr(clips_module, "read_clips", lambda *args, **options: pytest.fail("decoded again"))
    second = {}
    assert torch.equal(clips_module.cached_clips(path, 8, 32, folder, second), clips) and second == first
    monkeypatch.undo()
    assert clips_module.cached_clips(path, 4, 32, folder).shape[0] == 5  # another length of clip
    for copy in folder.iterdir():
        copy.write_bytes(copy.read_bytes()[:100])  # a cut copy is made again
    assert torch.equal(clips_module.cached_clips(path, 8, 32, folder), clips)
    write_video(path, numbered_frames(9))
    assert clips_module.cached_clips(path, 8, 32, folder).shape[0] == 2
    path.unlink()
    with pytest.raises(VideoError, match="cannot be decoded"):
        clips_module.cached_clips(path, 8, 32, folder)


def test_only_what_fits_is_kept():
    videos = pd.DataFrame({"n_frames": [16, 17]})  # 2 + 3 clips of 8 frames
    gb = 5 * 3 * 8 * 32 * 32 / 2**30
    assert clips_module.decoded_folder("here", videos, 8, 32, gb) == "here"
    assert clips_module.decoded_folder("here", videos, 8, 32, 0.99 * gb) is None
