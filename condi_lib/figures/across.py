"""Figures of several data sets side by side, and of when choosing clips pays."""

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from condi_lib.figures.sampling import _bounds, _dense, _draw_lines, _ticks
from condi_lib.figures.style import (
    HIGHLIGHTED,
    SMALL,
    WIDTH,
    _at_least,
    _axes,
    _errors,
    _grid_of_axes,
    _say,
    _style,
    label,
)
from condi_lib.figures.tables import shown

# Those that are set side by side; the tables have all
HONEST = ("random", "place", "teacher_max", "st_ent", "st_conf", "bce_c", "condi_sr")
CURVES = ("oracle", "truth", "random", "place", "teacher_max", "st_ent", "bce_c", "condi_sr")
STUDENTS = ("st_ent", "bce_c", "condi_sr")
GROWING = (*STUDENTS, "context_each", "context", "dense_pooled")  # with the training videos


def _labelled(table):
    """The table with the column `row`: its data set, and its teacher where there are several."""
    several = table.teacher.nunique() > 1
    return table.assign(row=table.data_set + (", " + table.teacher if several else ""))


def _cheap(table, budget):
    """Rows at the most clips that a sampler can have for this share of dense's multiply-adds."""
    cheap = table[(table.multiply_adds <= budget) & table["sampler"].isin(HONEST)].sort_values("k")
    return cheap.drop_duplicates(["row", "sampler"], keep="last")


def _dots(axis, rows, names, places, value):
    """A row a data set; in it a dot with its interval a sampler, each at a height of its own."""
    for i, name in enumerate(names):
        own = rows[(rows["sampler"] == name) & rows[value].notna()]
        at = np.array([places[row] for row in own.row]) + 0.8 * ((i + 0.5) / len(names) - 0.5)
        style = _style(name) | {"ls": "none"}
        axis.errorbar(
            100 * own[value], at, xerr=_errors(own, value), **style, elinewidth=1, label=label(name), gid=name
        )
    axis.set_yticks(range(len(places)), list(places))
    axis.set_ylim(len(places) - 0.5, -0.5)
    axis.grid(False, axis="y")
    for line in range(1, len(places)):
        axis.axhline(line - 0.5, c="0.85", lw=0.8)
    if not len(rows):
        _say(axis, "nothing is this cheap")


def _panels_of_dots(table, panels, height=0.17):
    """A figure of _dots. panels: [(title, label of x, rows, value), ...]."""
    places = {row: i for i, row in enumerate(table.row.unique())}
    names = [name for name in HONEST if any((rows["sampler"] == name).any() for _, _, rows, _ in panels)]
    tall = 1.5 + max(0.5, height * max(len(names), 1)) * len(places)
    figure, axes = _axes(WIDTH, tall, len(panels), sharey=True, squeeze=False)
    for axis, (title, x, rows, value) in zip(axes[0], panels, strict=True):
        _dots(axis, rows, names, places, value)
        axis.set(title=title, xlabel=x)
        axis.axvline(0, c="black", lw=1, zorder=2)
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        _at_least(axis, "x", 4)
    _legend(figure, axes[0])
    return figure


def _legend(figure, axes):
    """One legend above all panels, of every line that one of them names."""
    handles = {}
    for axis in axes:
        handles |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        handles = {label(line.get_gid()): line for line in axis.lines if line.get_gid()} | handles
    if handles:
        options = {"loc": "outside upper center", "ncols": min(5, len(handles)), "frameon": False}
        figure.legend(handles.values(), handles.keys(), **options)


def gains_at_cost(table, budgets=(0.25, 0.5)):
    """Gain over dense of each sampler at the most clips that cost a share of dense's multiply-adds; rows are data sets.

    table: runs.read_across's, of all data sets. None where nothing was measured.
    """
    table = _labelled(table[table.gain.notna()])
    if table.empty:
        return None
    x = "gain over dense (points)"
    return _panels_of_dots(
        table, [(f"for {100 * b:.0f} % of dense's multiply-adds", x, _cheap(table, b), "gain") for b in budgets]
    )


