"""What is kept of ranked clips at K; division between student and teacher."""

import numpy as np


def check_k(k):
    if k < 1:
        raise ValueError(f"k: found {k}, expected a number of clips >= 1")


def ranks(scores, mask):
    """Place of each clip among its video's, 0 for the highest score; ties by clip order; padding comes last.

    scores float [..., V, N] -> int [..., V, N].
    """
    order = np.argsort(-np.where(mask, scores, -np.inf), axis=-1, kind="stable")
    return np.argsort(order, axis=-1, kind="stable")


def select(scores, k, mask):
    """The k best clips of each video (all, where it has fewer): bool [..., V, N]."""
    check_k(k)
    return (ranks(scores, mask) < k) & mask


def divide(confidence, entropy, k, k_student, mask, mode="nested"):
    """Who classifies what: (student's clips, teacher's clips), each bool [V, N], disjoint.

    nested: the k clips of highest confidence, of those the k_student with the lowest student entropy to the student.
    disjoint: the k_student of lowest entropy to the student, then the k - k_student most confident of the rest to the
    teacher. Where a video has n < k clips, k is n, and k_student at most n.
    """
    check_k(k)
    if not 0 <= k_student <= k:
        raise ValueError(f"k_student: found {k_student}, expected 0 to k = {k}")
    if mode == "nested":
        chosen = select(confidence, k, mask)
        student = (ranks(-entropy, chosen) < k_student) & chosen
        return student, chosen & ~student
    if mode == "disjoint":
        student = (ranks(-entropy, mask) < k_student) & mask
        rest = mask & ~student
        return student, (ranks(confidence, rest) < k - k_student) & rest
    raise ValueError(f"mode: {mode!r} is unknown; expected nested or disjoint")


# What is kept at k: (scores, k, mask, scores of val, mask of val) -> weights [..., V, N] of the clips' probabilities
def top_k(scores, k, mask, val_scores=None, val_mask=None):
    """The k best, alike."""
    return select(scores, k, mask)


def everything(scores, k, mask, val_scores=None, val_mask=None):
    """All clips, whatever k is: dense."""
    check_k(k)
    return mask


def equidistant(scores, k, mask, val_scores=None, val_mask=None):
    """k clips at equal distances: of n clips those that hold the centres of k equal parts of the video."""
    check_k(k)
    n = mask.sum(1, keepdims=True)
    steps = np.minimum(k, n)  # [V, 1]
    at = ((2 * np.arange(k) + 1) * n) // (2 * steps)  # [V, k]; those past the end are dropped below
    out = np.zeros(mask.shape, bool)
    inside = np.arange(k) < steps
    rows = np.broadcast_to(np.arange(len(n))[:, None], at.shape)
    out[rows[inside], at[inside]] = True
    return out


def above_threshold(scores, k, mask, val_scores, val_mask):
    """All clips above one threshold for all videos, and each video's best: k on average over the videos of val.

    The threshold is val's, so an easy video costs more clips than k, or fewer, as its scores say.
    """
    check_k(k)
    in_order = np.sort(val_scores[val_mask])[::-1]
    threshold = in_order[min(k * len(val_mask), len(in_order)) - 1] if k < val_mask.shape[1] else -np.inf
    return ((scores >= threshold) | select(scores, 1, mask)) & mask


def weighted_top_k(scores, k, mask, val_scores=None, val_mask=None):
    """The k best, each with its score as its weight."""
    return select(scores, k, mask) * scores
