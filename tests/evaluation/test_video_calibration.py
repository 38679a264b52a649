"""Calibration of predictions of videos, against loops and cases known in closed form."""

import numpy as np
import pytest
from conftest import make_study

from condi_lib import evaluation, sampler
from condi_lib.evaluation import Outcomes


def outcomes(right, sure):
    right, sure = (np.atleast_3d(np.asarray(x, float)).reshape(1, -1, np.shape(x)[-1]) for x in (right, sure))
    return Outcomes([1], right, right, np.ones_like(right), sure=sure)


def test_known_cases():
    sure = np.r_[np.full(50, 0.9), np.full(50, 0.6)]
    right = np.r_[np.arange(50) < 45, np.arange(50) < 30]
    as_sure_as_right = outcomes(right, sure)
    always_sure = outcomes(right, np.ones(100))
    table = evaluation.video_calibration({"a": as_sure_as_right, "b": always_sure}).set_index("sampler")
    assert table.ece["a"] == pytest.approx(0) and table.ece["b"] == pytest.approx(0.25)
    assert table.aurc["a"] == pytest.approx((0.1 + 0.25) / 2) and table.aurc["b"] == pytest.approx(0.25)
    assert (table.aurc_low < table.aurc).all() and (table.aurc < table.aurc_high).all()


def test_sureness_is_the_largest_probability_of_the_mean():
    clips, scores = make_study(4, 20)
    arrays = sampler.read_arrays(clips, scores)
    test = arrays[""][0]
    found = evaluation.outcomes_of_all(arrays, [1, 3])
    for v, row in enumerate(test.mask):
        mean = test.probs[v, row].mean(0)
        assert found["dense"].sure[0, 0, v] == pytest.approx(mean.max())
        best = np.argsort(-np.where(row, arrays["condi_sr"][1].score[v], -np.inf), kind="stable")[: min(3, row.sum())]
        assert found["condi_sr"].sure[1, 1, v] == pytest.approx(test.probs[v, best].mean(0).max())
    curves = evaluation.risk_of_videos({"dense": found["dense"]}, 1)
    risk = curves[curves.curve == "risk_coverage"]
    assert risk.y.iloc[-1] == pytest.approx(1 - found["dense"].right[0].mean())
