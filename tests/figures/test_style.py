from colorsys import rgb_to_hls
from dataclasses import replace
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from made import accuracies, costs, curves, detections, lines_of, names_of, overlaps
from matplotlib.colors import to_rgb

from condi_lib import catalogue, figures
from condi_lib.figures import style
from condi_lib.sampler import SAMPLERS


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def brightness(colour):
    return float(np.dot(to_rgb(colour), (0.2126, 0.7152, 0.0722)))


def test_a_sampler_has_one_colour_and_marker_in_every_figure():
    drawn = {}
    for figure in (
        figures.accuracy_vs_k(accuracies()),
        figures.accuracy_vs_cost(costs()),
        figures.roc(curves(), detections()),
        figures.risk_coverage(curves(), detections()),
    ):
        for name, lines in lines_of(figure).items():
            drawn.setdefault(name, set()).update((line.get_color(), line.get_marker()) for line in lines)
    assert set(drawn) >= set(SAMPLERS) - {"dense", "oracle"}
    assert all(len(looks) == 1 for looks in drawn.values())
    assert len(set.union(*drawn.values())) == len(drawn)  # and no two samplers look the same


def test_samplers_of_a_group_differ_in_black_and_white():
    for one, other in combinations(SAMPLERS, 2):
        if SAMPLERS[one].group == SAMPLERS[other].group:
            a, b = style._style(one), style._style(other)
            assert a["marker"] != b["marker"] or abs(brightness(a["color"]) - brightness(b["color"])) > 0.15


def test_only_what_is_highlighted_has_a_full_colour():
    full = {name for name in SAMPLERS if rgb_to_hls(*to_rgb(style._look(name)[0]))[2] > 0.5}
    assert full == set(style.HIGHLIGHTED)


def test_new_samplers_get_a_look_of_their_own_and_leave_the_others_theirs(monkeypatch):
    before = {name: style._look(name) for name in SAMPLERS}
    for i in range(12):
        monkeypatch.setitem(SAMPLERS, f"new_{i}", replace(SAMPLERS["sc_rank"], label=f"new {i}", group="beyond"))
    looks = {name: style._look(name) for name in SAMPLERS}
    assert {name: looks[name] for name in before} == before
    assert len({look[:2] for look in looks.values()}) == len(looks)
    beyond = [looks[name][1] for name in SAMPLERS if SAMPLERS[name].group == "beyond"]
    assert len(set(beyond)) >= len(beyond) - 2  # markers
    assert style._look("never registered") == style._look("never registered")


def test_names_beside_lines_never_overlap_and_keep_the_order_of_the_lines():
    figure, axis = plt.subplots(figsize=(5, 2), layout="constrained")
    axis.set_ylim(0, 1)
    ends = [(1, y, f"line {i}", "black", "black", "o") for i, y in enumerate((0.5, 0.5, 0.501, 0.1, 0.99, 1.0))]
    style._name_lines(axis, ends)
    names = names_of(axis)
    assert len(names) == len(ends) and not overlaps(names)
    heights = {text.get_text(): text.get_window_extent().y0 for text in names}
    assert heights["line 3"] < min(heights["line 0"], heights["line 1"]) < heights["line 2"] < heights["line 4"]
    assert heights["line 4"] < heights["line 5"]


def test_an_axis_of_dust_is_widened():
    _, axis = plt.subplots()
    axis.set_xlim(-1e-17, 1e-17)
    style._at_least(axis, "x", 2)
    assert axis.get_xlim() == pytest.approx((-1, 1))
    axis.set_ylim(5.1, 4.9)  # upside down stays so
    style._at_least(axis, "y", 1)
    assert axis.get_ylim() == pytest.approx((5.5, 4.5))


def test_every_figure_and_table_of_the_study_has_a_caption():
    assert {*catalogue.ALL} - {*catalogue.BACKGROUND} <= set(figures.CAPTIONS)
    assert all(text.endswith(".") and len(text) < 220 for text in figures.CAPTIONS.values())
