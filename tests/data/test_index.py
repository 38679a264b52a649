import os
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import SHARED
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_videos import X264, ZOO, available, encode, moving, remux

from condi_lib.data import VideoError, codecs, frame_numbers, read_clip, read_clips
from condi_lib.data.container import pixel_shape
from condi_lib.data.index import index
from condi_lib.data.video import iter_frames, probe, read_some_clips

# Every packet of these is one frame that is shown, at a time of its own
INDEXED = {
    *("h264.mp4", "h264.mkv", "h264.mov", "fragments.mp4", "open.mkv", "open.mp4", "refresh.mp4", "slow.mp4"),
    *("444.mp4", "h265.mp4", "h265.mkv", "mpeg4.avi", "mpeg4_b.avi", "mpeg4_b.mp4", "mjpeg.avi", "ffv1.mkv"),
    *("vp8.webm", "vp9.webm", "av1.mkv", "cut.mp4", "cut_b.mp4", "vfr.mkv", "vfr.mp4", "gaps.avi"),
}


@pytest.fixture(scope="module", params=ZOO)
def odd(request, tmp_path_factory):
    if not available(request.param):
        pytest.skip("this PyAV lacks the encoder")
    return request.param, ZOO[request.param](tmp_path_factory.mktemp("zoo") / request.param)


def shown(path):
    """The frames that the plainest loop shows: (uint8 [T, H, W, 3], seconds [T]); None for a folder."""
    if path.is_dir():
        return None
    with av.open(str(path)) as container:
        found, begun = [], False
        for packet in container.demux(container.streams.best("video")):
            begun |= packet.is_keyframe
            try:
                found += [(frame.to_ndarray(format="rgb24"), frame.time) for frame in packet.decode()]
            except av.error.InvalidDataError:
                assert not begun  # healthy files all of them
    images, seconds = zip(*found, strict=True)
    return np.stack(images), seconds


def check_access(path, numbers):
    report = {}
    in_order = list(iter_frames(path, 32, report=report))
    assert report["fault"] == "" and report["n_frames"] == len(in_order) == probe(path)[0] == len(index(path))
    for n in numbers(len(in_order)):
        one = list(iter_frames(path, 32, start=n, end=n + 1, report=report))
        assert len(one) == 1 and np.array_equal(one[0], in_order[n]), n
    return report


def test_frame_n_by_access_is_frame_n_by_decoding_in_order(odd):
    name, path = odd
    report = check_access(path, range)
    assert (index(path).packets is not None) == (not report["in_order"]) == (name in INDEXED)
    if name in INDEXED:
        assert len(index(path).entries) >= (1 if name in ("open.mkv", "open.mp4", "refresh.mp4") else 3)


def test_as_many_frames_as_the_plainest_loop_shows_and_at_its_times(odd):
    _, path = odd
    plain = shown(path)
    if plain is None:
        return
    images, seconds = plain
    assert len(images) == len(index(path)) == len(read_clips(path, 1, 32))
    if None not in seconds and len(set(seconds)) == len(seconds):
        np.testing.assert_allclose(index(path).seconds, np.sort(seconds) - min(seconds), atol=1e-9)


def test_a_late_clip_is_decoded_from_the_key_frame_before(tmp_path):
    path, report = encode(tmp_path / "a.mp4", moving(200), g="10"), {}
    clips = read_clips(path, 8, 32)
    for i in (24, 3, 0, 12):
        assert np.array_equal(read_clip(path, i, 8, 32, report=report), clips[i])
        assert report["n_decoded"] <= 20 and report["in_order"] == (i == 0)


REAL = [*SHARED.glob("videos/*"), *sorted(SHARED.glob("data/grid/original/*"))[:2]]
REAL += [*sorted(SHARED.glob("data/grid/s1/*"))[:3], *sorted(SHARED.glob("data/drones/*/*.mp4"))[::120]]


@pytest.mark.skipif(not REAL, reason="no shared folder")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_real_files(path):
    check_access(path, lambda n: [*range(0, n, 17), n - 1])


@settings(max_examples=60, deadline=None)
@given(kinds=st.text("IPB", max_size=30))
def test_mpeg4_frames_are_shown_in_the_order_of_their_numbers(kinds):
    """Written as an encoder does: B behind the frame that they are shown before."""
    shown, waiting, coded = [], [], []
    for number, kind in enumerate("I" + kinds + "P"):
        if kind == "B":
            waiting.append((number, kind))
        else:
            coded += [(number, kind), *waiting]
            waiting = []
    numbers, order = [n for n, _ in coded], codecs.order_by_kind([kind for _, kind in coded])
    shown = [numbers[i] for i in order]
    assert shown == sorted(shown)
    assert codecs.order_by_kind("IBP") is None


