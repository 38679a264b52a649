"""Videos, files or folders of numbered pictures: their frames as they are shown, cut into clips.

A *segment* is what `start` and `end` say: frames as shown, from 0, end exclusive; None or -1 is the video's end. A
segment of n frames that is *turned* by t shows its frame (i + t) mod n as its i-th: its end goes before its beginning.
Clip c of F frames at *stride* s is every s-th of the frames c F s to (c + 1) F s - 1 that are shown.
"""

import os
from itertools import islice

import numpy as np
import torch
from av.video.reformatter import VideoReformatter

from condi_lib.data.container import FAULTS, MissingClips, VideoError, frames_of, opened, pixel_shape, printable, scale
from condi_lib.data.index import frames_at, index, note_shown
from condi_lib.data.pictures import list_pictures, read_picture


def iter_frames(path, size=112, start=0, end=None, stride=1, report=None, turn=0, whole=False):
    """Yields every stride-th frame of a segment of a video, turned by `turn` frames: uint8 [size, size, 3], RGB.

    FFmpeg's scaler (bicubic) brings the short side to `size`; the centre is cropped, unless `whole`. The stream is the
    one that FFmpeg would play; its rotation, mirroring and shape of pixels are obeyed. A file that breaks off after its
    first frame ends there, a damaged part is left out. `report`, a dict, is filled with n_frames (of the segment, as
    shown), fault ("" or what could not be decoded), n_decoded (frames that had to be decoded) and in_order (False where
    decoding could begin at a key frame before the segment, see index). Raises VideoError where there is no frame at
    all, and for a segment that is not within the video.
    """
    report = {} if report is None else report
    end = None if end is None or end < 0 else end
    yield from _iter_frames(path, size, start, end, stride, report, turn, whole)
    if not report["n_frames"] or (end is not None and report["n_frames"] < end - start and not report["fault"]):
        raise _outside(path, start, end, index(path))


def _outside(path, start, end, found):
    return VideoError(
        f"{printable(path)}: has {len(found)} frames; found start_frame {start}, "
        f"end_frame {-1 if end is None else end}, expected a segment of them"
    )


def _iter_frames(path, size, start, end, stride, report, turn=0, whole=False):
    """iter_frames, but a segment may go on beyond the video, or lie there."""
    if start < 0 or stride < 1 or (end is not None and end <= start):
        raise VideoError(
            f"{printable(path)}: found start_frame {start}, end_frame {-1 if end is None else end}, stride {stride}; "
            "expected 0 <= start_frame < end_frame, and a stride of 1 or more"
        )
    report.update(n_frames=0, fault="", n_decoded=0, in_order=True)
    scaler = VideoReformatter()  # one for all frames, and without threads: ten times faster on small frames
    try:
        for frame, pixel in _turned(path, start, end, report, turn) if turn else _frames(path, start, end, report):
            report["n_frames"] += 1
            if (report["n_frames"] - 1) % stride == 0:
                yield scale(frame, size, scaler, pixel, whole)
            if end is not None and report["n_frames"] == end - start:
                return
    except VideoError:
        raise
    except FAULTS as e:
        report["fault"] = str(e)
    if not report["n_decoded"] and (report["fault"] or not start):
        raise VideoError(f"{printable(path)}: cannot be decoded: {report['fault'] or 'holds no video frame'}")


def _turned(path, start, end, report, turn):
    """The frames of a segment from number `turn` on, then those before; a turn counts modulo the segment's length."""
    n = (len(index(path)) if end is None else end) - start
    middle = start + turn % n if n > 0 else start
    yield from islice(_frames(path, middle, end, report), max(0, start + n - middle))
    yield from islice(_frames(path, start, middle, report), middle - start)


def _frames(path, start, end, report):
    """Yields (frame, pixel_shape) from number `start` on, decoded from the key frame before where that is exact."""
    if os.path.isdir(path):
        yield from _pictures(path, start, report)
        return
    if start:
        try:
            found = index(path)
            if found.packets is not None and start < len(found):
                report["in_order"] = False
                yield from frames_at(path, found, start, len(found) if end is None else min(end, len(found)), report)
                return
        except FAULTS:  # whatever it is, decoding in order shows it or does not need it
            note_shown(path, -1)
            start, report["in_order"] = start + report["n_frames"], True
    with opened(path) as (container, stream):
        pixel = pixel_shape(stream)
        number = -1
        for number, frame in enumerate(frames_of(path, container, stream, report)):
            report["n_decoded"] += 1
            if number >= start:
                yield frame, pixel
        note_shown(path, number + 1)


def _pictures(folder, start, report):
    shape = None
    for picture in list_pictures(folder)[start:]:
        try:
            frame, found = read_picture(picture)
        except FAULTS as e:
            raise ValueError(f"{picture.name}: {e}") from e
        if found != (shape or found):
            message = f"{picture.name} has {found[0]} x {found[1]} pixels, those before it {shape[0]} x {shape[1]}"
            raise VideoError(f"{printable(folder)}: {message}")
        shape, report["n_decoded"] = found, report["n_decoded"] + 1
        yield frame, 1.0


