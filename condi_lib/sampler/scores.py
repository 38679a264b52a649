"""Scores of the clips of a video: ClipArrays -> float [V, N], or [D, V, N] for D draws. Higher is better.

What a score fits, it fits to arrays.val or arrays.train. Those that read the labels or the truth cheat.
"""

import numpy as np
from scipy.optimize import minimize_scalar

from condi_lib.labelling import log_softmax, predictive_entropy, softmax


def fit_temperature(logits, labels):
    """The T > 0 that minimises the mean negative log-likelihood of softmax(logits / T) (Guo et al. 2017).

    logits float [M, C], labels int [M]: of the validation split. T is sought between 0.01 and 100. nan where the clips
    ask for none: there is no clip, or no T is better than the smallest, as where all are right.
    """
    if not len(labels):
        return np.nan
    rows, bounds = np.arange(len(labels)), np.log((0.01, 100.0))

    def nll(log_t):
        return -log_softmax(logits / np.exp(log_t))[rows, labels].mean()

    log_t = minimize_scalar(nll, bounds=bounds, method="bounded").x
    return float(np.exp(log_t)) if nll(log_t) < nll(bounds[0]) else np.nan


def own_score(arrays):
    """What the score table holds: minus entropy of st_ent, the confidence logit of the others."""
    return arrays.score


def own_confidence(arrays):
    """That as a probability: z~ (c of st_conf)."""
    return arrays.confidence


def scaled_entropy(arrays):
    """Minus the student's predictive entropy at the temperature fitted to the true classes of val's clips.

    Where val gives no temperature, at 1.
    """
    val = arrays.val
    labels = np.broadcast_to(val.labels[:, None], val.mask.shape)[val.mask]
    temperature = fit_temperature(val.student_logits[val.mask].astype(np.float64), labels)
    logits = arrays.student_logits.astype(np.float64)
    return -predictive_entropy(logits / (1.0 if np.isnan(temperature) else temperature))


def mc_dropout_entropy(arrays):
    """Minus the predictive entropy of the mean softmax over stochastic passes (Gal and Ghahramani 2016)."""
    return -arrays.mc_entropy


def largest_class_score(arrays):
    """SCSampler's saliency of a light classifier: its largest class probability (Korbar et al. 2019)."""
    return softmax(arrays.student_logits).max(-1)


def true_class_prob(arrays):
    """The teacher's probability of the true class: the oracle's score, which cheats."""
    return np.take_along_axis(arrays.probs, arrays.labels[:, None, None], 2)[..., 0]


def teacher_max(arrays):
    """The teacher's own largest probability: a reference that has already paid the full cost."""
    return arrays.probs.max(-1)


def random_orders(arrays, draws=20, seed=0):
    """`draws` random orders: [draws, V, N]."""
    return np.random.default_rng(seed).random((draws, *arrays.mask.shape))


def no_score(arrays):
    return np.zeros(arrays.mask.shape)


def place(arrays):
    """Share of right clips at that place of the video in the samplers' training split: known without looking.

    Videos are cut into as many places as the median training video has clips, so that in videos of one length each
    clip number is a place. A place without training clips has the share of all of them.
    """
    train = arrays.train
    n = int(np.median(train.mask.sum(1)))
    at = _places(train.mask, n)[train.mask]
    clips, right = np.bincount(at, minlength=n), np.bincount(at, train.correct[train.mask], minlength=n)
    share = np.where(clips > 0, right / np.maximum(clips, 1), right.sum() / clips.sum())
    return share[_places(arrays.mask, n)]


def _places(mask, n):
    """Which of n equal parts of the video holds each clip's centre: int [V, N]."""
    clips = np.maximum(mask.sum(1, keepdims=True), 1)
    return np.minimum((2 * np.arange(mask.shape[1]) + 1) * n // (2 * clips), n - 1)


def truth(arrays):
    """Share of the clip's frames that show the class, as the data set knows it, which cheats."""
    return arrays.shows


def mean_classes(arrays):
    """The video's classes by the student alone: the mean softmax of its clips, float [V, C]."""
    probs = softmax(arrays.student_logits) * arrays.mask[..., None]
    return probs.sum(1) / arrays.mask.sum(1)[:, None]


def pooled_classes(arrays):
    """The video's classes by a context network: softmax of its clips' logits, pooled by attention, float [V, C]."""
    return softmax((arrays.attention[..., None] * arrays.student_logits).sum(1))
