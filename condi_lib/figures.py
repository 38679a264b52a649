"""One function a figure: table in, matplotlib Figure out. One style and one palette, safe for colour-blind readers."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

sns.set_theme(style="whitegrid", context="notebook", palette="colorblind")
plt.rcParams.update({"svg.hashsalt": "condi", "axes.titlesize": "medium", "figure.constrained_layout.use": True})

NAMES = {
    "st_ent": "ST-Ent",
    "st_conf": "ST-Conf",
    "bce_c": "BCE-C",
    "condi_sr": "ConDi-SR",
    "oracle": "oracle",
    "random": "random",
    "equidistant": "equidistant",
    "teacher_max": "teacher's own max. probability",
}
_COLOURS = dict(zip(NAMES, sns.color_palette("colorblind", len(NAMES)), strict=True))
_MARKERS = dict(zip(NAMES, "osD^v<>P", strict=True))
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


def confidence_histograms(table, by="loss"):
    """Histograms of a score in [0, 1] for clips on which the teacher is right and wrong, a panel for each `by`.

    table: `by`, low, high (bin edges), right, wrong (shares of the clips of each kind).
    """
    groups = list(table.groupby(by, sort=False))
    figure, axes = _axes(3.3 * len(groups), 3.2, columns=len(groups), sharey=True, squeeze=False)
    for axis, (name, rows) in zip(axes[0], groups, strict=True):
        width = rows.high - rows.low
        axis.bar(rows.low, rows.right, width, align="edge", alpha=0.65, label="teacher right")
        axis.bar(rows.low, rows.wrong, width, align="edge", alpha=0.65, label="teacher wrong")
        axis.set(title=NAMES.get(name, name), xlabel="score", xlim=(0, 1))
    axes[0, 0].set_ylabel("share of clips")
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
    """The oracle's accuracy against K, and dense, ours and the thesis'. table: k, oracle, low, high, dense."""
    figure, axis = _axes()
    axis.plot(table.k, 100 * table.oracle, "o-", label="oracle, this data")
    axis.fill_between(table.k, 100 * table.low, 100 * table.high, alpha=0.2)
    axis.axhline(100 * table.dense.iloc[0], ls="--", label="dense, this data")
    thesis_k = list(THESIS_ORACLE)
    axis.plot(thesis_k, [100 * THESIS_ORACLE[k] for k in thesis_k], "s", c="C1", label="oracle, thesis (Kinetics-600)")
    axis.axhline(100 * THESIS_DENSE, ls=":", c="C1", label="dense, thesis (Kinetics-600)")
    axis.set(xlabel="clips kept, K", ylabel="video accuracy (%)", xticks=table.k)
    axis.legend(frameon=False)
    return figure


def _lines(axis, table, x):
    for name, rows in table.groupby("sampler", sort=False):
        style = {"color": _COLOURS[name], "marker": _MARKERS[name], "ms": 5}
        dashed = "-" if name in ("st_ent", "st_conf", "bce_c", "condi_sr") else "--"
        axis.plot(rows[x], 100 * rows.accuracy, dashed, label=NAMES[name], **style)
        axis.fill_between(rows[x], 100 * rows.low, 100 * rows.high, color=style["color"], alpha=0.1, lw=0)


def accuracy_vs_k(table, dense):
    """Video accuracy against K with 95 % bands, a line a sampler; at right without the oracle.

    table: sampler, k, accuracy, low, high (in [0, 1]); dense: accuracy with all clips.
    """
    figure, axes = _axes(11, 5, columns=2)
    for axis, rows in zip(axes, (table, table[table.sampler != "oracle"]), strict=True):
        _lines(axis, rows, "k")
        axis.axhline(100 * dense, c="black", lw=1, label="dense")
        axis.set(xlabel="clips kept, K", ylabel="video accuracy (%)", xticks=sorted(set(table.k)))
    figure.legend(*axes[0].get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=5)
    axes[1].set(title="without the oracle", ylim=(100 * dense - 12, 100 * dense + 12))
    return figure


def division(table, dense):
    """Accuracy against K_s (clips that the student classifies), a line a K. table: k, k_student, accuracy, ..."""
    figure, axis = _axes()
    for i, (k, rows) in enumerate(table.groupby("k")):
        axis.plot(rows.k_student, 100 * rows.accuracy, color=f"C{i}", marker="osD^v"[i % 5], label=f"K = {k}")
        axis.fill_between(rows.k_student, 100 * rows.low, 100 * rows.high, color=f"C{i}", alpha=0.12, lw=0)
    axis.axhline(100 * dense, c="black", lw=1, label="dense")
    axis.set(xlabel="clips classified by the student, $K_s$", ylabel="video accuracy (%)")
    axis.legend(frameon=False)
    return figure


def roc(table):
    """ROC of each sampler as a detector of "the teacher will be right". table: sampler, fpr, tpr, auroc."""
    figure, axis = _axes(4.8, 4.6)
    for name, rows in table.groupby("sampler", sort=False):
        axis.plot(rows.fpr, rows.tpr, c=_COLOURS[name], label=f"{NAMES[name]} ({rows.auroc.iloc[0]:.3f})")
    axis.plot([0, 1], [0, 1], c="grey", lw=1, ls=":")
    axis.set(xlabel="false positive rate", ylabel="true positive rate", aspect="equal")
    axis.legend(frameon=False, title="AUROC", fontsize="small")
    return figure


def error_rates(table):
    """FPR and FNR of each sampler at the threshold chosen on val. table: sampler, measure, mean, low, high."""
    figure, axis = _axes()
    names = list(table.sampler.unique())
    for i, measure in enumerate(("fpr", "fnr")):
        rows = table[table.measure == measure].set_index("sampler").loc[names]
        bars = np.arange(len(names)) + (i - 0.5) * 0.38
        error = np.abs(rows[["low", "high"]].to_numpy().T - rows["mean"].to_numpy())
        axis.bar(bars, rows["mean"], 0.38, yerr=error, capsize=3, label=measure.upper())
    axis.set_xticks(range(len(names)), [NAMES[n] for n in names])
    axis.set(ylabel="rate at the threshold chosen on val", ylim=(0, None))
    axis.legend(frameon=False)
    return figure


def confidence_by_kind(table):
    """Mean standing of a clip among its video's clips, by what was planted. table: sampler, kind, standing (0 to 1)."""
    figure, axis = _axes(8, 4)
    palette = {NAMES[n]: _COLOURS[n] for n in table.sampler.unique()}
    sns.barplot(table.assign(sampler=table.sampler.map(NAMES)), x="kind", y="standing", hue="sampler", palette=palette)
    axis.axhline(0.5, c="black", lw=1)
    axis.set(
        xlabel="what was planted in the clip", ylabel="mean standing in its video\n(1 = ranked first)", ylim=(0, 1)
    )
    axis.legend(frameon=False, ncols=4, fontsize="small", loc="upper right")
    return figure


