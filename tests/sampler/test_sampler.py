"""Selection, division and every sampler of the registry against brute force over single videos."""

import dataclasses

import numpy as np
import pytest
from conftest import make_clips, make_study
from hypothesis import given, settings
from hypothesis import strategies as st

from condi_lib import evaluation, sampler
from condi_lib.labelling import predictive_entropy, softmax
from condi_lib.sampler import clip_arrays, divide, equidistant, select


def ranked(scores, allowed):
    """Clip numbers, best first; ties by clip order. The slow way."""
    return sorted((i for i in range(len(scores)) if allowed[i]), key=lambda i: (-scores[i], i))


@st.composite
def padded(draw):
    lengths = draw(st.lists(st.integers(1, 7), min_size=1, max_size=4))
    mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
    levels = st.integers(0, 4)
    a, b = (np.array(draw(st.lists(levels, min_size=mask.size, max_size=mask.size)), float) for _ in range(2))
    return mask, a.reshape(mask.shape), b.reshape(mask.shape)


@settings(max_examples=150, deadline=None)
@given(padded(), st.integers(1, 9))
def test_select_takes_the_k_best_and_never_padding(drawn, k):
    mask, scores, _ = drawn
    chosen = select(scores, k, mask)
    for v in range(len(mask)):
        assert set(np.flatnonzero(chosen[v])) == set(ranked(scores[v], mask[v])[:k])


@settings(max_examples=150, deadline=None)
@given(padded(), st.integers(1, 9), st.data(), st.sampled_from(["nested", "disjoint"]))
def test_divide_follows_its_definition(drawn, k, data, mode):
    mask, confidence, entropy = drawn
    k_student = data.draw(st.integers(0, k))
    by_student, by_teacher = divide(confidence, entropy, k, k_student, mask, mode)
    for v in range(len(mask)):
        pool = ranked(confidence[v], mask[v])[:k] if mode == "nested" else ranked(confidence[v], mask[v])
        student = ranked(-entropy[v], [i in pool for i in range(mask.shape[1])])[:k_student]
        teacher = [i for i in pool if i not in student][: k - k_student]
        assert set(np.flatnonzero(by_student[v])) == set(student)
        assert set(np.flatnonzero(by_teacher[v])) == set(teacher)


@settings(max_examples=100, deadline=None)
@given(padded(), st.integers(1, 9), st.data())
def test_padding_is_never_chosen_whatever_the_scores(drawn, k, data):
    """Also where scores are not finite: a video keeps as many clips as it can, and ranks stay a permutation."""
    mask, scores, entropy = drawn
    odd = data.draw(st.lists(st.sampled_from([np.nan, -np.inf, np.inf, 0.0]), min_size=mask.size, max_size=mask.size))
    scores = np.reshape(odd, mask.shape) + scores
    chosen = select(scores, k, mask)
    assert not (chosen & ~mask).any()
    np.testing.assert_array_equal(chosen.sum(1), np.minimum(k, mask.sum(1)))
    assert (np.sort(sampler.ranks(scores, mask)) == np.arange(mask.shape[1])).all()
    for mode in ("nested", "disjoint"):
        by_student, by_teacher = divide(scores, entropy + scores, k, k // 2, mask, mode)
        assert not ((by_student | by_teacher) & ~mask).any() and not (by_student & by_teacher).any()


@pytest.mark.parametrize("mode", ["nested", "disjoint"])
def test_no_student_clips_is_plain_selection(mode):
    arrays = clip_arrays(make_clips(3, 20))
    score = np.random.default_rng(0).random(arrays.mask.shape)
    by_student, by_teacher = divide(score, score, 3, 0, arrays.mask, mode)
    assert not by_student.any()
    np.testing.assert_array_equal(by_teacher, select(score, 3, arrays.mask))


def masked(mask, **columns):
    """ClipArrays of which only the mask matters, and these columns."""
    none = np.zeros(len(mask), int)
    return sampler.ClipArrays(none.astype(str), none, mask, np.zeros(mask.shape, bool), **columns)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 30), k=st.integers(1, 35))
def test_equidistant_clips_are_distinct_and_spread(n, k):
    at = np.flatnonzero(equidistant(masked(np.ones((1, n), bool)), None, k)[0])
    assert len(at) == min(k, n)
    if len(at) > 1:
        gaps = np.diff(at)
        assert gaps.max() - gaps.min() <= 1
        assert abs(at[0] - (n - 1 - at[-1])) <= 1  # as far from the start as from the end


