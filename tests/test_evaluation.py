"""Measures against brute force over single videos and clips, and against scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from conftest import make_clips, make_scores
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from condi_lib import evaluation, sampler
from condi_lib.sampler import clip_arrays

KS = [1, 2, 3, 5, 9]


def video_rows(clips):
    return [rows for _, rows in clips.sort_values(["video", "clip"]).groupby("video")]


def right_by_hand(rows, order, k):
    probs = softmax(np.stack(rows.teacher_logits.to_list()).astype(np.float64), 1)
    return probs[order[:k]].mean(0).argmax() == rows.label.iloc[0]


@pytest.mark.parametrize("seed", range(5))
def test_oracle_and_dense_against_brute_force(seed):
    clips = make_clips(seed, 15)
    arrays = clip_arrays(clips)
    found = evaluation.videos_right(arrays, sampler.oracle(arrays), KS)
    for v, rows in enumerate(video_rows(clips)):
        true = softmax(np.stack(rows.teacher_logits.to_list()).astype(np.float64), 1)[:, rows.label.iloc[0]]
        order = np.argsort(-true, kind="stable")
        assert [right_by_hand(rows, order, k) for k in KS] == list(found[:, v])
        assert evaluation.dense_right(arrays)[v] == right_by_hand(rows, order, 99)


@pytest.mark.parametrize("seed", range(5))
def test_accuracy_of_a_score_table_against_brute_force(seed):
    clips = make_clips(seed, 15)
    scores = make_scores(clips, seed)
    table = evaluation.accuracy_vs_k(clips, scores.sample(frac=1, random_state=1), KS)
    for k, accuracy in zip(table.k, table.accuracy, strict=True):
        hand = []
        for rows in video_rows(clips):
            score = scores.loc[rows.index].score.to_numpy()
            hand.append(right_by_hand(rows, np.argsort(-score, kind="stable"), k))
        assert accuracy == pytest.approx(np.mean(hand))
    assert (table.n_videos == 15).all() and (table.n_seeds == 1).all()


def test_every_sampler_is_dense_at_k_equal_n_and_below_the_oracle():
    clips = make_clips(7, 30)
    arrays = clip_arrays(clips)
    n = arrays.mask.shape[1]
    true = np.take_along_axis(arrays.probs, arrays.labels[:, None, None], 2)[..., 0]
    for name, make in sampler.REFERENCES.items():
        scores = make(arrays)
        table = evaluation.accuracy_vs_k(clips, scores, [n, n + 5])
        assert np.allclose(table.accuracy, evaluation.dense_right(arrays).mean()), name
        for k in (1, 2, 4):
            chosen = sampler.select(scores(k) if callable(scores) else scores, k, arrays.mask)
            best = sampler.select(true, k, arrays.mask)
            assert ((true * chosen).sum(-1) <= (true * best).sum(-1) + 1e-12).all(), name


def test_random_is_the_mean_over_draws():
    clips = make_clips(2, 10)
    arrays = clip_arrays(clips)
    draws = sampler.random(arrays, 4)
    each = [evaluation.videos_right(arrays, d, [2])[0] for d in draws]
    np.testing.assert_allclose(evaluation.videos_right(arrays, draws, [2])[0], np.mean(each, 0))


def test_headroom_is_0_for_dense_and_1_for_the_oracle():
    clips = make_clips(3, 200)
    arrays = clip_arrays(clips)
    table = evaluation.accuracy_vs_k(clips, sampler.oracle(arrays), [1, 3])
    np.testing.assert_allclose(table.headroom, 1)
    assert (table.gain > 0).all()


@pytest.mark.parametrize("mode", ["nested", "disjoint"])
def test_division_against_brute_force(mode):
    clips = make_clips(5, 12)
    scores = make_scores(clips, 5)
    k = 4
    table = evaluation.division(clips, [scores], k, mode)
    assert list(table.k_student) == list(range(k + 1))
    for k_student, accuracy in zip(table.k_student, table.accuracy, strict=True):
        hand = []
        for rows in video_rows(clips):
            own = scores.loc[rows.index]
            student = softmax(np.stack(own.student_logits.to_list()).astype(np.float64), 1)
            teacher = softmax(np.stack(rows.teacher_logits.to_list()).astype(np.float64), 1)
            entropy = -(student * np.log(student)).sum(1)
            by_confidence = list(np.argsort(-own.score.to_numpy(), kind="stable"))
            by_entropy = list(np.argsort(entropy, kind="stable"))
            pool = by_confidence[:k] if mode == "nested" else list(range(len(rows)))
            mine = [i for i in by_entropy if i in pool][:k_student]
            rest = [i for i in by_confidence if i in pool and i not in mine][: k - k_student]
            mean = np.concatenate([student[mine], teacher[rest]]).mean(0)
            hand.append(mean.argmax() == rows.label.iloc[0])
        assert accuracy == pytest.approx(np.mean(hand))


def test_intervals_cover_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(0)
    covered = 0
    for i in range(200):
        right = rng.random((1, 100)) < 0.7
        _, low, high = evaluation.interval(right, seed=i)
        covered += low <= 0.7 <= high
    assert 180 <= covered <= 199


def test_paired_differences_against_plain_means():
    clips = make_clips(8, 40)
    a, b = make_scores(clips, 1), make_scores(clips, 2)
    found = evaluation.paired_differences(clips, [a], {"other": [b], "self": None} | {"self": [a]}, [1, 2])
    acc = {n: evaluation.accuracy_vs_k(clips, s, [1, 2]).accuracy for n, s in (("a", a), ("b", b))}
    rows = found[found.other == "other"]
    np.testing.assert_allclose(rows.difference, acc["a"] - acc["b"])
    assert (rows.low <= rows.difference).all() and (rows.difference <= rows.high).all()
    np.testing.assert_allclose(found[found.other == "self"][["difference", "low", "high"]], 0)


def test_the_threshold_minimises_fpr_plus_fnr():
    rng = np.random.default_rng(0)
    correct = rng.random(80) < 0.6
    score = np.round(rng.normal(correct, 1), 1)
    threshold = evaluation.choose_threshold(correct, score)
    best = min(sum(evaluation.error_rates(correct, score, t)) for t in np.unique(score))
    assert sum(evaluation.error_rates(correct, score, threshold)) == pytest.approx(best)


def test_error_rates_by_hand():
    correct = np.array([True, True, True, False, False])
    score = np.array([0.9, 0.5, 0.1, 0.5, 0.2])
    assert evaluation.error_rates(correct, score, 0.5) == (0.5, pytest.approx(1 / 3))


def test_auroc_within_a_video_is_scikit_learns():
    arrays = clip_arrays(make_clips(11, 30, longest=9))
    score = np.random.default_rng(0).integers(0, 4, arrays.mask.shape).astype(float)
    found = evaluation.auroc_within(arrays, score)
    for v in range(len(found)):
        z, s = arrays.correct[v][arrays.mask[v]], score[v][arrays.mask[v]]
        if z.all() or not z.any():
            assert np.isnan(found[v])
        else:
            assert found[v] == pytest.approx(roc_auc_score(z, s))


def test_detection_uses_the_threshold_of_val_on_test():
    val, test = make_clips(1, 40, split="val"), make_clips(2, 40)
    test = test.assign(video="t" + test.video)
    clips = pd.concat([val, test], ignore_index=True)
    scores = make_scores(clips, 3)
    found = evaluation.detection(clips, [scores], bootstraps=50).set_index("measure")
    v, t = (clips.split == s for s in ("val", "test"))
    threshold = evaluation.choose_threshold(clips.correct[v].to_numpy(), scores.score[v].to_numpy(np.float64))
    assert found["mean"]["threshold"] == pytest.approx(threshold)
    called, z = scores.score[t] >= np.float32(threshold), clips.correct[t]
    assert found["mean"]["fpr"] == pytest.approx(called[~z].mean())
    assert found["mean"]["fnr"] == pytest.approx((~called[z]).mean())
    assert found["mean"]["auroc"] == pytest.approx(roc_auc_score(z, scores.score[t]))
    assert (found.low <= found["mean"]).all() and (found["mean"] <= found.high).all()


def test_roc_points_integrate_to_the_auroc():
    rng = np.random.default_rng(0)
    correct = rng.random(4000) < 0.5
    score = rng.normal(correct, 1)
    fpr, tpr = evaluation.roc_points(correct, score)
    assert np.trapezoid(tpr, fpr) == pytest.approx(roc_auc_score(correct, score), abs=2e-3)


def test_standing_is_1_for_the_first_and_0_for_the_last():
    arrays = clip_arrays(make_clips(4, 8))
    score = np.arange(arrays.mask.size, dtype=float).reshape(arrays.mask.shape)
    found = sampler.pad(evaluation.standing(arrays, score), arrays.mask)
    for v, n in enumerate(arrays.mask.sum(1)):
        expected = np.arange(n) / max(1, n - 1) if n > 1 else np.ones(1)
        np.testing.assert_allclose(found[v, :n], expected)


def test_clip_kinds_are_pure_or_mixed():
    clips = pd.DataFrame({"video": ["a", "a", "b"], "clip": [0, 1, 0]}, index=[7, 8, 9])
    truth = pd.DataFrame(
        {"video": ["a"] * 6 + ["b"] * 2, "frame": [*range(6), 0, 1], "kind": ["clean"] * 5 + ["dark"] + ["noise"] * 2}
    )
    assert evaluation.clip_kinds(clips, truth, 4).to_dict() == {7: "clean", 8: "mixed", 9: "noise"}
