"""How figures look: colours, markers, names, axes."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from condi_lib.sampler import SAMPLERS

sns.set_theme(style="whitegrid", context="notebook", palette="colorblind")
plt.rcParams.update({"svg.hashsalt": "condi", "axes.titlesize": "medium", "figure.constrained_layout.use": True})
_BLIND = sns.color_palette("colorblind", 10)
_MARKERS = "osD^vP<>X*"
GREY = (0.45, 0.45, 0.45)


def label(name):
    """A sampler's name as figures and tables show it; anything else as it is."""
    return SAMPLERS[name].label if name in SAMPLERS else name


def _style(name):
    """Colour, marker and dashes of a sampler: by its place in its group, grey for what needs no student."""
    if name == "condi_sr":
        return {"color": _BLIND[0], "marker": "o", "ls": "-"}
    if SAMPLERS[name].passes == 0:
        dashes = {"random": ":", "equidistant": "--", "teacher_max": "-.", "oracle": (0, (5, 1, 1, 1, 1, 1))}
        return {"color": GREY, "marker": None, "ls": dashes.get(name, "-")}
    group = [n for n in SAMPLERS if SAMPLERS[n].group == SAMPLERS[name].group and n != "condi_sr"]
    place = 1 + group.index(name) % 9
    return {"color": _BLIND[place], "marker": _MARKERS[place], "ls": "-"}


def _axes(width=6.4, height=4.0, columns=1, **options):
    return plt.subplots(1, columns, figsize=(width, height), **options)


def _point_ranges(axis, rows, value, place, **style):
    """Points in percent with their intervals, at places on the x axis."""
    y = 100 * rows[value].to_numpy()
    error = np.abs(100 * rows[[f"{value}_low", f"{value}_high"]].to_numpy().T - y)
    axis.errorbar(place, y, error, lw=0, elinewidth=1.4, capsize=2, ms=5, **style)


def _with_interval(row):
    return "" if np.isnan(row["mean"]) else f"{row['mean']:.3f} [{row.low:.3f}, {row.high:.3f}]"