def _to_clip(images, frames):
    """Up to `frames` images uint8 [size, size, 3] -> uint8 [3, frames, size, size], padded by repeating the last."""
    images = images + images[-1:] * (frames - len(images))
    return torch.from_numpy(np.stack(images)).permute(3, 0, 1, 2).contiguous()


def iter_clips(
    path, frames=16, size=112, drop_last=False, report=None, start=0, end=None, stride=1, turn=0, whole=False
):
    """Yields the clips of a segment one by one, in bounded memory: uint8 tensors [3, frames, size, size], RGB.

    N = ceil(T / F) non-overlapping clips of the T frames that iter_frames gives, the last padded by repeating its last
    frame; drop_last gives N = floor(T / F) instead; fewer frames than F are one padded clip all the same. report,
    errors: see iter_frames.
    """
    decoded = iter_frames(path, size, start, end, stride, report, turn, whole)
    first = True
    while clip := list(islice(decoded, frames)):
        if len(clip) == frames or first or not drop_last:
            yield _to_clip(clip, frames)
        first = False


def read_clips(
    path, frames=16, size=112, drop_last=False, report=None, start=0, end=None, stride=1, turn=0, whole=False
):
    """All clips of a segment: uint8 [N, 3, frames, size, size], RGB. See iter_clips; raises VideoError."""
    return torch.stack(list(iter_clips(path, frames, size, drop_last, report, start, end, stride, turn, whole)))


def read_clip(path, number, frames=16, size=112, start=0, end=None, stride=1, report=None):
    """Clip `number` of a segment, from 0: uint8 [3, frames, size, size], as in read_clips. Raises VideoError.

    Decoding begins at a key frame before the clip where the file's index says that this is exact.
    """
    report = {} if report is None else report
    first = start + number * frames * stride
    last = first + frames * stride if end is None or end < 0 else min(end, first + frames * stride)
    clip = list(_iter_frames(path, size, first, last, stride, report)) if last > first else []
    if not clip:
        raise MissingClips.of(path, number, frames)
    return _to_clip(clip, frames)


def read_some_clips(path, start, end, numbers, frames=16, size=112, stride=1, report=None):
    """The clips `numbers` (ascending) of a segment: uint8 [N, 3, frames, size, size], as in read_clips.

    What lies between two of them is decoded too, unless it is long and an access leaves it out. report["n_frames"]
    counts what was read. Raises VideoError; MissingClips, with the others, where the video ends before some of them.
    """
    report, span, clips = {} if report is None else report, frames * stride, []
    runs, total = _runs(path, start, numbers, span), {"n_frames": 0, "fault": "", "n_decoded": 0, "in_order": False}
    last = np.inf if end is None or end < 0 else end
    for run in runs:
        wanted = set(run)
        first, stop = start + run[0] * span, int(min(last, start + (run[-1] + 1) * span))
        pictures = _iter_frames(path, size, first, stop, stride, report) if stop > first else iter(())
        for number in range(run[0], run[-1] + 1):
            clip = list(islice(pictures, frames))
            if not clip:
                break
            if number in wanted:
                clips.append(_to_clip(clip, frames))
        total = {key: max(total[key], report[key]) if key == "fault" else total[key] + report[key] for key in total}
    report.update(total, in_order=bool(total["in_order"]))
    if len(clips) < len(numbers):
        raise MissingClips.of(path, numbers[len(clips)], frames, clips)
    return torch.stack(clips)


def _runs(path, start, numbers, span, worth=64):
    """The numbers in runs: cut where `worth` frames or more between two clips need not be decoded."""
    cuts = [0, *[i for i in range(1, len(numbers)) if (numbers[i] - numbers[i - 1] - 1) * span >= worth], len(numbers)]
    runs = [numbers[a:b] for a, b in zip(cuts, cuts[1:], strict=False)]
    if len(runs) == 1 or os.path.isdir(path):
        return runs
    try:
        found = index(path)
    except VideoError:  # decoding says why
        return [numbers]
    if found.packets is None:
        return [numbers]
    begins, kept = found.begins(), [runs[0]]
    for run in runs[1:]:
        last, first = start + (kept[-1][-1] + 1) * span, start + run[0] * span
        if np.searchsorted(begins, last, "left") < np.searchsorted(begins, first, "right"):
            kept.append(run)
        else:
            kept[-1] = [*kept[-1], *run]
    return kept


def probe(path, fps=25.0, start=0, end=None):
    """(frames, frames per second) of a segment of a video, counted as read_clips counts them, never by a header.

    A file is demuxed, or decoded where that does not say it; a folder of pictures is only listed, and shown at `fps`.
    Frames of which the data are damaged are found by decoding only. Raises VideoError, for a segment that is not within
    the video too.
    """
    found = index(path, fps)
    last = len(found) if end is None or end < 0 else end
    if not 0 <= start < last <= len(found):
        raise _outside(path, start, end, found)
    return last - start, found.fps


def check_bad_share(reasons, n, max_bad_share):
    """Raises VideoError where `reasons`, one for each bad video among n, are more than a share of max_bad_share."""
    if len(reasons) > max_bad_share * n:
        raise VideoError(
            f"{len(reasons)} of {n} videos cannot be read, more than max_bad_share = {max_bad_share:.1%}; first: "
            f"{next(iter(reasons))}"
        )
