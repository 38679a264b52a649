"""One function a figure: table in, matplotlib Figure out. One style and one palette, safe for colour-blind readers."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from condi_lib.sampler import SAMPLERS

sns.set_theme(style="whitegrid", context="notebook", palette="colorblind")
plt.rcParams.update({"svg.hashsalt": "condi", "axes.titlesize": "medium", "figure.constrained_layout.use": True})

_BLIND = sns.color_palette("colorblind", 10)
_MARKERS = "osD^vP<>X*"
GREY = (0.45, 0.45, 0.45)


def label(name):
    """A sampler's name as figures and tables show it; anything else as it is."""
    return SAMPLERS[name].label if name in SAMPLERS else name


def _style(name):
    """Colour, marker and dashes of a sampler: by its place in its group, grey for what needs no student."""
    if name == "condi_sr":
        return {"color": _BLIND[0], "marker": "o", "ls": "-"}
    if SAMPLERS[name].passes == 0:
        dashes = {"random": ":", "equidistant": "--", "teacher_max": "-.", "oracle": (0, (5, 1, 1, 1, 1, 1))}
        return {"color": GREY, "marker": None, "ls": dashes.get(name, "-")}
    group = [n for n in SAMPLERS if SAMPLERS[n].group == SAMPLERS[name].group and n != "condi_sr"]
    place = 1 + group.index(name) % 9
    return {"color": _BLIND[place], "marker": _MARKERS[place], "ls": "-"}


# Table 1.2 of the thesis: Kinetics-600 validation, 3D ResNeXt-101, 18 clips; k: oracle accuracy
THESIS_DENSE, THESIS_ORACLE = 0.683, {1: 0.8127, 5: 0.7664, 10: 0.713, 15: 0.691}

# Table 1.1 of the thesis: data set, objective, trimmed, source, classes, videos
THESIS_DATASETS = [
    ("UCF-101", "fine-tuning", "yes", "YouTube", 101, 13_320),
    ("HMDB-51", "fine-tuning", "yes", "movies", 51, 7_000),
    ("ActivityNet", "fine-tuning", "no", "YouTube", 200, 19_994),
    ("Kinetics", "pre-training", "yes, or not by processing", "YouTube", 700, 650_000),
    ("Moments in Time", "pre-training", "yes", "YouTube", 339, 903_964),
]


def _axes(width=6.4, height=4.0, columns=1, **options):
    return plt.subplots(1, columns, figsize=(width, height), **options)


def frames_grid(rows, n=8):
    """Frames of several videos, a row each. rows: [(title, uint8 [T, H, W, 3]), ...]; n frames at equal steps."""
    figure, axes = plt.subplots(len(rows), n, figsize=(n * 0.8, len(rows) * 0.85), squeeze=False)
    for line, (title, frames) in zip(axes, rows, strict=True):
        for axis, i in zip(line, np.linspace(0, len(frames) - 1, n).astype(int), strict=True):
            axis.imshow(frames[i])
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(title, rotation=0, ha="right", va="center", fontsize="small")
    return figure


def video_lengths(videos, frames):
    """Histogram of video lengths in clips, by split. videos: the video table; frames: frames of a clip."""
    figure, axis = _axes()
    n_clips = videos.assign(clips=np.ceil(videos.n_frames / frames).astype(int))
    sns.histplot(n_clips, x="clips", hue="split", multiple="stack", discrete=True, ax=axis)
    axis.set(xlabel="length of a video (clips)", ylabel="videos")
    return figure


def training_curves(history, by=None):
    """Loss and clip accuracy against epoch. history: epoch, loss, accuracy, and the column `by` (a line each)."""
    figure, axes = _axes(9, 3.6, columns=2)
    for axis, column, label in zip(
        axes, ("loss", "accuracy"), ("loss (nats)", "accuracy on the training clips"), strict=True
    ):
        sns.lineplot(history, x="epoch", y=column, hue=by, marker="o", ax=axis)
        axis.set(xlabel="epoch", ylabel=label)
    return figure


def teacher_training(history):
    """training_curves of the teacher and of the student's start. history: as there, and network."""
    return training_curves(history, by="network")