@settings(max_examples=100, deadline=None)
@given(padded(), padded(), st.integers(1, 9))
def test_one_threshold_takes_k_clips_on_average_over_val(drawn, val, k):
    mask, scores, _ = drawn
    val_mask, val_scores, _ = val
    kept = sampler.above_threshold(masked(mask, val=masked(val_mask)), scores, k, val_scores)
    assert (kept <= mask).all() and kept.any(1).all()

    def taken(mask, scores, threshold):
        best = [ranked(scores[v], mask[v])[0] for v in range(len(mask))]
        above = [set(np.flatnonzero((scores[v] > threshold) & mask[v])) for v in range(len(mask))]
        return [clips | {first} for clips, first in zip(above, best, strict=True)]

    for threshold in [-np.inf, *np.unique(val_scores[val_mask])]:  # the lowest that is enough
        if np.mean([len(clips) for clips in taken(val_mask, val_scores, threshold)]) <= k:
            break
    assert [set(np.flatnonzero(row)) for row in kept] == taken(mask, scores, threshold)


def test_the_threshold_is_fitted_to_val_alone():
    mask = np.ones((50, 10), bool)
    arrays, two = (masked(m, val=masked(mask)) for m in (mask, mask[:2]))
    val_scores = np.random.default_rng(0).random((50, 10))
    for k in (1, 3, 7):  # no ties: k * V clips
        assert sampler.above_threshold(arrays, val_scores, k, val_scores).sum() == 50 * k
        none = sampler.above_threshold(two, np.full((2, 10), -1.0), k, val_scores)
        np.testing.assert_array_equal(none.sum(1), 1)


def test_weights_are_the_confidences_of_the_k_best():
    arrays = masked(np.ones((1, 3), bool), confidence=np.array([[0.2, 0.9, 0.5]]))
    np.testing.assert_allclose(sampler.weighted_top_k(arrays, np.array([[-2.0, 3, 0]]), 2), [[0, 0.9, 0.5]])
    nothing = masked(np.ones((1, 3), bool), confidence=np.zeros((1, 3)))  # all round to 0: alike
    kept = sampler.weighted_top_k(nothing, np.array([[-200.0, -300, -250]]), 2)[0]
    assert kept[0] == kept[2] > 0 == kept[1]


@pytest.mark.parametrize("true", [0.3, 1.0, 4.0])
def test_the_fitted_temperature_is_the_one_that_was_planted(true):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (40_000, 5))
    labels = np.array([rng.choice(5, p=p) for p in softmax(logits)])  # calibrated at temperature 1
    assert sampler.fit_temperature(true * logits, labels) == pytest.approx(true, rel=0.03)


def test_scaled_entropy_uses_vals_temperature_and_keeps_the_order_of_one_scale():
    clips, scores = make_study()
    test = sampler.read_arrays(clips, scores)["st_ent"][0]
    val = test.val
    t = sampler.fit_temperature(val.student_logits[val.mask], np.repeat(val.labels, val.mask.sum(1)))
    expected = -predictive_entropy(test.student_logits / t)
    np.testing.assert_allclose(sampler.scaled_entropy(test)[test.mask], expected[test.mask])
    other = dataclasses.replace(test, labels=(test.labels + 1) % 4)  # the test labels do not matter
    np.testing.assert_array_equal(sampler.scaled_entropy(other), sampler.scaled_entropy(test))


def test_scores_of_the_published_samplers_by_hand():
    clips, scores = make_study()
    test = sampler.read_arrays(clips, scores)["st_ent"][0]
    table = scores["st_ent"][0].set_index(["video", "clip"])
    for v, video in enumerate(test.videos):
        for i in np.flatnonzero(test.mask[v]):
            row = table.loc[(video, i)]
            p = np.exp(row.student_logits) / np.exp(row.student_logits).sum()
            assert sampler.largest_class_score(test)[v, i] == pytest.approx(p.max(), rel=1e-5)
            assert sampler.mc_dropout_entropy(test)[v, i] == pytest.approx(-row.mc_entropy)
            assert sampler.own_score(test)[v, i] == pytest.approx(row.score)