def recovered(table, budget=0.25):
    """Shares of what the oracle and what ranking by the truth win over dense at the same K; rows are data sets.

    At the most clips that cost `budget` of dense's multiply-adds. None where nothing was measured.
    """
    table = _labelled(table[table.gain.notna()])
    if table.empty:
        return None
    rows = _cheap(table, budget)
    panels = [("of the oracle's", "headroom"), ("of what ranking by the truth wins", "reachable")]
    figure = _panels_of_dots(table, [(title, "share of the gain (%)", rows, value) for title, value in panels])
    for axis, (_, value) in zip(figure.axes, panels, strict=True):
        if rows[value].notna().any():
            low, high = 100 * min(0, rows[value].min()) - 10, 100 * max(1, rows[value].max()) + 10
            axis.set_xlim(max(low, -150), min(high, 150))  # where there is little to win, a share says little
            axis.axvline(100, c="black", lw=1, ls=":", zorder=2)
        else:
            _say(axis, "not known of these data sets")
    return figure


def side_by_side(table):
    """Accuracy against K, a panel a data set, each with its own scale.

    Bands are 95 % intervals of the paired difference to dense; K goes up to the clips of a video on average. table:
    runs.read_across's. None where nothing was measured.
    """
    table = _labelled(table[table.accuracy.notna()])
    if table.empty:
        return None
    figure, axes = _grid_of_axes(table.row.nunique(), 3.1, 2, sharex=False, sharey=False)
    for axis, (row, own) in zip(axes, table.groupby("row", sort=False), strict=True):
        dense, n = _dense(own), own.n_clips[own["sampler"] == "dense"].max()
        own = own[~(own.k > np.ceil(n))]  # no more clips than there are
        _draw_lines(axis, own, [name for name in CURVES if (own["sampler"] == name).any()], "k", dense)
        _ticks(axis, set(own.k[own.k > 0]))
        axis.axhline(dense, c="black", lw=1, zorder=2, label="dense")
        axis.set_title(f"{row}: {100 * own.good.iloc[0]:.0f} % good clips")
        axis.set(xlabel="clips kept, K", ylabel="video accuracy (%)")
    _legend(figure, axes)
    return figure


def verdicts(table):
    """The thesis' claims in a row each, a column a data set: holds, holds in part, does not hold. table: of claims."""
    wide = _labelled(table).pivot(index="claim", columns="row", values="verdict")
    names = _labelled(table).row.unique()
    return wide.loc[table.claim.unique(), names].rename_axis(columns=None).reset_index()


