"""Measures against brute force over single videos and clips, and against scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from conftest import make_clips, make_scores, make_study
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.metrics import average_precision_score, roc_auc_score

from condi_lib import detector, evaluation, sampler
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
    table = evaluation.division([test for test, _ in arrays["condi_sr"]], KS)
    plain = evaluation.outcomes(arrays[""][0][0], sampler.keep("condi_sr", arrays), KS).right.mean((1, 2))
    np.testing.assert_allclose(table[table.k_student == 0].accuracy, plain)


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
    test = arrays[""][0][0]
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


def test_groups_split_the_videos_and_add_up():
    clips, scores = make_study(3, 60)
    arrays = sampler.read_arrays(clips, scores)
    test = arrays[""][0][0]
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
    assert set(evaluation.thirds(np.full(9, 18), ["a", "b", "c"])) == {"a"}


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


# Detection


def drawn(seed, n=120, levels=None):
    rng = np.random.default_rng(seed)
    correct = rng.random(n) < 0.6
    score = 1 / (1 + np.exp(-rng.normal(correct, 1)))
    return correct, np.round(score, 1) if levels else score, rng.integers(0, 4, (3, n)).astype(float)


@pytest.mark.parametrize("levels", [None, 10])
@pytest.mark.parametrize("seed", range(3))
def test_auroc_and_average_precision_are_scikit_learns_with_weights_too(seed, levels):
    correct, score, weights = drawn(seed, levels=levels)
    for w in (None, *weights):
        rows = None if w is None else w[None]
        expected = roc_auc_score(correct, score, sample_weight=w)
        assert detector.auroc(correct, score, rows)[0] == pytest.approx(expected)
        expected = average_precision_score(correct, score, sample_weight=w)
        assert detector.auprc(correct, score, rows)[0] == pytest.approx(expected)
    np.testing.assert_allclose(
        detector.auroc(correct, score, weights), [detector.auroc(correct, score, w[None])[0] for w in weights]
    )


@pytest.mark.parametrize("levels", [None, 10])
def test_risk_coverage_by_hand(levels):
    correct, score, _ = drawn(1, 60, levels)
    risks = [(~correct[score >= s]).mean() for s in score]
    assert detector.aurc(correct, score)[0] == pytest.approx(np.mean(risks))
    perfect = detector.aurc(correct, correct.astype(float) + 0.01 * score)[0]
    assert perfect < detector.aurc(correct, score)[0] < detector.aurc(correct, -correct.astype(float))[0]


def test_calibration_error_by_hand_and_0_where_calibrated():
    correct, prob, weights = drawn(2, 300)
    total = 0.0
    for b in range(15):
        inside = (prob >= b / 15) & (prob < (b + 1) / 15)
        if inside.any():
            total += inside.sum() * abs(prob[inside].mean() - correct[inside].mean())
    assert detector.ece(correct, prob)[0] == pytest.approx(total / 300)
    rng = np.random.default_rng(0)
    p = rng.random(200_000)
    assert detector.ece(rng.random(200_000) < p, p)[0] < 0.01
    assert detector.ece(rng.random(200_000) < p, p**3)[0] > 0.1
    assert detector.ece(np.array([True]), np.array([1.0]))[0] == 0


def test_calibrating_on_val_undoes_an_overconfident_scale():
    rng = np.random.default_rng(0)
    logit = rng.normal(0, 1, (2, 20_000))
    z = rng.random(logit.shape) < 1 / (1 + np.exp(-logit))
    over = 1 / (1 + np.exp(-3 * logit))
    scaled = detector.calibrate(over[0], z[1], over[1])
    assert detector.ece(z[0], over[0])[0] > 0.1 > 0.015 > detector.ece(z[0], scaled)[0]
    assert (np.argsort(scaled) == np.argsort(over[0])).all()


def test_the_threshold_minimises_fpr_plus_fnr():
    rng = np.random.default_rng(0)
    correct = rng.random(80) < 0.6
    score = np.round(rng.normal(correct, 1), 1)
    threshold = detector.choose_threshold(correct, score)
    best = min(sum(detector.error_rates(correct, score, t)) for t in np.unique(score))
    assert sum(detector.error_rates(correct, score, threshold)) == pytest.approx(best)


def test_error_rates_by_hand():
    correct = np.array([True, True, True, False, False])
    score = np.array([0.9, 0.5, 0.1, 0.5, 0.2])
    fpr, fnr = detector.error_rates(correct, score, 0.5)
    assert (fpr[0], fnr[0]) == (0.5, pytest.approx(1 / 3))
    fpr, fnr = detector.error_rates(correct, score, 0.5, np.array([[1.0, 1, 0, 3, 1]]))
    assert (fpr[0], fnr[0]) == (0.75, 0)


def test_auroc_within_a_video_is_scikit_learns():
    arrays = clip_arrays(make_clips(11, 30, longest=9))
    score = np.random.default_rng(0).integers(0, 4, arrays.mask.shape).astype(float)
    found = detector.auroc_within(arrays, score)
    for v in range(len(found)):
        z, s = arrays.correct[v][arrays.mask[v]], score[v][arrays.mask[v]]
        if z.all() or not z.any():
            assert np.isnan(found[v])
        else:
            assert found[v] == pytest.approx(roc_auc_score(z, s))
    assert detector.mean_auroc_within(arrays, score)[0] == pytest.approx(np.nanmean(found))


def test_detection_uses_the_threshold_of_val_on_test():
    clips, scores = make_study(1, 40, losses=("condi_sr",), seeds=1)
    arrays = sampler.read_arrays(clips, scores)
    found = detector.detection("condi_sr", arrays, draws=50).set_index("measure")
    table = scores["condi_sr"][0]
    v, t = (clips.split == s for s in ("val", "test"))
    threshold = detector.choose_threshold(clips.correct[v].to_numpy(), table.score[v].to_numpy(np.float64))
    assert found["mean"]["threshold"] == pytest.approx(threshold)
    called, z = table.score[t] >= np.float32(threshold), clips.correct[t]
    assert found["mean"]["fpr"] == pytest.approx(called[~z].mean())
    assert found["mean"]["fnr"] == pytest.approx((~called[z]).mean())
    assert found["mean"]["auroc"] == pytest.approx(roc_auc_score(z, table.score[t]))
    assert found["mean"]["fpr_at_half"] == pytest.approx((table.score[t] >= 0.5)[~z].mean())
    assert (found.low <= found["mean"]).all() and (found["mean"] <= found.high).all()


def test_detection_intervals_are_those_of_resampled_videos():
    """The weighted measures against plain recomputation on resampled clips."""
    clips, scores = make_study(6, 40, losses=("condi_sr",), seeds=1)
    test, _ = sampler.read_arrays(clips, scores)["condi_sr"][0]
    rng = np.random.default_rng(0)
    for _ in range(3):
        count = rng.multinomial(40, np.full(40, 1 / 40))
        weights = np.repeat(count, test.mask.sum(1))[None].astype(float)
        videos = np.repeat(np.arange(40), count)
        z, s = (x[videos][test.mask[videos]] for x in (test.correct, test.score))
        plain = test.correct[test.mask], test.score[test.mask]
        for measure in (detector.auroc, detector.auprc, detector.aurc, detector.ece):
            assert measure(*plain, weights)[0] == pytest.approx(measure(z, s)[0])


def test_a_score_that_is_no_probability_has_no_rates_at_half():
    clips, scores = make_study(1, 40, losses=("st_ent",), seeds=2)
    found = detector.detection("st_ent", sampler.read_arrays(clips, scores), draws=20).set_index("measure")
    assert found["mean"][["fpr_at_half", "fnr_at_half", "ece", "ece_scaled"]].isna().all()
    assert found["mean"].notna().sum() == 7 and (found.n_seeds == 2).all()


def test_curves_integrate_to_their_areas():
    clips, scores = make_study(3, 400, losses=("condi_sr",), seeds=1, longest=9)
    for table in scores["condi_sr"]:
        table["score"] = np.random.default_rng(0).random(len(table)).astype(np.float32) / 2 + clips.correct / 4
    arrays = sampler.read_arrays(clips, scores)
    curves = detector.detection_curves("condi_sr", arrays)
    areas = detector.detection("condi_sr", arrays, draws=5).set_index("measure")["mean"]
    for curve, measure in (("roc", "auroc"), ("precision_recall", "auprc"), ("risk_coverage", "aurc")):
        rows = curves[curves.curve == curve]
        assert np.trapezoid(rows.y, rows.x) == pytest.approx(areas[measure], abs=6e-3), curve
    assert set(curves.curve) == {"roc", "precision_recall", "risk_coverage", "reliability", "reliability_scaled"}


def test_standing_is_1_for_the_first_and_0_for_the_last():
    arrays = clip_arrays(make_clips(4, 8))
    score = np.arange(arrays.mask.size, dtype=float).reshape(arrays.mask.shape)
    found = detector.standing(arrays, score)
    for v, n in enumerate(arrays.mask.sum(1)):
        expected = np.arange(n) / max(1, n - 1) if n > 1 else np.ones(1)
        np.testing.assert_allclose(found[v, :n], expected)


def test_standing_by_kind_is_the_mean_over_clips():
    clips, scores = make_study(2, 30)
    arrays = sampler.read_arrays(clips, scores)
    test = arrays[""][0][0]
    kinds = sampler.pad(np.random.default_rng(0).choice(["clean", "dark", "mixed"], test.mask.sum()), test.mask)
    table = detector.standing_by_kind("condi_sr", arrays, kinds)
    assert list(table.kind) == ["clean", "dark", "mixed"] and table.n_clips.sum() == test.mask.sum()
    for row in table.itertuples():
        each = [detector.standing(t, t.score)[kinds == row.kind].mean() for t, _ in arrays["condi_sr"]]
        assert row.standing == pytest.approx(np.mean(each)) and row.low <= row.standing <= row.high


def test_the_example_is_a_video_that_condi_sr_wins():
    clips, scores = make_study(9, 80)
    arrays = sampler.read_arrays(clips, scores)
    table = detector.example_table(arrays, k=1)
    rows = clips[clips.video == table.video[0]].sort_values("clip")
    own = scores["condi_sr"][0].loc[rows.index].score.to_numpy()
    assert place_by_hand(rows, np.argsort(-own, kind="stable"), 1) == 0 != place_by_hand(rows, range(len(rows)), 99)
    assert len(table) == len(rows) and (table.correct == rows.correct.to_numpy()).all()
    assert table.standing_condi_sr.iloc[int(own.argmax())] == 1


def test_clip_kinds_are_pure_or_mixed():
    clips = pd.DataFrame({"video": ["a", "a", "b"], "clip": [0, 1, 0]}, index=[7, 8, 9])
    truth = pd.DataFrame(
        {"video": ["a"] * 6 + ["b"] * 2, "frame": [*range(6), 0, 1], "kind": ["clean"] * 5 + ["dark"] + ["noise"] * 2}
    )
    assert detector.clip_kinds(clips, truth, 4).to_dict() == {7: "clean", 8: "mixed", 9: "noise"}


def test_videos_are_grouped_by_what_was_planted():
    clips, _ = make_study(0, 9)
    test = clip_arrays(clips[clips.split == "test"])
    videos = pd.DataFrame({"video": test.videos, "class_name": [f"c{i}" for i in test.labels]})
    truth = pd.DataFrame(
        [(v, f, "dark" if f < i else "clean", 0.8 * (i % 3 == 0)) for i, v in enumerate(test.videos) for f in range(9)],
        columns=["video", "frame", "kind", "blend"],
    )
    groups = evaluation.video_groups(test, videos, truth)
    assert list(groups["ambiguous frames"]) == ["fewest"] * 3 + ["some"] * 3 + ["most"] * 3
    assert list(groups["motion"]) == ["hard", "typical", "typical"] * 3
    assert list(groups["class"]) == list(videos.class_name)
    assert set(evaluation.video_groups(test, videos)) == {"length", "class"}
