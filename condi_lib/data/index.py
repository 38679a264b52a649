"""What a video file holds, by demuxing it: which frames are shown, when, and where decoding can begin.

Frames are numbered as decoding the file in order shows them. Demuxing says it exactly where every packet holds one
frame that the decoder is sure to show: H.264, H.265, VP8, VP9, AV1, MPEG-4 and some others, in the containers that keep
frames apart and timed. Any other file (transport and program streams, packed B-frames, frames that are dropped or
missing, ...) is decoded to know, and then always in order. Damage within packets is not always seen by demuxing: once
decoding has shown another number of frames, that is what counts (see note_shown).
"""

import os
import stat
from bisect import bisect_left, insort
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import numpy as np

from condi_lib.data import codecs
from condi_lib.data.container import FAULTS, VideoError, frames_of, opened, pixel_shape, printable
from condi_lib.data.pictures import list_pictures


@dataclass(frozen=True)
class Index:
    """The frames of a video file as they are shown.

    seconds: float64 [T], when each is shown, from the first; fps: declared, 0 where it is not. packets: int64 [T], the
    number of the packet (in the order of the file) that holds each frame, and entries: int64 [E], the packets from
    which decoding gives the same pixels as from the file's start; positions, shown_at, times: int64 [P], byte offset,
    presentation and decoding time of each packet. packets is None where only decoding in order is exact.
    """

    seconds: np.ndarray
    fps: float
    packets: np.ndarray | None = None
    entries: np.ndarray | None = None
    positions: np.ndarray | None = None
    shown_at: np.ndarray | None = None
    times: np.ndarray | None = None

    def __len__(self):
        return len(self.seconds)

    def begins(self):
        """The frames from which decoding can begin: int64 [E]."""
        return np.searchsorted(self.shown_at[self.packets], self.shown_at[self.entries])


def index(path, fps=25.0):
    """The Index of a video file, made once while the file stays as it is, or of a folder of pictures, shown at `fps`.

    Raises VideoError.
    """
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            return Index(np.arange(len(list_pictures(path))) / fps, fps)
        version = (os.path.abspath(os.fspath(path)), found.st_mtime_ns, found.st_size)
        quick = _index(*version)
        if quick.packets is None or _SHOWN.get(hash(version), len(quick)) == len(quick):
            return quick
        return _decoded_index(*version)
    except FAULTS as e:
        raise VideoError(f"{printable(path)}: cannot be opened: {e}") from e


_SHOWN = {}  # {hash of a file's version: the frames that decoding it showed}; -1 where two counts differ


def note_shown(path, n_frames):
    """Says that the whole file is known to show so many frames; -1: only that access by its index failed.

    Where its index says otherwise, the file is decoded in order from then on.
    """
    try:
        found = os.stat(path)
    except OSError:
        return
    version = hash((os.path.abspath(os.fspath(path)), found.st_mtime_ns, found.st_size))
    _SHOWN[version] = n_frames if _SHOWN.get(version, n_frames) == n_frames else -1


@lru_cache(maxsize=256)
def _index(path, modified, size):
    with opened(path) as (container, stream):
        found = _by_demuxing(container, stream)
    if found is None:
        return _decoded_index(path, modified, size)
    if not len(found):
        raise ValueError("holds no video frame")
    return found


@lru_cache(maxsize=256)
def _decoded_index(path, modified, size):
    with opened(path) as (container, stream):
        found = _by_decoding(path, container, stream)
    if not len(found):
        raise ValueError("holds no video frame")
    return found


