"""Scores of the clips of a video: (arrays of the split, arrays of val) -> float [V, N], or [D, V, N] for D draws."""

import numpy as np
from scipy.optimize import minimize_scalar

from condi_lib.labelling import log_softmax, predictive_entropy, softmax


def fit_temperature(logits, labels):
    """The T > 0 that minimises the mean negative log-likelihood of softmax(logits / T) (Guo et al. 2017).

    logits float [M, C], labels int [M]: of the validation split. T is sought between 0.01 and 100.
    """
    rows = np.arange(len(labels))

    def nll(log_t):
        return -log_softmax(logits / np.exp(log_t))[rows, labels].mean()

    return float(np.exp(minimize_scalar(nll, bounds=np.log((0.01, 100.0)), method="bounded").x))


def own_score(arrays, val):
    """What the score table holds: minus entropy of st_ent, z~ of the others (c of st_conf, a logit of sc_rank)."""
    return arrays.score


def scaled_entropy(arrays, val):
    """Minus the student's predictive entropy at the temperature fitted to the true classes of val's clips."""
    labels = np.broadcast_to(val.labels[:, None], val.mask.shape)[val.mask]
    return -predictive_entropy(arrays.student_logits / fit_temperature(val.student_logits[val.mask], labels))


def mc_dropout_entropy(arrays, val):
    """Minus the predictive entropy of the mean softmax over stochastic passes (Gal and Ghahramani 2016)."""
    return -arrays.mc_entropy


def largest_class_score(arrays, val):
    """SCSampler's saliency of a light classifier: its largest class probability (Korbar et al. 2019)."""
    return softmax(arrays.student_logits).max(-1)


def true_class_prob(arrays, val=None):
    """The teacher's probability of the true class: the oracle's score, which cheats."""
    return np.take_along_axis(arrays.probs, arrays.labels[:, None, None], 2)[..., 0]


def teacher_max(arrays, val=None):
    """The teacher's own largest probability: a reference that has already paid the full cost."""
    return arrays.probs.max(-1)


def random_orders(arrays, val=None, draws=20, seed=0):
    """`draws` random orders: [draws, V, N]."""
    return np.random.default_rng(seed).random((draws, *arrays.mask.shape))


def no_score(arrays, val=None):
    return np.zeros(arrays.mask.shape)
