"""Measures: accuracy against K, division, detection of the teacher's errors, and their intervals.

Pure functions of the clip table and the score tables. Accuracies, shares and rates lie in [0, 1].
"""

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score, roc_curve

from condi_lib.labelling import predictive_entropy, softmax
from condi_lib.sampler import align, check_k, clip_arrays, divide, oracle, pad, ranks

BOOTSTRAPS = 2000


def _scores_at(arrays, scores, k):
    """Scores [..., V, N] of a score table, an array, or a function of k."""
    if isinstance(scores, pd.DataFrame):
        return pad(align(arrays, scores).score.to_numpy(np.float64), arrays.mask)
    return scores(k) if callable(scores) else scores


def videos_right(arrays, scores, ks):
    """Which videos the teacher gets right from the k best clips alone: float [len(ks), V], the mean over draws.

    The video's prediction is the argmax of the mean softmax of the chosen clips.
    """
    out = np.empty((len(ks), len(arrays.labels)))
    in_order = None
    for i, k in enumerate(ks):
        check_k(k)
        if in_order is None or callable(scores):  # (draws, V, N) places, (draws, V, N, C) running sums
            place = np.atleast_3d(ranks(_scores_at(arrays, scores, k), arrays.mask))
            place = place.reshape(-1, *arrays.mask.shape)
            order = np.argsort(place, axis=-1)[..., None]
            in_order = [np.cumsum(np.take_along_axis(arrays.probs, o, 1), 1) for o in order]
        at = min(k, arrays.mask.shape[1]) - 1  # probabilities of padding are 0: past the end the sum stays
        out[i] = np.mean([sums[:, at].argmax(-1) == arrays.labels for sums in in_order], 0)
    return out


def interval(right, seed=0):
    """Mean of right [S, V] over seeds and videos, and its 95 % bootstrap interval over both: (mean, low, high)."""
    right = np.atleast_2d(right)
    n_seeds, n_videos = right.shape
    rng = np.random.default_rng(seed)
    videos = rng.multinomial(n_videos, np.full(n_videos, 1 / n_videos), BOOTSTRAPS) / n_videos
    seeds = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), BOOTSTRAPS) / n_seeds
    low, high = np.quantile(((videos @ right.T) * seeds).sum(1), (0.025, 0.975))
    return right.mean(), low, high


def accuracy_vs_k(clips, scores, ks):
    """Top-1 video accuracy of one sampler against k: a tidy table, a row a k.

    clips: clip table; scores: a score table, an array [..., V, N], a function of k, or a list of
    these, one a seed. Columns: k, accuracy, low, high (95 % bootstrap over videos and seeds), gain, gain_low,
    gain_high (paired difference to dense), headroom (share of the way from dense to the oracle at the same k),
    n_seeds, n_videos. Raises ValueError for k < 1 or scores of other clips.
    """
    arrays = clip_arrays(clips)
    right = _per_seed(arrays, scores, ks)  # (ks, S, V)
    dense = dense_right(arrays)
    best = videos_right(arrays, oracle(arrays), ks).mean(1)
    rows = []
    for i, k in enumerate(ks):
        room = best[i] - dense.mean()
        row = {"k": k, **_with_intervals(right[i], dense)}
        rows.append({**row, "headroom": row["gain"] / room if room > 0 else np.nan})
    return pd.DataFrame(rows)


def paired_differences(clips, scores, others, ks):
    """How far one sampler is above others at the same k: a row a (other, k), and "dense" as one of the others.

    clips: clip table; scores and the values of `others` as in accuracy_vs_k. Columns: other, k, difference, low, high
    (95 % bootstrap over the same videos and seeds). Where the other has one seed only, it stands for all seeds.
    """
    arrays = clip_arrays(clips)
    own = _per_seed(arrays, scores, ks)
    others = {"dense": None, **{name: s for name, s in others.items() if s is not scores}}
    rows = []
    for name, other in others.items():
        right = dense_right(arrays) if other is None else _per_seed(arrays, other, ks)
        for k, difference in zip(ks, own - right, strict=True):
            rows.append((name, k, *interval(difference)))
    return pd.DataFrame(rows, columns=["other", "k", "difference", "low", "high"])


def _per_seed(arrays, scores, ks):
    """videos_right for each seed: float [len(ks), S, V]."""
    per_seed = scores if isinstance(scores, list) else [scores]
    return np.stack([videos_right(arrays, s, ks) for s in per_seed], 1)


def _with_intervals(right, dense):
    """Columns that every table of accuracies has, of right [S, V] and dense [V]."""
    accuracy, low, high = interval(right)
    gain, gain_low, gain_high = interval(right - dense)
    return {
        "accuracy": accuracy,
        "low": low,
        "high": high,
        "gain": gain,
        "gain_low": gain_low,
        "gain_high": gain_high,
        "n_seeds": len(right),
        "n_videos": len(dense),
    }


def dense_right(arrays):
    """Which videos the teacher gets right from all clips: float [V]."""
    return (arrays.probs.sum(1).argmax(-1) == arrays.labels).astype(float)


