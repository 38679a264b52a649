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
from odd_videos import encode, pictures

from condi_lib.data import VideoError, iter_clips, read_clips, video
from condi_lib.data.tree import VIDEO_ENDINGS
from condi_lib.data.tree import ending as ending_of
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
    def decoded(*_):
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


QUARTERS = {"r": (255, 0, 0), "g": (0, 255, 0), "b": (0, 0, 255), "w": (255, 255, 255)}


def quarters(clips):
    """The colours of a clip's quarters, read line by line, such as "rgbw"."""
    points = clips[0, :, 0][:, [8, 8, 24, 24], [8, 24, 8, 24]].T.float()
    names, colours = zip(*QUARTERS.items(), strict=True)
    return "".join(names[i] for i in torch.cdist(points, torch.tensor(colours).float()).argmin(1))


@pytest.mark.parametrize(
    ("matrix", "shown"),  # (x, y) is shown at (a x + c y, b x + d y)
    [
        ((1, 0, 0, 1), "rgbw"),
        ((-1, 0, 0, -1), "wbgr"),
        ((0, 1, -1, 0), "brwg"),
        ((0, -1, 1, 0), "gwrb"),
        ((-1, 0, 0, 1), "grwb"),
        ((1, 0, 0, -1), "bwrg"),
        ((0, 1, 1, 0), "rbgw"),
        ((0, -1, -1, 0), "wgbr"),
    ],
)
def test_all_eight_orientations_are_obeyed(tmp_path, matrix, shown):
    frames = np.zeros((3, 64, 64, 3), np.uint8)
    for i, colour in enumerate(QUARTERS.values()):
        frames[:, i // 2 * 32 :, i % 2 * 32 :] = colour
    path = encode(tmp_path / "turned.mp4", frames, qp="0")
    (a, b, c, d), content = (m << 16 for m in matrix), path.read_bytes()
    at = content.index(b"tkhd") + 4 + 40  # version 0: the track's display matrix
    packed = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content[:at] + packed + content[at + 36 :])
    assert quarters(read_clips(path, 3, 32)) == shown


@pytest.mark.parametrize(("aspect", "shown"), [("1", "white"), ("2", "black")])
def test_pixels_that_are_not_square_are_shown_in_shape(tmp_path, aspect, shown):
    frames = np.zeros((3, 64, 64, 3), np.uint8)
    frames[:, :, :12] = frames[:, :, -12:] = 255  # where pixels are twice as wide, the crop leaves these out
    with av.open(str(tmp_path / "wide.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(aspect)
        for image in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode())
    edge = read_clips(tmp_path / "wide.mp4", 3, 32)[..., :4].float().mean()
    assert edge > 200 if shown == "white" else edge < 50


@pytest.mark.parametrize(
    "name", [b"12:30:05.mp4", b"file:a.mp4", b"caf\xe9.mp4", b"100%d.mp4", b"-i a.mp4", "später".encode()]
)
def test_any_file_name_works(tmp_path, monkeypatch, name):
    os.rename(encode(tmp_path / "a.mp4", numbered_frames(9)), os.fsencode(tmp_path) + b"/" + name)
    monkeypatch.chdir(tmp_path)
    for path in (os.fsdecode(name), tmp_path / os.fsdecode(name)):
        assert probe(path)[0] == 9
        assert read_numbers(read_clip(path, 1, 4, 32)[None]).tolist() == [[4, 5, 6, 7]]


def test_messages_can_be_printed_whatever_the_name(tmp_path):
    with pytest.raises(VideoError) as found:
        read_clips(os.fsencode(tmp_path).decode() + "/caf\udce9.mp4")
    assert "caf\\xe9.mp4" in str(found.value).encode().decode()


def test_titles_in_other_encodings_do_no_harm(tmp_path):
    path = tmp_path / "titled.avi"
    with av.open(str(path), "w") as out:
        out.metadata["title"] = "cafe"
        stream = out.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 32
        out.mux(stream.encode(av.VideoFrame.from_ndarray(numbered_frames(1)[0], format="rgb24")))
        out.mux(stream.encode())
    content = path.read_bytes()
    assert b"cafe" in content
    path.write_bytes(content.replace(b"cafe", b"caf\xe9"))
    assert probe(path)[0] == 1


def test_endings_are_of_videos_and_any_case():
    known = "mp4 AVI MTS m2ts ogv gif asf vob f4v dv mxf divx qt mpe mp4v m2v 3g2 y4m mkv webm flv wmv ts mpg rmvb"
    assert all(ending_of(f"a.b.{ending}") in VIDEO_ENDINGS for ending in known.split())
    others = ["mp4", "a.jpg", "a.png", "a.txt", "a.mp3", "a.wav", "a.srt", ".mp4"]
    assert not any(ending_of(name) in VIDEO_ENDINGS for name in others)


@pytest.mark.parametrize("kind", ["mp4", "ts", "pictures"])
def test_segments_are_cut_as_from_the_whole(tmp_path, kind):
    frames = numbered_frames(40, 64)
    path = pictures(tmp_path / "v", frames) if kind == "pictures" else encode(tmp_path / f"v.{kind}", frames, g="8")
    for start, end, stride in [(0, None, 1), (13, 31, 1), (13, -1, 3), (39, 40, 1), (5, 40, 2), (0, 7, 1)]:
        expected, report = list(range(40))[start : end if end != -1 else None : stride], {}
        clips = read_clips(path, 8, 32, report=report, start=start, end=end, stride=stride)
        assert read_numbers(clips).ravel()[: len(expected)].tolist() == expected and len(clips) == -(
            -len(expected) // 8
        )
        assert report["n_frames"] == (40 if end in (None, -1) else end) - start == probe(path, start=start, end=end)[0]
        for i, clip in enumerate(clips):
            assert torch.equal(read_clip(path, i, 8, 32, start=start, end=end, stride=stride), clip)


@pytest.mark.parametrize(("start", "end"), [(40, None), (41, 45), (30, 41), (-1, 5), (7, 7), (9, 3)])
@pytest.mark.parametrize("kind", ["mp4", "ts", "pictures"])
def test_a_segment_outside_its_video_is_an_error_that_names_it(tmp_path, kind, start, end):
    frames = numbered_frames(40)
    path = pictures(tmp_path / "v", frames) if kind == "pictures" else encode(tmp_path / f"v.{kind}", frames, g="8")
    for read in (read_clips, probe):
        with pytest.raises(
            VideoError, match=rf"v.*: .*found start_frame {start}, end_frame {-1 if end is None else end}"
        ):
            read(path, start=start, end=end)


def test_streaming_gives_the_same_clips(numbered_video):
    path = numbered_video(37)
    torch.testing.assert_close(torch.stack(list(iter_clips(path, 8, 32))), read_clips(path, 8, 32))
    for i, clip in enumerate(read_clips(path, 8, 32)):
        torch.testing.assert_close(read_clip(path, i, 8, 32), clip)
    with pytest.raises(VideoError, match="has no clip 5 of 8 frames"):
        read_clip(path, 5, 8, 32)


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
    ("name", "n"), [("demo.mp4", 280), ("test.avi", 164), ("nasa_13013.mp4", 390), ("h264_10bits.mp4", 30)]
)
def test_real_files_decode_to_the_right_number_of_frames(name, n):
    clips = read_clips(SHARED / "videos" / name, 1, 64)
    assert clips.shape == (n, 3, 1, 64, 64) and 5 < clips.float().std() < 120
