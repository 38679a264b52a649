"""The network over whole videos, on toys where what only the other clips tell is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from condi_lib import context, evaluation, sampler
from condi_lib.sampler import ClipArrays, with_splits

CLASSES, CLIPS = 4, 8


def toy(n=120, seed=0, clips=CLIPS, shuffled_labels=False):
    """Videos whose clips show their class, but for some that show one other class; the teacher believes what is shown.

    Whether a clip is the odd one only the other clips of its video tell: every class is as often odd as not.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(CLASSES, size=n)
    other = (labels + rng.integers(1, CLASSES, size=n)) % CLASSES
    odd = rng.random((n, clips)).argsort(1) < clips // 4
    shown = np.where(odd, other[:, None], labels[:, None])
    features = np.eye(CLASSES)[shown] + rng.normal(0, 0.05, (n, clips, CLASSES))
    logits = 4 * np.eye(CLASSES, dtype=np.float32)[shown]
    if shuffled_labels:
        labels = rng.permutation(labels)
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    mask = np.ones((n, clips), bool)
    names = np.array([f"v{i:04d}" for i in range(n)])
    found = ClipArrays(names, labels, mask, shown == labels[:, None], logits, probs)
    return with_features(found, features)


def with_features(arrays, features):
    return replace(arrays, features=features.astype(np.float16))


WEIGHTS = {"z": 1.0, "classes": 1.0}


def trained(name, seed=0, epochs=40, train=None, **options):
    train = toy(seed=1) if train is None else train
    options = {"batch_videos": 32, "lr": 3e-3, "epochs": epochs} | options
    return context.train_network(name, train, toy(60, 2), CLASSES, WEIGHTS, seed, **options)[0]


def auroc(network, arrays):
    scores = sampler.pad(context.context_scores(network, arrays).score.to_numpy(), arrays.mask)
    return evaluation.mean_auroc_within(arrays, scores)[0]


@pytest.fixture(scope="module")
def network():
    return trained("context")


def test_context_tells_the_odd_clips_and_a_clip_by_itself_does_not(network):
    test = toy(seed=3)
    assert auroc(network, test) > 0.95
    assert 0.4 < auroc(trained("context_each"), test) < 0.6


def test_with_another_videos_context_the_gain_vanishes(network):
    test, rng = toy(600, seed=3), np.random.default_rng(0)
    found = np.full(test.mask.shape, np.nan)
    for i in range(CLIPS):  # clip i of each video among the clips of another video
        features = np.roll(test.features, 1, axis=0)
        features[:, 0] = test.features[:, i]
        order = rng.permutation(CLIPS)
        alone = with_features(test, features[:, order])
        score = context.context_scores(network, alone).score.to_numpy().reshape(test.mask.shape)
        found[:, i] = score[:, np.flatnonzero(order == 0)[0]]
    assert abs(evaluation.mean_auroc_within(test, found)[0] - 0.5) < 0.1


def test_permuted_labels_give_chance():
    train = toy(seed=1, shuffled_labels=True)
    network, test = trained("context", train=train), toy(400, seed=3)
    scores = context.context_scores(network, test)
    classes = sampler.pooled_classes(sampler.with_scores(test, scores)).argmax(-1)
    assert abs((classes == test.labels).mean() - 1 / CLASSES) < 0.15


def test_permuting_the_clips_permutes_what_it_gives(network):
    x, order = torch.randn(5, 7, CLASSES), torch.randperm(7)
    mask = torch.ones(5, 7, dtype=torch.bool)
    with torch.inference_mode():
        for one, other in zip(network(x, mask), network(x[:, order], mask), strict=True):
            torch.testing.assert_close(one[:, order], other)


@pytest.mark.parametrize("name", ["context", "context_each"])
def test_padding_is_never_attended_to(name):
    torch.manual_seed(0)
    network = context.ContextNetwork(np.zeros(6), np.ones(6), 3, between=name == "context").eval()
    x, n = torch.randn(4, 9, 6), torch.tensor([1, 4, 9, 6])
    mask = torch.arange(9) < n[:, None]
    with torch.inference_mode():
        for padding in (0.0, 1e4):
            filled = torch.where(mask[..., None], x, padding)
            z, attention, classes = network(filled, mask)
            assert not z[~mask].any() and not attention[~mask].any() and not classes[~mask].any()
            torch.testing.assert_close(attention.sum(1), torch.ones(4))
            for i in range(4):  # each video alone, without padding
                alone = network(x[i : i + 1, : n[i]], torch.ones(1, n[i], dtype=torch.bool))
                for one, own in zip((z, attention, classes), alone, strict=True):
                    torch.testing.assert_close(one[i, : n[i]], own[0], rtol=1e-4, atol=1e-5)