def when_choosing_pays(table, marks=(), ks=(1, 3, 5)):
    """Accuracy and gain over dense against the share of good clips, a column a K; a point is a world.

    Lines join the worlds with hard videos; open marks are those without. table: runs.read_across's of all worlds;
    marks: [(share of good clips, text), ...], drawn as vertical lines. None where nothing was measured.
    """
    table = table[table.k.isin(ks) & table.gain.notna()].assign(x=100 * table.good)
    if table.empty:
        return None
    figure, axes = _grid_of_axes(2 * len(ks), 3.2, len(ks), sharex=True, sharey="row")
    names = [name for name in ("dense", *CURVES) if name != "place" and (table["sampler"] == name).any()]
    for i, axis in enumerate(axes):
        k, value = ks[i % len(ks)], ("accuracy", "gain")[i // len(ks)]
        for name in names if value == "accuracy" else names[1:]:
            rows = table[(table["sampler"] == name) & (table.k == k)].sort_values("x")
            joined, apart = rows[~(rows.hard == 0)], rows[rows.hard == 0]
            style = _style(name)
            axis.plot(joined.x, 100 * joined[value], **style, label=label(name), gid=name)
            alpha = 0.2 if name in HIGHLIGHTED else 0.1
            low, high = (100 * joined[f"{value}_{end}"] for end in ("low", "high"))
            axis.fill_between(joined.x, low, high, color=style["color"], alpha=alpha, lw=0)
            open_mark = style | {"ls": "none", "mfc": "white"}
            axis.errorbar(apart.x, 100 * apart[value], yerr=_errors(apart, value), **open_mark, elinewidth=0.8)
        if value == "gain":
            axis.axhline(0, c="black", lw=1, zorder=2)
        else:
            axis.set_title(f"K = {k}")
        for x, text in (mark for mark in marks if np.isfinite(mark[0])):
            axis.axvline(100 * x, c="0.4", lw=1, ls=":", zorder=1)
            if axis is axes[-1]:
                box = {"fc": "white", "ec": "none", "pad": 1}
                place = {
                    "rotation": 90,
                    "va": "top",
                    "ha": "center",
                    "size": SMALL,
                    "c": "0.3",
                    "bbox": box,
                    "zorder": 9,
                }
                axis.text(100 * x, 0.97, text, transform=axis.get_xaxis_transform(), **place)
    axes[0].set_ylabel("video accuracy (%)")
    axes[len(ks)].set_ylabel("gain over dense (points)")
    figure.supxlabel(
        "clips of a video on which the teacher is right (%); open marks: worlds without hard videos", size=10
    )
    _legend(figure, axes)
    return figure


def learning_curves(table, ks=(1, 5)):
    """Accuracy and AUROC within videos against the number of training videos, with dense.

    Bands are 95 % intervals, of accuracy those of the paired difference to dense. table: runs.read_across's, of one
    world with several numbers of training videos and the same test videos. None where nothing was measured.
    """
    table = table[table.gain.notna()]
    if table.empty:
        return None
    panels = [(f"accuracy (%), K = {k}", "accuracy", k) for k in ks] + [
        ("AUROC within videos (%)", "auroc_within", ks[0])
    ]
    figure, axes = _grid_of_axes(len(panels), 3.4, 3, sharex=True, sharey=False)
    numbers = sorted(table.n_train.unique())
    for axis, (title, value, k) in zip(axes, panels, strict=True):
        for name in ["dense"] * (value == "accuracy") + [n for n in GROWING if (table["sampler"] == n).any()]:
            rows = table[(table["sampler"] == name) & (table.k == k)].sort_values("n_train")
            style = _style(name)
            axis.plot(rows.n_train, 100 * rows[value], **style, label=label(name), gid=name)
            low, high = (100 * rows[f"{value}_{end}"] for end in ("low", "high"))
            if value == "accuracy":
                low, high = _bounds(rows, _dense(table))  # the test videos are the same, and so is dense
            axis.fill_between(rows.n_train, low, high, color=style["color"], alpha=0.15, lw=0)
        axis.set_title(title)
        axis.set_xscale("log")
        axis.set_xticks(numbers, [f"{n:,}" for n in numbers])
        axis.minorticks_off()
        _at_least(axis, "y", 4)
    figure.supxlabel("training videos of the samplers", size=10)
    _legend(figure, axes)
    return figure


def finding(pays):
    """A sentence for each K on where choosing clips pays: columns k, sampler, finding.

    pays: evaluation.pays_from. Of the students that is told which beats dense from the smallest share of bad clips on.
    """
    rows = []
    for k, own in pays[pays["sampler"].isin(STUDENTS)].groupby("k"):
        sure = own[own.bad.notna()].sort_values(["bad", "most"], ascending=[True, False])
        clips = "one clip" if k == 1 else f"{k} clips"
        if not len(sure):
            text = f"With {clips} no student is above dense in any of the {own.n_worlds.max()} worlds."
            rows.append((k, "", text))
            continue
        one = sure.iloc[0]
        where = f"from {100 * one.bad:.0f} % of bad clips on"
        if one.bad_to < one.hardest:
            where = f"where {100 * one.bad:.0f} to {100 * one.bad_to:.0f} % of the clips are bad"
        there, most = (
            shown(*values, percent=True, signed=True)
            for values in ((one.gain, one.low, one.high), (one.most, one.most_low, one.most_high))
        )
        text = f"With {clips} {label(one['sampler'])} beats dense {where}: by {there} points at first"
        rows.append((k, one["sampler"], f"{text}, by {most} at most (at {100 * one.most_bad:.0f} %)."))
    return pd.DataFrame(rows, columns=["k", "sampler", "finding"])


def place_of(table, dense):
    """The share of good clips of worlds of growing difficulty at which dense has this accuracy, interpolated; else nan.

    table: runs.read_across's of these worlds.
    """
    own = table[table["sampler"] == "dense"].drop_duplicates("data_set").sort_values("accuracy")
    return float(np.interp(dense, own.accuracy, own.good, left=np.nan, right=np.nan)) if len(own) else np.nan
