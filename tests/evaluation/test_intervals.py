import numpy as np
import pytest
from conftest import make_study
from hypothesis import given, settings
from hypothesis import strategies as st

from condi_lib import evaluation, sampler


def test_intervals_cover_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(0)
    covered = 0
    for i in range(200):
        right = (rng.random((1, 100)) < 0.7).astype(float)
        _, low, high = evaluation.interval(right, seed=i)
        covered += low <= 0.7 <= high
    assert 180 <= covered <= 199


def test_the_bootstrap_has_the_variance_of_its_closed_form():
    """Resampling videos alone: variance of the mean is the plain variance / V; seeds add theirs / S."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(1, 200))
    assert evaluation.bootstrap(values, 8000).var() == pytest.approx(values.var() / 200, rel=0.06)
    seeds = np.repeat(rng.normal(size=(5, 1)), 50, 1)  # videos all alike
    assert evaluation.bootstrap(seeds, 8000).var() == pytest.approx(seeds[:, 0].var() / 5, rel=0.06)


def test_paired_differences_are_paired():
    clips, scores = make_study(8, 60)
    arrays = sampler.read_arrays(clips, scores)
    test = arrays[""][0]
    names = ["dense", "oracle", "random", "st_ent", "condi_sr"]
    found = {n: evaluation.outcomes(test, sampler.keep(n, arrays), [1, 2]) for n in names}
    found["twin"] = found["condi_sr"]
    table = evaluation.compare(found, draws=2000).set_index(["sampler", "reference", "k"]).sort_index()
    assert {r for _, r, _ in table.index} == {"dense", "condi_sr"} and "oracle" not in {s for s, _, _ in table.index}
    for (name, reference, k), row in table.iterrows():
        i = [1, 2].index(k)
        expected = found[name].right[i].mean() - found[reference].right[i].mean()
        assert row.difference == pytest.approx(expected) and row.low <= row.difference <= row.high
    twin = table.loc[("twin", "condi_sr")]
    assert (twin[["difference", "low", "high"]] == 0).to_numpy().all() and (twin.p == 1).all()
    np.testing.assert_allclose(table.p_holm, evaluation.holm(table.p.to_numpy()))


def test_p_values_are_small_where_there_is_a_difference_and_uniform_where_there_is_none():
    rng = np.random.default_rng(0)
    p = []
    for _ in range(150):
        right = (rng.random((2, 1, 1, 80)) < 0.6).astype(float)
        found = {n: evaluation.Outcomes([1], r, r, r) for n, r in zip(("dense", "condi_sr"), right, strict=True)}
        p.append(evaluation.compare(found, draws=400).p[0])
    assert 0.01 <= np.mean(np.array(p) < 0.05) <= 0.12 and 0.4 < np.mean(p) < 0.65
    always = {n: evaluation.Outcomes([1], *(np.full((1, 1, 80), x),) * 3) for n, x in (("dense", 0), ("condi_sr", 1))}
    assert evaluation.compare(always, draws=400).p[0] == pytest.approx(2 / 401)
    many = {"dense": always["dense"], **{str(i): one for i in range(30) for n, one in always.items() if n != "dense"}}
    assert (evaluation.compare(many, ["dense"], draws=10).p_holm < 0.05).all()  # whatever their number


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_by_its_definition(p):
    corrected = evaluation.holm(np.array(p))
    for i, value in enumerate(p):  # the largest of (number not yet rejected) * p over all p up to this one
        before = [q for q in p if q < value]
        same = [j for j, q in enumerate(p) if q == value]
        rank = len(before) + same.index(i)
        steps = [(len(p) - r) * q for r, q in enumerate(sorted(p)) if r <= rank]
        assert corrected[i] == pytest.approx(min(1, max(steps)))
