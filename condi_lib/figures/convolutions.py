"""Convolutions in space and in time: drawings (the thesis' Figures 2.5 and 2.6), and two small layers at work."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import Polygon
from torch import nn

from condi_lib.figures.schematics import _arrow, _canvas
from condi_lib.figures.style import _BLIND


def moving_bar(frames=8, size=16):
    """A clip of a white bar on black that moves to the right by a pixel a frame: float32 [F, H, W], 0 or 1."""
    clip = torch.zeros(frames, size, size)
    start = (size - frames) // 2
    for t in range(frames):
        clip[t, size // 4 : size - size // 4, (start + t) % size] = 1
    return clip


def line_layers():
    """(nn.Conv2d, nn.Conv3d) with weights set by hand, one channel in and out, kernels of 3 x 3 and 3 x 3 x 3.

    The first finds upright lines in a frame; the second finds upright lines that move to the right by a pixel a frame.
    Its bias keeps it silent where a line fits its weights in one frame only of the three.
    """
    in_space, in_time = nn.Conv2d(1, 1, 3), nn.Conv3d(1, 1, 3)
    with torch.no_grad():
        in_space.weight[:] = torch.tensor([-1.0, 2.0, -1.0])
        in_time.weight[:] = (3 * torch.eye(3) - 1)[:, None, :]  # [t, y, x]: 2 where x = t, else -1
        in_space.bias[:] = 0
        in_time.bias[:] = -9
    return in_space, in_time


def mean_response(layer, clip):
    """The layer's responses above 0, averaged over time: float32 [h, w].

    layer: an nn.Conv2d, which sees frame by frame, or an nn.Conv3d, one channel in and out; clip: float32 [F, H, W].
    """
    with torch.inference_mode():
        if isinstance(layer, nn.Conv2d):
            return layer(clip[:, None]).relu().mean(0)[0]  # (F, 1, h, w): frames are a batch
        return layer(clip[None, None]).relu().mean(2)[0, 0]  # (1, 1, f, h, w)


def motion_seen(frames=8, size=16):
    """A clip and the same clip backwards, as a 2D and a 3D layer see them."""
    figure, axes = plt.subplots(2, 6, figsize=(10, 4.2), width_ratios=(1, 1, 1, 0.35, 1.35, 1.35))
    clip = moving_bar(frames, size)
    layers = line_layers()
    top = [max(float(mean_response(layer, clip).max()), 1e-9) for layer in layers]
    shown = (0, frames // 2, frames - 1)
    for row, (name, frames_of) in enumerate((("to the right", clip), ("to the left:\nbackwards", clip.flip(0)))):
        for axis, t in zip(axes[row], shown, strict=False):
            axis.imshow(frames_of[t].numpy(), cmap="gray")
            axis.set_title(f"frame {t + 1}" if row == 0 else "")
        axes[row, 0].set_ylabel(name)
        axes[row, 3].text(0.5, 0.5, "→", ha="center", va="center", fontsize="xx-large")
        for axis, layer, most, kind in zip(axes[row, 4:], layers, top, ("2D", "3D"), strict=True):
            response = mean_response(layer, frames_of)
            axis.imshow(response.numpy(), cmap="cividis", vmin=0, vmax=most)
            axis.set_title(f"{kind} layer,\nmean over time" if row == 0 else "")
            axis.set_xlabel(f"mean {float(response.mean()):.3f}", weight="bold")
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.grid(False)
    for axis in axes[:, 3]:
        axis.set_frame_on(False)
    return figure


def _plane(axis, x, y, side, marked, colour):
    """A frame seen from the side, its lower front corner at x, y; where marked, with the kernel's square on it.

    Returns the square's corners [4, 2].
    """
    along, up = np.array((0.36, 0.26)) * side, np.array((0, side))
    corners = np.array((0 * up, up, up + along, along))
    axis.add_patch(Polygon((x, y) + corners, fc="white", ec="0.4"))
    square = (x, y) + 0.3 * (along + up) + 0.4 * corners
    if marked:
        axis.add_patch(Polygon(square, fc=(*_BLIND[colour], 0.6), ec=_BLIND[colour], lw=1.5))
    return square


def conv_2d_3d():
    """A 2D kernel sees frame by frame, a 3D kernel several at once (Figure 2.5 of the thesis)."""
    figure, axis = _canvas(10, 4.6)
    halves = (
        (
            0.7,
            "2D convolution",
            0,
            (2,),
            range(5),
            "each frame on its own: a clip played\nbackwards gives the same maps, backwards",
        ),
        (
            5.7,
            "3D convolution",
            1,
            (1, 2, 3),
            range(1, 4),
            "three frames at a time, sliding\nalong time: their order matters",
        ),
    )
    for left, title, colour, seen, given, text in halves:
        axis.text(left + 1.95, 4.3, title, ha="center", weight="bold")
        squares = [_plane(axis, left + 0.85 * t, 2.55, 1.2, t in seen, colour) for t in range(5)]
        for edge in zip(*(squares[t] for t in seen), strict=True):
            axis.plot(*np.transpose(edge), c=_BLIND[colour], lw=1.2, ls=":")
        for t in given:
            square = _plane(axis, left + 0.07 + 0.85 * t, 1.05, 0.8, t == 2, colour)
            if t == 2:
                for source in seen:
                    _arrow(axis, squares[source].mean(0), square.mean(0), shrinkB=8, zorder=5)
        axis.text(left - 0.1, 3.15, "frames", ha="right", va="center", fontsize="small", rotation=90)
        axis.text(left - 0.1, 1.45, "maps", ha="right", va="center", fontsize="small", rotation=90)
        _arrow(axis, (left, 0.82), (left + 3.85, 0.82))
        axis.text(left + 3.9, 0.82, "time", va="center", fontsize="small")
        axis.text(left + 1.95, 0.6, text, ha="center", va="top", fontsize="small", style="italic")
    return figure


def _block(axis, x, y, time, height, width, colour, cell=0.3):
    """A kernel of time x height x width weights as a block of cells, its lower left front corner at x, y."""
    right, up, back = np.array((cell, 0)), np.array((0, cell)), np.array((0.17, 0.12))
    corner, fill = np.array((x, y)), {"ec": _BLIND[colour], "lw": 1.2}

    def face(origin, first, n, second, m, alpha):
        for i in range(n):
            for j in range(m):
                at = origin + i * first + j * second
                shade = {"fc": (*_BLIND[colour], alpha), **fill}
                axis.add_patch(Polygon((at, at + first, at + first + second, at + second), **shade))

    face(corner, right, width, up, height, 0.2)
    face(corner + height * up, right, width, back, time, 0.4)
    face(corner + width * right, back, time, up, height, 0.6)


def conv_2plus1d():
    """A 3D kernel, and the pair of a 2D kernel in space and a 1D kernel in time (Figure 2.6 of the thesis)."""
    figure, axis = _canvas(10, 3.6)
    axis.text(1.95, 3.4, "3D", ha="center", weight="bold")
    axis.text(7.1, 3.4, "(2+1)D", ha="center", weight="bold")
    _block(axis, 1.4, 1.75, 3, 3, 3, 0)
    _block(axis, 5.25, 1.75, 1, 3, 3, 1)
    _block(axis, 8.1, 2.05, 3, 1, 1, 2)
    for start, end, text in (
        ((0.2, 2.3), (1.2, 2.3), "$N_{i-1}$ maps"),
        ((2.95, 2.3), (3.75, 2.3), "$N_i$ maps"),
        ((4.1, 2.3), (5.1, 2.3), "$N_{i-1}$ maps"),
        ((6.45, 2.3), (7.85, 2.3), "$M_i$ maps, ReLU"),
        ((9.05, 2.3), (9.8, 2.3), "$N_i$ maps"),
    ):
        _arrow(axis, start, end)
        axis.text((start[0] + end[0]) / 2, 2.42, text, ha="center", fontsize="small")
    for x, kernel in (
        (1.95, "$t\\times d\\times d$"),
        (5.75, "$1\\times d\\times d$: space"),
        (8.4, "$t\\times 1\\times 1$: time"),
    ):
        axis.text(x, 1.5, kernel, ha="center", va="top")
    axis.text(1.95, 1.0, "$t\\,d^2N_{i-1}N_i$ weights", ha="center", va="top")
    axis.text(7.1, 1.0, "$d^2N_{i-1}M_i\\;+\\;t\\,M_iN_i$ weights", ha="center", va="top")
    axis.text(4.9, 0.45, "$M_i$ is chosen so that both have the same number of weights", ha="center", va="top")
    return figure


def middle_channels(t, d, n_in, n_out):
    """M_i of a (2+1)D layer: as many as give it no more weights than a t x d x d layer has (Tran et al. 2018)."""
    return t * d * d * n_in * n_out // (d * d * n_in + t * n_out)
