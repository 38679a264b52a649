"""Rows of a video table as stretches of frames, and their clips, through a store of decoded ones."""

from typing import NamedTuple

import numpy as np

from condi_lib.data.container import MissingClips, printable
from condi_lib.data.store import Store
from condi_lib.data.video import VideoError, read_clips, read_some_clips

WHOLE = {"start_frame": 0, "end_frame": -1, "turn": 0}  # what a row of a video table says that says nothing


class Segment(NamedTuple):
    """Frames `start` to `end` of a video as they are shown, end exclusive; None or -1: all that follow.

    turn: its first frames go behind its last, see iter_frames.
    """

    path: str
    start: int = 0
    end: int | None = None
    turn: int = 0


def segments(videos):
    """The Segment of each row of a video table, in order; whole videos where it has no start_frame and end_frame."""
    rows = videos.assign(**{name: value for name, value in WHOLE.items() if name not in videos})
    rows = rows[["path", *WHOLE]].itertuples(index=False, name=None)
    return [Segment(path, *map(int, numbers)) for path, *numbers in rows]


def stored_clips(segment, frames, size, store, numbers=None, report=None, stride=1, whole=False):
    """The clips of a Segment, all or those of `numbers` (ascending), through a Store: uint8 [N, 3, F, size, size].

    None for the store decodes each time. report, whole: see iter_frames. Raises VideoError; MissingClips, with the
    others, where the video ends before some of them.
    """
    report = {} if report is None else report
    options = {"frames": frames, "size": size, "stride": stride}
    path, start, end, turn = segment
    if store is None and numbers is not None and not (turn or whole):
        return read_some_clips(path, start, end, numbers, report=report, **options)
    options["whole"] = whole
    where = dict(segment._asdict(), **options)
    if store is None:
        return _those(read_clips(report=report, **where), numbers, segment, frames)
    try:
        file = store.path(segment, **options)
        found = store.read(file, numbers)
    except OSError as e:
        raise VideoError(f"{printable(segment.path)}: cannot be decoded: {e}") from e
    except IndexError as e:
        there = [n for n in numbers if n < e.args[0]]
        raise _missing(segment, numbers, frames, store.read(file, there)[0] if there else ()) from e
    if found:
        report.update(found[1], n_decoded=0)
        return found[0]
    return _those(store.write(file, read_clips(report=report, **where), report), numbers, segment, frames)


def _those(clips, numbers, segment, frames):
    """The clips `numbers` of all clips of a Segment. Raises MissingClips."""
    if numbers is None:
        return clips
    there = [n for n in numbers if n < len(clips)]
    if len(there) < len(numbers):
        raise _missing(segment, numbers, frames, clips[there])
    return clips[there]


def _missing(segment, numbers, frames, clips):
    return MissingClips.of(segment.path, numbers[len(clips)], frames, clips)


def decoded_folder(folder, videos, frames, size, stride=1, limit_gb=4.0, quality=0):
    """The Store of a study's decoded clips in `folder`, to be handed to all that reads them; None for limit_gb 0.

    Without `quality` (exact) it is None too where the clips of the video table do not all fit; with JPEG it keeps what
    fits.
    """
    n_clips = np.ceil(videos.n_frames / (frames * stride)).sum()
    fits = n_clips * 3 * frames * size * size <= limit_gb * 2**30
    return Store(folder, limit_gb, quality) if fits or (quality and limit_gb) else None
