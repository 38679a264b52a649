"""Drawings of the method (the thesis' Figures 3.1 and 3.2)."""

from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from condi_lib.figures.style import _BLIND, _axes


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
    figure, axis = _canvas(10, 4.6)
    _box(axis, 1, 2.3, "clip $V_i$\nF frames", 1.4)
    _box(axis, 3.4, 3.6, "teacher $\\gamma$\n(frozen)", colour=1)
    _box(axis, 3.4, 1.0, "student $\\phi$\nshared trunk", colour=2)
    _box(axis, 6.1, 3.6, "soft targets $\\tilde{p}_t$,\nright or wrong $z$", 2.1, colour=1)
    _box(axis, 6.1, 1.8, "classes $\\tilde{p}_s$", 1.7, 0.7, colour=2)
    _box(axis, 6.1, 0.6, "confidence $\\tilde{z}$", 1.7, 0.7, colour=2)
    _box(axis, 8.8, 2.7, "$\\tau^2$ KL($\\hat{p}\\,||\\,\\tilde{p}_s$)", 1.9, 0.8, colour=4)
    _box(axis, 8.8, 1.0, "$\\lambda$ BCE($\\tilde{z}, z$)", 1.9, 0.8, colour=4)
    for start, end in [
        ((1.75, 2.55), (2.5, 3.4)),
        ((1.75, 2.05), (2.5, 1.2)),
        ((4.3, 3.6), (5.0, 3.6)),
        ((4.3, 1.15), (5.2, 1.7)),
        ((4.3, 0.9), (5.2, 0.65)),
        ((7.2, 3.45), (7.8, 2.95)),
        ((7.0, 1.9), (7.8, 2.5)),
        ((7.0, 0.65), (7.8, 0.9)),
    ]:
        _arrow(axis, start, end)
    _arrow(axis, (7.2, 3.3), (8.5, 1.45), connectionstyle="arc3,rad=0.1")
    _arrow(axis, (7.0, 0.8), (7.8, 2.4), ls="--")
    words = {"ha": "center", "va": "center", "fontsize": 9.5, "style": "italic", "color": "0.3"}
    axis.text(8.8, 3.35, "what the teacher knows", **words)
    axis.text(8.8, 0.35, "whether it will be right", **words)
    axis.text(5.0, 4.4, "$\\hat{p}$ is $\\tilde{p}_t$, the flatter the less the student should lean on it", **words)
    return figure


def inference():
    """Classifying a video by its best clips, with division (Figure 3.2 of the thesis)."""
    figure, axis = _canvas(10, 4.0)
    chosen = (1, 2, 4)
    for i in range(6):
        y = 3.5 - 0.58 * i
        _box(axis, 0.55, y, f"$V_{i + 1}$", 0.6, 0.34, colour=4 if i in chosen else 0)
        _arrow(axis, (0.92, y), (1.72, 2.05))
    _box(axis, 2.6, 2.05, "student $\\phi$:\n$\\tilde{z}$, entropy", 1.6, colour=2)
    _box(axis, 5.0, 2.05, "K clips of\nhighest $\\tilde{z}$", 1.6, colour=4)
    _box(axis, 7.2, 3.15, "teacher $\\gamma$:\n$K_t = K - K_s$", 1.7, colour=1)
    _box(axis, 7.2, 0.95, "student $\\phi$: $K_s$ of\nlowest entropy", 1.9, colour=2)
    _box(axis, 9.2, 2.05, "mean of\nprobabilities", 1.3)
    for start, end in [((3.45, 2.05), (4.15, 2.05)), ((5.85, 2.25), (6.3, 2.95)), ((5.85, 1.85), (6.2, 1.15))]:
        _arrow(axis, start, end)
    _arrow(axis, (8.1, 3.05), (8.7, 2.55))
    _arrow(axis, (8.2, 1.05), (8.7, 1.55))
    words = {"ha": "center", "va": "center", "fontsize": 9.5, "style": "italic", "color": "0.3"}
    axis.text(2.6, 1.3, "cheap: sees every clip", **words)
    axis.text(7.2, 3.82, "expensive: sees few", **words)
    axis.text(7.2, 0.28, "classes it has anyway", **words)
    return figure
