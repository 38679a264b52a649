"""Figures of one video, clip by clip."""

import matplotlib.pyplot as plt
import numpy as np

from condi_lib.figures.style import _BLIND, label


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