def confidence_histograms(table, by="loss"):
    """Histograms of a score in [0, 1] for clips on which the teacher is right and wrong, a panel for each `by`.

    table: `by`, low, high (bin edges), right, wrong (shares of the clips of each kind).
    """
    groups = list(table.groupby(by, sort=False))
    columns = min(4, len(groups))
    lines = -(-len(groups) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(3 * columns, 2.9 * lines), sharex=True, sharey=True, squeeze=False
    )
    for axis in axes.flat[len(groups) :]:
        axis.set_axis_off()
    for axis, (name, rows) in zip(axes.flat, groups, strict=False):
        width = rows.high - rows.low
        axis.bar(rows.low, rows.right, width, align="edge", alpha=0.65, label="teacher right")
        axis.bar(rows.low, rows.wrong, width, align="edge", alpha=0.65, label="teacher wrong")
        axis.set(title=label(name), xlabel="score", ylabel="share of clips", xlim=(0, 1))
        axis.label_outer()
    axes[0, 0].legend(frameon=False)
    return figure


def label_shares(table):
    """Share of clips on which the teacher is wrong. table: group, name, wrong (share), n_clips."""
    groups = list(table.groupby("group", sort=False))
    figure, axes = _axes(9, 3.6, columns=len(groups), sharey=True, squeeze=False)
    for axis, (group, rows) in zip(axes[0], groups, strict=True):
        axis.bar(rows.name, rows.wrong)
        axis.set(title=f"by {group}", ylim=(0, 1))
        axis.tick_params(axis="x", rotation=40)
    axes[0, 0].set_ylabel("share of clips with z = 0")
    return figure


def oracle_vs_dense(table):
    """The oracle's accuracy against K, and dense, ours and the thesis'. table: k, accuracy (and interval), dense."""
    figure, axis = _axes()
    axis.plot(table.k, 100 * table.accuracy, "o-", label="oracle, this data")
    axis.fill_between(table.k, 100 * table.accuracy_low, 100 * table.accuracy_high, alpha=0.2)
    axis.axhline(100 * table.dense.iloc[0], ls="--", label="dense, this data")
    thesis_k = list(THESIS_ORACLE)
    axis.plot(thesis_k, [100 * THESIS_ORACLE[k] for k in thesis_k], "s", c="C1", label="oracle, thesis (Kinetics-600)")
    axis.axhline(100 * THESIS_DENSE, ls=":", c="C1", label="dense, thesis (Kinetics-600)")
    axis.set(xlabel="clips kept, K", ylabel="video accuracy (%)", xticks=table.k)
    axis.legend(frameon=False)
    return figure


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


def _point_ranges(axis, rows, value, place, **style):
    """Points in percent with their intervals, at places on the x axis."""
    y = 100 * rows[value].to_numpy()
    error = np.abs(100 * rows[[f"{value}_low", f"{value}_high"]].to_numpy().T - y)
    axis.errorbar(place, y, error, lw=0, elinewidth=1.4, capsize=2, ms=5, **style)


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


def _with_interval(row):
    return "" if np.isnan(row["mean"]) else f"{row['mean']:.3f} [{row.low:.3f}, {row.high:.3f}]"


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
    """ROC of each sampler as a detector of "the teacher will be right". table: detector.detection_curves."""
    labels = {"xlabel": "false positive rate", "ylabel": "true positive rate"}
    figure, axes = _curves(table, "roc", detection, "auroc", "AUROC", **labels)
    for axis in axes:
        axis.plot([0, 1], [0, 1], c="grey", lw=1, ls=":")
    return figure


def precision_recall(table, detection):
    """Precision against recall of each detector. table: detector.detection_curves."""
    labels = {"xlabel": "recall of clips that the teacher gets right", "ylabel": "precision"}
    return _curves(table, "precision_recall", detection, "auprc", "average precision", **labels)[0]


def risk_coverage(table, detection):
    """The teacher's error on the clips taken, against the share taken. table: detector.detection_curves."""
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


