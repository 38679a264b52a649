"""Figures of accuracy against the number of clips, differences, groups, division, ablations."""

import matplotlib.pyplot as plt
import numpy as np

from condi_lib.figures.style import _BLIND, _MARKERS, _axes, _point_ranges, _style, label
from condi_lib.sampler import SAMPLERS


def _lines(axis, table, x, band=True):
    for name, rows in table.groupby("sampler", sort=False):
        style = _style(name)
        axis.plot(rows[x], 100 * rows.accuracy, **style, ms=5, lw=1.6, label=label(name))
        if band:
            low, high = 100 * rows.accuracy_low, 100 * rows.accuracy_high
            axis.fill_between(rows[x], low, high, color=style["color"], alpha=0.08, lw=0)


_PANELS = {
    "reference": "without a student",
    "thesis": "the thesis' four losses",
    "published": "published samplers",
    "beyond": "beyond the thesis",
}


def accuracy_vs_k(table):
    """Video accuracy against K with 95 % bands, a panel a group of samplers, ConDi-SR and dense in each.

    table: evaluation.accuracy_table of all samplers.
    """
    shown = [g for g in _PANELS if any(SAMPLERS[n].group == g for n in table.sampler.unique())]
    figure, axes = plt.subplots(1, len(shown), figsize=(4.1 * len(shown), 5.2), sharex=True, squeeze=False)
    dense = 100 * table.accuracy[table.sampler == "dense"].iloc[0]
    for axis, group in zip(axes[0], shown, strict=True):
        own = [n for n in table.sampler.unique() if SAMPLERS[n].group == group and n != "dense"]
        _lines(axis, table[table.sampler.isin([*own, "condi_sr"])], "k")
        axis.axhline(dense, c="black", lw=1, label="dense")
        axis.set(title=_PANELS[group], xlabel="clips kept, K", xticks=sorted(set(table.k)))
        axis.tick_params(axis="x", labelsize="small")
        if group != "reference":
            axis.set_ylim(dense - 13, dense + 7)
        axis.legend(frameon=False, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
    axes[0, 0].set_ylabel("video accuracy (%)")
    return figure


def comparisons(table):
    """The paired differences that a reader looks for first, as text: a row a sampler, dense and ConDi-SR apart."""

    def cell(row):
        star = "*" if row.p_holm < 0.05 else ""
        return f"{100 * row.difference:+.1f} [{100 * row.low:+.1f}, {100 * row.high:+.1f}]{star}"

    text = table.apply(cell, axis=1)
    wide = table.assign(text=text, column="minus " + table.reference.map(label) + ", K = " + table.k.astype(str))
    order = list(wide.column.unique())
    wide = wide.pivot(index="sampler", columns="column", values="text").loc[table.sampler.unique(), order]
    counts = {"seeds": table.n_seeds.iloc[0], "videos": table.n_videos.iloc[0]}
    return wide.rename(index=label).fillna("").reset_index().rename_axis(columns=None).assign(**counts)


def gains_by_group(table, k=5):
    """Gain over dense at one K by length of the video and by what was planted. table: evaluation.by_group."""
    table = table[(table.k == k) & (table.grouping != "class")]
    groupings = list(table.grouping.unique())
    figure, axes = _axes(4.2 * len(groupings), 3.9, columns=len(groupings), sharey=True, squeeze=False)
    names = [n for n in table.sampler.unique() if SAMPLERS[n].group == "thesis"]
    for axis, grouping in zip(axes[0], groupings, strict=True):
        rows = table[table.grouping == grouping]
        groups = list(rows.group.unique())
        for i, name in enumerate(names):
            own = rows[rows.sampler == name].set_index("group").loc[groups]
            style = _style(name) | {"ls": "none"}
            _point_ranges(axis, own, "gain", np.arange(len(groups)) + 0.14 * (i - 1.5), **style, label=label(name))
        n = rows.drop_duplicates("group").set_index("group").n_videos
        axis.axhline(0, c="black", lw=1)
        axis.set_xticks(range(len(groups)), [f"{g}\n({n[g]} videos)" for g in groups], fontsize="small")
        axis.set(title=f"by {grouping}")
    axes[0, 0].set_ylabel(f"gain over dense at K = {k} (points)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=4)
    return figure


def class_gains(table, k=5):
    """ConDi-SR's gain over dense at one K in each class, sorted. table: evaluation.by_group with grouping "class"."""
    rows = table[(table.k == k) & (table.grouping == "class") & (table.sampler == "condi_sr")].sort_values("gain")
    figure, axis = _axes(6.4, max(3.0, 0.32 * len(rows)))
    gain = 100 * rows.gain.to_numpy()
    error = np.abs(100 * rows[["gain_low", "gain_high"]].to_numpy().T - gain)
    axis.barh(rows.group, gain, xerr=error, capsize=2, color=[_BLIND[0] if g >= 0 else _BLIND[3] for g in gain])
    axis.axvline(0, c="black", lw=1)
    axis.set(xlabel=f"ConDi-SR's gain over dense at K = {k} (points)")
    return figure


def helped_and_hurt(table, k=5):
    """Shares of videos that only ConDi-SR, or only dense, gets right at one K, by group. table: evaluation.by_group."""
    rows = table[(table.k == k) & (table.grouping != "class") & (table.sampler == "condi_sr")]
    figure, axis = _axes(9.5, 4.2)
    at = np.arange(len(rows))
    for i, (column, text) in enumerate((("helped", "helped: only ConDi-SR right"), ("hurt", "hurt: only dense right"))):
        height = 100 * rows[column].to_numpy()
        error = np.abs(100 * rows[[f"{column}_low", f"{column}_high"]].to_numpy().T - height)
        axis.bar(at + 0.38 * (i - 0.5), height, 0.38, yerr=error, capsize=2, color=_BLIND[3 * i], label=text)
    names = [f"{r.group}\n{r.grouping}\n({r.n_videos})".replace(" frames", "\nframes") for r in rows.itertuples()]
    axis.set_xticks(at, names, fontsize="small")
    axis.set(ylabel=f"videos at K = {k} (%)")
    axis.legend(frameon=False)
    return figure


def division(table, ks=(3, 5, 10)):
    """Accuracy against K_s (clips that the student classifies), a line a K. table: evaluation.division, and dense."""
    figure, axis = _axes()
    for i, (k, rows) in enumerate(table[table.k.isin(ks)].groupby("k")):
        style = {"color": _BLIND[i], "marker": _MARKERS[i]}
        axis.plot(rows.k_student, 100 * rows.accuracy, **style, label=f"K = {k}")
        low, high = 100 * rows.accuracy_low, 100 * rows.accuracy_high
        axis.fill_between(rows.k_student, low, high, color=style["color"], alpha=0.12, lw=0)
    axis.axhline(100 * (table.accuracy - table.gain).iloc[0], c="black", lw=1, label="dense")
    axis.set(xlabel="clips classified by the student, $K_s$", ylabel="video accuracy (%)")
    axis.legend(frameon=False)
    return figure


def ablations(table):
    """Difference of each variant to ConDi-SR as in the study, in points, at each K. table: as notebook 12 writes it."""
    ks, names = sorted(table.k.unique()), list(table.sampler.unique())
    if not ks:
        figure, axis = _axes(4, 1)
        axis.set_axis_off()
        axis.text(0.5, 0.5, "no variant was trained", ha="center", va="center")
        return figure
    shape = {"width": 2.7 * len(ks), "height": 0.34 * len(names) + 1.4, "columns": len(ks)}
    figure, axes = _axes(**shape, sharex=True, sharey=True, squeeze=False)
    for axis, k in zip(axes[0], ks, strict=True):
        rows = table[table.k == k].set_index("sampler").loc[names]
        x = 100 * rows.difference.to_numpy()
        error = np.abs(100 * rows[["low", "high"]].to_numpy().T - x)
        axis.errorbar(x, range(len(names)), xerr=error, fmt="o", ms=5, capsize=2, color=_BLIND[0])
        axis.axvline(0, c="black", lw=1)
        axis.set(title=f"K = {k}", xlabel="points")
    axes[0, 0].set_yticks(range(len(names)), [name.replace("_", " ") for name in names], fontsize="small")
    axes[0, 0].invert_yaxis()
    return figure
