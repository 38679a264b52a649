"""Files that are broken, cut short, or no video: one error that names them, or as many frames as there are."""

import io
import os
import struct

import av
import numpy as np
import pytest
from conftest import numbered_frames, read_numbers
from odd_videos import encode, moving
from PIL import Image

from condi_lib.data import VideoError, container, iter_frames, read_clips
from condi_lib.data.planted import write_video
from condi_lib.data.tree import VIDEO_ENDINGS
from condi_lib.data.video import probe, read_clip

KINDS = ["empty", "noise", "text", "truncated", "audio only", "zero frames", "folder", "loop", "unreadable", "vanished"]


def box(kind, *parts):
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def with_cover(path, first=True):
    """Puts a cover picture of 64 x 48 pixels into an MP4, before or after its video, as players' libraries do."""
    content, at = path.read_bytes(), 0
    while content[at + 4 : at + 8] != b"moov":
        at += struct.unpack(">I", content[at : at + 4])[0]
    picture = io.BytesIO()
    Image.new("RGB", (64, 48), (255, 0, 255)).save(picture, "jpeg")
    data = box(b"data", struct.pack(">II", 13, 0), picture.getvalue())
    meta = box(b"meta", bytes(4), box(b"hdlr", bytes(8), b"mdirappl", bytes(9)), box(b"ilst", box(b"covr", data)))
    end = at + struct.unpack(">I", content[at : at + 4])[0]
    inside = [box(b"udta", meta), content[at + 8 : end]]
    path.write_bytes(content[:at] + box(b"moov", *(inside if first else inside[::-1])) + content[end:])


@pytest.mark.parametrize("first", [True, False])
def test_cover_pictures_are_not_the_video(tmp_path, first):
    path = encode(tmp_path / "cover.mp4", numbered_frames(20, 64))
    with_cover(path, first)
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 2
    assert probe(path) == (20, 25.0)
    assert read_numbers(read_clips(path, 20, 32)).tolist() == [list(range(20))]


def test_sound_with_a_cover_has_no_video(tmp_path):
    path = damaged(tmp_path, "audio only")
    with_cover(path)
    with pytest.raises(VideoError, match="has no video stream .*cover picture"):
        read_clips(path)


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
    monkeypatch.setattr(container, "MAX_PIXELS", 64 * 64 - 1)
    for read in (read_clips, probe):
        with pytest.raises(VideoError, match="declares 64 x 64 pixels, more than"):
            read(path)


def test_a_file_that_breaks_off_is_used_as_far_as_it_goes(tmp_path):
    path = encode(tmp_path / "cut.avi", numbered_frames(60, 64), "mpeg4", g="1")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    report = {}
    clips = read_clips(path, 8, 32, report=report)
    n = report["n_frames"]
    assert 10 < n < 50 and report["fault"]
    assert len(clips) == -(-n // 8)
    np.testing.assert_array_equal(read_numbers(clips).ravel()[: n - 1], range(n - 1))


@pytest.mark.parametrize("kind", ["mp4", "fragments.mp4", "mkv", "webm", "avi", "flv"])
def test_files_cut_anywhere_say_so_and_are_counted_as_they_are_read(tmp_path, kind):
    """Whole ones do not: test_index reads healthy files of all kinds."""
    codec = {"avi": "mpeg4", "webm": "libvpx-vp9"}.get(kind, "libx264")
    flags = {"mp4": "faststart", "fragments.mp4": "frag_keyframe+empty_moov"}.get(kind)
    path = encode(tmp_path / f"a.{kind}", moving(40), codec, container={"movflags": flags} if flags else {}, g="10")
    content = path.read_bytes()
    for share in (0.7, 0.8, 0.9):
        path.write_bytes(content[: int(share * len(content))])
        report = {}
        n = len(list(iter_frames(path, 32, report=report)))
        assert 0 < n < 40 and report["n_frames"] == n == probe(path)[0] and report["fault"]


def test_damaged_packets_are_skipped_and_noted(tmp_path):
    path = encode(tmp_path / "hurt.mkv", numbered_frames(40, 64), "mpeg4", g="1")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 600] = b"\xff" * 600
    path.write_bytes(bytes(content))
    report = {}
    numbers = read_numbers(read_clips(path, 1, 32, report=report)).ravel()
    assert report["n_frames"] >= 20 and numbers[0] == 0 and numbers[5] == 5


def test_text_is_no_film(tmp_path):
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear reader,\n" * 400)
    with pytest.raises(VideoError, match="letter.txt: cannot be (opened|decoded): is text"):
        read_clips(letter, 8, 32)


def test_an_avi_written_live_says_no_length(tmp_path):
    source = encode(tmp_path / "0.avi", moving(12), "mjpeg", "yuvj420p")
    data = source.read_bytes()
    for size in (2**32 - 1, 2**31 - 1, 0):
        path, report = tmp_path / f"{size}.avi", {}
        path.write_bytes(data[:4] + size.to_bytes(4, "little") + data[8:])
        assert len(read_clips(path, 4, 32, report=report)) == 3 and report["fault"] == "", size
    path.write_bytes(data[:4] + (len(data) + 10**6).to_bytes(4, "little") + data[8:])
    read_clips(path, 4, 32, report=report)
    assert "breaks off" in report["fault"]


def test_webp_is_no_video():
    assert ".webp" not in VIDEO_ENDINGS and ".gif" in VIDEO_ENDINGS
