"""Figures of what a video costs."""

import matplotlib.pyplot as plt
import numpy as np

from condi_lib.figures.sampling import _dense, _draw_lines, _line_of_dense
from condi_lib.figures.style import (
    IN_EVERY_PANEL,
    SMALL,
    WIDTH,
    _at_least,
    _by_group,
    _end,
    _errors,
    _look,
    _name_lines,
    _style,
    label,
)


def accuracy_vs_cost(table):
    """Accuracy against multiply-adds per video as a share of dense's, a panel a group of samplers; cheap is left.

    Points that none dominates are ringed. Bands are 95 % intervals of the paired difference to dense. table: setting
    (sampler's name, or "division"), k, k_student, accuracy and gain (each with its interval), multiply_adds, pareto
    (bool). None where nothing was measured.
    """
    table = table[table.accuracy.notna() & (table.multiply_adds > 0)]
    if table.empty:
        return None
    dense, full = _dense(table, "setting"), table.multiply_adds[table.setting == "dense"]
    unit = full.iloc[0] / 100 if len(full) else 1e9
    table = table.assign(cost=table.multiply_adds / unit)
    sized = table.groupby("setting").cost.agg(lambda x: x.max() / x.min() > 1.01)
    names = [n for n in table.setting.unique() if n not in ("division", "dense") and n not in IN_EVERY_PANEL]
    lines, points = [n for n in names if sized[n]], [n for n in names if not sized[n]]
    lead = [n for n in IN_EVERY_PANEL if n in table.setting.to_numpy()]
    groups = _by_group(lines)
    cheap = groups.pop("without a student", [])
    groups = groups or {"": []}
    height = max(1.9, 5.4 / len(groups))
    shape = {"figsize": (WIDTH, height * len(groups) + 0.5), "squeeze": False}
    figure, axes = plt.subplots(len(groups), 1, sharex=True, sharey=True, **shape)
    axes, ends = axes[:, 0], []
    front, divided = table[table.pareto].sort_values("cost"), table[table.setting == "division"]
    for axis, (title, own) in zip(axes, groups.items(), strict=True):
        named = set(own) | set(lead) | (set(cheap) if axis is axes[0] else set())  # the others have their name above
        end = _draw_lines(axis, table, [*cheap, *own, *lead], "cost", dense, "setting")
        end = [one for one, name in zip(end, [*cheap, *own, *lead], strict=True) if name in named]
        for name in points:
            rows = table[table.setting == name]
            axis.plot(rows.cost, 100 * rows.accuracy, **_style(name) | {"ls": "none"}, gid=name)
            if axis is axes[0]:
                end.append(_end(rows.cost.iloc[0], 100 * rows.accuracy.min(), name))
        if len(divided):
            style = {"mfc": "none", "c": _look("condi_sr")[0]}
            axis.plot(divided.cost, 100 * divided.accuracy, "o", ms=4, alpha=0.7, gid="division", **style)
        ringed = front[front.setting.isin([*cheap, *own, *lead, *points, "division"])]
        axis.plot(ringed.cost, 100 * ringed.accuracy, "o", ms=10, mfc="none", c="black", mew=0.9, gid="front")
        axis.set_title(title)
        ends.append((axis, end))
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    ticks = [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if low <= t <= high]
    if len(full) and len(ticks) > 1:
        axis.set_xticks(ticks, [f"{t} %" for t in ticks])
        axis.minorticks_off()
    _leave_out_below(axes[0], table, cheap)
    if len(divided):
        first = divided[divided.cost == divided.cost.min()]
        place = {"xytext": (-4, 9), "textcoords": "offset points", "size": SMALL, "c": _look("condi_sr")[0]}
        axes[0].annotate("ConDi-SR, divided", (first.cost.iloc[0], 100 * first.accuracy.max()), gid="name", **place)
    figure.supylabel("video accuracy (%)", size=10)
    of = f" (100 %: dense's {_billions(full.iloc[0])})" if len(full) else " (billions)"
    axis.set_xlabel(f"multiply-adds per video{of};  ringed: nothing is cheaper and as accurate")
    for axis, end in ends:
        _name_lines(axis, end + _line_of_dense(axis, dense))
    return figure


def _leave_out_below(axis, table, cheap):
    """Starts the axis at the lowest student, and says what lies below it: random would need half of the room."""
    axis.set_ylim(100 * table.accuracy[~table.setting.isin([*cheap, "oracle"])].min() - 0.8, axis.get_ylim()[1])
    _at_least(axis, "y", 4)
    lowest = table.loc[[table.accuracy[table.setting == name].idxmin() for name in cheap]]
    lowest = lowest[100 * lowest.accuracy < axis.get_ylim()[0]]
    notes = [f"{label(row.setting)} {100 * row.accuracy:.1f} (K = {row.k})" for row in lowest.itertuples()]
    if notes:
        text = "below: " + ", ".join(notes)
        box = {"fc": "white", "ec": "none", "pad": 1}
        axis.text(0.8, 0.03, text, ha="right", transform=axis.transAxes, size=SMALL - 0.5, c="0.4", bbox=box)


def _billions(n):
    return f"{n / 1e9:.3g} billion" if n >= 1e9 else f"{n / 1e6:.3g} million"


_STAGES = {"decode": ("0.82", ""), "student": (_look("condi_sr")[0], ""), "teacher": ("0.45", "///")}


def seconds_per_video(table):
    """Measured milliseconds per video by stage, and beside them the accuracy; a row a setting, dense first.

    table: setting, decode, student, teacher, total (seconds), accuracy with its interval, pareto (bool). None where
    nothing was measured.
    """
    table = table[table.total.notna()]
    if table.empty:
        return None
    table = table.assign(first=table.setting != "dense").sort_values(["first", "total"], ascending=[True, False])
    at = np.arange(len(table))
    shape = {"figsize": (WIDTH, 0.42 * len(table) + 1.3), "width_ratios": (1.7, 1)}
    figure, (bars, points) = plt.subplots(1, 2, sharey=True, **shape)
    left = np.zeros(len(table))
    for stage, (colour, hatch) in _STAGES.items():
        width = 1000 * table[stage].fillna(0).to_numpy()
        bars.barh(at, width, left=left, color=colour, hatch=hatch, edgecolor="white", label=stage)
        left += width
    for y, total in zip(at, 1000 * table.total, strict=True):
        bars.text(total, y, f" {total:.1f}", va="center", size=9)
    bars.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(-0.02, 1.0), borderaxespad=0.1)
    bars.set_yticks(at, [name.replace("K_s", "$K_s$") for name in table.setting], fontsize=9.5)
    bars.set(ylim=(len(at) - 0.5, -0.5), xlabel="measured time per video (ms)", xlim=(0, 1.13 * left.max()))
    x = 100 * table.accuracy
    points.errorbar(x, at, xerr=_errors(table, "accuracy"), fmt="o", color="0.35", ms=5)
    best = table.pareto.to_numpy(bool)
    points.plot(x[best], at[best], "o", ms=11, mfc="none", c="black", mew=0.9)
    if best.any():
        points.set_title("ringed: none is faster and as accurate", size=9, weight="normal")
    points.set_xlabel("video accuracy (%)")
    _at_least(points, "x", 2)
    for axis in (bars, points):
        axis.grid(False, axis="y")
    return figure
