"""Selection, division and the reference samplers against brute force over single videos."""

import numpy as np
import pytest
import torch
from conftest import make_clips, make_scores
from hypothesis import given, settings
from hypothesis import strategies as st

from condi_lib import sampler
from condi_lib.labelling import predictive_entropy, softmax
from condi_lib.sampler import align, clip_arrays, divide, equidistant, pad, select


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


@pytest.mark.parametrize("mode", ["nested", "disjoint"])
def test_no_student_clips_is_plain_selection(mode):
    arrays = clip_arrays(make_clips(3, 20))
    score = np.random.default_rng(0).random(arrays.mask.shape)
    by_student, by_teacher = divide(score, score, 3, 0, arrays.mask, mode)
    assert not by_student.any()
    np.testing.assert_array_equal(by_teacher, select(score, 3, arrays.mask))


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 30), k=st.integers(1, 35))
def test_equidistant_clips_are_distinct_and_spread(n, k):
    class Arrays:
        mask = np.ones((1, n), bool)

    at = np.flatnonzero(select(equidistant(Arrays)(k), k, Arrays.mask)[0])
    assert len(at) == min(k, n)
    if len(at) > 1:
        gaps = np.diff(at)
        assert gaps.max() - gaps.min() <= 1
        assert abs(at[0] - (n - 1 - at[-1])) <= 1  # as far from the start as from the end


def test_random_draws_are_seeded_and_differ():
    arrays = clip_arrays(make_clips(0, 20))
    a, b, c = sampler.random(arrays, 5, seed=1), sampler.random(arrays, 5, seed=1), sampler.random(arrays, 5, seed=2)
    np.testing.assert_array_equal(a, b)
    assert a.shape == (5, *arrays.mask.shape) and (a != c).all() and (a[0] != a[1]).all()


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_1_is_an_error_that_names_it(k):
    with pytest.raises(ValueError, match=f"k: found {k}"):
        select(np.zeros((1, 3)), k, np.ones((1, 3), bool))


def test_impossible_divisions_are_errors():
    one = np.ones((1, 3))
    with pytest.raises(ValueError, match="k_student: found 4, expected 0 to k = 3"):
        divide(one, one, 3, 4, one > 0)
    with pytest.raises(ValueError, match="mode: 'both' is unknown"):
        divide(one, one, 3, 1, one > 0, "both")


def test_arrays_do_not_depend_on_the_order_of_rows():
    clips = make_clips(1, 12)
    a, b = clip_arrays(clips), clip_arrays(clips.sample(frac=1, random_state=0))
    np.testing.assert_array_equal(a.probs, b.probs)
    np.testing.assert_array_equal(a.correct[a.mask], clips.correct)
    assert (a.probs[~a.mask] == 0).all() and not a.correct[~a.mask].any()


def test_a_missing_clip_is_an_error():
    clips = make_clips(1, 12, longest=5)
    with pytest.raises(ValueError, match="clips of some video are not 0, 1, 2"):
        clip_arrays(clips[~((clips.video == "v002") & (clips["clip"] == 0))])


def test_scores_of_other_clips_are_an_error():
    clips = make_clips(1, 12)
    scores = make_scores(clips).iloc[1:]
    with pytest.raises(ValueError, match="score table: lists"):
        align(clip_arrays(clips), scores)


def test_pad_puts_rows_in_clip_order():
    mask = np.array([[True, False], [True, True]])
    np.testing.assert_array_equal(pad([[1, 2], [3, 4], [5, 6]], mask), [[[1, 2], [0, 0]], [[3, 4], [5, 6]]])


def test_softmax_and_entropy_against_torch():
    logits = np.random.default_rng(0).normal(0, 30, (7, 5))
    p = torch.from_numpy(logits).softmax(1)
    np.testing.assert_allclose(softmax(logits), p, rtol=1e-12)
    expected = torch.distributions.Categorical(logits=torch.from_numpy(logits)).entropy()
    np.testing.assert_allclose(predictive_entropy(logits), expected, rtol=1e-9, atol=1e-12)
    assert predictive_entropy(np.zeros(5)) == pytest.approx(np.log(5))