def accuracy_vs_cost(table):
    """Accuracy against multiply-adds per video. table: sampler (with dense), k, accuracy, low, high, multiply_adds."""
    figure, axis = _axes(7, 4.4)
    rows = table[table.sampler != "dense"].assign(giga=table.multiply_adds / 1e9)
    _lines(axis, rows, "giga")
    dense = table[table.sampler == "dense"].iloc[0]
    axis.plot(dense.multiply_adds / 1e9, 100 * dense.accuracy, "*", ms=14, c="black", label="dense")
    axis.set(xlabel="multiply-adds per video (10$^9$)", ylabel="video accuracy (%)")
    axis.legend(frameon=False, fontsize="small")
    return figure


def seconds_per_video(table):
    """Measured seconds per video, stacked by stage. table: setting, decode, student, teacher (seconds)."""
    figure, axis = _axes()
    left = np.zeros(len(table))
    for stage in ("decode", "student", "teacher"):
        axis.barh(table.setting, 1000 * table[stage], left=left, label=stage)
        left += 1000 * table[stage]
    axis.invert_yaxis()
    axis.set(xlabel="measured time per video (ms)")
    axis.legend(frameon=False)
    return figure


def summary(accuracy, detection, dense, ks=(1, 3, 5, 10)):
    """The summary table, as text: accuracy (%) at each K, headroom recovered at K = 5, and the detector's measures.

    accuracy and detection: evaluation's tables with a column sampler; dense in [0, 1].
    """
    rows = []
    for name, part in accuracy.groupby("sampler", sort=False):
        at = part.set_index("k")
        row = {"sampler": NAMES[name]}
        row |= {f"K = {k}": f"{100 * at.accuracy[k]:.1f} [{100 * at.low[k]:.1f}, {100 * at.high[k]:.1f}]" for k in ks}
        row["headroom, K = 5"] = f"{at.headroom[5]:+.2f}"
        found = detection[detection.sampler == name].set_index("measure")
        for measure, label in (("auroc", "AUROC"), ("auroc_within", "within videos"), ("fpr", "FPR"), ("fnr", "FNR")):
            row[label] = f"{found['mean'][measure]:.3f}" if len(found) else ""
        rows.append(row)
    rows.append({"sampler": "dense", **{f"K = {k}": f"{100 * dense:.1f}" for k in ks}})
    return pd.DataFrame(rows).fillna("")
