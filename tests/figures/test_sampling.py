from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from made import accuracies, costs, divisions, lines_of, names_of, overlaps, with_interval, written

from condi_lib import figures
from condi_lib.sampler import SAMPLERS


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def all_names(figure):
    return [text for axis in figure.axes for text in names_of(axis)]


def inches_a_point(axis):
    low, high = axis.get_ylim()
    return axis.get_window_extent().height / (high - low)


@pytest.mark.parametrize("draw, table", [(figures.accuracy_vs_k, accuracies), (figures.accuracy_vs_cost, costs)])
def test_lines_are_named_directly_and_no_name_covers_another(draw, table, monkeypatch):
    for i in range(8):
        monkeypatch.setitem(SAMPLERS, f"new_{i}", replace(SAMPLERS["sc_rank"], label=f"new {i}", group="beyond"))
    figure = draw(table(tuple(SAMPLERS)))
    assert not overlaps(all_names(figure))
    said = {text.get_text() for text in all_names(figure)}
    assert said >= {s.label for name, s in SAMPLERS.items() if draw is figures.accuracy_vs_k or name != "oracle"}
    assert not any(axis.get_legend() for axis in figure.axes)


def test_every_panel_of_accuracy_vs_k_has_the_same_scale_and_holds_its_lines():
    figure = figures.accuracy_vs_k(accuracies())
    scales = [inches_a_point(axis) for axis in figure.axes]
    assert np.allclose(scales, scales[0])
    for axis in figure.axes:
        low, high = axis.get_ylim()
        assert all(low <= y <= high for line in axis.lines if line.get_gid() for y in line.get_ydata())
    panels = [{line.get_gid() for line in axis.lines} & set(SAMPLERS) for axis in figure.axes]
    assert all("condi_sr" in panel for panel in panels) and len(panels) == 5


def test_bands_are_the_paired_difference_to_dense():
    figure = figures.accuracy_vs_k(accuracies(("dense", "condi_sr"), ks=(1, 5)))
    band = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    line = lines_of(figure)["condi_sr"][0].get_ydata()
    first = line[0]  # at K = 1; the interval of the gain is 1 point to each side, that of the accuracy 2
    assert np.isclose(band, first + 1).any() and np.isclose(band, first - 1).any()
    assert not np.isclose(band, first + 2).any() and not np.isclose(band, first - 2).any()


def test_rows_without_a_value_are_left_out():
    table = accuracies()
    table.loc[(table.sampler == "st_ent") & (table.k == 3), ["accuracy", "gain"]] = np.nan
    table.loc[table.sampler == "st_conf", "accuracy"] = np.nan
    lines = lines_of(figures.accuracy_vs_k(table))
    assert list(lines["st_ent"][0].get_xdata()) == [1, 2, 5, 8, 10] and "st_conf" not in lines


@pytest.mark.parametrize("names", [("dense",), ("condi_sr",), ("random", "dense"), ("unknown", "st_ent")])
def test_few_samplers_and_one_k_can_be_drawn(names):
    table = accuracies(names, ks=(3,))
    for figure in (
        figures.accuracy_vs_k(table),
        figures.accuracy_vs_cost(
            table.rename(columns={"sampler": "setting"}).assign(k_student=0, multiply_adds=1e9, pareto=True)
        ),
    ):
        assert not any("e-1" in text or "e+" in text for text in written(figure))


def test_monte_carlo_dropout_leaves_the_others_their_room():
    table = costs()
    table.loc[table.setting == "mc_dropout", "multiply_adds"] *= 10
    figure = figures.accuracy_vs_cost(table)
    axis = figure.axes[0]
    line = lines_of(figure)["condi_sr"][0]
    pixels = axis.transData.transform(np.column_stack([line.get_xdata(), line.get_ydata()]))[:, 0]
    assert np.ptp(pixels) > 0.25 * axis.get_window_extent().width
    assert "100 %" in [t.get_text() for t in figure.axes[-1].get_xticklabels()]


@pytest.mark.parametrize("share", [True, False])
def test_division_draws_a_panel_a_k_with_its_cost_where_known(share):
    figure = figures.division(divisions(share=share))
    assert len(figure.axes) == (6 if share else 3)
    assert [axis.get_title(loc="left") for axis in figure.axes[:3]] == ["K = 3", "K = 5", "K = 10"]
    if share:
        heights = [bar.get_height() for bar in figure.axes[3].patches]
        assert heights == pytest.approx([22, 17, 12, 7])


def test_seconds_are_rows_with_their_total_dense_first():
    table = pd.DataFrame(
        [
            {"setting": "K = 1", "decode": 0.002, "student": 0.001, "teacher": 0.001},
            {"setting": "dense", "decode": 0.002, "student": np.nan, "teacher": 0.01},
            {"setting": "K = 5, K_s = 3", "decode": 0.002, "student": 0.001, "teacher": 0.005},
        ]
    ).assign(pareto=[True, False, True], **with_interval(0.6, 0.02, "accuracy"))
    table["total"] = table[["decode", "student", "teacher"]].sum(axis=1)
    bars, points = figures.seconds_per_video(table).axes
    assert [t.get_text() for t in bars.get_yticklabels()] == ["dense", "K = 5, $K_s$ = 3", "K = 1"]
    assert [t.get_text().strip() for t in bars.texts] == ["12.0", "8.0", "4.0"]
    assert points.get_xlabel() == "video accuracy (%)"


def ablated(difference, half=0.01):
    rows = [
        {"sampler": name, "reference": "as in the study", "k": k, "difference": difference, "p_holm": 1.0}
        for name in ("tau_1", "stopped_gradient")
        for k in (1, 5)
    ]
    return pd.DataFrame(rows).assign(low=difference - half, high=difference + half)


def test_ablations_say_where_nothing_differs():
    said = written(figures.ablations(ablated(1e-17, 0.0)))
    assert "no difference" in said and "τ = 1" in said and not any("e-" in text for text in said)
    assert "no difference" not in written(figures.ablations(ablated(0.02)))


def test_there_is_no_figure_of_nothing():
    empty = accuracies().iloc[:0]
    assert figures.accuracy_vs_k(empty) is None
    assert figures.accuracy_vs_k(accuracies().assign(accuracy=np.nan)) is None
    assert figures.accuracy_vs_cost(costs().iloc[:0]) is None
    assert figures.division(divisions().iloc[:0]) is None
    assert figures.ablations(ablated(0.0).iloc[:0]) is None
    columns = ["setting", "decode", "student", "teacher", "total", "accuracy", "pareto"]
    assert figures.seconds_per_video(pd.DataFrame(columns=columns)) is None


def test_sure_videos_shows_both_ways_to_stop_and_every_curve():
    names = ("dense", "condi_sr", "context")
    line = pd.DataFrame({"x": [0.1, 0.9], "y": [0.2, 0.8]})
    curves = pd.concat([line.assign(sampler=n, curve=c) for n in names for c in ("reliability", "risk_coverage")])
    figure = figures.sure_videos(curves, accuracies((*names, "context_adaptive")))
    sure, risk, stop = figure.axes
    assert {line.get_gid() for line in risk.lines} == set(names) <= {line.get_gid() for line in sure.lines}
    assert {line.get_gid() for line in stop.lines} >= {"context", "context_adaptive"}
    assert {text.get_text() for text in names_of(stop)} == {"until sure", "K for all", "dense"}
