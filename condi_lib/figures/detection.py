"""Figures of samplers as detectors of the teacher's errors."""

import matplotlib.pyplot as plt
import numpy as np

from condi_lib.figures.style import (
    HIGHLIGHTED,
    IN_EVERY_PANEL,
    ORANGE,
    WIDTH,
    _at_least,
    _axes,
    _by_group,
    _grid_of_axes,
    _name_rows,
    _style,
    label,
)
from condi_lib.figures.tables import shown


def _measures(detection, measure):
    """{sampler: (mean, low, high)} of one measure, those that are missing left out."""
    rows = detection[(detection.measure == measure) & detection["mean"].notna()]
    return dict(zip(rows.sampler, rows[["mean", "low", "high"]].to_numpy().tolist(), strict=True))


def _curves(table, curve, detection, measure, name, xlabel, ylabel, lower_is_better=False):
    """Curves of all detectors, a panel a group, ConDi-SR and the teacher in each; under them the area, best first, as
    their key. Returns the figure (None where there is no curve) and the panels."""
    table = table[(table.curve == curve) & table.y.notna()]
    if table.empty:
        return None, ()
    means = _measures(detection, measure)
    always = [n for n in ("teacher_max", *IN_EVERY_PANEL) if (table.sampler == n).any()]
    groups = _by_group([n for n in table.sampler.unique() if n not in always]) or {"": []}
    names = sorted(table.sampler.unique(), key=lambda n: means.get(n, (np.inf,))[0] * (1 if lower_is_better else -1))
    columns = min(3, max(2, len(groups)))
    lines = -(-len(groups) // columns)
    below = 0.21 * len(names) + 0.3
    heights = [*[2.75] * lines, below]
    figure = plt.figure(figsize=(WIDTH, sum(heights) + 0.6))
    grid = figure.add_gridspec(lines + 1, columns, height_ratios=heights)
    axes = []
    for i, (title, own) in enumerate(groups.items()):
        shared = {"sharex": axes[0], "sharey": axes[0]} if axes else {}
        axes.append(figure.add_subplot(grid[i // columns, i % columns], title=title, **shared))
        for at, one in enumerate([*own, *always]):
            rows = table[table.sampler == one]
            every = max(1, len(rows) // 6)
            marks = {"markevery": (min(2 + 3 * at, every), every) if len(rows) > 12 else None}
            axes[-1].plot(rows.x, rows.y, **_style(one) | marks, gid=one)
        axes[-1].set(xlim=(0, 1), xlabel=xlabel)
        axes[-1].tick_params(labelleft=i % columns == 0)
    axes[0].set_ylabel(ylabel)
    areas = figure.add_subplot(grid[-1, :])
    for i, one in enumerate(names):
        if one in means:
            _with_ends(areas, i, *means[one], **_style(one) | {"ls": "none"})
    _name_rows(areas, names)
    _at_least(areas, "x", 0.1)
    areas.set_xlabel(name)
    return figure, axes


def _with_ends(axis, at, mean, low, high, **style):
    ends = np.nan_to_num([[mean - low], [high - mean]]).clip(0)
    axis.errorbar(mean, at, xerr=ends, elinewidth=1.6, **style)


def roc(table, detection):
    """ROC of each sampler as a detector of "the teacher will be right". table: evaluation.detection_curves; detection:
    evaluation.detection. None where there is no curve."""
    labels = "area under the curve (AUROC)", "wrong clips called confident", "right clips called confident"
    figure, axes = _curves(table, "roc", detection, "auroc", *labels)
    for axis in axes:
        axis.plot([0, 1], [0, 1], c="0.5", lw=1, ls=":")
        axis.set(aspect="equal", ylim=(0, 1), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    return figure


def precision_recall(table, detection):
    """Precision against recall of each detector. Tables and None as for roc."""
    labels = "average precision", "share of the right clips found", "share right among those taken"
    figure, axes = _curves(table, "precision_recall", detection, "auprc", *labels)
    return _from_where_it_is_stable(figure, axes)


def risk_coverage(table, detection):
    """The teacher's error on the clips taken, against the share taken. Tables and None as for roc."""
    labels = "area (lower is better)", "share of clips taken, best first", "share wrong among those taken"
    figure, axes = _curves(table, "risk_coverage", detection, "aurc", *labels, lower_is_better=True)
    return _from_where_it_is_stable(figure, axes)


def _from_where_it_is_stable(figure, axes):
    """Fits the y axis to all but the first few clips, of which shares jump between 0 and 1."""
    lines = [line for axis in axes for line in axis.lines]
    inside = [line.get_ydata()[np.asarray(line.get_xdata()) >= 0.03] for line in lines]
    inside = np.concatenate([np.asarray(y, float) for y in inside]) if inside else np.array([])
    if len(inside):
        axes[0].set_ylim(inside.min() - 0.02, inside.max() + 0.02)
        _at_least(axes[0], "y", 0.1)
    return figure


def reliability(table, detection):
    """How often the teacher is right where a sampler says so with this confidence, in 15 bins; a panel a sampler.

    Open marks as trained, filled ones after temperature scaling on the validation split; on the diagonal confidence is
    what it says. table: evaluation.detection_curves; detection: evaluation.detection. None where no score is a
    probability.
    """
    table = table[table.curve.isin(("reliability", "reliability_scaled")) & table.y.notna() & table.x.notna()]
    names = list(table.sampler.unique())
    if not names:
        return None
    raw, scaled = _measures(detection, "ece"), _measures(detection, "ece_scaled")
    figure, axes = _grid_of_axes(len(names), height=2.75)
    for axis, name in zip(axes, names, strict=True):
        own, style = table[table.sampler == name], _style(name) | {"ls": "-"}
        before, after = (own[own.curve == curve] for curve in ("reliability", "reliability_scaled"))
        axis.fill_between([0, 1], [0, 1], [0, 0], color="0.5", alpha=0.08, lw=0)
        axis.plot([0, 1], [0, 1], c="0.5", lw=1)
        axis.plot(before.x, before.y, **style | {"mfc": "white", "ls": ":", "color": "0.5", "lw": 1.2})
        axis.plot(after.x, after.y, **style)
        axis.set_title(label(name), color=style["color"] if name in HIGHLIGHTED else "black")
        errors = [shown(raw[name][0]) if name in raw else "", shown(scaled[name][0]) if name in scaled else ""]
        text = "calibration error\n" + " → ".join(filter(None, errors))
        axis.text(0.03, 0.97, text, transform=axis.transAxes, va="top", size=9)
        axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    axes[0].text(0.97, 0.05, "too sure", transform=axes[0].transAxes, ha="right", size=9, c="0.35")
    figure.supxlabel(
        "confidence (mean of the bin);  open: as trained, filled: temperature-scaled on validation", size=10
    )
    figure.supylabel("share of clips on which the teacher is right", size=10)
    return figure


def error_rates(table):
    """Both kinds of error of each sampler: wrong clips called confident, right clips called not confident; a row each.

    Filled at the threshold chosen on the validation split, open at 0.5, where the score is a probability. table:
    evaluation.detection of all samplers. None where nothing was measured.
    """
    panels = {"fpr": "wrong clips called confident (FPR)", "fnr": "right clips called not confident (FNR)"}
    rates = {measure: _measures(table, measure) for measure in (*panels, *(f"{m}_at_half" for m in panels))}
    names = [n for n in table.sampler.unique() if any(n in found for found in rates.values())]
    if not names:
        return None
    names = [name for own in _by_group(names).values() for name in own]
    figure, axes = _axes(WIDTH, 0.25 * len(names) + 1.2, 2, sharex=True, sharey=True)
    for axis, (measure, title) in zip(axes, panels.items(), strict=True):
        for i, name in enumerate(names):
            style = _style(name) | {"ls": "none"}
            for found, fill in ((rates[f"{measure}_at_half"], "white"), (rates[measure], None)):
                if name in found:
                    _with_ends(axis, i, *(100 * x for x in found[name]), **style | {"mfc": fill or style["color"]})
        axis.set(title=title, xlim=(0, 100))
    _name_rows(axes[0], names)
    figure.supxlabel("% of those clips;  filled: at the threshold chosen on validation, open: at 0.5", size=10)
    return figure


_KINDS = {"cutaway": "cut-away", "freeze": "frozen", "mixed": "several kinds"}


def kind(name):
    """What a clip shows, as figures say it."""
    return _KINDS.get(name, name)


def confidence_by_kind(table):
    """Where clips of each kind stand in the samplers' rankings: what deceives the samplers, if anything does.

    On the left all kinds; on the right, closer and sampler by sampler, clean clips and the kind that stands highest of
    the others. table: evaluation.standing_by_kind of all samplers: sampler, kind, standing (0 to 1), low, high. None
    where it is empty.
    """
    table = table[table.standing.notna()]
    if table.empty:
        return None
    clean = "clean" if (table.kind == "clean").any() else table.kind.iloc[0]
    names = [name for own in _by_group(list(table.sampler.unique())).values() for name in own]
    means = table.groupby("kind").standing.mean().sort_values(ascending=False)
    kinds = [clean, *means.index.drop(clean)]
    other = kinds[min(1, len(kinds) - 1)]  # what may deceive
    shape = {"figsize": (WIDTH, 0.3 * max(len(kinds), len(names)) + 1.7), "width_ratios": (1, 1.15)}
    figure, (left, right) = plt.subplots(1, 2, **shape)
    for i, name in enumerate(names):
        own = table[table.sampler == name].drop_duplicates("kind").set_index("kind")
        style, first = _style(name) | {"ls": "none"}, name in (*HIGHLIGHTED, "teacher_max")
        at = np.arange(len(kinds)) + 0.4 * (i + 0.5 - len(names) / 2) / len(names)
        left.plot(own.standing.reindex(kinds), at, **style | ({} if first else {"alpha": 0.55, "zorder": 2}), gid=name)
        for which, fill in ((clean, {"mfc": "white"}), (other, {})):
            if which in own.index:
                _with_ends(right, i, *own.loc[which, ["standing", "low", "high"]], **style | fill)
    left.set_yticks(range(len(kinds)), [kind(k) for k in kinds], fontsize=9.5)
    left.set(ylim=(len(kinds) - 0.5, -0.5), xlim=(0, 1), title="all kinds, a mark a sampler")
    left.set_xticks((0, 0.25, 0.5, 0.75, 1), ("0\nlast", "", "0.5\nmiddle", "", "1\nfirst"))
    if other != clean:
        left.axhspan(kinds.index(other) - 0.5, kinds.index(other) + 0.5, color=ORANGE, alpha=0.12, lw=0, zorder=0)
        left.get_yticklabels()[kinds.index(other)].set(color=ORANGE, weight="bold")
        above = table[(table.kind == other) & (table.standing > 0.5)].sampler.nunique()
        text = f"{kind(other)} clips stand above the middle for {above} of {len(names)} samplers"
        figure.suptitle(text[0].upper() + text[1:], x=0.01, ha="left", size=11.5, weight="bold", color=ORANGE)
    _name_rows(right, names)
    right.set_title(f"closer: {kind(other)} (filled), {kind(clean)} (open)" if other != clean else kind(clean))
    edge = max(0.1, 1.05 * max(abs(x - 0.5) for x in right.get_xlim()))
    right.set_xlim(0.5 - edge, 0.5 + edge)
    right.xaxis.get_major_locator().set_params(nbins=4)
    for axis in (left, right):
        axis.axvline(0.5, c="black", lw=1, zorder=1)
        axis.grid(False, axis="y")
    figure.supxlabel("mean place of these clips in their video's ranking", size=10)
    return figure
