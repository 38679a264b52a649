"""Opening a video file with PyAV, and its frames as they are shown: upright, in display shape, scaled and cropped."""

import os
from contextlib import contextmanager

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.stream import Disposition

from condi_lib.data.tree import printable

MAX_PIXELS = 2**26  # of a frame as coded or scaled; more (a damaged or hostile header) is refused
# Old files have their titles in other encodings; PyAV 19 takes them as they are
TITLES = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
FAULTS = (OSError, IndexError, ValueError, av.error.FFmpegError)


class VideoError(ValueError):
    """A video that cannot be read, or too many of them; the message names the file and the reason."""


class MissingClips(VideoError):
    """A video ends before some of the clips wanted; clips: those that are there, uint8 [3, F, H, W] each."""

    clips = ()

    @classmethod
    def of(cls, path, number, frames, clips=()):
        found = cls(f"{printable(path)}: has no clip {number} of {frames} frames")
        found.clips = clips
        return found


@contextmanager
def opened(path):
    """(container, stream) of a video file, with the stream that FFmpeg itself would play; one decoding thread.

    Raises what is in FAULTS.
    """
    name, descriptor, options = os.path.abspath(os.fspath(path)), None, {}  # "12:30.mp4" alone would be a protocol "12"
    if printable(name) != name:  # PyAV takes names in UTF-8 only
        descriptor = os.open(name, os.O_RDONLY)
        name, options = "fd:", {"fd": str(descriptor)}
    try:
        with av.open(name, options=options, **TITLES) as container:
            if container.format.name == "tty":
                raise ValueError("is text, which FFmpeg would draw as a film")
            stream = _shown_stream(container)
            stream.thread_count = 1  # parallelism is over videos; threads inside forked workers can deadlock
            yield container, stream
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _shown_stream(container):
    stream = container.streams.best("video")
    if stream is None or Disposition.attached_pic in stream.disposition:
        streams = [s for s in container.streams.video if Disposition.attached_pic not in s.disposition]
        stream = max(streams, key=lambda s: s.width * s.height, default=None)
    if stream is None:
        kinds = {"cover picture" if s.type == "video" else s.type for s in container.streams}
        raise ValueError(f"has no video stream ({', '.join(sorted(kinds)) or 'no stream'} only)")
    if stream.width * stream.height > MAX_PIXELS:
        raise ValueError(f"declares {stream.width} x {stream.height} pixels, more than {MAX_PIXELS:,}")
    return stream


def frames_of(path, container, stream, report):
    """Yields the frames of the stream, decoded in order, as far as it goes; report["fault"] says what is damaged.

    Raises what is in FAULTS where the container itself cannot be read on.
    """
    begun = False
    for packet in container.demux(stream):
        if not packet.size and packet.dts is not None:
            continue  # an empty one; the last of all lets the decoder give what it holds
        begun |= packet.is_keyframe
        try:
            decoded = packet.decode()
        except av.error.InvalidDataError as e:  # damaged; those after it may be whole
            if begun:  # a transport stream may begin between key frames, where nothing can be decoded
                report["fault"] = str(e)
            continue
        yield from decoded
    if not report["fault"]:
        report["fault"] = _cut_short(path, container, stream)


def _cut_short(path, container, stream):
    """ "", or how a file that FFmpeg read to its end is shorter than it says."""
    form, size = container.format.name, container.size
    if "mov" in form:
        ends = max((entry.pos + entry.size for entry in stream.index_entries), default=0)
    else:
        with open(path, "rb") as file:
            head = file.read(2**10)
        ends = 0
        if form == "avi":
            ends = int.from_bytes(head[4:8], "little") - 2**10  # some writers are off by a little
            if any(limit - 2**12 < ends < limit for limit in (2**31, 2**32)):  # written live: the size is not known
                ends = 0
        if "matroska" in form:
            ends = _segment_end(head)
    return f"the file breaks off at byte {size:,}; its frames go on to {ends:,}" if ends > size else ""


def _segment_end(head):
    """The byte at which a Matroska file's second element, its segment, ends; 0 where it does not say."""
    size = at = 0
    for _ in range(2):
        at += size + 4  # an identity of four bytes, then a size whose leading zeros say how long it is
        length = 9 - head[at].bit_length()
        size = int.from_bytes(head[at : at + length], "big") & (1 << 7 * length) - 1
        at += length
    return 0 if size == (1 << 7 * length) - 1 else at + size


def pixel_shape(stream):
    """Width over height of a pixel as shown (the sample aspect ratio); 1 where it is unknown or beyond 5."""
    ratio = float(stream.sample_aspect_ratio or 1)
    return ratio if 1 / 5 <= ratio <= 5 else 1.0


def scale(frame, size, scaler, pixel=1.0, whole=False):
    """uint8 [size, size, 3], RGB, of a decoded frame: the centre, the short side scaled to `size`, turned upright.

    pixel: see pixel_shape. whole: the long side is not cut: [H, W, 3], the smaller of both `size`.
    """
    if frame.width * frame.height > MAX_PIXELS:
        raise ValueError(f"a frame has {frame.width} x {frame.height} pixels, more than {MAX_PIXELS:,}")
    width = frame.width * pixel
    factor = size / min(width, frame.height)
    w, h = max(size, round(width * factor)), max(size, round(frame.height * factor))
    if w * h > MAX_PIXELS:
        raise ValueError(f"a frame of {frame.width} x {frame.height} pixels is too long to be scaled to {size}")
    rgb = scaler.reformat(frame, w, h, "rgb24", interpolation="BICUBIC", threads=1).to_ndarray()
    if whole:
        return _upright(rgb, frame)
    top, left = (h - size) // 2, (w - size) // 2
    return _upright(rgb[top : top + size, left : left + size], frame)


def _upright(image, frame):
    """The image as the frame's display matrix (a b u; c d v; x y w) shows it, in one of eight orientations."""
    try:
        data = SideDataContainer(frame).get("DISPLAYMATRIX")  # frame.side_data would keep the frame alive
    except ValueError:  # beside side data that PyAV has no name for
        return np.rot90(image, frame.rotation // 90 % 4)
    if data is None:
        return image
    a, b, _, c, d = np.frombuffer(data, np.int32)[:5].astype(int)  # (x, y) is shown at (a x + c y, b x + d y)
    if abs(b) + abs(c) > abs(a) + abs(d):
        image, right, down = image.swapaxes(0, 1), c, b
    else:
        right, down = a, d
    return image[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1]