def _strip(axis, images, texts=()):
    """A frame of each clip along the time axis; texts above them. images: uint8 [N, H, W, 3]."""
    for i, image in enumerate(images):
        axis.imshow(image, extent=(i - 0.46, i + 0.46, 0, 0.92))
    for i, text in enumerate(texts):
        axis.text(i, 1.05, text, ha="left", va="bottom", rotation=40, fontsize="x-small")
    axis.set(xlim=(-0.5, max(1, len(images)) - 0.5), ylim=(0, 0.92), aspect="auto", yticks=[])
    axis.grid(False)


def _teacher_bars(axis, table):
    """The teacher's probability of the true class (coloured by right and wrong) and its largest, clip by clip."""
    axis.bar(table["clip"], table.teacher_true, color=[_BLIND[0] if z else _BLIND[3] for z in table.correct])
    axis.plot(table["clip"], table.teacher_max, "k_", ms=12, label="teacher's largest probability")
    axis.bar(0, 0, color=_BLIND[0], label="of the true class, teacher right")
    axis.bar(0, 0, color=_BLIND[3], label="of the true class, teacher wrong")
    axis.set(ylabel="probability", ylim=(0, 1.02))
    axis.legend(frameon=False, fontsize="x-small", ncols=3, loc="lower right", bbox_to_anchor=(1, 1))


def _grid_of(axis, values, names, **options):
    """Rows of cells, one a clip. values: float [rows, N]; names: of the rows."""
    n = values.shape[1]
    shown = axis.imshow(values, aspect="auto", vmin=0, vmax=1, extent=(-0.5, n - 0.5, len(names), 0), **options)
    axis.set_yticks(np.arange(len(names)) + 0.5, names, fontsize="small")
    axis.set(xlabel="clip", xticks=range(n))
    axis.grid(False)
    return shown


def example_video(table):
    """One video's clips along time: a frame each, the teacher's probabilities, and each sampler's standing of them.

    table: clip, image (uint8 [size * size * 3]), kind ("" where unknown), teacher_true and teacher_max (probability of
    the true class, the largest one), correct, and a column standing_<sampler> (0 to 1, 1 ranked first).
    """
    names = [c.removeprefix("standing_") for c in table if c.startswith("standing_")]
    size = int((len(table.image.iloc[0]) / 3) ** 0.5)
    figure, (strip, probs, heat) = plt.subplots(
        3, 1, figsize=(max(7, 0.62 * len(table)), 5.6), height_ratios=(1.3, 2, 0.42 * len(names)), sharex=True
    )
    _strip(strip, [np.asarray(image, np.uint8).reshape(size, size, 3) for image in table.image], table.kind)
    _teacher_bars(probs, table)
    values = table[[f"standing_{name}" for name in names]].to_numpy().T
    shown = _grid_of(heat, values, [label(n) for n in names], cmap="cividis")
    figure.colorbar(shown, ax=heat, label="standing\n(1 = first)", pad=0.01)
    return figure


def video_view(table, chosen=None):
    """One video's clips along time: a frame each, the teacher's probabilities, the sampler's confidence, who is chosen.

    table: clip, confidence and, where known, image (uint8 [H, W, 3]), teacher_true, teacher_max, correct;
    chosen: {name: bool [N]}.
    """
    known = "teacher_true" in table
    heights = [1.3, *[2] * known, 1.2, *[0.3 * len(chosen or ())] * bool(chosen)]
    shape = {"figsize": (max(7, 0.62 * len(table)), 1.1 * sum(heights)), "height_ratios": heights}
    figure, axes = plt.subplots(len(heights), 1, **shape, sharex=True)
    _strip(axes[0], table.image if "image" in table else [])
    if known:
        _teacher_bars(axes[1], table)
    line = axes[1 + known]
    line.plot(table["clip"], table.confidence, "o-", c=_BLIND[2])
    line.set(ylabel="score", xlabel="clip", xticks=range(len(table)), xlim=(-0.5, len(table) - 0.5))
    if chosen:
        _grid_of(axes[-1], np.stack(list(chosen.values())).astype(float), list(chosen), cmap="Blues")
    return figure


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


