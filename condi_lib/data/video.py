"""Decoding with PyAV, cutting into clips, and clips for networks to learn from."""

from itertools import islice

import av
import numpy as np
import torch
from av.video.reformatter import VideoReformatter

MAX_PIXELS = 2**26  # of a frame as coded; more (a damaged or hostile header) is refused


class VideoError(ValueError):
    """A video that cannot be read, or too many of them; the message names the file and the reason."""


_FAULTS = (OSError, IndexError, ValueError, av.error.FFmpegError)


def _video_stream(container):
    if not container.streams.video:
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "no stream"
        raise ValueError(f"has no video stream ({kinds} only)")
    stream = container.streams.video[0]
    if stream.width * stream.height > MAX_PIXELS:
        raise ValueError(f"declares {stream.width} x {stream.height} pixels, more than {MAX_PIXELS:,}")
    return stream


def iter_frames(path, size=112, skip=0, report=None):
    """Yields the frames of a video file from number `skip` on: uint8 arrays [size, size, 3], RGB.

    FFmpeg's scaler (bicubic) brings the short side to `size`; the centre is cropped; rotation metadata is obeyed.
    A file that breaks off after its first frame ends there. `report`, a dict, is filled with n_frames (decoded ones)
    and fault ("" or what could not be decoded). Raises VideoError where there is no frame at all.
    """
    report = {} if report is None else report
    report.update(n_frames=0, fault="")
    try:
        with av.open(str(path)) as container:
            stream = _video_stream(container)
            stream.thread_count = 1  # parallelism is over videos; threads inside forked workers can deadlock
            scaler = VideoReformatter()  # one for all frames, and without threads: ten times faster on small frames
            for packet in container.demux(stream):
                try:
                    decoded = packet.decode()
                except av.error.InvalidDataError as e:  # a damaged packet; those after it may be whole
                    report["fault"] = str(e)
                    continue
                for frame in decoded:
                    report["n_frames"] += 1
                    if report["n_frames"] > skip:
                        yield _scale(frame, size, scaler)
            declared = stream.frames
    except _FAULTS as e:
        report["fault"], declared = str(e), 0
    if not report["n_frames"]:
        raise VideoError(f"{path}: cannot be decoded: {report['fault'] or 'holds no video frame'}")
    if report["n_frames"] < declared and not report["fault"]:
        report["fault"] = f"{report['n_frames']} of {declared} declared frames could be decoded"


def _scale(frame, size, scaler):
    if frame.width * frame.height > MAX_PIXELS:
        raise ValueError(f"a frame has {frame.width} x {frame.height} pixels, more than {MAX_PIXELS:,}")
    scale = size / min(frame.width, frame.height)
    w, h = max(size, round(frame.width * scale)), max(size, round(frame.height * scale))
    rgb = scaler.reformat(frame, w, h, "rgb24", interpolation="BICUBIC", threads=1).to_ndarray()
    top, left = (h - size) // 2, (w - size) // 2
    rgb = rgb[top : top + size, left : left + size]
    return np.rot90(rgb, frame.rotation // 90 % 4) if frame.rotation else rgb


def _to_clip(images, frames):
    """Up to `frames` images uint8 [size, size, 3] -> uint8 [3, frames, size, size], padded by repeating the last."""
    images = images + images[-1:] * (frames - len(images))
    return torch.from_numpy(np.stack(images)).permute(3, 0, 1, 2).contiguous()


def iter_clips(path, frames=16, size=112, drop_last=False, report=None):
    """Yields the clips of a video file one by one, in bounded memory: uint8 tensors [3, frames, size, size], RGB.

    N = ceil(T / F) non-overlapping clips, the last padded by repeating its last frame; drop_last gives N = floor(T / F)
    instead; a video shorter than F is one padded clip all the same. report, errors: see iter_frames.
    """
    decoded = iter_frames(path, size, report=report)
    first = True
    while clip := list(islice(decoded, frames)):
        if len(clip) == frames or first or not drop_last:
            yield _to_clip(clip, frames)
        first = False


def read_clips(path, frames=16, size=112, drop_last=False, report=None):
    """All clips of a video file: uint8 [N, 3, frames, size, size], RGB. See iter_clips; raises VideoError."""
    return torch.stack(list(iter_clips(path, frames, size, drop_last, report)))


def read_clip(path, index, frames=16, size=112):
    """Clip number `index` of a video file, from 0: uint8 [3, frames, size, size], as in read_clips. Raises VideoError.

    The video is decoded from its start: what a seek lands on is not known to the frame.
    """
    clip = list(islice(iter_frames(path, size, skip=index * frames), frames))
    if not clip:
        raise VideoError(f"{path}: has no clip {index} of {frames} frames")
    return _to_clip(clip, frames)


def probe(path):
    """(frames, frames per second) of a video file; frames are counted by demuxing where none are declared."""
    try:
        with av.open(str(path)) as container:
            stream = _video_stream(container)
            n = stream.frames or sum(1 for packet in container.demux(stream) if packet.size)
            if not n:
                raise ValueError("holds no video frame")
            return n, float(stream.average_rate or 0)
    except _FAULTS as e:
        raise VideoError(f"{path}: cannot be opened: {e}") from e


def check_bad_share(reasons, n, max_bad_share):
    """Raises VideoError where `reasons`, one for each bad video among n, are more than a share of max_bad_share."""
    if len(reasons) > max_bad_share * n:
        raise VideoError(
            f"{len(reasons)} of {n} videos cannot be read, more than max_bad_share = {max_bad_share:.1%}; first: "
            f"{next(iter(reasons))}"
        )
