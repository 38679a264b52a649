"""How figures look: one width, one colour and marker for a sampler, names beside lines, axes that never show dust."""

from zlib import crc32

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.transforms import offset_copy
from scipy.optimize import isotonic_regression

from condi_lib.sampler import SAMPLERS

sns.set_theme(style="whitegrid", context="notebook", palette="colorblind")
SMALL = 8.5  # points: the smallest text
WIDTH = (
    8.5  # inches: of every figure, so that text is equally large in all of them, and 12 pixels high where 850 are shown
)
plt.rcParams.update(
    {
        "svg.hashsalt": "condi",
        "figure.constrained_layout.use": True,
        "figure.dpi": 100,
        "axes.titlesize": 10.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": 10,
        "axes.formatter.useoffset": False,
        "axes.formatter.limits": (-5, 6),
        "axes.edgecolor": "0.7",
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "legend.fontsize": 9,
        "grid.color": "0.9",
        "errorbar.capsize": 2,
        "hatch.linewidth": 0.6,
    }
)
_BLIND = sns.color_palette("colorblind", 10)
_MARKERS = "osD^vP<>X*"
BLUE, ORANGE = "#0072b2", "#d55e00"  # good and bad, where there are two sides; told apart by brightness as well

# Greys with a tint, of different brightness: only what is highlighted has a full colour
_SLATE, _SAND, _SAGE, _PLUM = "#4d5b6b", "#a5855f", "#93ab90", "#7d6280"
HIGHLIGHTED = ("condi_sr", "context")
IN_EVERY_PANEL = HIGHLIGHTED[:1]  # what all groups are seen against
# sampler: (colour, marker, dashes)
_STYLES = {
    "dense": ("#000000", "*", "-"),
    "oracle": ("#666666", "^", (0, (6, 2))),
    "random": ("#a6a6a6", "x", ":"),
    "equidistant": ("#868686", "d", "--"),
    "place": ("#868686", "v", (0, (2, 1))),
    "teacher_max": ("#3d3d3d", "X", "-."),
    "st_ent": (_SAND, "s", "-"),
    "st_conf": (_SAGE, "D", "-"),
    "bce_c": (_SLATE, "^", "-"),
    "condi_sr": (BLUE, "o", "-"),
    "context": (ORANGE, "s", "-"),
    "st_ent_scaled": (_SAND, "v", "-"),
    "mc_dropout": (_SLATE, "P", "-"),
    "sc_saliency": (_SAGE, "<", "-"),
    "sc_rank": (_PLUM, ">", "-"),
    "condi_sr_rank": (_SLATE, "p", "-"),
    "condi_sr_adaptive": (_SAGE, "h", "-"),
    "condi_sr_weighted": (_SAND, "8", "-"),
}
_TITLES = {
    "reference": "without a student",
    "thesis": "the thesis' four losses",
    "published": "published samplers",
    "beyond": "beyond the thesis",
    "context": "the whole video at once",
}


def label(name):
    """A sampler's name as figures and tables show it; anything else as it is."""
    return SAMPLERS[name].label if name in SAMPLERS else name


def _group(name):
    return SAMPLERS[name].group if name in SAMPLERS else "others"


def _look(name):
    """(colour, marker, dashes) of a sampler. One that the table above does not name takes a tint and a marker that are
    free, first those at a place that its name decides, so that one more sampler leaves the others as they are."""
    looks, pairs = dict(_STYLES), [(c, m) for m in "sD^vP<>pHhd8X" for c in (_SLATE, _SAND, _PLUM, _SAGE)]
    for other in [n for n in [*SAMPLERS, name] if n not in _STYLES]:
        near = {look[1] for n, look in looks.items() if _group(n) == _group(other)}
        start = crc32(other.encode()) % len(pairs)
        turned = pairs[start:] + pairs[:start]
        free = [pair for pair in turned if pair not in {look[:2] for look in looks.values()}] or turned
        looks.setdefault(other, (*next((pair for pair in free if pair[1] not in near), free[0]), "-"))
    return looks[name]


def _style(name):
    """How a sampler's line is drawn, the same in every figure."""
    color, marker, dashes = _look(name)
    first = name in HIGHLIGHTED
    return {
        "color": color,
        "marker": marker,
        "ls": dashes,
        "lw": 2.4 if first else 1.3,
        "ms": 8 if name == "dense" else 5.5 if first else 5,
        "zorder": 4 if first else 3,
    }


def _by_group(names):
    """{title of the group: its samplers}, both in the registry's order, what it does not know last."""
    names = [name for name in SAMPLERS if name in names] + [name for name in names if name not in SAMPLERS]
    group = {name: _group(name) for name in names}
    order = [g for g in _TITLES if g in group.values()]
    order += [g for g in dict.fromkeys(group.values()) if g not in _TITLES]
    return {_TITLES.get(g, g): [name for name in names if group[name] == g] for g in order}