def _box(axis, x, y, text, width=1.7, height=0.9, colour=0):
    corner, style = (x - width / 2, y - height / 2), {"fc": (*_BLIND[colour], 0.18), "ec": _BLIND[colour]}
    axis.add_patch(FancyBboxPatch(corner, width, height, "round,pad=0.05", **style))
    axis.text(x, y, text, ha="center", va="center", fontsize="small")


def _arrow(axis, start, end, text="", **options):
    axis.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=12, color="0.25", **options))
    if text:
        axis.text((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 0.12, text, ha="center", fontsize="x-small")


def _canvas(width, height):
    figure, axis = _axes(width, height)
    axis.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    axis.set_axis_off()
    return figure, axis


def framework():
    """The training of the student (Figure 3.1 of the thesis)."""
    figure, axis = _canvas(10, 4.4)
    _box(axis, 1, 2.2, "clip $V_i$\nF frames", 1.4)
    _box(axis, 3.4, 3.5, "teacher $\\gamma$\n(frozen)", colour=1)
    _box(axis, 3.4, 0.9, "student $\\phi$\nshared trunk", colour=2)
    _box(axis, 6.1, 3.5, "soft targets $\\tilde{p}_t$,\nright or wrong $z$", 2.1, colour=1)
    _box(axis, 6.1, 1.7, "classes $\\tilde{p}_s$", 1.7, 0.7, colour=2)
    _box(axis, 6.1, 0.5, "confidence $\\tilde{z}$", 1.7, 0.7, colour=2)
    _box(axis, 8.8, 2.6, "$\\tau^2$ KL($\\hat{p}\\,||\\,\\tilde{p}_s$)", 1.9, 0.8, colour=4)
    _box(axis, 8.8, 0.9, "$\\lambda$ BCE($\\tilde{z}, z$)", 1.9, 0.8, colour=4)
    for start, end in [
        ((1.75, 2.45), (2.5, 3.3)),
        ((1.75, 1.95), (2.5, 1.1)),
        ((4.3, 3.5), (5.0, 3.5)),
        ((4.3, 1.05), (5.2, 1.6)),
        ((4.3, 0.8), (5.2, 0.55)),
        ((7.2, 3.35), (7.85, 2.85)),
        ((7.0, 1.8), (7.85, 2.4)),
        ((7.0, 0.55), (7.85, 0.8)),
    ]:
        _arrow(axis, start, end)
    _arrow(axis, (7.2, 3.2), (8.5, 1.35), connectionstyle="arc3,rad=0.1")
    _arrow(axis, (7.0, 0.7), (7.85, 2.3), ls="--")
    axis.text(
        8.8, 3.25, "$\\hat{p}$: $\\tilde{p}_t$ flattened by $\\tilde{z}$ (Eq. 3.5)", ha="center", fontsize="x-small"
    )
    return figure


def inference():
    """Classifying a video by its best clips, with division (Figure 3.2 of the thesis)."""
    figure, axis = _canvas(10, 3.8)
    for i in range(6):
        _box(axis, 0.55, 3.35 - 0.58 * i, f"$V_{i + 1}$", 0.6, 0.34)
        _arrow(axis, (0.95, 3.35 - 0.58 * i), (1.75, 1.9))
    _box(axis, 2.6, 1.9, "student $\\phi$:\n$\\tilde{z}$, entropy", 1.6, colour=2)
    _box(axis, 5.0, 1.9, "K clips of\nhighest $\\tilde{z}$", 1.6, colour=4)
    _box(axis, 7.2, 3.0, "teacher $\\gamma$:\n$K_t = K - K_s$", 1.7, colour=1)
    _box(axis, 7.2, 0.8, "student $\\phi$: $K_s$ of\nlowest entropy", 1.9, colour=2)
    _box(axis, 9.2, 1.9, "mean of\nprobabilities", 1.3)
    for start, end in [((3.5, 1.9), (4.1, 1.9)), ((5.9, 2.1), (6.25, 2.8)), ((5.9, 1.7), (6.15, 1.0))]:
        _arrow(axis, start, end)
    _arrow(axis, (8.15, 2.9), (8.75, 2.4))
    _arrow(axis, (8.25, 0.9), (8.75, 1.4))
    return figure
