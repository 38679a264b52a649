"""Measures against brute force over single videos and clips, and against scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from conftest import make_clips, make_scores, make_study
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.metrics import balanced_accuracy_score

from condi_lib import evaluation, sampler
from condi_lib.sampler import clip_arrays

KS = [1, 2, 3, 5, 9]


def video_rows(clips):
    return [rows for _, rows in clips.sort_values(["video", "clip"]).groupby("video")]


def place_by_hand(rows, order, k, average="probs"):
    logits = np.stack(rows.teacher_logits.to_list()).astype(np.float64)
    values = softmax(logits, 1) if average == "probs" else logits
    mean = values[order[:k]].sum(0)
    return list(np.argsort(-mean, kind="stable")).index(rows.label.iloc[0])


@pytest.mark.parametrize("seed", range(5))
def test_oracle_and_dense_against_brute_force(seed):
    clips = make_clips(seed, 15)
    arrays = clip_arrays(clips)
    found = evaluation.outcomes(arrays, sampler.true_class_prob(arrays), KS).right[:, 0]
    for v, rows in enumerate(video_rows(clips)):
        true = softmax(np.stack(rows.teacher_logits.to_list()).astype(np.float64), 1)[:, rows.label.iloc[0]]
        order = np.argsort(-true, kind="stable")
        assert [place_by_hand(rows, order, k) == 0 for k in KS] == list(found[:, v])
        assert evaluation.dense_right(arrays)[v] == (place_by_hand(rows, order, 99) == 0)


@pytest.mark.parametrize("average", ["probs", "logits"])
@pytest.mark.parametrize("seed", range(3))
def test_outcomes_of_a_score_table_against_brute_force(seed, average):
    clips = make_clips(seed, 15, n_classes=9)
    scores = make_scores(clips, seed)
    arrays = clip_arrays(clips, scores.sample(frac=1, random_state=1))
    found = evaluation.outcomes(arrays, arrays.score, KS, average)
    for v, rows in enumerate(video_rows(clips)):
        order = np.argsort(-scores.loc[rows.index].score.to_numpy(), kind="stable")
        places = [place_by_hand(rows, order, k, average) for k in KS]
        assert [p == 0 for p in places] == list(found.right[:, 0, v])
        assert [p < 5 for p in places] == list(found.top5[:, 0, v])
        assert [min(k, len(rows)) for k in KS] == list(found.n_clips[:, 0, v])


def test_accuracy_vs_k_takes_tables_of_several_seeds():
    clips = make_clips(4, 40)
    tables = [make_scores(clips, s) for s in (1, 2)]
    found = evaluation.accuracy_vs_k(clips, tables, [1, 3])
    each = [evaluation.accuracy_vs_k(clips, t, [1, 3]) for t in tables]
    np.testing.assert_allclose(found.accuracy, np.mean([t.accuracy for t in each], 0))
    assert (found.n_seeds == 2).all() and (found.n_videos == 40).all()
    assert (found.accuracy_low <= found.accuracy).all() and (found.accuracy <= found.accuracy_high).all()


def test_random_is_the_mean_over_draws():
    arrays = clip_arrays(make_clips(2, 10))
    draws = sampler.random_orders(arrays, draws=4)
    each = [evaluation.outcomes(arrays, d, [2]).right for d in draws]
    np.testing.assert_allclose(evaluation.outcomes(arrays, draws, [2]).right, np.mean(each, 0))


def test_headroom_is_0_for_dense_and_1_for_the_oracle():
    clips = make_clips(3, 200)
    arrays = clip_arrays(clips)
    oracle = evaluation.accuracy_vs_k(clips, sampler.true_class_prob(arrays), [1, 3])
    np.testing.assert_allclose(oracle.headroom, 1)
    assert (oracle.gain > 0).all()
    dense = evaluation.accuracy_vs_k(clips, lambda k: arrays.mask, [1, 3])
    np.testing.assert_allclose(dense[["headroom", "gain", "gain_low", "gain_high"]], 0)


@pytest.mark.parametrize("mode", ["nested", "disjoint"])
def test_division_against_brute_force(mode):
    clips = make_clips(5, 12)
    scores = make_scores(clips, 5)
    k = 4
    table = evaluation.division([clip_arrays(clips, scores)], [k], mode)
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


def test_division_without_student_clips_is_plain_sampling():
    clips, scores = make_study(2, 30)
    arrays = sampler.read_arrays(clips, scores)
    table = evaluation.division(arrays["condi_sr"], KS)
    plain = evaluation.outcomes(arrays[""][0], sampler.keep("condi_sr", arrays), KS).right.mean((1, 2))
    np.testing.assert_allclose(table[table.k_student == 0].accuracy, plain)


def test_groups_split_the_videos_and_add_up():
    clips, scores = make_study(3, 60)
    arrays = sampler.read_arrays(clips, scores)
    test = arrays[""][0]
    dense = evaluation.dense_right(test)
    found = {n: evaluation.outcomes(test, sampler.keep(n, arrays), [1, 3]) for n in ("dense", "condi_sr")}
    groups = {"length": evaluation.thirds(test.mask.sum(1), ["short", "medium", "long"]), "all": np.full(60, "all")}
    table = evaluation.by_group(found, groups, dense)
    for (_, _, k), rows in table.groupby(["grouping", "sampler", "k"]):
        assert rows.n_videos.sum() == 60
        one = found[rows.sampler.iloc[0]].right[[1, 3].index(k)]
        assert np.average(rows.accuracy, weights=rows.n_videos) == pytest.approx(one.mean())
    np.testing.assert_allclose(table.gain, table.helped - table.hurt, atol=1e-12)
    row = table[(table.grouping == "all") & (table.sampler == "condi_sr") & (table.k == 3)].iloc[0]
    right = found["condi_sr"].right[1]
    assert row.hurt == pytest.approx(((right == 0) & (dense == 1)).mean())
    short = test.mask.sum(1)[groups["length"] == "short"]
    assert short.max() < test.mask.sum(1)[groups["length"] == "long"].min()


def test_thirds_of_equal_values_are_one_group():
    assert set(evaluation.thirds(np.full(9, 18), ["a", "b", "c"])) == {"b"}
    assert list(evaluation.thirds(np.array([1, 2, 2, 2, 2, 3]), ["a", "b", "c"])) == ["a", "b", "b", "b", "b", "c"]
    assert list(evaluation.thirds(np.arange(6), ["a", "b", "c"])) == ["a", "a", "b", "b", "c", "c"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12))
def test_pareto_by_brute_force(points):
    cost, accuracy = np.array(points).T
    found = evaluation.pareto(cost, accuracy)
    for (c, a), not_dominated in zip(points, found, strict=True):
        better = any(c2 <= c and a2 >= a and (c2, a2) != (c, a) for c2, a2 in points)
        assert not_dominated == (not better)


def test_settings_are_chosen_on_val_and_test_cannot_reach_it():
    clips, _ = make_study(4, 60)
    candidates = {f"s{i}": ("condi_sr", {"condi_sr": [make_scores(clips, i)]}) for i in range(4)}
    chosen, table = evaluation.select_settings(clips, candidates, KS)
    val = clips[clips.split == "val"]
    means = {
        name: evaluation.accuracy_vs_k(val, scores["condi_sr"][0].merge(val[["video", "clip"]]), KS).accuracy.mean()
        for name, (_, scores) in candidates.items()
    }
    assert chosen["setting"] == max(means, key=means.get)
    best = table[table.sampler == chosen["setting"]]
    assert chosen["k"] == best[best.gain >= 0].k.min() if (best.gain >= 0).any() else True
    poisoned = clips.copy()
    poisoned["label"] = poisoned.label.where(poisoned.split == "val", 0)
    poisoned["correct"] = poisoned.correct & (poisoned.split == "val")
    poisoned["teacher_logits"] = [
        x if s == "val" else np.full_like(x, np.nan) for x, s in zip(clips.teacher_logits, clips.split, strict=True)
    ]
    spoilt = {
        name: (kind, {"condi_sr": [t.assign(score=t.score.where(t.video.isin(val.video))) for t in scores["condi_sr"]]})
        for name, (kind, scores) in candidates.items()
    }
    again, table_again = evaluation.select_settings(poisoned, spoilt, KS)
    assert again == chosen
    pd.testing.assert_frame_equal(table, table_again)
    with pytest.raises(ValueError, match="no clip of the val split"):
        evaluation.select_settings(clips[clips.split == "test"], candidates, KS)


@pytest.mark.parametrize("seed", range(3))
def test_mean_class_accuracy_and_its_interval_against_plain_resampling(seed):
    """scikit-learn's balanced accuracy; and a bootstrap that recomputes it, where every class has many videos."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), [20, 60, 220])
    right = (rng.random((1, 2, 300)) < np.array([0.3, 0.6, 0.9])[labels]).astype(float)
    one = evaluation.Outcomes([1], right, right, right, labels.astype(str), labels)
    table = evaluation.accuracy_table({"a": one}, right[0, 0], one)
    guesses = np.where(right[0] > 0, labels, (labels + 1) % 3)
    assert table.mean_class[0] == pytest.approx(np.mean([balanced_accuracy_score(labels, g) for g in guesses]))
    draws = []
    for _ in range(2000):
        some = rng.integers(0, 300, 300)
        values = right[0][rng.integers(0, 2, 2)][:, some].mean(0)
        draws.append(np.mean([values[labels[some] == c].mean() for c in np.unique(labels[some])]))
    low, high = np.quantile(draws, (0.025, 0.975))
    assert table.mean_class_low[0] == pytest.approx(low, abs=0.02)
    assert table.mean_class_high[0] == pytest.approx(high, abs=0.02)
    assert table.mean_class_high[0] - table.mean_class_low[0] > table.accuracy_high[0] - table.accuracy_low[0]


