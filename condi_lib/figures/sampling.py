"""Figures of accuracy against the number of clips, division, ablations."""

import matplotlib.pyplot as plt
import numpy as np

from condi_lib.figures.style import (
    BLUE,
    HIGHLIGHTED,
    IN_EVERY_PANEL,
    WIDTH,
    _at_least,
    _axes,
    _by_group,
    _end,
    _name_lines,
    _no_difference,
    _style,
)


def _dense(table, column="sampler"):
    """Dense's accuracy in percent, nan where the table has none."""
    found = table.accuracy[table[column] == "dense"].dropna()
    return 100 * found.iloc[0] if len(found) else np.nan


def _bounds(rows, dense):
    """Ends of the band around a line, in percent: of the paired difference to dense where that is known."""
    paired = np.isfinite(dense) and {"gain_low", "gain_high"} <= set(rows)
    start, of = (dense, "gain") if paired else (0, "accuracy")
    if f"{of}_low" not in rows:
        return 100 * rows.accuracy, 100 * rows.accuracy
    return start + 100 * rows[f"{of}_low"], start + 100 * rows[f"{of}_high"]


def _draw_lines(axis, table, names, x, dense, column="sampler"):
    """Lines of accuracy (%) with their bands. Returns the lines' right ends, for _name_lines."""
    ends = []
    for name in names:
        rows = table[(table[column] == name) & table.accuracy.notna()].sort_values(x)
        if len(rows):
            style = _style(name)
            axis.plot(rows[x], 100 * rows.accuracy, **style, gid=name)
            alpha = 0.2 if name in HIGHLIGHTED else 0.12
            axis.fill_between(rows[x], *_bounds(rows, dense), color=style["color"], alpha=alpha, lw=0)
            ends.append(_end(rows[x].iloc[-1], 100 * rows.accuracy.iloc[-1], name))
    return ends


def _line_of_dense(axis, dense):
    """Dense's accuracy across the axis. Returns its right end, for _name_lines."""
    if not np.isfinite(dense):
        return []
    axis.axhline(dense, c="black", lw=1, zorder=2)
    return [(axis.get_xlim()[1], dense, "dense", "black", "black", "_")]


def _ticks(axis, ks):
    """Ticks of K on an axis that gives small K more room: those that have room for their number."""
    shown = []
    for k in sorted(ks):
        if not shown or k > 1.28 * shown[-1]:
            shown.append(k)
    if len(shown) > 1 and max(ks) != shown[-1]:
        shown[-1] = max(ks)
    axis.set_xscale("log")
    axis.set_xticks(shown, [str(k) for k in shown])
    axis.minorticks_off()
    if len(set(ks)) == 1:
        axis.set_xlim(shown[0] / 2, shown[0] * 2)


def accuracy_vs_k(table):
    """Video accuracy against K: samplers without a student on the left, groups of students on the right.

    One scale of accuracy in all panels. Bands are 95 % intervals of the paired difference to dense. table:
    evaluation.accuracy_table of all samplers; K = 0 is left out. None where nothing was measured.
    """
    table = table[table.accuracy.notna() & (table.k > 0)]
    if table.empty:
        return None
    dense = _dense(table)
    names = [n for n in table.sampler.unique() if n != "dense"]
    lead = [n for n in IN_EVERY_PANEL if n in names]
    groups = _by_group([n for n in names if n not in lead])
    without = groups.pop("without a student", None)
    if without is None and not groups:
        groups = _by_group(lead or ["dense"])
    return _panels_of_one_scale(table, without, groups, lead, dense)


def _panels_of_one_scale(table, without, groups, lead, dense):
    """A panel for what needs no student on the left, a column of the others on the right, each as high as its lines
    need; as many inches a point in all."""
    values, gap = 100 * table.accuracy, 0.42  # inches between panels

    def span(some):
        own = values[table.sampler.isin([*some, *lead])]
        ends = [*own, *([dense] if np.isfinite(dense) else [])]
        return min(ends) - 1.2, max(ends) + 1.2

    spans = [span(own) for own in groups.values()]
    left_span = span(without) if without is not None else (0, 0)
    scale = 5.2 / max(np.ptp(left_span), sum(np.ptp(one) for one in spans))  # inches a point
    needed = [0.155 * (len({*own, *lead}) + 2) for own in groups.values()]  # for the names
    heights = [max(scale * np.ptp(one), names) for one, names in zip(spans, needed, strict=True)]
    column, left = sum(heights) + gap * (len(heights) - 1), scale * np.ptp(left_span)
    heights = [height + max(0, left - column) / len(heights) for height in heights]  # as long as the left panel
    column = max(column, left)
    figure = plt.figure(figsize=(WIDTH, column + 0.95), layout="none")
    top, ends = figure.get_figheight() - 0.4, []

    def panel(left, wide, top, tall, title, own, limits):
        shape = (left / WIDTH, (top - tall) / figure.get_figheight(), wide / WIDTH, tall / figure.get_figheight())
        axis = figure.add_axes(shape)
        lines = _draw_lines(axis, table, dict.fromkeys([*own, *lead]), "k", dense)
        middle = sum(limits) / 2
        axis.set(title=title, ylim=(middle - tall / scale / 2, middle + tall / scale / 2))
        _ticks(axis, set(table.k))
        ends.append((axis, lines + _line_of_dense(axis, dense)))
        return axis

    if without is not None:
        wide, tall = 2.0 if groups else 5.8, scale * np.ptp(left_span)
        axis = panel(0.62, wide, top, tall, "without a student", without, left_span)
        axis.set(xlabel="clips kept, K", ylabel="video accuracy (%)")
    for i, (title, own) in enumerate(groups.items()):
        left, wide = (4.8, 1.95) if without is not None else (0.62, 5.8)
        axis = panel(left, wide, top, heights[i], title, own, spans[i])
        axis.tick_params(labelbottom=i == len(groups) - 1)
        if without is None:
            axis.set_ylabel("video accuracy (%)")
        top -= heights[i] + gap
    axis.set_xlabel("clips kept, K")
    if np.isfinite(dense):
        note = "bands: 95 % interval of\nthe difference to dense"
        figure.text(0.995, 0.005, note, ha="right", va="bottom", size=8, c="0.4")
    for axis, own in ends:
        _name_lines(axis, own)
    return figure


