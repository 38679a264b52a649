"""A sampler as a detector of "the teacher will be right": error rates, curves, calibration, and what stands first.

Positive is z = 1. Intervals are 95 %, from a bootstrap over videos and seeds.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse, special

from condi_lib import sampler
from condi_lib.evaluation.intervals import _interval, ratio, resample
from condi_lib.sampler import ClipArrays, fit_temperature


# correct bool [M], score float [M];
# weights float [B, M] count each clip in B resamples and give B values; None counts each clip once and gives one value
def choose_threshold(correct, score):
    """The threshold that minimises FPR + FNR: to be called on the validation split. correct bool [M], score [M].

    The highest of equals; nan where all clips are right, all are wrong, or there is none.
    """
    if not len(correct) or correct.all() or not correct.any():
        return np.nan
    (right,), (wrong,) = (x.astype(int) for x in _cumulative(correct, score, None))
    best = np.argmax(right * wrong[-1] - wrong * right[-1])  # in whole numbers, so that equals are equal
    return float(np.unique(score)[::-1][best])


def _weights(correct, weights):
    return np.ones((1, len(correct))) if weights is None else weights


def error_rates(correct, score, threshold, weights=None):
    """(FPR, FNR), float [B] each: shares of wrong clips with score >= threshold, and of right clips below it.

    nan where there is no such clip, or no threshold (nan).
    """
    weights, called = _weights(correct, weights), score >= threshold
    if np.isnan(threshold):
        return np.full((2, len(weights)), np.nan)
    return tuple(
        ratio(weights @ (missed & kind), weights @ kind) for missed, kind in ((called, ~correct), (~called, correct))
    )


def _cumulative(correct, score, weights):
    """(right, wrong): weight of the clips at or above each distinct score, highest first: float [B, G] each."""
    if not len(score):
        return np.zeros((2, len(_weights(correct, weights)), 1))
    if not np.isfinite(score).all():
        raise ValueError("score: found a number that is not finite, expected a finite score of each clip")
    weights = _weights(correct, weights)
    if (np.diff(score) > 0).any():  # else it is sorted
        order = np.argsort(-score, kind="stable")
        score, correct, weights = score[order], correct[order], weights[:, order]
    ends = np.r_[np.flatnonzero(np.diff(score)), len(score) - 1]  # ties count together
    return np.cumsum(weights * correct, 1)[:, ends], np.cumsum(weights * ~correct, 1)[:, ends]


def auroc(correct, score, weights=None):
    """Area under the ROC curve, float [B]: the share of (right, wrong) pairs in order, ties counting half."""
    return _auroc(*_cumulative(correct, score, weights))


def _auroc(right, wrong):
    new_right, new_wrong = np.diff(right, prepend=0), np.diff(wrong, prepend=0)
    return ratio((new_wrong * (right - new_right / 2)).sum(1), right[:, -1] * wrong[:, -1])


def auprc(correct, score, weights=None):
    """Average precision, float [B]: precision at each distinct score, weighted by the recall gained there."""
    return _auprc(*_cumulative(correct, score, weights))


def _auprc(right, wrong):
    precision = np.nan_to_num(ratio(right, right + wrong))
    return ratio((np.diff(right, prepend=0) * precision).sum(1), right[:, -1])


def aurc(correct, score, weights=None):
    """Area under the risk-coverage curve, float [B]: mean over clips of the risk of taking all clips at or above each.

    Risk: the share of the clips taken on which the teacher is wrong (El-Yaniv and Wiener 2010). Lower is better.
    """
    return _aurc(*_cumulative(correct, score, weights))


def _aurc(right, wrong):
    taken = right + wrong
    return ratio((np.diff(taken, prepend=0) * np.nan_to_num(ratio(wrong, taken))).sum(1), taken[:, -1])


def _risk(grid, right, wrong):
    """Risk at each coverage of the grid, of one _cumulative."""
    taken = right + wrong
    return np.interp(grid, taken / taken[-1], wrong / taken)


def reliability(correct, prob, weights=None, bins=15):
    """(weight, mean probability, share right) in each of `bins` equal bins of [0, 1]: float [B, bins] each.

    Raises ValueError for a probability outside [0, 1].
    """
    _check_probability(prob)
    weights = _weights(correct, weights)
    rows = np.arange(len(prob) + 1), np.minimum((prob * bins).astype(int), bins - 1)

    def in_bins(values):  # of each clip, in its bin: (M, bins)
        return weights @ sparse.csr_array((values.astype(float), rows[1], rows[0]), (len(prob), bins))

    n = in_bins(np.ones(len(prob)))
    return n, ratio(in_bins(prob), n), ratio(in_bins(correct), n)


def _check_probability(prob):
    bad = ~((prob >= 0) & (prob <= 1))
    if bad.any():
        raise ValueError(f"prob: found {prob[bad][0]}, expected probabilities in [0, 1]")


def ece(correct, prob, weights=None, bins=15):
    """Expected calibration error, float [B]: the bins' |mean probability - share right|, weighted by their clips."""
    n, mean, share = reliability(correct, prob, weights, bins)
    return ratio((n * np.nan_to_num(np.abs(mean - share))).sum(1), n.sum(1))


