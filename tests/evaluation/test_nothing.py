"""Splits that have little to say: no number comes from nothing, and nothing below warns."""

import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import make_clips, make_scores, make_study

from condi_lib import evaluation, sampler

LOSSES = ("st_ent", "st_conf", "bce_c", "condi_sr", "condi_sr_rank", "sc_rank")
AREAS = ["fpr", "fnr", "auroc", "auroc_within", "auprc"]


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def always(clips, right, splits):
    """The same clips with a teacher that is always right, or always wrong, on some splits."""
    inside = clips.split.isin(splits)
    target = clips.label if right else (clips.label + 1) % 4
    rows = zip(clips.teacher_logits, 5 * np.eye(4, dtype=np.float32)[target], inside, strict=True)
    logits = [sure if i else own for own, sure, i in rows]
    return clips.assign(teacher_logits=logits, correct=clips.correct.where(~inside, right))


def study_of(seed=0, n_videos=8, **options):
    clips, scores = make_study(seed, n_videos, LOSSES, splits=("train", "val", "test"), **options)
    return clips.assign(shows=0.25), scores


def every_measure(clips, scores):
    """All that notebooks 06 and 07 compute: (accuracy table, detection table, curves)."""
    arrays = sampler.read_arrays(clips, scores)
    test = arrays[""][0]
    found = evaluation.outcomes_of_all(arrays, [1, 3, 50])
    dense = evaluation.dense_right(test)
    table = evaluation.accuracy_table(found, dense, found["oracle"])
    assert table[["accuracy", "top5", "gain", "mean_class", "n_clips"]].notna().all(axis=None)
    evaluation.compare(found, draws=50)
    evaluation.division(arrays["condi_sr"], [3])
    videos = pd.DataFrame({"video": test.videos, "class_name": test.labels.astype(str)})
    evaluation.by_group(found, evaluation.video_groups(test, videos), dense)
    kinds = sampler.pad(np.where(np.arange(test.mask.sum()), "clean", "dark"), test.mask)  # one of a kind
    names = sampler.detectors(arrays)
    pd.concat([evaluation.standing_by_kind(name, arrays, kinds, 20) for name in names])
    evaluation.example_table(arrays, kinds)
    detection = pd.concat([evaluation.detection(name, arrays, 20) for name in names])
    curves = pd.concat([evaluation.detection_curves(name, arrays) for name in names])
    assert np.isfinite(curves[["x", "y"]]).all(axis=None)
    return table, detection.pivot(index="sampler", columns="measure", values="mean"), curves, detection


@pytest.mark.parametrize("right", [True, False])
def test_a_teacher_that_is_always_right_or_always_wrong_on_test(right):
    clips, scores = study_of()
    table, found, curves, _ = every_measure(always(clips, right, ["test"]), scores)
    assert table.headroom.isna().all() and table.reachable.isna().all()
    table = table[[not sampler.SAMPLERS[name].classes for name in table.sampler]]  # those may be wrong by themselves
    assert (table.accuracy == right).all() and (table.gain == 0).all() and (table.mean_class == right).all()
    assert found[["auroc", "auroc_within"]].isna().all(axis=None)
    assert found["fpr" if right else "fnr"].isna().all() and found["fnr" if right else "fpr"].notna().all()
    np.testing.assert_allclose(found.aurc, 0 if right else 1)
    assert found.auprc.isna().all() if not right else (found.auprc == 1).all()
    expected = {"risk_coverage", "reliability", "reliability_scaled"}
    assert set(curves.curve) == (expected | {"precision_recall"} if right else expected)


@pytest.mark.parametrize("right", [True, False])
def test_a_teacher_that_is_always_right_or_always_wrong_on_val(right):
    clips, scores = study_of()
    table, found, curves, _ = every_measure(always(clips, right, ["val"]), scores)
    assert found[["threshold", "fpr", "fnr", "ece_scaled"]].isna().all(axis=None)
    assert found[["auroc", "auprc", "aurc"]].notna().all(axis=None)
    probable = [name for name in found.index if sampler.SAMPLERS[name].probability]
    assert found.loc[probable, ["fpr_at_half", "fnr_at_half", "ece"]].notna().all(axis=None)
    assert "reliability_scaled" not in set(curves.curve) and "reliability" in set(curves.curve)


