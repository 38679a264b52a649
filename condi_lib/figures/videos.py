"""Figures of one video, clip by clip."""

import matplotlib.pyplot as plt
import numpy as np

from condi_lib.figures.detection import kind
from condi_lib.figures.style import BLUE, ORANGE, WIDTH, _by_group, _look, label


def _width(n, clip=0.45):
    """Inches for n clips beside each other, `clip` each."""
    return min(max(WIDTH, clip * n), 24)


def _strip_height(width, n, image):
    """Inches of a strip in which a frame is as wide as its clip, in a figure of this width."""
    return float(np.clip((width - 2) / n * np.shape(image)[0] / np.shape(image)[1], 0.35, 1.5))


def _strip(axis, images, texts=()):
    """A frame of each clip along the time axis, in its shape; texts above them. images: uint8 [N, H, W, 3]. Called when
    nothing else changes the axis' size."""
    n = len(images)
    for i, text in enumerate(texts):
        axis.text(i - 0.4, 1.0, text, ha="left", va="bottom", rotation=35, fontsize=8.5)
    axis.set(xlim=(-0.5, n - 0.5), ylim=(0, 0.95), yticks=[])
    axis.set_axis_off()
    axis.figure.draw_without_rendering()
    box = axis.get_window_extent()
    for i, image in enumerate(images):
        high, wide = np.shape(image)[:2]
        shown = min(0.92 * box.width / n, 0.95 * box.height * wide / high)  # pixels
        half, tall = shown / box.width * n / 2, 0.95 * shown * high / wide / box.height
        low = (0.95 - tall) / 2
        axis.imshow(image, extent=(i - half, i + half, low, low + tall), aspect="auto")
    axis.set(xlim=(-0.5, n - 0.5), ylim=(0, 0.95))


def _teacher_bars(axis, table):
    """The teacher's largest probability, clip by clip, by right and wrong; a mark for that of the true class."""
    right = table.correct.to_numpy(bool)
    clip, largest = table["clip"].to_numpy(), table.teacher_max.to_numpy()
    axis.bar(clip[right], largest[right], color=BLUE, label="teacher right")
    axis.bar(clip[~right], largest[~right], color=ORANGE, hatch="///", edgecolor="white", label="teacher wrong")
    axis.plot(
        clip,
        table.teacher_true,
        "D",
        ms=5,
        c="black",
        mfc="white",
        label="probability of the true class",
        clip_on=False,
    )
    axis.set(ylabel="teacher's largest\nprobability", ylim=(0, 1.05), yticks=(0, 0.5, 1))
    place = {"loc": "lower right", "bbox_to_anchor": (1.01, 0.97)}
    axis.legend(frameon=False, fontsize=8.5, ncols=3, handlelength=1.4, columnspacing=1.2, **place)


def _grid_of(axis, values, names, **options):
    """Rows of cells, one a clip. values: float [rows, N]; names: of the rows."""
    n = values.shape[1]
    shown = axis.imshow(values, aspect="auto", vmin=0, vmax=1, extent=(-0.5, n - 0.5, len(names), 0), **options)
    axis.set_yticks(np.arange(len(names)) + 0.5, names, fontsize=9)
    axis.set(xlabel="clip", xticks=_clips(n))
    axis.grid(False)
    return shown


def _clips(n):
    """Ticks of n clips that leave room for their numbers."""
    return range(0, n, max(1, -(-n // 24)))


def example_video(table, k=5):
    """One video's clips along time: a frame each, the teacher's probabilities, and in which order samplers take them.

    table: clip, image (uint8 [size * size * 3]), kind ("" where unknown), teacher_true and teacher_max (probability of
    the true class, the largest one), correct, and a column standing_<sampler> (0 to 1, 1 ranked first); the
    first k of each are numbered. None where it is empty.
    """
    if table.empty:
        return None
    named = [c.removeprefix("standing_") for c in table if c.startswith("standing_") and table[c].notna().any()]
    names = [name for own in _by_group(named).values() for name in own]
    size = int((len(table.image.iloc[0]) / 3) ** 0.5)
    images = [np.asarray(image, np.uint8).reshape(size, size, 3) for image in table.image]
    heights = [_strip_height(_width(len(table)), len(table), images[0]), 1.5, *[0.3 * len(names) + 0.3] * bool(names)]
    shape = {"figsize": (_width(len(table)), 1.6 + sum(heights)), "height_ratios": heights}
    figure, axes = plt.subplots(len(heights), 1, **shape, sharex=True)
    _teacher_bars(axes[1], table)
    if names:
        values = table[[f"standing_{name}" for name in names]].fillna(0).to_numpy(float).T
        _grid_of(axes[2], values, [label(n) for n in names], cmap="Greys")
        for tick, name in zip(axes[2].get_yticklabels(), names, strict=True):
            if name == "condi_sr":
                tick.set(color=_look(name)[0], weight="bold")
        place = np.round((1 - values) * (len(table) - 1)).astype(int) + 1
        for row, i in zip(*np.nonzero(place <= k), strict=True):
            colour = "white" if values[row, i] > 0.5 else "black"
            axes[2].text(i, row + 0.5, place[row, i], ha="center", va="center", size=8.5, c=colour)
        axes[2].set_xlabel(f"clip;  the darker, the earlier a sampler takes it: the first {k} are numbered")
    axes[-1].set_xticks(_clips(len(table)))
    _strip(axes[0], images, map(kind, table.kind))
    return figure


def video_view(table, chosen=None):
    """One video's clips along time: a frame each, the teacher's probabilities, the sampler's confidence, who is chosen.

    table: clip, confidence and, where known, image (uint8 [H, W, 3]), teacher_true, teacher_max, correct;
    chosen: {name: bool [N]}.
    """
    pictured, known = "image" in table, "teacher_true" in table
    width = _width(len(table), 0.62)
    strip = [_strip_height(width, len(table), table.image.iloc[0])] if pictured else []
    heights = [*strip, *[2] * known, 1.2, *[0.3 * len(chosen or ())] * bool(chosen)]
    shape = {"figsize": (width, 0.6 + 1.1 * sum(heights)), "height_ratios": heights}
    figure, axes = plt.subplots(len(heights), 1, **shape, sharex=True, squeeze=False)
    axes = list(axes[:, 0])
    if known:
        _teacher_bars(axes[pictured], table)
    line = axes[pictured + known]
    line.plot(table["clip"], table.confidence, "o-", c=BLUE)
    line.set(ylabel="score", xticks=_clips(len(table)), xlim=(-0.5, len(table) - 0.5))
    if chosen:
        _grid_of(axes[-1], np.stack(list(chosen.values())).astype(float), list(chosen), cmap="Blues")
    axes[-1].set_xlabel("clip")
    if pictured:
        _strip(axes[0], list(table.image))
    return figure
