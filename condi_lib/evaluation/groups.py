"""On which videos choosing clips helps, and on which it hurts."""

import numpy as np
import pandas as pd

from condi_lib.evaluation.accuracy import _of_all, in_common
from condi_lib.evaluation.intervals import _columns

_ORDER = ["short", "medium", "long", "fewest", "some", "most", "typical", "hard"]  # of groups in tables and figures


def by_group(found, groups, dense):
    """Accuracy within groups of videos: a row a (grouping, group, sampler, k).

    found: {name: Outcomes}; groups: {grouping: str [V]}; dense: float [V]. Columns: accuracy, gain (to dense), helped,
    hurt (shares of videos that only the sampler, or only dense, gets right), each with _low and _high; n_seeds,
    n_videos.
    """
    found = in_common(found)
    rows = [(name, k, one.right.shape[1]) for name, one in found.items() for k in one.ks]
    head = pd.DataFrame(rows, columns=["sampler", "k", "n_seeds"])
    all_right = _of_all(found, "right")
    tables = []
    for grouping, values in groups.items():
        for group in sorted(set(values), key=lambda g: (_ORDER.index(g) if g in _ORDER else 0, g)):
            inside = values == group
            right, gain = all_right[..., inside], all_right[..., inside] - dense[inside]
            columns = _columns(accuracy=right, gain=gain, helped=gain.clip(0), hurt=(-gain).clip(0))
            tables.append(head.assign(grouping=grouping, group=group, **columns, n_videos=inside.sum()))
    return pd.concat(tables, ignore_index=True)


def thirds(values, names):
    """Which third of the values each lies in: str [V], one of three names, lowest first.

    Equal values stay together: in the middle where both borders are this value.
    """
    borders = np.quantile(values, (1 / 3, 2 / 3))
    below, up_to = (np.searchsorted(borders, values, side) for side in ("left", "right"))
    return np.asarray(names)[(below + up_to) // 2]


def video_groups(arrays, videos, truth=None):
    """What by_group compares: {grouping: str [V]}: class, length and, with a truth, what is shown.

    truth: a row a frame: video, shows, and blend (planted: how much of the motion is another class') where there is.
    """
    n = arrays.mask.sum(1)
    names = videos.set_index("video").class_name
    groups = {"length": thirds(n, ["short", "medium", "long"])}
    if truth is not None:
        per_video = truth.assign(other=~truth.shows.astype(bool)).groupby("video")
        share = per_video.other.mean().loc[arrays.videos].to_numpy()
        groups["ambiguous frames"] = thirds(share, ["fewest", "some", "most"])
        if "blend" in truth:
            hard = per_video.blend.max().loc[arrays.videos].to_numpy() > 0
            groups["motion"] = np.where(hard, "hard", "typical")
    return {**groups, "class": names.loc[arrays.videos].to_numpy()}
