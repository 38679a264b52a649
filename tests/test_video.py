import av
import numpy as np
import pytest
import torch
from conftest import SHARED, numbered_frames, read_numbers
from hypothesis import given, settings
from hypothesis import strategies as st

from condi_lib.data import ClipDataset, VideoError, cut_clips, read_clips, recolour
from condi_lib.data.video import probe


@pytest.mark.parametrize("n", [1, 7, 8, 9, 16, 37])
def test_clips_of_a_numbered_video_are_in_order_and_padded_by_the_last_frame(numbered_video, n):
    clips = read_clips(numbered_video(n), frames=8, size=32)
    expected = np.minimum(np.arange(-(-n // 8) * 8), n - 1).reshape(-1, 8)
    assert clips.dtype == torch.uint8 and clips.shape == (-(-n // 8), 3, 8, 32, 32)
    np.testing.assert_array_equal(read_numbers(clips), expected)


@pytest.mark.parametrize(("n", "expected"), [(300, 18), (288, 18), (17, 1), (16, 1), (5, 1)])
def test_drop_last_gives_the_thesis_18_clips_of_a_300_frame_video(n, expected):
    video = torch.arange(n, dtype=torch.float32).view(n, 1, 1, 1).expand(n, 3, 2, 2)
    clips = cut_clips(video, 16, drop_last=True)
    assert len(clips) == expected
    whole = min(n, 16 * expected)
    assert clips[:, 0, :, 0, 0].flatten()[:whole].tolist() == list(range(whole))


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 60), frames=st.integers(1, 17))
def test_cutting_loses_and_invents_no_frame(n, frames):
    video = torch.arange(n).view(n, 1, 1, 1).expand(n, 3, 1, 1)
    flat = cut_clips(video, frames)[:, 0, :, 0, 0].flatten()
    assert len(flat) == -(-n // frames) * frames
    assert flat[:n].tolist() == list(range(n)) and (flat[n:] == n - 1).all()


def test_the_short_side_is_scaled_and_the_centre_kept(tmp_path):
    wide = np.zeros((3, 32, 96, 3), np.uint8)
    wide[:, :, 32:64] = 255  # the middle third is white
    with av.open(str(tmp_path / "wide.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 32, "yuv420p"
        for frame in wide:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode())
    clips = read_clips(tmp_path / "wide.mp4", 3, 16)
    assert clips.shape == (1, 3, 3, 16, 16)
    assert clips[..., 3:13].float().mean() > 240


def test_probe_counts_frames(numbered_video):
    assert probe(numbered_video(37)) == (37, 25.0)


@pytest.mark.parametrize("content", [b"", b"not a video at all" * 50])
def test_a_file_that_is_no_video_is_one_error_that_names_it(tmp_path, content):
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    for read in (read_clips, probe):
        with pytest.raises(VideoError, match="bad.mp4"):
            read(path)
    with pytest.raises(VideoError, match="gone.mp4"):
        read_clips(tmp_path / "gone.mp4")


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
    import pandas as pd

    videos = pd.DataFrame({"video": ["a", "b"], "path": [numbered_video(20), numbered_video(37)]})
    table = pd.DataFrame({"video": ["b", "a", "b"], "clip": [3, 1, 0]})
    data = ClipDataset(videos, table, {"label": torch.tensor([5, 6, 7])}, 8, 32, cache_gb=cache_gb)
    batch = data.__getitems__([2, 0, 1])
    assert batch["label"].tolist() == [7, 5, 6]
    assert read_numbers(batch["clips"])[:, 0].tolist() == [0, 24, 8]


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared folder")
@pytest.mark.parametrize(
    ("name", "n"), [("demo.mp4", 280), ("test.avi", 164), ("nasa_13013.mp4", 325), ("h264_10bits.mp4", 30)]
)
def test_real_files_decode_to_the_right_number_of_frames(name, n):
    clips = read_clips(SHARED / "videos" / name, 1, 64)
    assert clips.shape == (n, 3, 1, 64, 64) and 5 < clips.float().std() < 120