def test_the_same_seed_gives_the_same_weights():
    first, again, other = (trained("context", seed, epochs=2).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_terms_by_hand():
    """Each term of the loss by numpy, on two videos of which one is shorter."""
    rng = np.random.default_rng(0)
    mask = np.array([[True, True, True], [True, False, False]])
    z, own, teacher = rng.normal(size=(2, 3)), rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 4))
    attention = np.where(mask, rng.random((2, 3)), 0)
    attention /= attention.sum(1, keepdims=True)
    correct, labels = rng.random((2, 3)) < 0.5, np.array([2, 0])
    outputs = [torch.from_numpy(x) for x in (z, attention, own)]
    batch = {"mask": mask, "correct": correct, "logits": teacher, "labels": labels}
    batch = {name: torch.from_numpy(value) for name, value in batch.items()}
    value, found = context.context_loss(outputs, batch, dict.fromkeys(context.TERMS, 1.0))

    def softmax(x):
        return np.exp(x) / np.exp(x).sum(-1, keepdims=True)

    p = 1 / (1 + np.exp(-z))
    assert found["z"] == pytest.approx(-np.log(np.where(correct, p, 1 - p))[mask].mean())
    pooled = softmax((attention[..., None] * own).sum(1))
    assert found["classes"] == pytest.approx(-np.log(pooled[[0, 1], labels]).mean())
    soft, student = softmax(teacher / 2), softmax(own / 2)
    assert found["distil"] == pytest.approx(4 * (soft * np.log(soft / student)).sum(-1)[mask].mean())
    lean = np.where(correct, p, 1 - p)[..., None]
    flat = lean * soft + (1 - lean) / 4
    assert found["flattened"] == pytest.approx(4 * (flat * np.log(flat / student)).sum(-1)[mask].mean())
    saliency = softmax(teacher)[0, :, labels[0]]  # the other video has one clip
    pairs = [(i, j) for i in range(3) for j in range(3) if saliency[i] > saliency[j]]
    assert found["rank"] == pytest.approx(np.mean([max(0, 1 - (z[0, i] - z[0, j])) for i, j in pairs]))
    assert value.item() == pytest.approx(sum(found.values()))


def test_bad_settings_are_plain_errors():
    train, val = toy(8, 1), toy(4, 2)
    with pytest.raises(ValueError, match="terms: 'zz' is unknown; expected some of z, classes"):
        context.train_network("context", train, val, CLASSES, {"zz": 1.0})
    with pytest.raises(ValueError, match="terms: found no weight above 0"):
        context.train_network("context", train, val, CLASSES, {"z": 0.0})
    with pytest.raises(ValueError, match="network: 'contxt' is unknown; expected one of listen_to_look"):
        context.train_network("contxt", train, val, CLASSES, WEIGHTS)
    with pytest.raises(ValueError, match="found no video of val"):
        context.train_network("context", train, val.take(slice(0)), CLASSES, WEIGHTS)


def test_one_clip_and_k_from_0_to_n(network):
    """The registry's samplers of context: K = 0 is the pooled classes alone; at K = N the teacher's part is dense's."""
    for clips in (1, CLIPS):
        val, test = (toy(50, seed, clips) for seed in (4, 5))
        val, test = (sampler.with_scores(a, context.context_scores(network, a)) for a in (val, test))
        arrays = {"": [with_splits(test, val)], "context": [with_splits(test, val)]}
        (chooser,) = sampler.keep("context", arrays)
        own = sampler.pooled_classes(test)
        right = evaluation.outcomes(test, [chooser], [0, 1, clips]).right[:, 0]
        np.testing.assert_array_equal(right[0], own.argmax(-1) == test.labels)
        for k, found in zip((1, clips), right[1:], strict=True):
            share, expected = best_share(val, k), []
            assert chooser.share(k) == share
            for v in range(len(test.videos)):
                kept = np.argsort(-test.score[v], kind="stable")[:k]
                mixed = (1 - share) * test.probs[v, kept].mean(0) + share * own[v]
                expected.append(mixed.argmax() == test.labels[v])
            np.testing.assert_array_equal(found, expected)
        (plain,) = sampler.keep("context_z", arrays)
        with pytest.raises(ValueError, match="k: found 0"):
            plain(0)


