"""Figures of samplers as detectors of the teacher's errors."""

import numpy as np

from condi_lib.figures.style import _BLIND, _axes, _style, _with_interval, label
from condi_lib.sampler import SAMPLERS


def detection_table(table):
    """Each detector's measures as text, mean [low, high]: a row a sampler."""
    wide = table.assign(text=table.apply(_with_interval, axis=1)).pivot(
        index="sampler", columns="measure", values="text"
    )
    counts = table.groupby("sampler")[["n_seeds", "n_videos"]].first()
    wide = wide[table.measure.unique()].join(counts.rename(columns={"n_seeds": "seeds", "n_videos": "videos"}))
    return wide.loc[table.sampler.unique()].rename(index=label).reset_index().rename_axis(columns=None)


def _curves(table, curve, detection, measure, title, **labels):
    """Curves of all detectors in two panels: the thesis' losses, and the others beside ConDi-SR."""
    means = detection[detection.measure == measure].set_index("sampler")["mean"]
    figure, axes = _axes(10, 4.6, columns=2, sharey=True)
    for axis, groups in zip(axes, (("thesis",), ("published", "beyond")), strict=True):
        for name, rows in table[table.curve == curve].groupby("sampler", sort=False):
            if SAMPLERS[name].group in groups or name in ("condi_sr", "teacher_max"):
                style = _style(name) | {"marker": None}
                axis.plot(rows.x, rows.y, **style, lw=1.6, label=f"{label(name)} ({means[name]:.3f})")
        axis.set(**labels, xlim=(0, 1))
        axis.label_outer()
        axis.legend(frameon=False, title=title, fontsize="small")
    return figure, axes


def roc(table, detection):
    """ROC of each sampler as a detector of "the teacher will be right". table: evaluation.detection_curves."""
    labels = {"xlabel": "false positive rate", "ylabel": "true positive rate"}
    figure, axes = _curves(table, "roc", detection, "auroc", "AUROC", **labels)
    for axis in axes:
        axis.plot([0, 1], [0, 1], c="grey", lw=1, ls=":")
    return figure


def precision_recall(table, detection):
    """Precision against recall of each detector. table: evaluation.detection_curves."""
    labels = {"xlabel": "recall of clips that the teacher gets right", "ylabel": "precision"}
    return _curves(table, "precision_recall", detection, "auprc", "average precision", **labels)[0]


def risk_coverage(table, detection):
    """The teacher's error on the clips taken, against the share taken. table: evaluation.detection_curves."""
    labels = {"xlabel": "coverage: share of clips taken, best scores first", "ylabel": "risk: share of them wrong"}
    return _curves(table, "risk_coverage", detection, "aurc", "area (lower is better)", **labels)[0]


def reliability(table, detection):
    """Share of right clips against mean confidence in 15 bins, before and after temperature scaling on val."""
    figure, axes = _axes(10, 4.6, columns=2, sharey=True)
    panels = {"reliability": ("ece", "as trained"), "reliability_scaled": ("ece_scaled", "temperature-scaled on val")}
    for axis, (curve, (measure, title)) in zip(axes, panels.items(), strict=True):
        means = detection[detection.measure == measure].set_index("sampler")["mean"]
        for name, rows in table[table.curve == curve].groupby("sampler", sort=False):
            axis.plot(rows.x, rows.y, **_style(name), ms=4, lw=1.4, label=f"{label(name)} ({means[name]:.3f})")
        axis.plot([0, 1], [0, 1], c="grey", lw=1, ls=":")
        axis.set(title=title, xlabel="mean confidence of the bin", ylabel="share of clips right", xlim=(0, 1))
        axis.label_outer()
        axis.legend(frameon=False, title="calibration error", fontsize="small", loc="lower right")
    return figure


def error_rates(table):
    """FPR and FNR of each sampler, at 0.5 where that means something and at the threshold chosen on val."""
    figure, axes = _axes(11, 4.2, columns=2, sharey=True)
    panels = {("fpr", "fnr"): "at the threshold chosen on val", ("fpr_at_half", "fnr_at_half"): "at 0.5"}
    for axis, (measures, title) in zip(axes, panels.items(), strict=True):
        wide = table[table.measure.isin(measures)].dropna(subset="mean")
        names = list(wide.sampler.unique())
        for i, measure in enumerate(measures):
            rows = wide[wide.measure == measure].set_index("sampler").loc[names]
            error = np.abs(rows[["low", "high"]].to_numpy().T - rows["mean"].to_numpy())
            places = np.arange(len(names)) + (i - 0.5) * 0.38
            axis.bar(
                places, rows["mean"], 0.38, yerr=error, capsize=2, color=_BLIND[3 * i], label=measures[i][:3].upper()
            )
        axis.set_xticks(range(len(names)), [label(n) for n in names], rotation=40, ha="right", fontsize="small")
        axis.set(title=title, ylim=(0, 1), ylabel="rate")
        axis.label_outer()
    axes[0].legend(frameon=False, loc="upper right")
    return figure


def confidence_by_kind(table):
    """Mean standing of a clip among its video's clips, by what was planted. table: sampler, kind, standing (0 to 1)."""
    figure, axis = _axes(9, 4.4)
    kinds = list(table.kind.unique())
    names = [n for n in table.sampler.unique() if SAMPLERS[n].group in ("reference", "thesis")]
    for i, name in enumerate(names):
        rows = table[table.sampler == name].set_index("kind").loc[kinds]
        error = np.abs(rows[["low", "high"]].to_numpy().T - rows.standing.to_numpy())
        at = np.arange(len(kinds)) + 0.8 * ((i + 0.5) / len(names) - 0.5)
        style = _style(name) | {"ls": "none", "marker": _style(name)["marker"] or "_"}
        axis.errorbar(at, rows.standing, error, **style, ms=5, capsize=2, label=label(name))
    axis.axhline(0.5, c="black", lw=1)
    axis.set_xticks(range(len(kinds)), kinds)
    axis.set(
        xlabel="what was planted in the clip", ylabel="mean standing in its video\n(1 = ranked first)", ylim=(0, 1)
    )
    axis.legend(frameon=False, ncols=5, fontsize="small", loc="upper center")
    return figure
