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