def test_frame_numbers_at_constant_and_variable_rates(tmp_path):
    even = encode(tmp_path / "even.mp4", moving(50))
    assert frame_numbers(even, [0, 0.04, 0.0401, 1.0, 1.96, 1.97, 100, -1]).tolist() == [0, 1, 2, 25, 49, 50, 50, 0]
    times = np.array([0, 5, 100, 103, 900, 2000])
    uneven = encode(tmp_path / "uneven.mkv", moving(6), pts=(times + 700).tolist())  # from the first frame shown
    assert frame_numbers(uneven, times / 1000).tolist() == [0, 1, 2, 3, 4, 5]
    assert frame_numbers(uneven, times / 1000 + 0.001).tolist() == [1, 2, 3, 4, 5, 6]


@settings(max_examples=20, deadline=None)
@given(gaps=st.lists(st.integers(2, 400), min_size=1, max_size=20), at=st.lists(st.floats(-1, 9), min_size=1))
def test_frame_numbers_are_the_first_at_or_after_each_time(tmp_path_factory, gaps, at):
    times = np.r_[0, np.cumsum(gaps)]
    path = tmp_path_factory.mktemp("t") / "a.mkv"
    encode(path, moving(len(times)), "mpeg4", pts=times.tolist())
    seconds = index(path).seconds
    np.testing.assert_allclose(seconds, times / 1000, atol=1e-9)
    expected = [next((n for n, time in enumerate(seconds) if time >= s - 1e-6), len(times)) for s in at]
    assert frame_numbers(path, at).tolist() == expected


def test_frame_numbers_of_pictures_and_of_nothing(odd, tmp_path):
    name, path = odd
    if name == "pictures":
        assert frame_numbers(path, [0, 0.05, 9], fps=10).tolist() == [0, 1, 30]
        with pytest.raises(VideoError, match="cannot be opened"):
            frame_numbers(tmp_path / "none.mp4", [0])


def test_an_index_follows_its_file(tmp_path):
    path = encode(tmp_path / "a.mp4", moving(9))
    assert probe(path)[0] == 9
    encode(path, moving(12))
    os.utime(path, ns=(1, 1))
    assert probe(path)[0] == 12


def test_a_file_that_gives_other_packets_than_its_index_says_is_decoded_in_order(tmp_path, monkeypatch):
    path, report = encode(tmp_path / "a.mp4", moving(40), g="8"), {}
    clips = read_clips(path, 8, 32)
    found = index(path)
    for change in ("positions", "times"):
        wrong = {**vars(found), change: np.roll(getattr(found, change), 9)}
        monkeypatch.setattr("condi_lib.data.video.index", lambda path, wrong=wrong: type(found)(**wrong))
        assert np.array_equal(read_clip(path, 3, 8, 32, report=report), clips[3])
        assert report["in_order"] == (change == "positions")


def test_a_file_spliced_from_two_is_exact(tmp_path):
    """Key frames that follow other frames than they were made with, and their leading frames."""
    source = encode(tmp_path / "0.mkv", moving(60), g="12", bf="2", **{"x264-params": "open-gop=1"})
    left_out = range(14, 30)
    path = remux(source, tmp_path / "a.mkv", lambda i, pts, dts, data: [] if i in left_out else [(pts, dts, data)])
    check_access(path, range)


def test_pixels_are_square_where_nothing_sensible_is_said():
    class Stream:
        def __init__(self, ratio):
            self.sample_aspect_ratio = ratio

    assert [pixel_shape(Stream(r)) for r in (None, 0, 1, 1000, 0.001, 1.25)] == [1, 1, 1, 1, 1, 1.25]


def test_paths_of_any_kind(tmp_path):
    path = encode(tmp_path / "a.mp4", moving(9))
    assert len(index(str(path))) == len(index(Path(path))) == len(index(os.fsencode(path).decode())) == 9


def n_shown(path):
    """The frames that a loop shows which leaves out what cannot be decoded."""
    with av.open(str(path)) as container:
        n, stream = 0, container.streams.video[0]
        stream.thread_count = 1  # several lose more frames where one is damaged
        for packet in container.demux(stream):
            try:
                n += len(packet.decode())
            except av.error.InvalidDataError:
                continue
    return n


