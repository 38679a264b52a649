"""Figures of what a video costs, and the summary table."""

import numpy as np
import pandas as pd

from condi_lib.figures.sampling import _PANELS, _lines
from condi_lib.figures.style import _BLIND, _axes, _with_interval, label
from condi_lib.sampler import SAMPLERS


def accuracy_vs_cost(table):
    """Accuracy against multiply-adds per video, a panel a group of samplers; points that none dominates are ringed.

    table: setting (sampler's name, or "division"), k, k_student, accuracy, multiply_adds, pareto (bool).
    """
    table = table.assign(sampler=table.setting, giga=table.multiply_adds / 1e9)
    groups = [g for g in _PANELS if g != "reference" and any(_group(n) == g for n in table.setting.unique())]
    shape = {"width": 4.6 * len(groups), "height": 5.2, "columns": len(groups)}
    figure, axes = _axes(**shape, sharex=True, sharey=True, squeeze=False)
    front = table[table.pareto].sort_values("giga")
    for axis, group in zip(axes[0], groups, strict=True):
        divided = table[table.setting == "division"]
        axis.scatter(divided.giga, 100 * divided.accuracy, s=9, color=_BLIND[0], alpha=0.35, label="ConDi-SR, divided")
        names = [n for n in table.setting.unique() if _group(n) == group or n in ("random", "equidistant", "condi_sr")]
        _lines(axis, table[table.setting.isin(names)], "giga", band=False)
        for name, marker in (("dense", "*"), ("teacher_max", "X")):
            rows = table[table.setting == name]
            size = 11 if name == "dense" else 6
            axis.plot(rows.giga, 100 * rows.accuracy, marker, ms=size, c="black", label=label(name))
        axis.step(front.giga, 100 * front.accuracy, where="post", c="black", lw=0.8, ls=":")
        axis.scatter(front.giga, 100 * front.accuracy, s=70, fc="none", ec="black", label="not dominated (by any)")
        axis.set(title=_PANELS[group], xlabel="multiply-adds per video (10$^9$)")
        axis.legend(frameon=False, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
    axes[0, 0].set_ylabel("video accuracy (%)")
    return figure


def _group(name):
    return SAMPLERS[name].group if name in SAMPLERS else ""


def seconds_per_video(table):
    """Measured seconds per video by stage, and accuracy against them. table: setting, decode, student, teacher, total
    (seconds), accuracy with its interval, pareto (bool)."""
    figure, (bars, points) = _axes(11, 4.2, columns=2)
    left = np.zeros(len(table))
    for stage in ("decode", "student", "teacher"):
        bars.barh(table.setting, 1000 * table[stage], left=left, label=stage)
        left += 1000 * table[stage]
    bars.invert_yaxis()
    bars.set(xlabel="measured time per video (ms)")
    bars.legend(frameon=False)
    x = 1000 * table.total
    error = np.abs(100 * table[["accuracy_low", "accuracy_high"]].to_numpy().T - 100 * table.accuracy.to_numpy())
    points.errorbar(x, 100 * table.accuracy, error, fmt="o", capsize=2)
    points.scatter(x[table.pareto], 100 * table.accuracy[table.pareto], s=90, facecolors="none", edgecolors="black")
    for i, row in enumerate(table.sort_values("total").itertuples()):
        at = (1000 * row.total, 100 * row.accuracy)
        points.annotate(row.setting, at, (5, (6, -12)[i % 2]), textcoords="offset points", size=8)
    points.set(xlabel="measured time per video, decoding included (ms)", ylabel="video accuracy (%)")
    return figure


def summary(accuracy, detection, ks=(1, 3, 5, 10)):
    """The summary table, as text: accuracy (%) at each K, headroom recovered at K = 5, and the detector's measures.

    accuracy, detection: evaluation's tables of all samplers.
    """
    rows = []
    for name, part in accuracy.groupby("sampler", sort=False):
        at = part.set_index("k")
        row = {"sampler": label(name)}
        for k in ks:
            low, high = at.accuracy_low[k], at.accuracy_high[k]
            row[f"K = {k}"] = f"{100 * at.accuracy[k]:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
        row["headroom, K = 5"] = f"{at.headroom[5]:+.2f}"
        found = detection[detection.sampler == name].set_index("measure")
        for measure, text in (("auroc", "AUROC"), ("auroc_within", "within videos"), ("fpr", "FPR"), ("fnr", "FNR")):
            row[text] = _with_interval(found.loc[measure]) if len(found) else ""
        rows.append({**row, "seeds": part.n_seeds.iloc[0], "videos": part.n_videos.iloc[0]})
    return pd.DataFrame(rows)
