"""Pooling of folds against closed forms and loops, what is saved and where choosing pays against planted cases."""

import numpy as np
import pandas as pd
import pytest
from conftest import make_study

from condi_lib import evaluation, sampler
from condi_lib.evaluation import Fold, Outcomes, across_differences, across_table, pays_from, pooled, with_savings


def fold_of(seed, n_videos, losses=("st_ent", "condi_sr"), seeds=2, ks=(1, 2, 3)):
    """(Fold of a random study, its arrays)."""
    clips, scores = make_study(seed, n_videos, losses=losses, seeds=seeds)
    arrays = sampler.read_arrays(clips, scores)
    test = arrays[""][0]
    found = evaluation.outcomes_of_all(arrays, list(ks))
    found["division"] = evaluation.division_outcomes(arrays["condi_sr"], [2])
    within = {
        name: np.stack([evaluation.auroc_within(test, score) for score, _ in sampler.score(name, arrays)])
        for name in sampler.detectors(arrays)
    }
    return Fold(found, within, test.correct.sum(1) / test.mask.sum(1)), arrays


def plain_fold(values, good=0.5):
    """A Fold of given outcomes: values {sampler: float [S, V]} at K = 1."""
    found = {
        name: Outcomes([1], *[np.atleast_2d(np.asarray(one, float))[None]] * 2, np.ones((1, 1, np.shape(one)[-1])))
        for name, one in values.items()
    }
    return Fold(found, {}, np.full(found["dense"].right.shape[-1], good))


def test_pooled_means_count_videos_alike_and_vary_as_the_closed_form_says():
    """Videos are resampled within folds, and each fold's seeds apart: variances add with the folds' shares squared."""
    rng = np.random.default_rng(0)
    folds = [rng.normal(i, 1 + i, size=(1, 1, n)) for i, n in enumerate((100, 300))]
    found = pooled([[one] for one in folds], 8000)[:, 0]
    assert found[0] == pytest.approx(np.concatenate([one.ravel() for one in folds]).mean())
    shares = np.array([0.25, 0.75])
    expected = sum(share**2 * one.var() / one.size for share, one in zip(shares, folds, strict=True))
    assert found[1:].var() == pytest.approx(expected, rel=0.06)
    seeds = [np.repeat(rng.normal(i, 1, size=(5, 1)), n, 1)[None] for i, n in enumerate((100, 300))]
    found = pooled([[one] for one in seeds], 8000)[:, 0]
    expected = sum(share**2 * one[0, :, 0].var() / 5 for share, one in zip(shares, seeds, strict=True))
    assert found[1:].var() == pytest.approx(expected, rel=0.06)


def test_folds_that_differ_alone_do_not_widen_the_interval():
    """Between folds nothing is resampled: a video is a test video in its own fold alone."""
    found = pooled([[np.zeros((1, 1, 50))], [np.ones((1, 1, 50))]], 500)[:, 0]
    assert found == pytest.approx(0.5)


def test_one_fold_is_as_notebooks_06_and_07_say():
    fold, arrays = fold_of(3, 40)
    test = arrays[""][0]
    dense = evaluation.dense_right(test)
    named = {name: one for name, one in fold.found.items() if name != "division"}
    expected = evaluation.accuracy_table(named, dense, named["oracle"]).set_index(["sampler", "k"])
    table = across_table([fold]).set_index(["sampler", "k"])
    for name in ("accuracy", "accuracy_low", "accuracy_high", "gain", "gain_low", "gain_high", "headroom", "n_clips"):
        np.testing.assert_allclose(table[name], expected[name].loc[table.index], err_msg=name)
    for name in ("teacher_max", "st_ent", "condi_sr"):
        measured = evaluation.detection(name, arrays, draws=10).set_index("measure")["mean"]
        assert table.auroc_within[name, 1] == pytest.approx(measured.auroc_within)
    assert table.auroc_within["random"].isna().all() and table.reachable.isna().all()  # no truth here
    assert (table.n_seeds["condi_sr"] == 2).all() and (table.n_seeds["dense"] == 1).all()


def test_several_folds_are_pooled_video_by_video():
    folds = [fold_of(seed, n)[0] for seed, n in ((3, 20), (5, 35), (8, 10))]
    table = across_table(folds, 200).set_index(["sampler", "k"])
    for name in ("dense", "oracle", "random", "st_ent", "condi_sr"):
        for i, k in enumerate((1, 2, 3)):
            videos = np.concatenate([fold.found[name].right[i].mean(0) for fold in folds])
            dense = np.concatenate([fold.found["dense"].right[i].mean(0) for fold in folds])
            best = np.concatenate([fold.found["oracle"].right[i].mean(0) for fold in folds])
            row = table.loc[(name, k)]
            assert row.accuracy == pytest.approx(videos.mean())
            assert row.gain == pytest.approx((videos - dense).mean(), abs=1e-9)
            assert row.headroom == pytest.approx((videos - dense).mean() / (best - dense).mean(), abs=1e-9)
            assert row.accuracy_low <= row.accuracy <= row.accuracy_high
    within = np.concatenate([fold.within["condi_sr"].mean(0) for fold in folds])
    assert table.auroc_within["condi_sr", 1] == pytest.approx(np.nanmean(within))
    assert table.good.iloc[0] == pytest.approx(np.concatenate([fold.good for fold in folds]).mean())
    assert (table.n_folds == 3).all() and (table.n_videos == 65).all()


