import matplotlib.pyplot as plt
import numpy as np
import pytest
from made import DETECTORS, curves, detections, overlaps, standings, written

from condi_lib import figures
from condi_lib.sampler import SAMPLERS

CURVES = [figures.roc, figures.precision_recall, figures.risk_coverage, figures.reliability]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def rows_of(axis):
    return [text.get_text() for text in axis.get_yticklabels()]


@pytest.mark.parametrize("draw, measure, sign", [(figures.roc, "auroc", -1), (figures.risk_coverage, "aurc", 1)])
def test_areas_stand_under_the_curves_best_first(draw, measure, sign):
    table = detections()
    areas = draw(curves(), table).axes[-1]
    means = table[table.measure == measure].set_index("sampler")["mean"]
    order = sorted(DETECTORS, key=lambda name: sign * means[name])
    assert rows_of(areas) == [SAMPLERS[name].label for name in order]
    assert not overlaps(areas.get_yticklabels())


@pytest.mark.parametrize("draw", CURVES)
def test_curves_of_one_detector_without_measures_and_of_none(draw):
    one = curves(["condi_sr"])
    missing = detections(["condi_sr"]).assign(mean=np.nan)
    assert draw(one, missing) is not None
    assert draw(one.iloc[:0], missing.iloc[:0]) is None
    assert draw(one.assign(y=np.nan), missing) is None


def test_reliability_is_a_panel_a_probability_with_both_errors():
    figure = figures.reliability(curves(), detections())
    shown = [axis.get_title(loc="left") for axis in figure.axes if axis.axison]
    assert set(shown) == {SAMPLERS[name].label for name in DETECTORS if SAMPLERS[name].probability}
    assert all("→" in axis.texts[0].get_text() for axis in figure.axes if axis.axison)


def test_error_rates_leave_out_what_is_missing():
    fpr, fnr = figures.error_rates(detections()).axes
    assert rows_of(fpr) == [SAMPLERS[name].label for name in DETECTORS]
    probabilities = sum(SAMPLERS[name].probability is not None for name in DETECTORS)
    assert len(fpr.containers) == len(fnr.containers) == len(DETECTORS) + probabilities
    one = detections(["st_ent", "condi_sr"])
    one.loc[one.sampler == "st_ent", "mean"] = np.nan
    assert rows_of(figures.error_rates(one).axes[0]) == ["ConDi-SR"]
    assert figures.error_rates(one.assign(mean=np.nan)) is None


def test_what_deceives_is_found_and_said():
    figure = figures.confidence_by_kind(standings())
    left, right = figure.axes
    assert rows_of(left) == ["clean", "cut-away", "several kinds", "blur"]  # as they stand
    assert f"Cut-away clips stand above the middle for 3 of {len(DETECTORS)} samplers" in written(figure)
    assert rows_of(right) == [SAMPLERS[name].label for name in DETECTORS]


def test_kinds_that_are_missing():
    only = figures.confidence_by_kind(standings(["condi_sr"], kinds=("clean",)))
    assert rows_of(only.axes[0]) == ["clean"] and not any("above the middle" in text for text in written(only))
    table = standings()
    table.loc[(table.sampler == "st_ent") & (table.kind == "cutaway"), "standing"] = np.nan
    assert figures.confidence_by_kind(table) is not None
    assert figures.confidence_by_kind(table.iloc[:0]) is None
