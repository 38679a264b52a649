"""A sampler as a detector of "the teacher will be right": error rates, curves, calibration, and what stands first.

Positive is z = 1. Intervals are 95 %, from a bootstrap over videos and seeds.
"""

import numpy as np
import pandas as pd

from condi_lib import sampler
from condi_lib.evaluation.intervals import ratio, resample
from condi_lib.sampler import fit_temperature


# correct bool [M], score float [M];
# weights float [B, M] count each clip in B resamples and give B values; None counts each clip once and gives one value
def choose_threshold(correct, score):
    """The threshold that minimises FPR + FNR: to be called on the validation split. correct bool [M], score [M]."""
    from sklearn.metrics import roc_curve  # here: it takes a second to load

    fpr, tpr, thresholds = roc_curve(correct, score)
    return float(thresholds[1:][np.argmax((tpr - fpr)[1:])])  # the first threshold is infinite


def _weights(correct, weights):
    return np.ones((1, len(correct))) if weights is None else weights


def error_rates(correct, score, threshold, weights=None):
    """(FPR, FNR), float [B] each: shares of wrong clips with score >= threshold, and of right clips below it."""
    weights, called = _weights(correct, weights), score >= threshold
    return tuple(
        ratio(weights @ (missed & kind), weights @ kind) for missed, kind in ((called, ~correct), (~called, correct))
    )


def _cumulative(correct, score, weights):
    """(right, wrong): weight of the clips at or above each distinct score, highest first: float [B, G] each."""
    order = np.argsort(-score, kind="stable")
    ends = np.r_[np.flatnonzero(np.diff(score[order])), len(score) - 1]  # ties count together
    weights, z = _weights(correct, weights)[:, order], correct[order]
    return np.cumsum(weights * z, 1)[:, ends], np.cumsum(weights * ~z, 1)[:, ends]


def auroc(correct, score, weights=None):
    """Area under the ROC curve, float [B]: the share of (right, wrong) pairs in order, ties counting half."""
    right, wrong = _cumulative(correct, score, weights)
    new_right, new_wrong = np.diff(right, prepend=0), np.diff(wrong, prepend=0)
    return ratio((new_wrong * (right - new_right / 2)).sum(1), right[:, -1] * wrong[:, -1])


def auprc(correct, score, weights=None):
    """Average precision, float [B]: precision at each distinct score, weighted by the recall gained there."""
    right, wrong = _cumulative(correct, score, weights)
    precision = np.nan_to_num(ratio(right, right + wrong))
    return ratio((np.diff(right, prepend=0) * precision).sum(1), right[:, -1])


def aurc(correct, score, weights=None):
    """Area under the risk-coverage curve, float [B]: mean over clips of the risk of taking all clips at or above each.

    Risk: the share of the clips taken on which the teacher is wrong (El-Yaniv and Wiener 2010). Lower is better.
    """
    right, wrong = _cumulative(correct, score, weights)
    taken = right + wrong
    return ratio((np.diff(taken, prepend=0) * np.nan_to_num(ratio(wrong, taken))).sum(1), taken[:, -1])


def reliability(correct, prob, weights=None, bins=15):
    """(weight, mean probability, share right) in each of `bins` equal bins of [0, 1]: float [B, bins] each."""
    inside = np.eye(bins)[np.minimum((prob * bins).astype(int), bins - 1)]  # (M, bins)
    weights = _weights(correct, weights)
    n = weights @ inside
    return n, ratio(weights @ (inside * prob[:, None]), n), ratio(weights @ (inside * correct[:, None]), n)


def ece(correct, prob, weights=None, bins=15):
    """Expected calibration error, float [B]: the bins' |mean probability - share right|, weighted by their clips."""
    n, mean, share = reliability(correct, prob, weights, bins)
    return ratio((n * np.nan_to_num(np.abs(mean - share))).sum(1), n.sum(1))


def calibrate(prob, val_correct, val_prob):
    """Probabilities float [M] with their logits divided by the temperature that val's clips ask for."""
    logit, val_logit = (np.log(p) - np.log1p(-p) for p in (np.clip(x, 1e-7, 1 - 1e-7) for x in (prob, val_prob)))
    two = np.stack([np.zeros_like(val_logit), val_logit], 1)
    return 1 / (1 + np.exp(-logit / fit_temperature(two, val_correct.astype(int))))


def auroc_within(arrays, score):
    """AUROC within each video, float [V]; nan where all its clips are right, or all wrong. Ties count half.

    Choosing clips depends on the order within a video, not on the order across videos. score float [V, N].
    """
    out = np.full(len(arrays.labels), np.nan)
    for i, (z, s, real) in enumerate(zip(arrays.correct, score, arrays.mask, strict=True)):
        right, wrong = s[real & z][:, None], s[real & ~z]
        if right.size and wrong.size:
            out[i] = ((right > wrong).mean() + (right >= wrong).mean()) / 2
    return out


def mean_auroc_within(arrays, score, weights=None):
    """Mean of auroc_within over the videos that have both right and wrong clips, float [B]; nan where none has.

    weights float [B, V] count each video.
    """
    within = auroc_within(arrays, score)
    weights = _weights(within, weights)
    return ratio(weights @ np.nan_to_num(within), weights @ np.isfinite(within).astype(float))