def division(table, ks=(3, 5, 10)):
    """What changes as the student classifies more of the K clips: accuracy (nothing?) and multiply-adds; a column a K.

    Bands are 95 % intervals of the paired difference to dense. table: evaluation.division_table, and, where known,
    share_of_dense, the multiply-adds over dense's. None where nothing was measured.
    """
    table = table[table.accuracy.notna() & (table["mode"] == table["mode"].iloc[0])] if len(table) else table
    ks = [k for k in ks if (table.k == k).any()] or sorted(table.k.unique())[-3:]
    if not ks:
        return None
    priced = "share_of_dense" in table and table.share_of_dense.notna().any()
    lines = 1 + priced
    shape = {"figsize": (WIDTH, 2.9 + 1.7 * priced), "height_ratios": (2.6, 1.5)[:lines]}
    widths = [max(k, 2) + 2 for k in ks]
    figure, axes = plt.subplots(lines, len(ks), sharex="col", sharey="row", squeeze=False, width_ratios=widths, **shape)
    dense = 100 * (table.accuracy - table.gain).dropna().iloc[0] if table.gain.notna().any() else np.nan
    for column, k in zip(axes.T, ks, strict=True):
        rows = table[table.k == k].sort_values("k_student")
        style = _style("condi_sr")
        column[0].plot(rows.k_student, 100 * rows.accuracy, **style)
        column[0].fill_between(rows.k_student, *_bounds(rows, dense), color=style["color"], alpha=0.2, lw=0)
        end = _line_of_dense(column[0], dense)
        column[0].set_title(f"K = {k}")
        if priced:
            share = 100 * rows.share_of_dense
            column[1].bar(rows.k_student, share, color="0.75", width=0.7)
            for at in dict.fromkeys((0, len(rows) - 1)):
                text = f"{share.iloc[at]:.0f} %"
                column[1].text(rows.k_student.iloc[at], share.iloc[at], text, ha="center", va="bottom", size=9)
        column[-1].set(xticks=range(0, k + 1, 1 if k < 8 else 2), xlim=(-0.6, k + 0.6))
        column[-1].grid(False, axis="x")
    _at_least(axes[0, 0], "y", 4)
    axes[0, 0].set_ylabel("video accuracy (%)")
    if priced:
        axes[1, 0].set_ylabel("multiply-adds\n(% of dense)")
        axes[1, 0].set_ylim(0, 1.25 * 100 * table[table.k.isin(ks)].share_of_dense.max())
    text = "how many of the K clips the student classifies ($K_s$); the teacher classifies the rest"
    figure.supxlabel(text, size=10)
    _name_lines(axes[0, -1], end)
    return figure


_GREEK = {"tau": "τ", "lambda": "λ", "alpha": "α"}


def _variant(name):
    """tau_1 as "τ = 1", stopped_gradient as "stopped gradient"."""
    first, _, rest = name.partition("_")
    return f"{_GREEK[first]} = {rest}" if first in _GREEK and rest else name.replace("_", " ")


def ablations(table):
    """Difference of each variant to ConDi-SR as in the study, at each K; what can be told from 0 is filled.

    table: sampler, reference, k, difference, low, high and, where known, p_holm, as notebook 12 writes it. None where
    no variant was trained.
    """
    table = table[table.difference.notna()]
    ks, names = sorted(table.k.unique()), list(table.sampler.unique())
    if not ks:
        return None
    figure, axes = _axes(WIDTH, 0.3 * len(names) + 1.3, len(ks), sharex=True, sharey=True, squeeze=False)
    for axis, k in zip(axes[0], ks, strict=True):
        rows = table[table.k == k].drop_duplicates("sampler").set_index("sampler")
        for i, name in enumerate(names):
            if name in rows.index:
                row = rows.loc[name]
                sure = row.p_holm < 0.05 if "p_holm" in rows else row.low > 0 or row.high < 0
                x, ends = (
                    100 * row.difference,
                    100 * np.array([[row.difference - row.low], [row.high - row.difference]]),
                )
                colour = BLUE if sure else "0.55"
                axis.errorbar(x, i, xerr=np.abs(ends), fmt="o", ms=5, color=colour, mfc=colour if sure else "white")
        axis.axvline(0, c="black", lw=1)
        axis.grid(False, axis="y")
        axis.set_title(f"K = {k}")
        _no_difference(axis, rows[["difference", "low", "high"]].to_numpy().ravel())
    axes[0, 0].set_yticks(range(len(names)), [_variant(name) for name in names], fontsize=9)
    axes[0, 0].set_ylim(len(names) - 0.5, -0.5)
    _at_least(axes[0, 0], "x", 2)
    tests = "after correction" if "p_holm" in table else "by its interval"
    figure.supxlabel(f"difference to ConDi-SR as in the study (points); filled: not 0, {tests}", size=10)
    return figure
