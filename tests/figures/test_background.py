"""The drawings of notebook 00, and what it says of layers, against loops, torchvision and the notebooks on disk."""

from itertools import combinations, product

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torchvision.models.video import r2plus1d_18

from condi_lib import catalogue, figures
from condi_lib.runs import ROOT

NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


def test_the_bar_moves_by_a_pixel_a_frame():
    clip = figures.moving_bar(6, 20)
    assert clip.shape == (6, 20, 20) and clip.dtype == torch.float32
    columns = [np.flatnonzero(frame.any(0)) for frame in clip.numpy().astype(bool)]
    assert all(len(c) == 1 for c in columns) and np.diff(np.concatenate(columns)).tolist() == [1] * 5


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("place", [0, 1])
def test_mean_responses_are_those_of_loops(place, backwards):
    layer = figures.line_layers()[place]
    clip = figures.moving_bar(5, 9).flip(0) if backwards else figures.moving_bar(5, 9)
    weight, bias = layer.weight[0, 0].detach().numpy(), layer.bias.item()
    if place == 0:
        weight = weight[None]  # (1, 3, 3)
    f, h, w = (n - k + 1 for n, k in zip(clip.shape, weight.shape, strict=True))
    expected = np.zeros((h, w))
    for t, y, x in product(range(f), range(h), range(w)):
        seen = clip.numpy()[t : t + weight.shape[0], y : y + 3, x : x + 3]
        expected[y, x] += max(0, (seen * weight).sum() + bias) / f
    np.testing.assert_allclose(figures.mean_response(layer, clip).numpy(), expected, atol=1e-6)


def test_only_the_3d_layer_sees_the_direction():
    clip = figures.moving_bar()
    in_space, in_time = figures.line_layers()
    assert torch.equal(figures.mean_response(in_space, clip), figures.mean_response(in_space, clip.flip(0)))
    assert figures.mean_response(in_time, clip).max() > 0
    assert figures.mean_response(in_time, clip.flip(0)).max() == 0
    assert figures.mean_response(in_time, clip[:1].repeat(8, 1, 1)).max() == 0  # a bar that stands still


@given(st.integers(0, 2**31))
def test_no_2d_layer_sees_the_direction(seed):
    torch.manual_seed(seed)
    layer, clip = nn.Conv2d(1, 1, 3), torch.rand(5, 8, 8)
    there, back = (figures.mean_response(layer, x) for x in (clip, clip.flip(0)))
    assert torch.allclose(there, back, atol=1e-5)


sizes = st.integers(1, 600)


@given(st.integers(1, 7), st.integers(1, 7), sizes, sizes)
def test_middle_channels_are_the_most_that_the_weights_allow(t, d, n_in, n_out):
    m, whole = figures.middle_channels(t, d, n_in, n_out), t * d * d * n_in * n_out

    def pair(m):
        return d * d * n_in * m + t * m * n_out

    assert pair(m) <= whole < pair(m + 1)


def test_middle_channels_are_those_of_torchvision():
    network = r2plus1d_18()
    for stage, (n_in, n_out) in enumerate([(64, 64), (64, 128), (128, 256), (256, 512)], start=1):
        first = network.get_submodule(f"layer{stage}.0.conv1.0")
        assert (first[0].in_channels, first[-1].out_channels) == (n_in, n_out)
        assert first[0].out_channels == figures.middle_channels(3, 3, n_in, n_out)


@pytest.mark.parametrize("name", catalogue.BACKGROUND)
def test_drawings_stand_inside_their_figure_and_no_words_overlap(name):
    draw, tables = catalogue.BACKGROUND[name]
    figure = getattr(figures, draw)(*tables)
    figure.canvas.draw()
    texts = [t for t in figure.findobj(plt.Text) if t.get_visible() and t.get_text().strip()]
    boxes = [t.get_window_extent().padded(-1) for t in texts]
    for text, box in zip(texts, boxes, strict=True):
        x0, y0, x1, y1 = box.extents
        assert x0 >= 0 and y0 >= 0 and x1 <= figure.bbox.x1 and y1 <= figure.bbox.y1, text.get_text()
        assert text.get_fontsize() >= 8, text.get_text()
    for (one, a), (other, b) in combinations(zip(texts, boxes, strict=True), 2):
        assert not a.overlaps(b), (one.get_text(), other.get_text())
    plt.close(figure)
    assert catalogue.files(name) == [f"{name}.png", f"{name}.svg", f"{name}.json"]


def test_the_map_shows_every_notebook_and_notebook_00_links_it():
    numbers = [number for _, notebooks in figures.STUDY for number, _, _ in notebooks]
    assert numbers == [stem[:2] for stem in NOTEBOOKS]
    text = (ROOT / "notebooks" / "00_background.ipynb").read_text()
    assert all(f"({stem}.ipynb)" in text for stem in NOTEBOOKS if stem != "00_background")
