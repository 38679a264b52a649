"""Figures of what there is to learn from: videos, training, the teacher, the oracle."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from condi_lib.figures.style import _axes, label

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
    for axis, column, shown in zip(
        axes, ("loss", "accuracy"), ("loss (nats)", "accuracy on the training clips"), strict=True
    ):
        sns.lineplot(history, x="epoch", y=column, hue=by, marker="o", ax=axis)
        axis.set(xlabel="epoch", ylabel=shown)
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