def _detector(name, arrays):
    """For each seed (arrays, z of test, scores of test, z of val, scores of val), flat over clips."""
    for (test_score, val_score), (test, val) in zip(
        sampler.score(name, arrays), arrays[sampler.SAMPLERS[name].loss], strict=True
    ):
        yield test, test.correct[test.mask], test_score[test.mask], val.correct[val.mask], val_score[val.mask]


def detection(name, arrays, draws=300):
    """A sampler's measures as a detector on the test split, the threshold of each seed chosen on val: a row a measure.

    name: of a sampler; arrays: of sampler.read_arrays. Measures: threshold, fpr, fnr (at it), fpr_at_half, fnr_at_half,
    auroc, auroc_within (videos), auprc, aurc, ece, ece_scaled (after calibrate); those at 0.5 and the calibration
    errors are nan where the score is no probability. Columns: sampler, measure, mean (over seeds), low, high, n_seeds,
    n_videos.
    """
    is_probability = sampler.SAMPLERS[name].probability
    first = arrays[sampler.SAMPLERS[name].loss][0][0]
    n_videos, n_clips = len(first.labels), first.mask.sum(1)
    rng = np.random.default_rng(0)
    videos = np.vstack([np.ones(n_videos), resample(n_videos, draws, rng)])  # the first row: as it is
    per_seed = []
    for test, correct, score, val_correct, val_score in _detector(name, arrays):
        threshold = choose_threshold(val_correct, val_score)
        scaled = calibrate(score, val_correct, val_score) if is_probability else None
        parts = []
        for some in np.array_split(videos, int(np.ceil(videos.shape[0] * len(correct) / 2**23))):
            weights = np.repeat(some, n_clips, 1)
            nothing = np.full(len(some), np.nan)
            found = {"threshold": np.full(len(some), threshold)}
            found["fpr"], found["fnr"] = error_rates(correct, score, threshold, weights)
            at_half = error_rates(correct, score, 0.5, weights) if is_probability else (nothing, nothing)
            found["fpr_at_half"], found["fnr_at_half"] = at_half
            found["auroc"] = auroc(correct, score, weights)
            found["auroc_within"] = mean_auroc_within(test, sampler.pad(score, test.mask), some)
            found["auprc"], found["aurc"] = auprc(correct, score, weights), aurc(correct, score, weights)
            found["ece"] = ece(correct, score, weights) if is_probability else nothing
            found["ece_scaled"] = ece(correct, scaled, weights) if is_probability else nothing
            parts.append(pd.DataFrame(found))
        per_seed.append(pd.concat(parts).to_numpy())  # (1 + draws, measures)
    per_seed, n_seeds = np.stack(per_seed), len(per_seed)
    seeds = resample(n_seeds, draws, rng) / n_seeds
    resampled = np.einsum("bs,sbm->bm", seeds, per_seed[:, 1:])
    low, high = np.quantile(resampled, (0.025, 0.975), axis=0)
    table = {"sampler": name, "measure": parts[0].columns, "mean": per_seed[:, 0].mean(0), "low": low, "high": high}
    return pd.DataFrame({**table, "n_seeds": n_seeds, "n_videos": n_videos})


def detection_curves(name, arrays, points=101):
    """Curves of a sampler as a detector on the test split: columns sampler, curve, x, y.

    roc (x: FPR, y: TPR), precision_recall (x: recall, y: precision) and risk_coverage (x: coverage, y: risk) are means
    over seeds at `points` equal steps of x; reliability and reliability_scaled (x: mean probability in each bin, y:
    share right), of scores that are probabilities, pool the seeds' clips, and leave out bins with less than 0.2 % of
    them.
    """
    grid = np.linspace(0, 1, points)
    curves, pooled = {"roc": [], "precision_recall": [], "risk_coverage": []}, []
    for _, correct, score, val_correct, val_score in _detector(name, arrays):
        (right,), (wrong,) = _cumulative(correct, score, None)
        taken, recall = right + wrong, right / right[-1]
        first = np.minimum(np.searchsorted(recall, grid), len(recall) - 1)
        curves["roc"].append(np.interp(grid, np.r_[0, wrong / wrong[-1]], np.r_[0, recall]))
        curves["precision_recall"].append((right / taken)[first])
        curves["risk_coverage"].append(np.interp(grid, taken / taken[-1], wrong / taken))
        if sampler.SAMPLERS[name].probability:
            pooled.append((correct, score, calibrate(score, val_correct, val_score)))
    tables = [pd.DataFrame({"curve": c, "x": grid, "y": np.mean(ys, 0)}) for c, ys in curves.items()]
    if pooled:
        correct, plain, scaled = (np.concatenate(column) for column in zip(*pooled, strict=True))
        for curve, prob in (("reliability", plain), ("reliability_scaled", scaled)):
            (n,), (x,), (y,) = reliability(correct, prob)
            enough = n >= 0.002 * len(correct)  # what is drawn of bins with a handful of clips is noise
            tables.append(pd.DataFrame({"curve": curve, "x": x, "y": y})[enough])
    return pd.concat(tables, ignore_index=True).assign(sampler=name)


def score_histogram(correct, score, bins=20):
    """Histogram of a score in [0, 1]: low, high (bin edges), right, wrong (share of the right and the wrong clips)."""
    edges = np.linspace(0, 1, bins + 1)
    right, wrong = (np.histogram(score[z], edges)[0] / max(1, z.sum()) for z in (correct, ~correct))
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "right": right, "wrong": wrong})