def test_an_interval_is_that_of_resampling_by_hand():
    rng = np.random.default_rng(1)
    values = [(rng.random((3, n)) < p).astype(float) for n, p in ((30, 0.5), (60, 0.8))]
    folds = [plain_fold({"dense": one[:1], "condi_sr": one}) for one in values]
    row = across_table(folds, 6000).set_index("sampler").loc["condi_sr"]
    means = []
    for _ in range(6000):
        drawn = []
        for one in values:
            seeds, videos = rng.integers(3, size=3), rng.integers(one.shape[1], size=one.shape[1])
            drawn.append(one[seeds][:, videos].mean(0))
        means.append(np.concatenate(drawn).mean())
    assert (row.accuracy_low, row.accuracy_high) == pytest.approx(np.quantile(means, (0.025, 0.975)), abs=0.012)


def test_differences_are_paired_and_of_the_right_two():
    folds = [fold_of(seed, n)[0] for seed, n in ((3, 20), (5, 35))]
    for fold in folds:
        fold.found["st_ent"] = fold.found["condi_sr"]  # a twin
    table = across_differences(folds, 200).set_index(["measure", "sampler", "reference", "k", "k_student"]).sort_index()
    twin = table.loc[("accuracy", "condi_sr", "st_ent")]
    assert len(twin) == 3 and (twin == 0).to_numpy().all()
    gains = across_table(folds, 200).set_index(["sampler", "k"])
    for (name, k), row in gains[gains.index.get_level_values(0) != "dense"].iterrows():
        own = table.loc[("accuracy", name, "dense", k, 0)]
        assert list(own) == pytest.approx([row.gain, row.gain_low, row.gain_high])
    divided = table.loc[("accuracy", "division", "condi_sr", 2)]
    assert list(divided.index) == [1, 2]
    means = np.mean(np.concatenate([fold.found["division"].right.mean(1) for fold in folds], 1), 1)
    assert list(divided.difference) == pytest.approx(list(means[1:] - means[0]), abs=1e-9)
    names = {reference for measure, _, reference, _, _ in table.index if measure == "auroc_within"}
    assert "teacher_max" in names and "condi_sr" not in names and not {"oracle", "random"} & names


def test_what_only_some_folds_have_is_left_out():
    (one, _), (other, _) = fold_of(3, 20), fold_of(5, 20, losses=("condi_sr",), ks=(1, 3))
    table = across_table([one, other], 50)
    assert set(table.k) == {0, 1, 3} and "st_ent" not in set(table["sampler"]) and "condi_sr" in set(table["sampler"])


def test_what_is_saved_is_read_off_at_the_first_k_that_is_not_below_dense():
    rows = [("dense", 1, 0.0, 1.0, 1.0), ("dense", 2, 0.0, 1.0, 1.0)]
    rows += [("condi_sr", 3, 0.01, 0.6, 0.9), ("condi_sr", 1, -0.1, 0.2, 0.5), ("condi_sr", 2, 0.0, 0.4, 0.7)]
    rows += [("random", 1, -0.2, 0.1, 0.4), ("oracle", 1, 0.3, np.nan, np.nan)]
    table = pd.DataFrame(rows, columns=["sampler", "k", "gain", "multiply_adds", "seconds"])
    found = with_savings(table).drop_duplicates("sampler").set_index("sampler")
    assert list(found.loc["condi_sr", ["k_as_dense", "multiply_adds_saved", "seconds_saved"]]) == pytest.approx(
        [2, 0.6, 0.3]
    )
    assert found.loc[["dense", "random", "oracle"], "k_as_dense"].isna().all()


@pytest.mark.parametrize(
    "lows, bad, bad_to",
    [
        ([-1, -1, 1, 1, 1], 0.5, 0.9),  # from half of the clips on
        ([-1, 1, 1, 1, -1], 0.3, 0.7),  # where almost none is good there is nothing to choose
        ([1, -1, 1, 1, -1], 0.5, 0.7),  # those beside the largest gain
        ([-1, -1, -1, -1, -1], np.nan, np.nan),
        ([-1, 1, -1, -1, -1], 0.3, 0.3),  # the largest gain may be chance
    ],
)
def test_where_a_sampler_beats_dense(lows, bad, bad_to):
    shares = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    gains = np.array([0.01, 0.02, 0.05, 0.09, 0.03])
    table = pd.DataFrame({"good": 1 - shares, "gain": gains, "gain_low": 0.001 * np.array(lows), "gain_high": 0.1})
    (row,) = pays_from(table.assign(sampler="condi_sr", k=1).sample(frac=1, random_state=0)).itertuples()
    assert [row.bad, row.bad_to] == pytest.approx([bad, bad_to], nan_ok=True)
    most, most_bad = (0.02, 0.3) if lows[3] < 0 and bad == bad else (0.09, 0.7)
    assert (row.most, row.most_bad, row.hardest, row.n_worlds) == pytest.approx((most, most_bad, 0.9, 5))
    if bad == bad:
        assert row.gain == gains[np.isclose(shares, bad)][0]
