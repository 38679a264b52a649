"""Figures of where choosing clips helps and where it hurts."""

import numpy as np

from condi_lib.figures.style import (
    BLUE,
    HIGHLIGHTED,
    ORANGE,
    WIDTH,
    _at_least,
    _axes,
    _errors,
    _grid_of_axes,
    _no_difference,
    _style,
    label,
)
from condi_lib.sampler import SAMPLERS

_MOST_CLASSES = 24  # rows that class_gains shows


def _rows_by_grouping(table):
    """Places and names of rows, a row a group, with room between the groupings: [(grouping, group, place)], texts."""
    rows, texts, at = [], [], 0.0
    for grouping, own in table.groupby("grouping", sort=False):
        for group in own.group.unique():
            n = own[own.group == group].n_videos.iloc[0]
            rows.append((grouping, group, at))
            texts.append(f"{group}  ({n:,} videos)")
            at += 1
        at += 0.9
    return rows, texts


def _set_rows(axis, rows, texts):
    axis.set_yticks([at for *_, at in rows], texts, fontsize=9)
    axis.set_ylim(rows[-1][-1] + 0.6, -1.0)
    axis.grid(False, axis="y")
    for grouping in dict.fromkeys(g for g, *_ in rows):
        at = min(place for g, _, place in rows if g == grouping)
        place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        axis.annotate(
            f"by {grouping}", (0, at - 0.72), (-6, 0), ha="right", va="center", size=9, weight="bold", **place
        )


def gains_by_group(table, k=5):
    """Gain over dense at one K, by length of the video and by what it shows; a panel a loss of the thesis.

    table: evaluation.by_group. None where it has no groups at this K.
    """
    table = table[(table.k == k) & (table.grouping != "class") & table.gain.notna()]
    names = [n for n in table.sampler.unique() if n in SAMPLERS and SAMPLERS[n].group == "thesis"]
    names = names or [n for n in table.sampler.unique() if n not in ("dense", "oracle")]
    if table.empty or not names:
        return None
    rows, texts = _rows_by_grouping(table)
    figure, axes = _grid_of_axes(len(names), height=0.3 * len(rows) + 1.5, most=4)
    for axis, name in zip(axes, names, strict=True):
        own = table[table.sampler == name].set_index(["grouping", "group"])
        own = own.loc[[row[:2] for row in rows if row[:2] in own.index]]
        at = [place for *key, place in rows if tuple(key) in own.index]
        axis.errorbar(100 * own.gain, at, xerr=_errors(own, "gain"), **_style(name) | {"ls": "none"}, elinewidth=1.5)
        axis.axvline(0, c="black", lw=1)
        axis.set_title(label(name), color=_style(name)["color"] if name in HIGHLIGHTED else "black")
        _no_difference(axis, own.gain)
    _set_rows(axes[0], rows, texts)
    _at_least(axes[0], "x", 2)
    figure.supxlabel(f"gain over dense at K = {k} (points)", size=10)
    return figure


def class_gains(table, k=5):
    """ConDi-SR's gain over dense at one K in each class, highest first; of many classes both ends.

    table: evaluation.by_group with grouping "class". None where it has no class at this K.
    """
    rows = table[(table.k == k) & (table.grouping == "class") & (table.sampler == "condi_sr") & table.gain.notna()]
    if rows.empty:
        return None
    rows, left_out = rows.sort_values("gain", ascending=False, kind="stable"), 0
    at = np.arange(len(rows), dtype=float)
    if len(rows) > _MOST_CLASSES:
        half = _MOST_CLASSES // 2
        left_out, rows = len(rows) - _MOST_CLASSES, rows.iloc[[*range(half), *range(-half, 0)]]
        at = np.arange(_MOST_CLASSES) + 1.5 * (np.arange(_MOST_CLASSES) >= half)
    figure, axis = _axes(WIDTH, 0.27 * at[-1] + 1.2)
    gain, error = 100 * rows.gain.to_numpy(), _errors(rows, "gain")
    for sign, colour, marker in ((1, BLUE, "o"), (-1, ORANGE, "s"), (0, "0.5", "D")):
        own = np.sign(gain.round(9)) == sign
        axis.errorbar(gain[own], at[own], xerr=error[:, own], fmt=marker, color=colour, ms=6, elinewidth=1.6)
    axis.axvline(0, c="black", lw=1)
    axis.set_yticks(at, [f"{r.group}  ({r.n_videos:,} videos)" for r in rows.itertuples()], fontsize=9)
    axis.set(ylim=(at[-1] + 0.6, -0.6), xlabel=f"ConDi-SR's gain over dense at K = {k}, by class (points)")
    axis.grid(False, axis="y")
    _at_least(axis, "x", 2)
    if left_out:
        place = {"transform": axis.get_yaxis_transform(), "ha": "center", "va": "center", "size": 9, "c": "0.35"}
        axis.text(0.5, at[_MOST_CLASSES // 2] - 1.25, f"{left_out} classes between", **place)
    _no_difference(axis, gain)
    return figure


def helped_and_hurt(table, k=5):
    """Shares of videos that only ConDi-SR (to the right), or only dense (to the left), gets right at one K, by group.

    The mark is what remains, with the interval of the difference. table: evaluation.by_group. None where it has no
    groups, or no ConDi-SR, at this K.
    """
    own = table[(table.k == k) & (table.grouping != "class") & (table.sampler == "condi_sr") & table.gain.notna()]
    if own.empty:
        return None
    rows, texts = _rows_by_grouping(own)
    at = np.array([place for *_, place in rows])
    figure, axis = _axes(WIDTH, 0.36 * (at[-1] + 1.6) + 0.9)
    axis.barh(at, 100 * own.helped, color=BLUE, alpha=0.55, height=0.62)
    axis.barh(at, -100 * own.hurt, color=ORANGE, alpha=0.55, height=0.62, hatch="///", edgecolor="white", lw=0)
    style = {"fmt": "D", "ms": 5, "color": "black", "elinewidth": 1.6, "zorder": 5}
    axis.errorbar(100 * own.gain, at, xerr=_errors(own, "gain"), **style)
    axis.axvline(0, c="black", lw=1)
    _set_rows(axis, rows, texts)
    _at_least(axis, "x", 2)
    edge = 1.12 * max(np.abs(axis.get_xlim()))
    axis.set(xlim=(-edge, edge), xlabel=f"videos at K = {k} (%);  ◆ what remains: gain over dense with its interval")
    axis.xaxis.set_major_formatter(lambda x, _: f"{abs(x):g}")
    heads = {"transform": axis.get_xaxis_transform(), "size": 10, "weight": "bold", "va": "bottom"}
    axis.text(0.01 * edge, 1.01, "only ConDi-SR right  →", color=BLUE, ha="left", **heads)
    axis.text(-0.01 * edge, 1.01, "←  only dense right", color=ORANGE, ha="right", **heads)
    _no_difference(axis, own[["helped", "hurt", "gain"]].to_numpy().ravel())
    return figure