def test_random_draws_are_seeded_and_differ():
    arrays = clip_arrays(make_clips(0, 20))
    a, b, c = (sampler.random_orders(arrays, draws=5, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert a.shape == (5, *arrays.mask.shape) and (a != c).all() and (a[0] != a[1]).all()


def whole_study(seed):
    """Arrays for every sampler of the registry: all losses, the training split and a truth."""
    losses = {s.loss for s in sampler.SAMPLERS.values() if s.loss}
    clips, scores = make_study(seed, losses=sorted(losses), splits=("train", "val", "test"))
    clips["shows"] = np.random.default_rng(seed).integers(0, 9, len(clips)) / 8
    return sampler.read_arrays(clips, scores)


@pytest.mark.parametrize("seed", range(3))
def test_every_sampler_keeps_real_clips_and_none_beats_the_oracle(seed):
    """At every k no sampler's mean true-class probability is above the oracle's, and padding is never kept."""
    arrays = whole_study(seed)
    assert sampler.available(arrays) == list(sampler.SAMPLERS)
    test = arrays[""][0]
    true = sampler.true_class_prob(test)
    for name in sampler.SAMPLERS:
        for k in (1, 2, 4, test.mask.shape[1]):
            for weights in (kept(k) for kept in sampler.keep(name, arrays)):
                assert not np.any(weights[..., ~test.mask]), name
                n = (weights > 0).sum(-1).max(initial=1)  # adaptive K may take more, or fewer
                mean = (true * weights).sum(-1) / np.maximum(weights.sum(-1), 1e-300)
                best = np.sort(np.where(test.mask, true, -1), 1)[:, ::-1]
                own = (weights > 0).sum(-1)
                bound = np.cumsum(best, 1)[np.arange(len(true)), np.maximum(own, 1) - 1] / np.maximum(own, 1)
                if sampler.SAMPLERS[name].keep is not sampler.weighted_top_k:
                    assert (mean <= bound + 1e-9).all(), name
                assert n <= test.mask.shape[1]


def test_every_sampler_of_whole_clips_is_dense_at_k_equal_n():
    arrays = whole_study(3)
    test = arrays[""][0]
    n = test.mask.shape[1]
    for name, one in sampler.SAMPLERS.items():
        found = evaluation.outcomes(test, sampler.keep(name, arrays), [n, n + 5])
        if one.keep is not sampler.weighted_top_k and not one.classes:
            assert (found.right == evaluation.dense_right(test)).all(), name


def test_the_order_of_rows_changes_nothing():
    clips, scores = make_study(5)
    arrays = sampler.read_arrays(clips, scores)
    shuffled = {loss: [t.sample(frac=1, random_state=1) for t in tables] for loss, tables in scores.items()}
    again = sampler.read_arrays(clips.sample(frac=1, random_state=0), shuffled)
    for name in sampler.available(arrays):
        for a, b in zip(sampler.keep(name, arrays), sampler.keep(name, again), strict=True):
            np.testing.assert_array_equal(a(2), b(2))


def test_a_new_sampler_is_one_function_and_one_line(monkeypatch):
    def last_first(arrays):
        return np.arange(arrays.mask.shape[1]) * arrays.mask.astype(float)

    monkeypatch.setitem(sampler.SAMPLERS, "last_first", sampler.Sampler("last first", "beyond", last_first, passes=0))
    clips, scores = make_study(1)
    arrays = sampler.read_arrays(clips, scores)
    test = arrays[""][0]
    found = {n: evaluation.outcomes(test, sampler.keep(n, arrays), [1, 3]) for n in sampler.available(arrays)}
    table = evaluation.accuracy_table(found, evaluation.dense_right(test), found["oracle"])
    assert "last_first" in set(table.sampler) and "last_first" in set(evaluation.compare(found).sampler)
    assert "last_first" in sampler.detectors(arrays)
    for v, (kept, real) in enumerate(zip(sampler.keep("last_first", arrays)[0](1), test.mask, strict=True)):
        assert list(np.flatnonzero(kept)) == [real.sum() - 1], v


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_1_is_an_error_that_names_it(k):
    with pytest.raises(ValueError, match=f"k: found {k}"):
        select(np.zeros((1, 3)), k, np.ones((1, 3), bool))
    clips, scores = make_study()
    arrays = sampler.read_arrays(clips, scores)
    for name in sampler.available(arrays):
        if k or not sampler.SAMPLERS[name].classes:
            with pytest.raises(ValueError, match=f"k: found {k}"):
                sampler.keep(name, arrays)[0](k)


def test_impossible_divisions_are_errors():
    one = np.ones((1, 3))
    with pytest.raises(ValueError, match="k_student: found 4, expected 0 to k = 3"):
        divide(one, one, 3, 4, one > 0)
    with pytest.raises(ValueError, match="mode: 'both' is unknown"):
        divide(one, one, 3, 1, one > 0, "both")


def test_a_sampler_whose_scores_are_not_finite_is_an_error_that_names_the_clip(monkeypatch):
    def broken(arrays):
        return np.where(np.arange(arrays.mask.shape[1]) == 2, np.nan, 0.0) * np.ones(arrays.mask.shape)

    monkeypatch.setitem(sampler.SAMPLERS, "broken", sampler.Sampler("broken", "beyond", broken, passes=0))
    arrays = whole_study(0)
    first = arrays[""][0].videos[arrays[""][0].mask[:, 2].argmax()]
    with pytest.raises(
        ValueError, match=f"sampler broken: the score of clip 2 of {first} is nan; expected a finite number"
    ):
        sampler.keep("broken", arrays)


def test_place_is_the_share_of_right_clips_at_that_place_in_training():
    rng = np.random.default_rng(0)
    n, right = 10, rng.random((50, 10)) < np.linspace(0.1, 0.9, 10)  # videos of one length: each clip number is a place
    train = masked(np.ones((50, n), bool))
    train = dataclasses.replace(train, correct=right)
    some = masked(np.ones((3, n), bool), train=train)
    np.testing.assert_allclose(sampler.place(some), np.tile(right.mean(0), (3, 1)))
    lengths = np.array([20, 5, 7, 1])  # others: the place that holds the clip's centre
    arrays = masked(np.arange(20) < lengths[:, None], train=train)
    found = sampler.place(arrays)
    for v, length in enumerate(lengths):
        for i in range(length):
            assert found[v, i] == pytest.approx(right[:, int((i + 0.5) / length * n)].mean())


@pytest.mark.parametrize("seed", range(3))
def test_place_by_brute_force(seed):
    """Training videos of many lengths; a place without clips has the share of all."""
    clips, _ = make_study(seed, 5, splits=("train", "val", "test"), longest=9)
    arrays = sampler.read_arrays(clips, {})[""][0]
    train = clips[clips.split == "train"].assign(n=lambda t: t.groupby("video")["clip"].transform("size"))
    n = int(np.median(train.drop_duplicates("video").n))
    at = ((train["clip"] + 0.5) / train.n * n + 1e-9).astype(int)
    for found, real in zip(sampler.place(arrays), arrays.mask, strict=True):
        for i in range(real.sum()):
            there = train.correct[at == int((i + 0.5) / real.sum() * n + 1e-9)]
            assert found[i] == pytest.approx(there.mean() if len(there) else train.correct.mean())


def test_what_is_not_there_leaves_out_what_needs_it():
    clips, scores = make_study(0, splits=("train", "val", "test"))
    everything = set(sampler.available(sampler.read_arrays(clips.assign(shows=0.5), scores)))
    assert {"place", "truth", "st_ent_scaled", "condi_sr_adaptive"} <= everything
    no_val = set(sampler.available(sampler.read_arrays(clips[clips.split != "val"], scores)))
    assert everything - no_val == {"truth", "st_ent_scaled", "condi_sr_adaptive", "condi_sr_mean"}
    no_train = set(sampler.available(sampler.read_arrays(clips[clips.split != "train"], scores)))
    assert everything - no_train == {"truth", "place"}
    assert {"truth", "oracle"}.isdisjoint(sampler.detectors(sampler.read_arrays(clips.assign(shows=0.5), scores)))


def student_classes(arrays):
    """Mean of the student's softmax over a video's clips: [V, C]."""
    return (softmax(arrays.student_logits) * arrays.mask[..., None]).sum(1) / arrays.mask.sum(1, keepdims=True)


@pytest.mark.parametrize("seed", range(3))
def test_a_sampler_may_bring_classes_of_its_own(monkeypatch, seed):
    """One function and one line; val chooses how they are combined with the teacher's; by brute force."""
    line = sampler.Sampler("pooled", "beyond", loss="condi_sr", classes=student_classes)
    monkeypatch.setitem(sampler.SAMPLERS, "pooled", line)
    clips, scores = make_study(seed, 30)
    arrays = sampler.read_arrays(clips, scores)
    test = arrays[""][0]
    found = evaluation.outcomes_of_all(arrays, [1, 3])["pooled"]
    assert found.ks == [0, 1, 3] and (found.n_clips[0] == 0).all()

    def right(one, k, share):
        out = []
        for v, label in enumerate(one.labels):
            best = ranked(one.score[v], one.mask[v])[:k]
            teacher = np.mean([one.probs[v, i] for i in best], 0)
            student = np.mean([softmax(one.student_logits[v, i]) for i in np.flatnonzero(one.mask[v])], 0)
            out.append(((1 - share) * teacher + share * student).argmax() == label)
        return np.array(out)

    for s, one in enumerate(arrays["condi_sr"]):
        own = student_classes(one).argmax(1) == test.labels
        np.testing.assert_array_equal(found.right[0, s], own)  # the student alone
        for i, k in enumerate((1, 3), 1):
            on_val = [right(one.val, k, share).mean() for share in sampler.SHARES]
            share = sampler.SHARES[int(np.argmax(on_val))]
            np.testing.assert_array_equal(found.right[i, s], right(one, k, share))
    for name in ("condi_sr", "dense", "random"):
        with pytest.raises(ValueError, match="k: found 0, expected a number of clips >= 1"):
            evaluation.outcomes(test, sampler.keep(name, arrays), [0])
    table = evaluation.accuracy_table({"pooled": found}, evaluation.dense_right(test), found_of_oracle(arrays, [1, 3]))
    assert np.isnan(table.headroom[0]) and table.accuracy.notna().all()  # the oracle has no K = 0


def found_of_oracle(arrays, ks):
    return evaluation.outcomes(arrays[""][0], sampler.keep("oracle", arrays), ks)