def _axes(width=6.4, height=4.0, columns=1, **options):
    return plt.subplots(1, columns, figsize=(width, height), **options)


def _grid_of_axes(n, height=2.6, most=3, **options):
    """A figure of n panels, at most `most` beside each other, `height` inches each. Returns it and the n axes."""
    columns = max(1, min(most, n))
    lines = -(-n // columns)
    options = {"sharex": True, "sharey": True} | options
    figure, axes = plt.subplots(lines, columns, figsize=(WIDTH, height * lines), squeeze=False, **options)
    for i, axis in enumerate(axes.flat):
        if i >= n:
            axis.set_axis_off()
        elif i + columns >= n:  # nothing below it
            axis.tick_params(labelbottom=True)
    return figure, axes.flat[:n]


def _errors(rows, value, percent=100):
    """Distances of `value` to value_low and value_high for errorbar: float [2, rows], 0 where there is no interval."""
    if f"{value}_low" not in rows:
        return np.zeros((2, len(rows)))
    ends = rows[[f"{value}_low", f"{value}_high"]].to_numpy(float).T
    return np.nan_to_num(np.abs(percent * (ends - rows[value].to_numpy(float))))


def _at_least(axis, which, span):
    """Widens an axis to at least this span, so that what does not differ is not blown up to look as if it did."""
    low, high = getattr(axis, f"get_{which}lim")()
    if abs(high - low) < span:
        middle, half = (low + high) / 2, span / 2 * np.sign(high - low or 1)
        getattr(axis, f"set_{which}lim")(middle - half, middle + half)


def _say(axis, text):
    """Says in an axis what there is not."""
    box = {"fc": "white", "ec": "0.8", "boxstyle": "round"}
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", size=9, c="0.35", bbox=box, zorder=9)


def _no_difference(axis, values):
    """Says so where nothing differs from zero."""
    values = np.asarray(values, float)
    if not len(values):
        _say(axis, "nothing to compare")
    elif np.allclose(np.nan_to_num(values), 0, atol=1e-9):
        _say(axis, "no difference")


def _end(x, y, name, text=None):
    """A sampler's line end, as _name_lines takes it."""
    color, marker, _ = _look(name)
    return x, y, text or label(name), color if name in HIGHLIGHTED else "0.25", color, marker


def _name_lines(axis, ends):
    """Names lines at the right of their axis, level with their ends or as near as they fit, each with a thin leader.

    ends: [(x, y, text, colour of the text, colour of the line, marker), ...] in data coordinates. Called when nothing
    else changes the axis' height.
    """
    if not ends:
        return
    axis.figure.draw_without_rendering()
    points = axis.transAxes.inverted().transform(axis.transData.transform([end[:2] for end in ends]))
    order = np.argsort(points[:, 1], kind="stable")
    steps = 1.3 * SMALL / 72 * axis.figure.dpi / axis.get_window_extent().height * np.arange(len(ends))
    places = isotonic_regression(points[order, 1].clip(0, 1) - steps).x + steps  # as near as they fit
    places -= max(0, min(places[-1] - 1, places[0]))  # not above the axis as long as there is room below
    for i, place in zip(order, places, strict=True):
        x, y, text, text_colour, colour, marker = ends[i]
        arrow = {"arrowstyle": "-", "lw": 0.6, "color": colour, "shrinkA": 0, "shrinkB": 2}
        beside = {"xy": (1, place), "xycoords": "axes fraction", "textcoords": "offset points", "va": "center"}
        corner = offset_copy(axis.transAxes, axis.figure, 7, 0, units="points")
        axis.annotate("", (x, y), (1, place), textcoords=corner, arrowprops=arrow, annotation_clip=False)
        if marker:
            key = offset_copy(axis.transAxes, axis.figure, 11, 0, units="points")
            axis.plot([1], [place], marker=marker, ms=5, ls="none", color=colour, transform=key, clip_on=False)
        axis.annotate(text, xytext=(18 if marker else 9, 0), size=SMALL, color=text_colour, gid="name", **beside)


def _name_rows(axis, names, texts=None):
    """Rows of a dot plot, first on top, a sampler each; what is highlighted in bold and colour."""
    axis.set_yticks(range(len(names)), texts or [label(name) for name in names], fontsize=9)
    for tick, name in zip(axis.get_yticklabels(), names, strict=True):
        if name in HIGHLIGHTED:
            tick.set(color=_look(name)[0], weight="bold")
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.grid(False, axis="y")