def test_val_without_videos():
    clips, scores = study_of()
    table, found, curves, _ = every_measure(clips[clips.split != "val"], scores)
    assert found[["threshold", "fpr", "fnr", "ece_scaled"]].isna().all(axis=None)
    assert "condi_sr" in set(table.sampler) and {"condi_sr_adaptive", "st_ent_scaled"}.isdisjoint(table.sampler)
    with pytest.raises(ValueError, match="no clip of the val split"):
        evaluation.select_settings(clips[clips.split != "val"], {"a": ("condi_sr", scores)}, [1])


@pytest.mark.parametrize("longest", [1, 7])
def test_one_video_has_no_interval(longest):
    clips, scores = study_of(3, n_videos=1, longest=longest)
    table, _, _, detection = every_measure(clips, scores)
    for name in ("accuracy", "top5", "gain", "mean_class"):
        assert table[[f"{name}_low", f"{name}_high"]].isna().all(axis=None)
    assert detection[["low", "high"]].isna().all(axis=None) and (detection.n_videos == 1).all()
    arrays = sampler.read_arrays(clips, scores)
    compared = evaluation.compare(evaluation.outcomes_of_all(arrays, [1]), draws=50)
    assert compared[["low", "high", "p", "p_holm"]].isna().all(axis=None) and compared.difference.notna().all()
    assert evaluation.bootstrap(np.ones((1, 1)), 5).tolist() == [1] * 5


def test_two_videos_of_one_clip_have_what_can_be_said():
    clips, scores = study_of(3, n_videos=2, longest=1)
    every_measure(clips, scores)


def test_intervals_use_the_resamples_in_which_there_is_a_number():
    values = np.array([[1.0, np.nan], [2.0, np.nan], [np.nan, np.nan]])
    low, high = evaluation.intervals._interval(values, 3)
    np.testing.assert_allclose((low[0], high[0]), np.quantile([1, 2], (0.025, 0.975)))
    assert np.isnan([low[1], high[1]]).all()
    np.testing.assert_allclose(evaluation.intervals._interval(values[:, 0], 3), (low[0], high[0]))
    np.testing.assert_allclose(evaluation.holm(np.array([0.02, np.nan, 0.01])), [0.02, np.nan, 0.02])


def test_measures_of_no_clips_are_nan():
    none, no = np.zeros(0), np.zeros(0, bool)
    assert np.isnan(evaluation.choose_threshold(no, none)) and np.isnan(sampler.fit_temperature(np.zeros((0, 2)), none))
    for measure in (evaluation.auroc, evaluation.auprc, evaluation.aurc, evaluation.ece):
        assert np.isnan(measure(no, none)).all()
    assert np.isnan(evaluation.error_rates(no, none, 0.5)).all()
    assert np.isnan(evaluation.error_rates(np.ones(3, bool), np.ones(3), np.nan)).all()
    right = np.arange(4) % 2
    assert np.isnan(sampler.fit_temperature(9 * np.eye(2)[right], right))  # always right: the smaller the better


def test_what_is_no_probability_or_not_finite_is_refused():
    z = np.array([True, False])
    for prob in ([0.5, 1.2], [-0.1, 0.5], [0.5, np.nan]):
        for measure in (evaluation.ece, evaluation.reliability, evaluation.score_histogram):
            with pytest.raises(ValueError, match=r"prob: found .*, expected probabilities in \[0, 1\]"):
                measure(z, np.array(prob))
    for measure in (evaluation.auroc, evaluation.auprc, evaluation.aurc, evaluation.choose_threshold):
        with pytest.raises(ValueError, match="score: found a number that is not finite"):
            measure(z, np.array([0.5, np.nan]))
    clips = make_clips(0)
    arrays = sampler.clip_arrays(clips, make_scores(clips))
    with pytest.raises(ValueError, match="scores: the score of clip 0 of v000 is nan; expected a finite"):
        evaluation.outcomes(arrays, np.full(arrays.mask.shape, np.nan), [1])
    with pytest.raises(ValueError, match="keeps no clip of v000, expected at least one"):
        evaluation.outcomes(arrays, lambda k: arrays.mask & False, [1])


def test_a_class_of_nan_is_never_the_first():
    assert evaluation.place_of_truth(np.full((2, 3), np.nan), np.array([0, 2])).tolist() == [3, 3]
    assert evaluation.place_of_truth(np.array([[1, np.nan, 0]]), np.array([0])).tolist() == [1]