def test_what_the_truth_wins_is_the_reachable_part():
    clips, scores = make_study(3, 60)
    arrays = sampler.read_arrays(clips.assign(shows=clips.correct.astype(float)), scores)
    test = arrays[""][0]
    found = evaluation.outcomes_of_all(arrays, KS)
    dense = evaluation.dense_right(test)
    table = evaluation.accuracy_table(found, dense, found["oracle"]).set_index(["sampler", "k"]).sort_index()
    for k in KS:
        best = found["truth"].right[KS.index(k)].mean() - dense.mean()
        assert best > 0 or k > 5
        if best > 0:
            assert table.reachable["condi_sr", k] == pytest.approx(table.gain["condi_sr", k] / best)
            assert table.reachable["truth", k] == pytest.approx(1) and table.reachable["dense", k] == 0
        else:
            assert table.reachable.xs(k, level="k").isna().all()
    assert "truth" not in set(evaluation.compare(found, draws=10).sampler)
    del found["truth"]
    assert "reachable" not in evaluation.accuracy_table(found, dense, found["oracle"])


def test_parts_are_joined_in_the_order_of_the_clip_arrays():
    clips, scores = make_study(4, 20)
    arrays = sampler.read_arrays(clips, scores)["condi_sr"][0]
    whole = evaluation.outcomes(arrays, arrays.score, [1, 2])
    order = np.random.default_rng(0).permutation(20)
    some = [arrays.take(part) for part in np.split(order, [7, 8])]
    parts = [{"a": evaluation.outcomes(part, part.score, [1, 2])} for part in some]
    joined = evaluation.join(parts)["a"]
    for field in ("right", "top5", "n_clips", "videos", "labels"):
        np.testing.assert_array_equal(getattr(joined, field), getattr(whole, field))
