"""The prediction of a video as a whole: is it as sure as it is right, and what does stopping when sure bring?"""

import matplotlib.pyplot as plt
import pandas as pd

from condi_lib.figures.style import WIDTH, _at_least, _end, _name_lines, _style, label
from condi_lib.figures.tables import shown

CURVES = (
    ("reliability", "mean largest probability", "videos right"),
    ("risk_coverage", "videos answered", "of them wrong"),
)


def sure_videos(curves, accuracy):
    """Whether predictions are as sure as right, and accuracy as context stops by itself, against a K for all videos.

    curves: evaluation.risk_of_videos; accuracy: evaluation.accuracy_table with dense, context and context_adaptive.
    """
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 3.4), width_ratios=(1, 1, 1.2))
    names = list(dict.fromkeys(curves["sampler"]))
    for axis, (curve, x, y) in zip(axes, CURVES, strict=False):
        for name in names:
            rows = curves[(curves["sampler"] == name) & (curves.curve == curve)]
            rows = rows[(rows.x >= 0.05) | (curve == "reliability")]  # the share wrong of a few videos is noise
            style = _style(name) | ({} if curve == "reliability" else {"marker": None})
            axis.plot(100 * rows.x, 100 * rows.y, label=label(name), gid=name, **style)
        axis.set(xlabel=f"{x} (%)", ylabel=f"{y} (%)", xlim=(0, 100))
    axes[0].plot([0, 100], [0, 100], c="0.5", lw=1, ls=":")
    axes[0].set(ylim=(0, 100))
    ends = []
    for name in ("context", "context_adaptive"):
        rows = accuracy[accuracy["sampler"] == name].sort_values("n_clips")
        axes[2].plot(rows.n_clips, 100 * rows.accuracy, gid=name, **_style(name))
        text = "K for all" if name == "context" else "until sure"
        ends.append(_end(rows.n_clips.iloc[-1], 100 * rows.accuracy.iloc[-1], name, text))
    dense = 100 * accuracy[accuracy["sampler"] == "dense"].accuracy.iloc[0]
    axes[2].axhline(dense, c="0.4", lw=1.2)
    ends.append((axes[2].get_xlim()[1], dense, "dense", "0.25", "0.4", ""))
    axes[2].set(xlabel="clips for the teacher, mean", ylabel="video accuracy (%)")
    _at_least(axes[2], "y", 4)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(names), frameon=False)
    _name_lines(axes[2], ends)
    return figure


def video_calibration(table, ks=(1, 5)):
    """ECE and AURC of videos' predictions as text, a row a sampler. table: evaluation.video_calibration."""
    rows = []
    for name, part in table.groupby("sampler", sort=False):
        at, row = part.set_index("k"), {"sampler": label(name)}
        for measure in ("ece", "aurc"):
            for k in ks:
                row[f"{measure.upper()}, K = {k}"] = shown(*at.loc[k, [measure, f"{measure}_low", f"{measure}_high"]])
        rows.append(row | {"seeds": part.n_seeds.iloc[0], "videos": part.n_videos.iloc[0]})
    return pd.DataFrame(rows)


def division_grid(table):
    """Accuracy (%) of divided inference as text: a row a K, a column a K_s. table: evaluation.division_table."""
    cells = [shown(100 * x, digits=1) for x in table.accuracy]
    wide = table.assign(text=cells).pivot(index="k", columns="k_student", values="text").fillna("")
    wide = wide[sorted(wide)].rename(columns=lambda k_student: f"K_s = {k_student}")
    return wide.reset_index().rename(columns={"k": "K"}).rename_axis(columns=None)
