"""Figures of what there is to learn from: videos, training, the teacher, the oracle."""

import matplotlib.pyplot as plt
import numpy as np

from condi_lib.figures.detection import kind
from condi_lib.figures.style import (
    _BLIND,
    _MARKERS,
    BLUE,
    ORANGE,
    WIDTH,
    _at_least,
    _axes,
    _by_group,
    _grid_of_axes,
    _name_lines,
    _style,
    label,
)

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
    if not rows:
        return None
    figure, axes = plt.subplots(len(rows), n, figsize=(n * 0.8 + 1.2, len(rows) * 0.85), squeeze=False)
    for line, (title, frames) in zip(axes, rows, strict=True):
        for axis, i in zip(line, np.linspace(0, len(frames) - 1, n).astype(int), strict=True):
            axis.imshow(frames[i])
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(title, rotation=0, ha="right", va="center", fontsize=9)
    return figure


_SPLITS = ("train", "val", "test")


def _in_order(names):
    """Splits in the order of their use, anything else as it comes."""
    names = list(dict.fromkeys(names))
    return [s for s in _SPLITS if s in names] + [n for n in names if n not in _SPLITS]


def video_lengths(videos, span):
    """Histograms of video lengths in clips, a panel a split. videos: the video table; span: frames of a video
    that a clip takes."""
    n_clips = np.ceil(videos.n_frames / span).where(videos.n_frames > 0)
    splits = _in_order(videos.split[n_clips.notna()])
    if not splits:
        return None
    figure, axes = _grid_of_axes(len(splits), height=2.4)
    low, high = int(n_clips.min()), int(n_clips.max())
    step = max(1, -(-(high - low + 1) // 40))
    for axis, split in zip(axes, splits, strict=True):
        own = n_clips[(videos.split == split) & n_clips.notna()]
        axis.hist(own, bins=np.arange(low - 0.5, high + step + 0.5, step), color="0.55")
        axis.set(title=f"{split}: {len(own):,} videos", xlabel="length of a video (clips)")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.yaxis.get_major_locator().set_params(integer=True)
    axes[0].set_ylabel("videos")
    return figure


def training_curves(history, by=None):
    """Loss and clip accuracy against epoch. history: epoch, loss, accuracy, and the column `by` (a line each)."""
    if history.empty:
        return None
    figure, axes = _axes(WIDTH, 3.1, columns=2)
    parts = [("", history)] if by is None else list(history.groupby(by, sort=False))
    texts = {"loss": "loss (nats)", "accuracy": "accuracy on the training clips (%)"}
    ends = []
    for axis, (column, text) in zip(axes, texts.items(), strict=True):
        own = []
        for i, (name, rows) in enumerate(parts):
            rows = rows[rows[column].notna()]
            if len(rows):
                y = rows[column] * (100 if column == "accuracy" else 1)
                axis.plot(rows.epoch, y, marker=_MARKERS[i % 10], color=_BLIND[i % 10], ms=5)
                colour = _BLIND[i % 10]
                own.append((rows.epoch.iloc[-1], y.iloc[-1], str(name), colour, colour, _MARKERS[i % 10]))
        axis.set(xlabel="epoch", ylabel=text)
        axis.xaxis.get_major_locator().set_params(integer=True)
        ends.append((axis, own))
    axes[0].set_ylim(bottom=0)
    axes[1].set_ylim(0, 100)
    for axis, own in ends if by is not None else ():
        _name_lines(axis, own)
    return figure


def teacher_training(history):
    """training_curves of the teacher and of the student's start. history: as there, and network."""
    return training_curves(history, by="network")


def confidence_histograms(table, by="loss"):
    """Histograms of a score in [0, 1], upwards for clips on which the teacher is right, downwards where it is wrong.

    A panel for each `by`. table: `by`, low, high (bin edges), right, wrong (shares of the clips of each kind).
    """
    table = table[table.right.notna() | table.wrong.notna()]
    parts = dict(list(table.groupby(by, sort=False)))
    groups = [(name, parts[name]) for names in _by_group(list(parts)).values() for name in names]
    if not groups:
        return None
    figure, axes = _grid_of_axes(len(groups), height=2.1)
    for axis, (name, rows) in zip(axes, groups, strict=True):
        style = {"width": rows.high - rows.low, "align": "edge", "alpha": 0.85, "lw": 0.3, "edgecolor": "white"}
        axis.bar(rows.low, 100 * rows.right, color=BLUE, **style)
        axis.bar(rows.low, -100 * rows.wrong, color=ORANGE, hatch="///", **style)
        axis.axhline(0, c="black", lw=0.8)
        axis.set(title=label(name), xlim=(0, 1), xticks=(0, 0.5, 1))
        axis.yaxis.set_major_formatter(lambda y, _: f"{abs(y):g}")
    edge = max(np.abs(axes[0].get_ylim()))
    axes[0].set(ylim=(-edge, edge))
    for y, text, colour in ((0.94, "teacher right", BLUE), (0.06, "teacher wrong", ORANGE)):
        place = {"transform": axes[0].transAxes, "ha": "left", "va": "center", "size": 9.5, "weight": "bold"}
        axes[0].text(0.04, y, text, color=colour, **place)
    figure.supxlabel("score", size=10)
    figure.supylabel("% of the clips of each side", size=10)
    return figure


def label_shares(table):
    """How often the teacher is wrong, by split and by what it shows, most first. table: group, name, wrong (share),
    n_clips. None where it is empty."""
    table = table[table.wrong.notna()]
    if table.empty:
        return None
    groups = []
    for group, rows in table.groupby("group", sort=False):
        rows = rows.drop_duplicates("name").set_index("name")
        splits = set(rows.index) <= set(_SPLITS)
        groups.append((group, rows.loc[_in_order(rows.index)] if splits else rows.sort_values("wrong")[::-1]))
    sizes = [len(rows) for _, rows in groups]
    shape = {"figsize": (WIDTH, 0.34 * sum(sizes) + 0.5 * len(groups) + 0.8), "height_ratios": sizes}
    figure, axes = plt.subplots(len(groups), 1, sharex=True, squeeze=False, **shape)
    overall = np.average(groups[0][1].wrong, weights=groups[0][1].n_clips)
    for axis, (group, rows) in zip(axes[:, 0], groups, strict=True):
        wrong = 100 * rows.wrong.to_numpy()
        colours = [ORANGE if w > 150 * overall else "0.5" for w in wrong]
        axis.barh(range(len(rows)), wrong, color=colours, height=0.68)
        for i, (w, n) in enumerate(zip(wrong, rows.n_clips, strict=True)):
            inside = {"ha": "right", "c": "white"} if w > 10 else {"ha": "left", "c": "black"}
            axis.text(w + (-0.8 if w > 10 else 0.8), i, f"{w:.0f} %", va="center", size=9, weight="bold", **inside)
            axis.text(101, i, f"{n:,} clips", va="center", size=9, c="0.35")
        axis.axvline(100 * overall, c="black", lw=1, ls=":", zorder=0.5)  # behind bars and numbers
        axis.set_yticks(range(len(rows)), [kind(name) for name in rows.index], fontsize=9.5)
        axis.set(ylim=(len(rows) - 0.5, -0.5), xlim=(0, 100), title=f"by {group}")
        axis.grid(False, axis="y")
    axis.set_xlabel("clips on which the teacher is wrong (%);  dotted: of all clips")
    return figure


def oracle_vs_dense(table):
    """How much choosing clips could win: the oracle's accuracy against K above dense, here and in the thesis.

    table: k, accuracy (and interval), dense. None where nothing was measured.
    """
    table = table[table.accuracy.notna()].sort_values("k")
    if table.empty:
        return None
    figure, axis = _axes(WIDTH, 4.0)
    dense, x = 100 * table.dense.iloc[0], table.k
    style = _style("oracle") | {"color": BLUE, "ls": "-", "lw": 2.2}
    axis.plot(x, 100 * table.accuracy, **style)
    if "accuracy_low" in table:
        axis.fill_between(x, 100 * table.accuracy_low, 100 * table.accuracy_high, color=BLUE, alpha=0.15, lw=0)
    axis.plot(x, np.full(len(x), dense), c="black", lw=1.6)
    last = x.iloc[-1]
    ends = [(last, 100 * table.accuracy.iloc[-1], "oracle, here", BLUE, BLUE, "^")]
    ends.append((last, dense, "dense, here", "black", "black", "_"))
    thesis = {k: 100 * v for k, v in THESIS_ORACLE.items()}
    axis.plot(list(thesis), list(thesis.values()), "s", ls=":", lw=1.2, c="0.55", ms=5)
    until = max(last, max(thesis))
    axis.plot([x.iloc[0], until], [100 * THESIS_DENSE] * 2, c="0.55", lw=1.2, ls="--")
    ends.append((max(thesis), thesis[max(thesis)], "oracle, thesis (Kinetics-600)", "0.4", "0.55", "s"))
    ends.append((until, 100 * THESIS_DENSE, "dense, thesis (Kinetics-600)", "0.4", "0.55", "_"))
    won = 100 * table.accuracy.iloc[0] - dense
    if abs(won) > 1:
        k = x.iloc[0]
        arrow = {"arrowstyle": "<->", "color": "black", "shrinkA": 0, "shrinkB": 0}
        axis.annotate("", (k, dense), (k, dense + won), arrowprops=arrow)
        place = {"xytext": (6, 0), "textcoords": "offset points", "va": "center", "size": 10, "weight": "bold"}
        box = {"fc": "white", "ec": "none", "pad": 1.5}
        axis.annotate(f"{won:+.1f} points at K = {k}", (k, dense + won / 2), bbox=box, **place)
    axis.set(xlabel="clips kept, K", ylabel="video accuracy (%)", xticks=sorted({*x, *thesis}))
    _at_least(axis, "y", 4)
    _name_lines(axis, ends)
    return figure
