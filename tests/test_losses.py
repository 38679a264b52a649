"""Losses against closed forms in float64, written out here in numpy, and against finite differences."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_softmax, softmax

from condi_lib.losses import (
    bce_c_loss,
    condi_sr_loss,
    next_conf_weight,
    ranking_loss,
    st_conf_loss,
    st_ent_loss,
    target_probs,
)


def batch(seed, b=6, c=5, scale=2.0):
    rng = np.random.default_rng(seed)
    return {
        "logits": rng.normal(0, scale, (b, c)),
        "confidence": rng.normal(0, scale, b),
        "teacher": rng.normal(0, scale, (b, c)),
        "labels": rng.integers(0, c, b),
        "correct": rng.random(b) < 0.5,
    }


def tensors(x):
    return {k: torch.from_numpy(v) for k, v in x.items()}


@pytest.mark.parametrize("seed", range(3))
def test_st_ent_is_the_mean_negative_log_probability(seed):
    x, t = batch(seed), tensors(batch(seed))
    expected = -log_softmax(x["logits"], 1)[np.arange(6), x["labels"]].mean()
    assert st_ent_loss(t["logits"], t["labels"]).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_st_conf_is_devries_and_taylor(seed):
    x, t = batch(seed), tensors(batch(seed))
    hint = np.random.default_rng(seed).random(6) < 0.5
    p, c = softmax(x["logits"], 1), expit(x["confidence"])
    onehot = np.eye(5)[x["labels"]]
    trust = np.where(hint, c, 1.0)[:, None]
    mixed = trust * p + (1 - trust) * onehot
    expected = -np.log(mixed[np.arange(6), x["labels"]]).mean() + 0.7 * -np.log(c).mean()
    found = st_conf_loss(t["logits"], t["confidence"], t["labels"], 0.7, torch.from_numpy(hint))
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_st_conf_draws_hints_for_half_of_the_batch():
    logits, labels = torch.zeros(20_000, 2), torch.zeros(20_000, dtype=torch.long)
    torch.manual_seed(0)
    # c = sigmoid(-20) is about 0: a hint makes the task term 0, without one it is log 2
    found = st_conf_loss(logits, torch.full((20_000,), -20.0), labels, 0.0)
    assert found.item() == pytest.approx(0.5 * np.log(2), rel=0.03)


def test_st_conf_survives_saturated_confidence_in_float32():
    logits = torch.tensor([[200.0, -200.0]] * 2, requires_grad=True)
    confidence = torch.tensor([200.0, -200.0], requires_grad=True)
    loss = st_conf_loss(logits, confidence, torch.tensor([1, 1]), 0.1, torch.tensor([True, True]))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all() and torch.isfinite(confidence.grad).all()


def test_the_weight_moves_towards_the_budget():
    spends_much, spends_little = torch.full((4,), -3.0), torch.full((4,), 3.0)
    assert next_conf_weight(0.1, spends_much, 0.3) == pytest.approx(0.1 / 0.99)
    assert next_conf_weight(0.1, spends_little, 0.3) == pytest.approx(0.1 / 1.01)


@pytest.mark.parametrize("seed", range(3))
def test_bce_c_is_binary_cross_entropy(seed):
    x, t = batch(seed), tensors(batch(seed))
    c = expit(x["confidence"])
    expected = -np.where(x["correct"], np.log(c), np.log(1 - c)).mean()
    assert bce_c_loss(t["confidence"], t["correct"]).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_condi_sr_is_equations_3_5_to_3_8(seed, tau):
    x, t = batch(seed), tensors(batch(seed))
    z, c = x["correct"], expit(x["confidence"])
    soft = softmax(x["teacher"] / tau, 1)
    u = np.full(5, 1 / 5)
    kd = []
    for i in range(6):
        target = c[i] * soft[i] + (1 - c[i]) * u if z[i] else (1 - c[i]) * soft[i] + c[i] * u  # Eq. 3.5
        student = softmax(x["logits"][i] / tau)
        cross, own = -(target * np.log(student)).sum(), -(target * np.log(target)).sum()
        kd.append(cross - own)  # Eq. 3.8
    bce = -np.where(z, 3.0 * np.log(c), np.log(1 - c)).mean()
    expected = tau**2 * np.mean(kd) + 0.5 * bce
    found = condi_sr_loss(t["logits"], t["confidence"], t["teacher"], t["correct"], tau, 0.5, 3.0)
    assert found.item() == pytest.approx(expected, rel=1e-10)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), tau=st.floats(0.5, 10), random=st.booleans())
def test_the_target_is_a_distribution_between_teacher_and_uniform(seed, tau, random):
    t = tensors(batch(seed))
    target = target_probs(t["confidence"].sigmoid(), t["teacher"], t["correct"], tau, random)
    assert torch.allclose(target.sum(1), torch.ones(6, dtype=torch.float64))
    assert (target >= 0).all()


def test_the_target_at_the_ends():
    t = tensors(batch(0))
    soft, u = (t["teacher"] / 2).softmax(1), torch.full((6, 5), 0.2, dtype=torch.float64)
    one, zero = torch.ones(6, dtype=torch.float64), torch.zeros(6, dtype=torch.float64)
    right, wrong = torch.ones(6, dtype=torch.bool), torch.zeros(6, dtype=torch.bool)
    assert torch.allclose(target_probs(one, t["teacher"], right, 2.0), soft)
    assert torch.allclose(target_probs(zero, t["teacher"], right, 2.0), u)
    assert torch.allclose(target_probs(zero, t["teacher"], wrong, 2.0), soft)
    assert torch.allclose(target_probs(one, t["teacher"], wrong, 2.0), u)


def test_distillation_vanishes_where_the_student_is_the_target():
    t = tensors(batch(1))
    sure = torch.full((6,), 60.0, dtype=torch.float64)  # z~ = 1
    right = torch.ones(6, dtype=torch.bool)
    loss = condi_sr_loss(t["teacher"] + 3.0, sure, t["teacher"], right, 2.0, 0.0, 1.0)
    assert loss.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("loss", ["st_ent", "st_conf", "bce_c", "condi_sr"])
def test_gradients_are_those_of_finite_differences(loss):
    t = tensors(batch(3, scale=1.0))
    hint = torch.tensor([True, False, True, False, True, False])
    functions = {
        "st_ent": lambda s, c: st_ent_loss(s, t["labels"]),
        "st_conf": lambda s, c: st_conf_loss(s, c, t["labels"], 0.3, hint),
        "bce_c": lambda s, c: bce_c_loss(c, t["correct"]),
        "condi_sr": lambda s, c: condi_sr_loss(s, c, t["teacher"], t["correct"], 3.0, 0.7, 2.0),
    }
    inputs = (t["logits"].requires_grad_(), t["confidence"].requires_grad_())
    assert torch.autograd.gradcheck(functions[loss], inputs)


def test_stop_gradient_keeps_the_distillation_from_the_confidence_head():
    t = tensors(batch(4))
    grads = []
    for stop in (False, True):
        confidence = t["confidence"].clone().requires_grad_()
        condi_sr_loss(t["logits"], confidence, t["teacher"], t["correct"], 3.0, 0.0, 1.0, stop).backward()
        grads.append(confidence.grad)
    assert grads[0].abs().min() > 0 and (grads[1] == 0).all()


def test_condi_sr_survives_saturation_in_float32():
    logits = torch.tensor([[300.0, -300.0], [-300.0, 300.0]], requires_grad=True)
    confidence = torch.tensor([200.0, -200.0], requires_grad=True)
    teacher = torch.tensor([[-300.0, 300.0], [300.0, -300.0]])
    loss = condi_sr_loss(logits, confidence, teacher, torch.tensor([True, False]), 1.0, 1.0, 1.0)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all() and torch.isfinite(confidence.grad).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8))
def test_the_ranking_loss_is_a_hinge_over_pairs_of_one_video(seed, b):
    rng = np.random.default_rng(seed)
    score, saliency, video = rng.normal(0, 2, b), rng.integers(0, 4, b) / 4, rng.integers(0, 3, b)
    pairs = [
        max(0.0, 1.0 - (score[i] - score[j]))
        for i in range(b)
        for j in range(b)
        if video[i] == video[j] and saliency[i] > saliency[j]
    ]
    found = ranking_loss(*(torch.from_numpy(x) for x in (score, saliency, video)))
    assert found.item() == pytest.approx(np.mean(pairs) if pairs else 0.0)


def test_the_ranking_loss_pulls_a_pair_into_its_order():
    score = torch.tensor([0.0, 0.5, -3.0], dtype=torch.float64, requires_grad=True)
    ranking_loss(score, torch.tensor([0.9, 0.1, 0.5]), torch.tensor([0, 0, 1])).backward()
    assert score.grad.tolist() == [-1.0, 1.0, 0.0]  # the clip of the other video is left alone
