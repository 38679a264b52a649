"""The published policies on toys where the clip to look at is known."""

import numpy as np
import pytest
import torch

from condi_lib import context
from condi_lib.sampler import ClipArrays

CLASSES, CLIPS = 4, 10


def toy(n, seed, at=None):
    """Videos of which one clip shows the class and is marked; the others show nothing. at: its place, else any."""
    rng = np.random.default_rng(seed)
    labels, where = rng.integers(CLASSES, size=n), rng.integers(CLIPS, size=n) if at is None else np.full(n, at)
    features = rng.normal(0, 0.1, (n, CLIPS, CLASSES + 1))
    features[np.arange(n), where, labels] += 1
    features[np.arange(n), where, CLASSES] += 1
    mask = np.ones((n, CLIPS), bool)
    arrays = ClipArrays(np.array([f"v{i:04d}" for i in range(n)]), labels, mask, mask, features=features.astype("f2"))
    return arrays, where


def fitted(name, at=None, **options):
    options = {"epochs": 60, "lr": 5e-3, "batch_videos": 32} | options
    return context.fit_policy(name, toy(200, 1, at)[0], toy(80, 2, at)[0], CLASSES, **options)[0]


def places(policy, arrays):
    """Of each video its clips in the order in which the policy takes them: int [V, N]."""
    scores = context.policy_scores(policy, arrays).score.to_numpy().reshape(arrays.mask.shape)
    assert np.isfinite(scores).all() and all(len(set(row)) == CLIPS for row in scores)
    return np.argsort(-scores, axis=1, kind="stable")


def test_listen_to_look_finds_the_clip_that_tells():
    arrays, where = toy(100, 3)
    order = places(fitted("listen_to_look"), arrays)
    assert (order[:, 0] == where).mean() > 0.9


def test_adaframe_goes_where_reward_was():
    arrays, where = toy(100, 3, at=8)
    torch.manual_seed(0)
    untrained = context.POLICIES["adaframe"](torch.zeros(CLASSES + 1), torch.ones(CLASSES + 1), CLASSES)
    order = places(fitted("adaframe", at=8), arrays)
    step = [(o == where[:, None]).argmax(1) for o in (order, places(untrained, arrays))]  # at which it is there
    assert len(set(order[:, 0])) == 1 and order[0, 0] in (CLIPS // 2, CLIPS // 2 - 1)  # it begins in the middle
    assert np.median(step[0]) <= 2 and np.median(step[1]) >= 5


def test_adaframes_utility_falls_from_step_to_step_so_that_a_threshold_stops_it():
    arrays, _ = toy(50, 3)
    policy = fitted("adaframe", epochs=3)
    scores = context.policy_scores(policy, arrays).score.to_numpy().reshape(arrays.mask.shape)
    taken = np.sort(scores, axis=1)[:, ::-1]
    assert (np.diff(taken, axis=1) < 0).all() and (taken[:, 0] == 100).all()


@pytest.mark.parametrize("name", list(context.POLICIES))
def test_padding_is_never_taken(name):
    torch.manual_seed(0)
    policy = context.POLICIES[name](torch.zeros(5), torch.ones(5), CLASSES).eval()
    n = torch.tensor([1, 3, 10, 14])
    mask = torch.arange(14) < n[:, None]
    x = torch.randn(4, 14, 5)
    with torch.inference_mode():
        padded = policy(torch.where(mask[..., None], x, 1e3), mask)[1]
        for i in range(4):
            alone = policy(x[i : i + 1, : n[i]], torch.ones(1, n[i], dtype=torch.bool))[1]
            torch.testing.assert_close(padded[i, : n[i]], alone[0], rtol=1e-4, atol=1e-4)


def test_the_reward_is_what_the_margin_rises_above_its_best():
    from condi_lib.context.policies import GAMMA, _adaframe_loss

    torch.manual_seed(0)
    logits, utility, labels = torch.randn(3, 2, CLASSES), torch.randn(3, 2), torch.tensor([1, 3])
    log_places = torch.randn(3, 2)
    steps = list(zip(logits, utility, strict=True))
    found = _adaframe_loss(steps, list(log_places), labels).item()
    probs = logits.softmax(-1).numpy()
    expected_policy, expected_utility = [], []
    for v, label in enumerate(labels.tolist()):
        margins = [p[label] - np.delete(p, label).max() for p in probs[:, v]]
        best, rewards = margins[0], []
        for margin in margins[1:]:
            rewards.append(max(0, margin - best))
            best = max(best, margin)
        rewards.append(0)
        for t in range(3):
            returned = sum(GAMMA**i * r for i, r in enumerate(rewards[t:]))
            expected_utility.append((utility[t, v].item() - returned) ** 2)
            expected_policy.append(-log_places[t, v].item() * (returned - utility[t, v].item()))
    classes = -np.log([probs[t, v, label] for t in range(3) for v, label in enumerate(labels.tolist())]).mean()
    assert found == pytest.approx(classes + np.mean(expected_utility) + np.mean(expected_policy), rel=1e-4)
