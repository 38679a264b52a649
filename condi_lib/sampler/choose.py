"""What is kept of ranked clips at K; division between student and teacher."""

import numpy as np


def check_k(k, least=1):
    if k < least or k != int(k):
        raise ValueError(f"k: found {k}, expected a number of clips >= {least}")


def ranks(scores, mask):
    """Place of each clip among its video's, 0 for the highest score; ties by clip order.

    Padding comes last whatever the scores. scores float [..., V, N] -> int [..., V, N].
    """
    order = np.argsort(-np.where(mask, scores, -np.inf), axis=-1, kind="stable")
    padding = np.take_along_axis(np.broadcast_to(~mask, order.shape), order, -1)
    order = np.take_along_axis(order, np.argsort(padding, axis=-1, kind="stable"), -1)
    return np.argsort(order, axis=-1, kind="stable")


def select(scores, k, mask):
    """The k best clips of each video (all, where it has fewer): bool [..., V, N]."""
    check_k(k)
    return (ranks(scores, mask) < k) & mask


def divide(confidence, entropy, k, k_student, mask, mode="nested", least=1):
    """Who classifies what: (student's clips, teacher's clips), each bool [V, N], disjoint.

    nested: the k clips of highest confidence, of those the k_student with the lowest student entropy to the student.
    disjoint: the k_student of lowest entropy to the student, then the k - k_student most confident of the rest to the
    teacher. Where a video has n < k clips, k is n, and k_student at most n. least: the smallest k, 0 where something
    else than clips can decide.
    """
    check_k(k, least)
    if not 0 <= k_student <= k:
        raise ValueError(f"k_student: found {k_student}, expected 0 to k = {k}")
    if mode == "nested":
        chosen = (ranks(confidence, mask) < k) & mask
        student = (ranks(-entropy, chosen) < k_student) & chosen
        return student, chosen & ~student
    if mode == "disjoint":
        student = (ranks(-entropy, mask) < k_student) & mask
        rest = mask & ~student
        return student, (ranks(confidence, rest) < k - k_student) & rest
    raise ValueError(f"mode: {mode!r} is unknown; expected nested or disjoint")


# What is kept at k: (arrays, scores, k, scores of arrays.val) -> weights [..., V, N] of the clips' probabilities
def top_k(arrays, scores, k, val_scores=None):
    """The k best, alike."""
    return select(scores, k, arrays.mask)


def everything(arrays, scores, k, val_scores=None):
    """All clips, whatever k is: dense."""
    check_k(k)
    return arrays.mask


def equidistant(arrays, scores, k, val_scores=None):
    """k clips at equal distances: of n clips those that hold the centres of k equal parts of the video."""
    check_k(k)
    mask = arrays.mask
    n = mask.sum(1, keepdims=True)
    steps = np.minimum(k, n)  # [V, 1]
    at = ((2 * np.arange(k) + 1) * n) // (2 * steps)  # [V, k]; those past the end are dropped below
    out = np.zeros(mask.shape, bool)
    inside = np.arange(k) < steps
    rows = np.broadcast_to(np.arange(len(n))[:, None], at.shape)
    out[rows[inside], at[inside]] = True
    return out


def above_threshold(arrays, scores, k, val_scores):
    """All clips above one threshold for all videos, and each video's best.

    The threshold is the lowest at which the videos of val take k clips or less on average, their best included, so a
    video costs more clips than k, or fewer, as its scores say.
    """
    check_k(k)
    val_mask = arrays.val.mask
    others = np.sort(val_scores[val_mask & ~select(val_scores, 1, val_mask)])[::-1]  # each video's best is taken anyway
    n_taken = (k - 1) * len(val_mask)
    threshold = others[n_taken] if n_taken < len(others) else -np.inf
    return ((scores > threshold) | select(scores, 1, arrays.mask)) & arrays.mask


def weighted_top_k(arrays, scores, k, val_scores=None):
    """The k best, each with its confidence as its weight (at least a tiny one, so that no video loses all)."""
    return select(scores, k, arrays.mask) * np.maximum(arrays.confidence, np.finfo(np.float32).tiny)


# The prediction of a video
SHARES = np.linspace(0, 1, 21)


def blend(arrays, weights, own=None, share=0.0, average="probs"):
    """What a video's classes are ranked by: float [D, V, C] for weights [..., V, N] of D draws.

    The sum of the kept clips' softmax (of their logits for average "logits") by weight; with classes that the sampler
    brings (own, float [V, C]): (1 - share) of the teacher's mean and share of these, which stand alone where a video
    keeps no clip. Raises ValueError for a video without a clip where there are none.
    """
    weights = weights.reshape(-1, *arrays.mask.shape).astype(float)  # (D, V, N)
    kept = weights.sum(-1)[..., None]  # (D, V, 1)
    if own is None and not (kept > 0).all():
        video = arrays.videos[int((kept <= 0).any(0).argmax())]
        raise ValueError(f"sampler: keeps no clip of {video}, expected at least one of each video")
    values = {"probs": arrays.probs, "logits": arrays.logits}[average]
    total = np.matmul(weights.transpose(1, 0, 2), values).transpose(1, 0, 2)  # (D, V, C)
    if own is None:
        return total
    share = np.where(kept > 0, share, 1.0)
    return (1 - share) * total / np.where(kept > 0, kept, 1.0) + share * own


def fit_share(val, weights, own):
    """The share of the sampler's own classes, one of SHARES, that gets most of val right; the smallest of equals."""
    right = [(blend(val, weights, own, share).argmax(-1) == val.labels).mean() for share in SHARES]
    return float(SHARES[int(np.argmax(right))])
