import os
import struct
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from conftest import SHARED, numbered_frames, read_numbers
from hypothesis import given, settings
from hypothesis import strategies as st

from condi_lib.data import VideoError, iter_clips, read_clips, video
from condi_lib.data.planted import write_video
from condi_lib.data.video import probe, read_clip

CODECS = {
    "h264.mp4": ("libx264", "yuv420p"),
    "h264_10bit.mkv": ("libx264", "yuv420p10le"),
    "h265.mp4": ("libx265", "yuv420p"),
    "h265_10bit.mkv": ("libx265", "yuv420p10le"),
    "vp9.webm": ("libvpx-vp9", "yuv420p"),
    "av1.mkv": ("libsvtav1", "yuv420p"),
    "mpeg4.avi": ("mpeg4", "yuv420p"),
    "mjpeg.avi": ("mjpeg", "yuvj420p"),
    "ffv1.mkv": ("ffv1", "bgr0"),
}
KINDS = ["empty", "noise", "text", "truncated", "audio only", "zero frames", "folder", "loop", "unreadable", "vanished"]


@pytest.mark.parametrize("n", [1, 7, 8, 9, 16, 37])
def test_clips_of_a_numbered_video_are_in_order_and_padded_by_the_last_frame(numbered_video, n):
    clips = read_clips(numbered_video(n), frames=8, size=32)
    expected = np.minimum(np.arange(-(-n // 8) * 8), n - 1).reshape(-1, 8)
    assert clips.dtype == torch.uint8 and clips.shape == (-(-n // 8), 3, 8, 32, 32)
    np.testing.assert_array_equal(read_numbers(clips), expected)


@pytest.mark.parametrize(("n", "expected"), [(300, 18), (288, 18), (17, 1), (16, 1), (5, 1)])
def test_drop_last_gives_the_thesis_18_clips_of_a_300_frame_video(numbered_video, n, expected):
    clips = read_clips(numbered_video(n), 16, 32, drop_last=True)
    assert len(clips) == expected
    whole = min(n, 16 * expected)
    assert read_numbers(clips).ravel()[:whole].tolist() == [i % 256 for i in range(whole)]


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 60), frames=st.integers(1, 17), drop_last=st.booleans())
def test_cutting_loses_and_invents_no_frame(n, frames, drop_last):
    def decoded(path, size, report=None):
        yield from (np.full((1, 1, 3), i, np.uint8) for i in range(n))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(video, "iter_frames", decoded)
        flat = read_clips("", frames, 1, drop_last)[:, 0, :, 0, 0].flatten()
    kept = max(n // frames, 1) * frames if drop_last else -(-n // frames) * frames
    assert len(flat) == kept
    assert flat[:n].tolist() == list(range(min(n, kept))) and (flat[n:] == n - 1).all()


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


def encode(path, frames, codec="libx264", pix_fmt="yuv420p", options=None, rate=25, pts=None):
    """Writes uint8 [T, H, W, 3] with any codec, pixel format and time stamps."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], pix_fmt
        stream.options = options or {}
        for i, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if pts is not None:
                frame.pts, frame.time_base = pts[i], Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


@pytest.mark.parametrize("name", CODECS)
def test_containers_and_codecs(tmp_path, name):
    codec, pix_fmt = CODECS[name]
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec}")
    frames = numbered_frames(21, 64)
    path = encode(tmp_path / name, frames, codec, pix_fmt)
    np.testing.assert_array_equal(read_numbers(read_clips(path, 8, 32)).ravel()[:21], range(21))
    assert probe(path)[0] == 21
    assert read_numbers(read_clip(path, 2, 8, 32)[None]).tolist() == [[16, 17, 18, 19, 20, 20, 20, 20]]


@pytest.mark.parametrize(("pix_fmt", "color_range"), [("yuv420p", "tv"), ("yuvj420p", "pc")])
def test_full_and_limited_range_give_the_same_pixels(tmp_path, pix_fmt, color_range):
    levels = np.linspace(0, 255, 8).round().astype(np.uint8)
    path = tmp_path / "range.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt, stream.options = pix_fmt, {"qp": "0"}
        stream.codec_context.color_range = 1 if color_range == "tv" else 2
        luma = levels if color_range == "pc" else (16 + levels * (219 / 255)).round().astype(np.uint8)
        for y in luma:
            planes = np.full((96, 64), 128, np.uint8)
            planes[:64] = y
            frame = av.VideoFrame.from_ndarray(planes, format=pix_fmt)
            frame.color_range = 1 if color_range == "tv" else 2
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    shown = read_clips(path, 8, 32)[0].float().mean((0, 2, 3))
    np.testing.assert_allclose(shown, levels, atol=2)


@pytest.mark.parametrize(("width", "height"), [(33, 47), (64, 2), (100, 36), (17, 16)])
def test_odd_sizes(tmp_path, width, height):
    frames = np.full((3, height, width, 3), 200, np.uint8)
    path = encode(tmp_path / "odd.mkv", frames, "ffv1", "bgr0")
    clips = read_clips(path, 3, 24)
    assert clips.shape == (1, 3, 3, 24, 24) and (clips.float() - 200).abs().max() < 4


def test_variable_frame_rate_and_no_declared_count(tmp_path):
    pts = np.cumsum(np.random.default_rng(0).integers(5, 200, 30)).tolist()
    path = encode(tmp_path / "vfr.mkv", numbered_frames(30, 32), pts=pts)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 0  # Matroska declares none
    assert probe(path)[0] == 30
    np.testing.assert_array_equal(read_numbers(read_clips(path, 10, 32)).ravel(), range(30))


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_rotation_metadata_is_obeyed(tmp_path, turn):
    upright = np.zeros((3, 64, 64, 3), np.uint8)
    upright[:, :32, :32] = (255, 0, 0)  # red at the upper left
    upright[:, :32, 32:] = (0, 255, 0)  # green at the upper right
    path = tmp_path / "turned.mp4"
    encode(path, np.rot90(upright, turn // 90, (1, 2)).copy(), options={"qp": "0"})  # filmed turned
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[turn]
    matrix = struct.pack(">9i", cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    content = path.read_bytes()
    at = content.index(b"tkhd") + 4 + 40  # version 0: the track's display matrix
    path.write_bytes(content[:at] + matrix + content[at + 36 :])
    shown = read_clips(path, 3, 32)[0, :, 0].float()
    assert shown[0, 4:12, 4:12].mean() > 200 and shown[1, 4:12, 20:28].mean() > 200


def test_streaming_gives_the_same_clips(numbered_video):
    path = numbered_video(37)
    torch.testing.assert_close(torch.stack(list(iter_clips(path, 8, 32))), read_clips(path, 8, 32))
    for i, clip in enumerate(read_clips(path, 8, 32)):
        torch.testing.assert_close(read_clip(path, i, 8, 32), clip)
    with pytest.raises(VideoError, match="has no clip 5 of 8 frames"):
        read_clip(path, 5, 8, 32)


def damaged(tmp_path, kind):
    """A file of each kind that long runs meet; its path and a piece of the reason."""
    path = tmp_path / f"{kind}.mp4"
    if kind == "empty":
        path.write_bytes(b"")
    if kind == "noise":
        path.write_bytes(np.random.default_rng(0).bytes(20_000))
    if kind == "text":
        path.write_bytes(b"not a video at all" * 50)
    if kind == "truncated":  # the index is at the end of the file, and gone
        write_video(path, numbered_frames(60))
        path.write_bytes(path.read_bytes()[:1500])
    if kind == "audio only":
        with av.open(str(path), "w") as out:
            stream = out.add_stream("aac", rate=8000, layout="mono")
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 8000
            out.mux(stream.encode(frame))
            out.mux(stream.encode())
    if kind == "zero frames":
        with av.open(str(path), "w", format="matroska") as out:
            stream = out.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
            out.start_encoding()
    if kind == "folder":
        path.mkdir()
    if kind == "loop":
        path.symlink_to(path)
    if kind == "unreadable":
        write_video(path, numbered_frames(3))
        path.chmod(0)
        if os.access(path, os.R_OK):
            pytest.skip("this user reads every file")
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_bad_files_are_one_error_that_names_file_and_reason(tmp_path, kind):
    path = damaged(tmp_path, kind)
    for read in (read_clips, probe, lambda p: read_clip(p, 0)):
        with pytest.raises(VideoError, match=f"{kind}.mp4: cannot be (decoded|opened): .+"):
            read(path)


def test_a_frame_too_large_for_any_camera_is_refused(tmp_path, monkeypatch):
    path = encode(tmp_path / "large.mkv", np.zeros((2, 64, 64, 3), np.uint8))
    monkeypatch.setattr(video, "MAX_PIXELS", 64 * 64 - 1)
    for read in (read_clips, probe):
        with pytest.raises(VideoError, match="declares 64 x 64 pixels, more than"):
            read(path)


def test_a_file_that_breaks_off_is_used_as_far_as_it_goes(tmp_path):
    path = encode(tmp_path / "cut.avi", numbered_frames(60, 64), "mpeg4", options={"g": "1"})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    report = {}
    clips = read_clips(path, 8, 32, report=report)
    n = report["n_frames"]
    assert 10 < n < 50 and report["fault"]
    assert len(clips) == -(-n // 8)
    np.testing.assert_array_equal(read_numbers(clips).ravel()[: n - 1], range(n - 1))


def test_damaged_packets_are_skipped_and_noted(tmp_path):
    path = encode(tmp_path / "hurt.mkv", numbered_frames(40, 64), "mpeg4", options={"g": "1"})
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 600] = b"\xff" * 600
    path.write_bytes(bytes(content))
    report = {}
    numbers = read_numbers(read_clips(path, 1, 32, report=report)).ravel()
    assert report["n_frames"] >= 20 and numbers[0] == 0 and numbers[5] == 5


def test_long_videos_stream_in_bounded_memory(tmp_path):
    """600 frames of 720p would take 1.7 GB: the peak grows by less than 100 MB."""
    path = tmp_path / "long.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=1)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        stream.options = {"preset": "ultrafast", "tune": "zerolatency"}
        frame = av.VideoFrame.from_ndarray(np.zeros((720, 1280, 3), np.uint8), format="rgb24")
        for i in range(600):
            frame.pts = i
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    code = (
        "import resource, sys; from condi_lib.data import iter_clips, read_clips\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "it = iter_clips(sys.argv[1], 16, 112); next(it); before = peak(); n = 1 + sum(1 for _ in it)\n"
        "print(n, (peak() - before) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    n, grown = map(int, done.stdout.split())
    assert n == 38 and grown < 100


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared folder")
@pytest.mark.parametrize(
    ("name", "n"), [("demo.mp4", 280), ("test.avi", 164), ("nasa_13013.mp4", 325), ("h264_10bits.mp4", 30)]
)
def test_real_files_decode_to_the_right_number_of_frames(name, n):
    clips = read_clips(SHARED / "videos" / name, 1, 64)
    assert clips.shape == (n, 3, 1, 64, 64) and 5 < clips.float().std() < 120