def division(clips, scores, k, mode="nested"):
    """ConDi-SR's divided inference at one k: a tidy table, a row for each k_student from 0 to k.

    clips: clip table; scores: a list of score tables, one a seed. The video's prediction is the argmax
    of the mean probabilities of all chosen clips, the student's for its part and the teacher's for the rest. Columns
    as accuracy_vs_k, and k_student, n_teacher (mean number of clips per video that the teacher sees).
    """
    arrays = clip_arrays(clips)
    dense = dense_right(arrays)
    right = np.empty((k + 1, len(scores), len(dense)))
    teacher_clips = np.empty((k + 1, len(scores)))
    for s, table in enumerate(scores):
        table = align(arrays, table)
        confidence = pad(table.score.to_numpy(np.float64), arrays.mask)
        logits = np.stack(table.student_logits.to_list())
        probs, entropy = pad(softmax(logits), arrays.mask), pad(predictive_entropy(logits), arrays.mask)
        for k_student in range(k + 1):
            by_student, by_teacher = divide(confidence, entropy, k, k_student, arrays.mask, mode)
            total = (probs * by_student[..., None]).sum(1) + (arrays.probs * by_teacher[..., None]).sum(1)
            right[k_student, s] = total.argmax(-1) == arrays.labels
            teacher_clips[k_student, s] = by_teacher.sum(1).mean()
    rows = [
        {"k": k, "k_student": i, "mode": mode, "n_teacher": teacher_clips[i].mean(), **_with_intervals(right[i], dense)}
        for i in range(k + 1)
    ]
    return pd.DataFrame(rows)


# The sampler as a detector of "the teacher will be right": positive is z = 1


def choose_threshold(correct, score):
    """The threshold that minimises FPR + FNR: to be called on the validation split. correct bool [M], score [M]."""
    fpr, tpr, thresholds = roc_curve(correct, score)
    return float(thresholds[1:][np.argmax((tpr - fpr)[1:])])  # the first threshold is infinite


def error_rates(correct, score, threshold):
    """(FPR, FNR): share of wrong clips called confident, of right clips called not confident, at score >= threshold."""
    called = score >= threshold
    return float(called[~correct].mean()), float((~called[correct]).mean())


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


def detection(clips, tables, bootstraps=200):
    """A sampler's measures as a detector on the test split, the threshold of each seed chosen on val.

    clips: the clip table of all splits; tables: score tables, one a seed. Returns a row a measure (threshold, fpr, fnr,
    fpr_at_half, fnr_at_half, auroc, auroc_within): mean over seeds, low, high (95 % bootstrap over videos and seeds),
    n_seeds, n_videos. The rates at 0.5 are nan where scores are not probabilities.
    """
    val, test = (clip_arrays(clips[clips.split == split]) for split in ("val", "test"))
    scores = [pad(align(test, t).score.to_numpy(np.float64), test.mask) for t in tables]
    thresholds = [choose_threshold(val.correct[val.mask], align(val, t).score.to_numpy(np.float64)) for t in tables]
    within = [auroc_within(test, s) for s in scores]

    def measures(seed, videos):
        mask = test.mask[videos]
        correct, score = test.correct[videos][mask], scores[seed][videos][mask]
        at_half = error_rates(correct, score, 0.5) if scores[seed].min() >= 0 else (np.nan, np.nan)
        at_threshold = error_rates(correct, score, thresholds[seed])
        auroc = roc_auc_score(correct, score)
        return np.array([thresholds[seed], *at_threshold, *at_half, auroc, _mean_of_known(within[seed][videos])])

    n_seeds, n_videos = len(tables), len(test.labels)
    mean = np.mean([measures(s, np.arange(n_videos)) for s in range(n_seeds)], 0)
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(bootstraps):
        videos = rng.integers(n_videos, size=n_videos)
        z = test.correct[videos][test.mask[videos]]
        if z.any() and not z.all():  # a handful of videos may be all right, or all wrong
            draws.append(np.mean([measures(s, videos) for s in rng.integers(n_seeds, size=n_seeds)], 0))
    low, high = np.quantile(draws, (0.025, 0.975), axis=0)
    names = ["threshold", "fpr", "fnr", "fpr_at_half", "fnr_at_half", "auroc", "auroc_within"]
    return pd.DataFrame(
        {"measure": names, "mean": mean, "low": low, "high": high, "n_seeds": n_seeds, "n_videos": n_videos}
    )


def mean_auroc_within(arrays, score):
    """Mean of auroc_within over the videos that have both right and wrong clips; nan where none has."""
    return _mean_of_known(auroc_within(arrays, score))


def _mean_of_known(values):
    return float(np.nanmean(values)) if np.isfinite(values).any() else np.nan


def score_histogram(correct, score, bins=20):
    """Histogram of a score in [0, 1]: low, high (bin edges), right, wrong (share of the right and the wrong clips)."""
    edges = np.linspace(0, 1, bins + 1)
    right, wrong = (np.histogram(score[z], edges)[0] / max(1, z.sum()) for z in (correct, ~correct))
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "right": right, "wrong": wrong})


def roc_points(correct, score, points=101):
    """The ROC curve at `points` equal steps of FPR: float arrays (fpr, tpr)."""
    fpr, tpr, _ = roc_curve(correct, score)
    grid = np.linspace(0, 1, points)
    return grid, np.interp(grid, fpr, tpr)


def clip_kinds(clips, truth, frames):
    """The planted kind of each clip of the clip table: the kind of all its real frames, else "mixed" (Series)."""
    truth = truth.assign(clip=truth.frame // frames)
    kinds = truth.groupby(["video", "clip"]).kind.agg(lambda k: k.iloc[0] if (k == k.iloc[0]).all() else "mixed")
    kinds = clips[["video", "clip"]].merge(kinds.reset_index(), on=["video", "clip"], how="left").kind
    return kinds.set_axis(clips.index)


def standing(arrays, score):
    """Place of each clip among its video's as a share: 1 for the highest score, 0 for the lowest; float [M] clips."""
    place = ranks(score, arrays.mask) / np.maximum(arrays.mask.sum(1, keepdims=True) - 1, 1)
    return 1 - place[arrays.mask]