def check_clips(path):
    """The count and each clip by access, asked for before anything was decoded in order."""
    n = n_shown(path)
    assert probe(path)[0] == n
    alone = [read_clip(path, number, 4, 32) for number in range(-(-n // 4))]
    some, segment = read_some_clips(path, 0, None, [0, len(alone) - 1], 4, 32), read_clips(path, 4, 32, start=8)
    every = read_clips(path, 4, 32)
    assert len(every) == len(alone) and all(map(np.array_equal, alone, every))
    assert np.array_equal(some[1], every[-1]) and np.array_equal(segment, every[2:])


OPEN_HEVC = {"x265-params": "keyint=8:min-keyint=8:open-gop=1:bframes=2:pools=1:log-level=none"}
CLOSED_HEVC = {"x265-params": "keyint=8:min-keyint=8:open-gop=0:bframes=0:pools=1:log-level=none"}
CODECS = {
    "closed.mp4": ("libx264", "yuv420p", X264),
    "open.mkv": ("libx264", "yuv420p", {"g": "8", "bf": "2", "x264-params": "open-gop=1"}),
    "open_h265.mp4": ("libx265", "yuv420p", OPEN_HEVC),
    "closed_h265.mkv": ("libx265", "yuv420p", CLOSED_HEVC),
    "mjpeg.avi": ("mjpeg", "yuvj420p", {}),
    "mpeg4.avi": ("mpeg4", "yuv420p", {"g": "8"}),
    "vp8.webm": ("libvpx", "yuv420p", {"g": "8"}),
    "vp9.webm": ("libvpx-vp9", "yuv420p", {"g": "8"}),
    "ffv1.mkv": ("ffv1", "bgr0", {}),
}


@pytest.fixture(scope="module", params=CODECS)
def whole(request, tmp_path_factory):
    codec, pixels, options = CODECS[request.param]
    if codec not in av.codecs_available:
        pytest.skip("this PyAV lacks the encoder")
    return encode(tmp_path_factory.mktemp("whole") / request.param, moving(26), codec, pixels, **options)


@pytest.mark.parametrize("closed_up", [False, True])
def test_packets_lost_anywhere(whole, tmp_path, closed_up):
    """One packet, or a group of eight lifted out; with times that show the gap, or not."""
    if closed_up and whole.stem == "ffv1":
        pytest.skip("only its times tell that frames are missing")
    if whole.suffix == ".webm" or (closed_up and whole.stem.startswith("open")):
        firsts = [(3, 1), (8, 8)]
    else:
        firsts = [(1, 1), (2, 1), (5, 1), (8, 1), (9, 1), (16, 1), (8, 8), (7, 8)]
    with av.open(str(whole)) as container:
        times = [p.pts for p in container.demux(video=0) if p.size]
    step = max(times) // (len(times) - 1) if closed_up else 0
    for first, n in firsts:
        path = tmp_path / f"{first}_{n}{whole.suffix}"

        def change(i, pts, dts, data, first=first, n=n):
            if first <= i < first + n:
                return []
            shift = step * n * (i >= first)
            return [(pts - shift, None if dts is None else dts - shift, data)]

        try:
            remux(whole, path, change)
        except av.error.FFmpegError:  # the container does not take such times
            continue
        check_clips(path)


DAMAGE = {
    "zeros": lambda data: bytes(len(data) // 2) + data[len(data) // 2 :],
    "ones": lambda data: data[:5] + b"\xff" * (len(data) - 5),
    "head": lambda data: data[:12] + bytes(len(data) - 12),
    "one byte": lambda data: data[:1],
    "noise": lambda data: np.random.default_rng(0).bytes(len(data)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_packet_that_is_overwritten(whole, tmp_path, damage):
    if damage == "noise" and whole.stem == "ffv1":
        pytest.skip("only decoding tells")
    path = tmp_path / f"a{whole.suffix}"
    remux(whole, path, lambda i, pts, dts, data: [(pts, dts, DAMAGE[damage](data) if i == 3 else data)])
    check_clips(path)


def test_what_decoding_showed_counts_from_then_on(tmp_path, monkeypatch):
    """Damage that demuxing does not see."""
    source = encode(tmp_path / "0.avi", moving(40), "mjpeg", "yuvj420p")
    path = remux(source, tmp_path / "a.avi", lambda i, pts, dts, data: [(pts, dts, data[:30] if i == 3 else data)])
    monkeypatch.setattr(codecs, "_is_jpeg", lambda data: True)
    assert probe(path)[0] == 40 and index(path).packets is not None
    every = read_clips(path, 8, 32)
    assert probe(path)[0] == 39 and index(path).packets is None
    assert all(np.array_equal(read_clip(path, number, 8, 32), every[number]) for number in range(5))


def test_healthy_files_of_all_these_codecs_keep_their_index(whole):
    assert index(whole).packets is not None
