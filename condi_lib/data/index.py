"""When frames are shown."""

import av
import numpy as np

from condi_lib.data.video import _FAULTS, VideoError, _video_stream


def frame_numbers(path, seconds):
    """The number of the first frame shown at or after each time, from the first shown frame: list of float -> of int.

    By demuxing presentation times, without decoding; the number of frames where all are earlier. Raises VideoError.
    """
    try:
        with av.open(str(path)) as container:
            stream = _video_stream(container)
            times = sorted(float(p.pts * p.time_base) for p in container.demux(stream) if p.size and p.pts is not None)
    except _FAULTS as e:
        raise VideoError(f"{path}: cannot be opened: {e}") from e
    if not times:
        raise VideoError(f"{path}: has no presentation times")
    shown = np.array(times) - times[0]
    return [int(n) for n in np.searchsorted(shown, np.asarray(seconds) - 1e-6)]