def best_share(val, k):
    """The share of 0, 0.05, ..., 1 with the most of val right, by loops."""
    own, best = sampler.pooled_classes(val), (-1, None)
    for share in np.linspace(0, 1, 21):
        right = 0
        for v in range(len(val.videos)):
            kept = np.argsort(-val.score[v], kind="stable")[:k]
            right += ((1 - share) * val.probs[v, kept].mean(0) + share * own[v]).argmax() == val.labels[v]
        if right > best[0]:
            best = right, share
    return best[1]


def test_one_clip_after_the_other_until_sure_by_brute_force(network):
    val, test = (toy(60, seed) for seed in (6, 7))
    val, test = (sampler.with_scores(a, context.context_scores(network, a)) for a in (val, test))
    arrays = {"": [with_splits(test, val)], "context": [with_splits(test, val)]}
    (chooser,) = sampler.keep("context_adaptive", arrays)
    shares = [1.0] + [best_share(val, n) for n in range(1, CLIPS + 1)]

    def by_steps(a, v):  # [(prediction, how sure)] after 0, 1, ... clips
        found, own = [], sampler.pooled_classes(a)[v]
        for n, share in enumerate(shares):
            kept = np.argsort(-a.score[v], kind="stable")[:n]
            mixed = share * own + ((1 - share) * a.probs[v, kept].mean(0) if n else 0)
            found.append((mixed.argmax(), mixed.max()))
        return found

    def stops(steps, threshold):
        return next((n for n, (_, sure) in enumerate(steps) if sure >= threshold), CLIPS)

    on_val, on_test = ([by_steps(a, v) for v in range(len(a.videos))] for a in (val, test))
    found = evaluation.outcomes(test, [chooser], [0, 1, 2, CLIPS])
    for i, k in ((1, 1), (2, 2)):
        all_sure = sorted({sure for steps in on_val for _, sure in steps})
        threshold = max(t for t in all_sure if np.mean([stops(s, t) for s in on_val]) <= k)
        n = [stops(steps, threshold) for steps in on_test]
        np.testing.assert_array_equal(found.n_clips[i, 0], n)
        np.testing.assert_array_equal(
            found.right[i, 0], [steps[m][0] == label for steps, m, label in zip(on_test, n, test.labels, strict=True)]
        )
        np.testing.assert_allclose(found.sure[i, 0], [steps[m][1] for steps, m in zip(on_test, n, strict=True)])
    assert (found.n_clips[0] == 0).all() and (found.n_clips[3] == CLIPS).all()
    (plain,) = sampler.keep("context", arrays)
    both = evaluation.outcomes(test, [plain], [0, CLIPS])
    np.testing.assert_array_equal(found.right[[0, 3]], both.right)


def test_division_with_classes_of_its_own_by_brute_force(network):
    val, test = (toy(40, seed) for seed in (8, 9))
    val, test = (sampler.with_scores(a, context.context_scores(network, a)) for a in (val, test))
    arrays = {"": [with_splits(test, val)], "context": [with_splits(test, val)]}
    rng = np.random.default_rng(0)
    student = replace(test, student_logits=rng.normal(size=test.logits.shape).astype(np.float32))
    choosers = sampler.keep("context", arrays)
    found = evaluation.division_outcomes([student], [0, 1, 3], choosers=choosers)
    assert found.ks == [(0, 0), (1, 0), (1, 1), (3, 0), (3, 1), (3, 2), (3, 3)]
    probs = np.exp(student.student_logits) / np.exp(student.student_logits).sum(-1, keepdims=True)
    entropy = -(probs * np.log(probs)).sum(-1)
    for i, (k, k_student) in enumerate(found.ks):
        share = best_share(val, k) if k else 1.0
        for v in range(len(test.videos)):
            kept = np.argsort(-test.score[v], kind="stable")[:k]
            own = kept[np.argsort(entropy[v, kept], kind="stable")[:k_student]]
            mean = [probs[v, n] if n in own else test.probs[v, n] for n in kept]
            mixed = share * choosers[0].own[v] + ((1 - share) * np.mean(mean, 0) if k else 0)
            assert found.right[i, 0, v] == (mixed.argmax() == test.labels[v])
            assert found.n_clips[i, 0, v] == k - k_student
    plain = evaluation.outcomes(test, choosers, [0, 1, 3])
    np.testing.assert_array_equal(found.right[[0, 1, 3]], plain.right)