def _by_demuxing(container, stream):
    """The Index, or None where packets do not say what is shown."""
    codec = codecs.reader(container, stream)
    if codec is None:
        return None
    (read, complete), rows = codec, []
    try:
        for packet in container.demux(stream):
            if packet.dts is None and packet.pts is None and not packet.size:
                continue  # ends the stream
            if not packet.size or packet.is_corrupt or packet.pos is None:
                return None
            shown, entry, kind = read(packet)
            if shown is None:
                return None
            key = packet.is_keyframe
            rows.append((packet.pts, packet.dts, packet.pos, key, key and entry, shown and not packet.is_discard, kind))
    except FAULTS:
        return None  # breaks off
    if not rows or not complete():
        return None
    pts, dts, positions, keys, entries, shown, kinds = zip(*rows, strict=True)
    if kinds[0] is not None:
        order = codecs.order_by_kind(kinds)
        if None in dts or order is None:
            return None
        pts = np.empty(len(dts), np.int64)
        pts[order] = np.sort(np.array(dts, np.int64))
    if any(time is None for time in pts) or len(set(pts)) < len(pts) or len(set(positions)) < len(positions):
        return None
    pts, shown = np.array(pts, np.int64), np.array(shown)
    order = pts.argsort()
    if not keys[0] or order[0] != 0 or _reordering(pts) > max(stream.codec_context.reorder_depth, kinds[0] is not None):
        return None
    steps = np.diff(pts)
    if stream.codec_context.name == "ffv1" and steps.max(initial=0) > 1.5 * steps.min(initial=steps.max(initial=0)):
        return None  # frames are missing, and those after them never come out twice alike
    packets = order[shown[order]]
    seconds = (pts[packets] - pts[packets[:1]]) * float(stream.time_base)
    dts = np.array([pts[0] if time is None else time for time in dts], np.int64)
    return Index(seconds, _rate(stream), packets, np.flatnonzero(entries), np.array(positions, np.int64), pts, dts)


def _reordering(pts):
    """The most frames that are decoded before another one and shown after it."""
    seen, most = [], 0
    for time in pts.tolist():
        most = max(most, len(seen) - bisect_left(seen, time))
        insort(seen, time)
    return most


def _rate(stream):
    rates = (float(rate or 0) for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate))
    return next((rate for rate in rates if 0 < rate <= 1000), 0.0)  # DV has an average of 60000


def _by_decoding(path, container, stream):
    seconds, rate = [], _rate(stream)
    try:
        for frame in frames_of(path, container, stream, {"fault": ""}):
            following = seconds[-1] + (1 / rate if rate else 0) if seconds else 0.0
            seconds.append(following if frame.time is None else frame.time)
    except FAULTS:
        if not seconds:
            raise
    seconds = np.sort(seconds)  # those of packed B-frames are exchanged
    return Index(seconds - seconds[:1], rate)


def frames_at(path, found, start, end, report):
    """Yields (decoded frame, pixel shape) of the frames `start` to `end` (exclusive) of a file whose Index has packets.

    Decoding begins at the entry before. report["n_decoded"] counts what is decoded. Raises ValueError, or what is in
    FAULTS, as soon as the file does not give what its index says.
    """
    wanted = found.packets[start:end].tolist()
    first = min(wanted)
    entries = found.entries[found.entries <= first]
    entries = entries[found.shown_at[entries] <= found.shown_at[wanted[0]]]
    if not len(entries):
        raise ValueError("has no frame from which decoding can begin")
    entry, numbers = int(entries[-1]), {position: i for i, position in enumerate(found.positions.tolist())}
    with opened(path) as (container, stream):
        by_pts = "matroska" in container.format.name
        stream.codec_context.options = {"err_detect": "explode"}  # what hides damage depends on the frames before
        next(container.demux(stream)).decode()  # encoders name themselves in it, and decoders know their faults
        for target in (*entries[::-1][:3].tolist(), 0):
            container.seek(int((found.shown_at if by_pts else found.times)[target]), stream=stream)
            packets = container.demux(stream)
            packet = next(packets)
            at = numbers.get(packet.pos, entry + 1)
            if at <= entry:
                break
        else:
            raise ValueError("cannot be sought in")
        left, pixel = wanted[::-1], pixel_shape(stream)
        for packet in chain([packet], packets):  # noqa: B020
            if packet.size:
                if at >= len(found.positions) or packet.pos != found.positions[at]:
                    raise ValueError("holds other packets after a seek")
                packet.pts, at = at, at + 1
                if packet.pts < entry:
                    continue
            for frame in packet.decode():
                report["n_decoded"] += 1
                if frame.pts == entry and not frame.key_frame:
                    raise ValueError("has a key frame that is none")
                if frame.pts == left[-1]:
                    left.pop()
                    yield frame, pixel
                    if not left:
                        return
                elif first <= frame.pts and found.shown_at[frame.pts] >= found.shown_at[wanted[0]]:
                    raise ValueError("shows frames in another order after a seek")
        raise ValueError("lacks frames after a seek")


def frame_numbers(path, seconds, fps=25.0):
    """The number of the frame shown at or after each time, int64 [N]: the number of frames for times after the last.

    seconds: [N], from the first frame shown. fps: of a folder of pictures. Exact at variable frame rates too, to a
    microsecond. Raises VideoError.
    """
    return np.searchsorted(index(path, fps).seconds, np.asarray(seconds, np.float64) - 1e-6)
