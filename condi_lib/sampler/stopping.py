"""One clip after the other to the teacher, until the prediction is sure enough."""

from functools import cache

import numpy as np

from condi_lib.sampler.choose import blend, check_k, fit_share, ranks, select

MOST = 20  # clips of a video that the teacher sees at most


def until_sure(classes, arrays, scores, val_scores):
    """What a Chooser is made of: (k -> weights [V, N], own classes [V, C], k -> share of these in each video [V, 1]).

    After n clips, the best by score, the prediction is (1 - share_n) of the teacher's mean and share_n of the sampler's
    own classes, and its largest probability says how sure it is; n = 0 is the own classes alone. A video stops at the
    first n at which this reaches a threshold, one for all videos: the highest at which those of val take k clips or
    less on average, so that k may be 0. share_n is val's too (choose.fit_share).
    """
    val, own = arrays.val, classes(arrays)
    of_val = classes(val)
    steps = range(1, 1 + min(val.mask.shape[1], MOST))
    shares = np.array([1.0, *(fit_share(val, select(val_scores, n, val.mask), of_val) for n in steps)])
    on_val, sure = _sureness(val, of_val, val_scores, shares), _sureness(arrays, own, scores, shares)
    candidates = np.unique(on_val)
    order = ranks(scores, arrays.mask)

    @cache
    def taken(k):
        check_k(k, 0)
        if k == 0:
            return np.zeros(len(arrays.labels), int)
        low, high = 0, len(candidates)  # the lowest threshold stops all at 0
        while high - low > 1:
            middle = (low + high) // 2
            enough = np.minimum(_stop(on_val, candidates[middle]), val.mask.sum(1)).mean() <= k
            low, high = (middle, high) if enough else (low, middle)
        threshold = np.inf if k >= len(steps) else candidates[low]
        return np.minimum(_stop(sure, threshold), arrays.mask.sum(1))

    def weights(k):
        return (order < taken(k)[:, None]) & arrays.mask

    return weights, own, lambda k: shares[taken(k)][:, None]


def _sureness(arrays, own, scores, shares):
    """Largest probability so far of the prediction after n clips: float [len(shares), V], rising with n."""
    order = ranks(scores, arrays.mask)
    steps = [
        blend(arrays, (order < n) & arrays.mask, own, share)[0].max(-1) if n else own.max(-1)
        for n, share in enumerate(shares)
    ]
    return np.maximum.accumulate(steps)


def _stop(sure, threshold):
    return np.minimum((sure < threshold).sum(0), len(sure) - 1)