def calibrate(prob, val_correct, val_prob):
    """Probabilities float [M] with their logits divided by the temperature that val's clips ask for.

    nan where they ask for none: there is no clip, or the teacher is right, or wrong, on all.
    """
    if not len(val_correct) or val_correct.all() or not val_correct.any():
        return np.full(len(prob), np.nan)
    logit, val_logit = (np.log(p) - np.log1p(-p) for p in (np.clip(x, 1e-7, 1 - 1e-7) for x in (prob, val_prob)))
    two = np.stack([np.zeros_like(val_logit), val_logit], 1)
    return special.expit(logit / fit_temperature(two, val_correct.astype(int)))


def auroc_within(arrays, score):
    """AUROC within each video, float [V]; nan where all its clips are right, or all wrong. Ties count half.

    Choosing clips depends on the order within a video, not on the order across videos. score float [V, N].
    """
    right, wrong = arrays.mask & arrays.correct, arrays.mask & ~arrays.correct
    in_order = np.zeros(len(right))  # pairs
    at_once = max(1, 2**22 // right.shape[1] ** 2)
    for some in (slice(i, i + at_once) for i in range(0, len(right), at_once)):
        a, b = score[some, :, None], score[some, None, :]
        pairs = right[some, :, None] & wrong[some, None, :]  # (V, N, N)
        in_order[some] = ((pairs & (a > b)).sum((1, 2)) + (pairs & (a >= b)).sum((1, 2))) / 2
    return ratio(in_order, right.sum(1) * wrong.sum(1))


def mean_auroc_within(arrays, score, weights=None):
    """Mean of auroc_within over the videos that have both right and wrong clips, float [B]; nan where none has.

    weights float [B, V] count each video.
    """
    return _mean_of_known(auroc_within(arrays, score), weights)


def _mean_of_known(values, weights):
    weights = _weights(values, weights)
    return ratio(weights @ np.nan_to_num(values), weights @ np.isfinite(values).astype(float))


@dataclass(frozen=True)
class _Detector:
    """One seed's clips of test and val, flat; those of test from the highest score to the lowest."""

    arrays: ClipArrays  # of test
    video: np.ndarray  # int [M], which of them each clip is of
    correct: np.ndarray  # bool [M], z
    score: np.ndarray  # [M]
    val_correct: np.ndarray
    val_score: np.ndarray
    prob: np.ndarray = None  # [M], the score as a probability, where it means one
    scaled: np.ndarray = None  # after calibrate, where val says how


def _detectors(name, arrays):
    """A _Detector for each seed."""
    of_seeds, scores = arrays[sampler.SAMPLERS[name].loss], sampler.score(name, arrays)
    probs = sampler.probability(name, arrays) or [None] * len(scores)
    for one, (score, val_score), both in zip(of_seeds, scores, probs, strict=True):
        val = one.val
        order = np.argsort(-score[one.mask], kind="stable")
        flat = [np.nonzero(one.mask)[0][order], one.correct[one.mask][order], score[one.mask][order]]
        flat += [val.correct[val.mask], val_score[val.mask]]
        if both is not None:
            prob, val_prob = both[0][one.mask][order], both[1][val.mask]
            scaled = calibrate(prob, val.correct[val.mask], val_prob)
            flat += [prob, scaled if np.isfinite(scaled).all() else None]
        yield _Detector(one, *flat)


def _measures(one, threshold, within, videos):
    """{measure: float [B]} of a _Detector in B resamples, of videos counted float [B, V]."""
    weights = videos[:, one.video]
    nothing = np.full(len(videos), np.nan)
    z, score, prob, scaled = one.correct, one.score, one.prob, one.scaled
    rates, areas = error_rates(z, score, threshold, weights), _cumulative(z, score, weights)
    at_half = (nothing, nothing) if prob is None else error_rates(z, prob, 0.5, weights)
    return {
        "threshold": np.full(len(videos), threshold),
        **dict(zip(("fpr", "fnr", "fpr_at_half", "fnr_at_half"), (*rates, *at_half), strict=True)),
        "auroc": _auroc(*areas),
        "auroc_within": _mean_of_known(within, videos),
        "auprc": _auprc(*areas),
        "aurc": _aurc(*areas),
        "ece": nothing if prob is None else ece(z, prob, weights),
        "ece_scaled": nothing if scaled is None else ece(z, scaled, weights),
    }


def detection(name, arrays, draws=300):
    """A sampler's measures as a detector on the test split, the threshold of each seed chosen on val: a row a measure.

    name: of a sampler; arrays: of sampler.read_arrays. Measures: threshold (of the score: a logit for losses with a
    confidence), fpr, fnr (at it), fpr_at_half, fnr_at_half (of the probability), auroc, auroc_within (videos), auprc,
    aurc, ece, ece_scaled (after calibrate). What cannot be said is nan: those at 0.5 and the calibration errors where
    the score means no probability; thresholds and temperatures where val lacks right or wrong clips; rates and areas
    where test does; intervals of one video. Columns: sampler, measure, mean (over seeds), low, high, n_seeds, n_videos.
    """
    rng = np.random.default_rng(0)
    n_videos = len(arrays[""][0].labels)
    videos = np.vstack([np.ones(n_videos), resample(n_videos, draws, rng)])  # the first row: as it is
    per_seed = []
    for one, (score, _) in zip(_detectors(name, arrays), sampler.score(name, arrays), strict=True):
        threshold = choose_threshold(one.val_correct, one.val_score)
        within = auroc_within(one.arrays, score)
        some = np.array_split(videos, int(np.ceil(len(videos) * len(one.correct) / 2**23)))
        parts = [pd.DataFrame(_measures(one, threshold, within, part)) for part in some]
        per_seed.append(pd.concat(parts).to_numpy())  # (1 + draws, measures)
    per_seed, n_seeds = np.stack(per_seed), len(per_seed)
    seeds = resample(n_seeds, draws, rng) / n_seeds
    low, high = _interval(np.einsum("bs,sbm->bm", seeds, per_seed[:, 1:]), n_videos)
    table = {"sampler": name, "measure": parts[0].columns, "mean": per_seed[:, 0].mean(0), "low": low, "high": high}
    return pd.DataFrame({**table, "n_seeds": n_seeds, "n_videos": n_videos})


def detection_curves(name, arrays, points=101):
    """Curves of a sampler as a detector on the test split: columns curve, x, y, sampler.

    roc (x: FPR, y: TPR), precision_recall (x: recall, y: precision) and risk_coverage (x: coverage, y: risk) are means
    over seeds at `points` equal steps of x; reliability and reliability_scaled (x: mean probability in each bin, y:
    share right), of scores that mean probabilities, pool the seeds' clips, and leave out bins with less than 0.2 % of
    them. A curve that cannot be drawn is left out: roc without right or without wrong clips, precision_recall without
    right ones, reliability_scaled where val gives no temperature.
    """
    grid = np.linspace(0, 1, points)
    curves, pooled = {"roc": [], "precision_recall": [], "risk_coverage": []}, {}
    for one in _detectors(name, arrays):
        (right,), (wrong,) = _cumulative(one.correct, one.score, None)
        taken = right + wrong
        curves["risk_coverage"].append(_risk(grid, right, wrong))
        if right[-1]:
            recall = right / right[-1]
            first = np.minimum(np.searchsorted(recall, grid), len(recall) - 1)
            curves["precision_recall"].append((right / taken)[first])
            if wrong[-1]:
                curves["roc"].append(np.interp(grid, np.r_[0, wrong / wrong[-1]], np.r_[0, recall]))
        for curve, prob in (("reliability", one.prob), ("reliability_scaled", one.scaled)):
            if prob is not None:
                pooled.setdefault(curve, []).append((one.correct, prob))
    tables = [pd.DataFrame({"curve": c, "x": grid, "y": np.mean(ys, 0)}) for c, ys in curves.items() if ys]
    for curve, parts in pooled.items():
        correct, prob = (np.concatenate(column) for column in zip(*parts, strict=True))
        (n,), (x,), (y,) = reliability(correct, prob)
        enough = n >= 0.002 * len(correct)  # what is drawn of bins with a handful of clips is noise
        tables.append(pd.DataFrame({"curve": curve, "x": x, "y": y})[enough])
    return pd.concat(tables, ignore_index=True).assign(sampler=name)


def score_histogram(correct, score, bins=20):
    """Histogram of a score in [0, 1]: low, high (bin edges), right, wrong (share of the right and the wrong clips).

    Raises ValueError for a score outside [0, 1].
    """
    _check_probability(score)
    edges = np.linspace(0, 1, bins + 1)
    right, wrong = (np.histogram(score[z], edges)[0] / max(1, z.sum()) for z in (correct, ~correct))
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "right": right, "wrong": wrong})
