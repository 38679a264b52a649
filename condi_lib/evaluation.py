"""Measures: accuracy against K, division, detection of the teacher's errors, and their intervals.

Pure functions of the clip table and the score tables. Accuracies, shares and rates lie in [0, 1]. Intervals are 95 %,
from a bootstrap over videos and seeds.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from condi_lib import sampler
from condi_lib.labelling import predictive_entropy, softmax
from condi_lib.sampler import clip_arrays, divide, fit_temperature, ranks

BOOTSTRAPS = 2000


@dataclass(frozen=True)
class Outcomes:
    """What a sampler's choices lead to at each of `ks`: arrays float [len(ks), S seeds, V videos], means over draws."""

    ks: list
    right: np.ndarray  # is the video's true class the first?
    top5: np.ndarray  # is it among the first five?
    n_clips: np.ndarray  # clips that the teacher classifies


def outcomes(arrays, scores, ks, average="probs"):
    """Outcomes of one sampler: every sampler goes through this function.

    arrays: ClipArrays; scores: float [..., V, N] to take the k best of, a function k -> weights [..., V, N] (as
    sampler.keep gives them), or a list of these, one a seed. A video's prediction is the weighted mean of its clips'
    softmax; average "logits" takes the mean of logits instead. Raises ValueError for k < 1.
    """
    per_seed = scores if isinstance(scores, list) else [scores]
    values = {"probs": arrays.probs, "logits": arrays.logits}[average]
    shape = len(ks), len(per_seed), len(arrays.labels)
    found = Outcomes(list(ks), *(np.empty(shape) for _ in range(3)))
    for s, one in enumerate(per_seed):
        for i, k in enumerate(ks):
            weights = one(k) if callable(one) else sampler.select(one, k, arrays.mask)
            weights = weights.reshape(-1, *arrays.mask.shape)  # (D, V, N)
            total = np.matmul(weights.transpose(1, 0, 2).astype(float), values)  # (V, D, C)
            place = place_of_truth(total.transpose(1, 0, 2), arrays.labels)
            found.right[i, s], found.top5[i, s] = (place == 0).mean(0), (place < 5).mean(0)
            found.n_clips[i, s] = (weights > 0).sum(-1).mean(0)
    return found


def outcomes_of_all(arrays, ks):
    """{name: Outcomes} of every sampler whose student is in `arrays` (of sampler.read_arrays)."""
    test = arrays[""][0][0]
    return {name: outcomes(test, sampler.keep(name, arrays), ks) for name in sampler.available(arrays)}


def join(parts):
    """Outcomes of parts of the videos, one after the other, as those of all: for tables that memory does not hold."""
    arrays = ([getattr(part, name) for part in parts] for name in ("right", "top5", "n_clips"))
    return Outcomes(parts[0].ks, *(np.concatenate(some, axis=-1) for some in arrays))


def at(found, ks):
    """Outcomes at some of their ks."""
    places = [found.ks.index(k) for k in ks]
    return Outcomes(list(ks), *(values[places] for values in (found.right, found.top5, found.n_clips)))


def place_of_truth(values, labels):
    """Place of the true class among float [..., V, C], 0 for the highest; ties by class number: int [..., V]."""
    true = np.take_along_axis(values, np.broadcast_to(labels, values.shape[:-1])[..., None], -1)
    before = np.arange(values.shape[-1]) < labels[:, None]
    return ((values > true) | ((values == true) & before)).sum(-1)


def _resample(n, draws, rng):
    return rng.multinomial(n, np.full(n, 1 / n), draws)


def bootstrap(values, draws=BOOTSTRAPS, seed=0):
    """Means over seeds and videos of float [..., S, V] in `draws` resamples of both: float [draws, ...].

    All entries of [...] are resampled alike, so that their differences are paired.
    """
    *shape, n_seeds, n_videos = values.shape
    flat = values.reshape(-1, n_seeds, n_videos)
    rng = np.random.default_rng(seed)
    parts = []
    at_once = max(1, min(250, 2**24 // n_videos))  # 128 MB of weights
    for start in range(0, draws, at_once):
        size = min(at_once, draws - start)
        videos, seeds = _resample(n_videos, size, rng) / n_videos, _resample(n_seeds, size, rng) / n_seeds
        parts.append(sum(seeds[:, [s]] * (videos @ flat[:, s].T) for s in range(n_seeds)))
    return np.concatenate(parts).reshape(draws, *shape)


def interval(values, draws=BOOTSTRAPS, seed=0):
    """(mean, low, high), float [...] each, of float [..., S, V] over seeds and videos."""
    low, high = np.quantile(bootstrap(values, draws, seed), (0.025, 0.975), axis=0)
    return values.mean((-2, -1)), low, high


def _columns(**values):
    """{name, name_low, name_high: float [M]} of float [..., S, V] each, resampled alike and flat."""
    return {
        name + suffix: column.ravel()
        for name, value in values.items()
        for suffix, column in zip(("", "_low", "_high"), interval(value), strict=True)
    }


def _of_all(found, what):
    """One array of all samplers' Outcomes: float [samplers, K, S, V]; one seed stands for all seeds."""
    parts = [getattr(one, what) for one in found.values()]
    return np.stack(np.broadcast_arrays(*parts))


def dense_right(arrays):
    """Which videos the teacher gets right from all clips: float [V]."""
    return outcomes(arrays, lambda k: arrays.mask, [1]).right[0, 0]


def accuracy_vs_k(clips, scores, ks):
    """Accuracy of one sampler against k: a tidy table, a row a k.

    clips: clip table; scores: a score table, what `outcomes` takes, or a list of these, one a seed. Columns: those of
    accuracy_table but sampler. Raises ValueError for k < 1 or scores of other clips.
    """
    arrays = clip_arrays(clips)
    per_seed = scores if isinstance(scores, list) else [scores]
    per_seed = [clip_arrays(clips, s).score if isinstance(s, pd.DataFrame) else s for s in per_seed]
    oracle = outcomes(arrays, sampler.true_class_prob(arrays), ks)
    return accuracy_table({"": outcomes(arrays, per_seed, ks)}, dense_right(arrays), oracle).drop(columns="sampler")


def accuracy_table(found, dense, oracle):
    """Accuracy of samplers against k, a row a (sampler, k). found: {name: Outcomes} at the same ks.

    dense: float [V], which videos dense gets right; oracle: its Outcomes. Columns: sampler, k, n_clips (mean clips per
    video that the teacher classifies), accuracy, top5, gain (paired difference to dense; each with _low and _high),
    headroom (share of the way from dense to the oracle at the same k), n_seeds, n_videos.
    """
    room = oracle.right.mean((1, 2)) - dense.mean()
    right = _of_all(found, "right")
    columns = _columns(accuracy=right, top5=_of_all(found, "top5"), gain=right - dense)
    rows = [(n, k, clips, one.right.shape[1]) for n, one in found.items() for k, clips in _mean_clips(one)]
    table = pd.DataFrame(rows, columns=["sampler", "k", "n_clips", "n_seeds"]).assign(**columns)
    table["headroom"] = _ratio(table.gain.to_numpy(), np.tile(room, len(found)))
    return table.assign(n_videos=len(dense))


def _mean_clips(one):
    return zip(one.ks, one.n_clips.mean((1, 2)), strict=True)


def compare(found, references=("dense", "condi_sr"), draws=10_000):
    """Paired differences of each sampler to each reference at the same k: a row a (sampler, reference, k).

    found: {name: Outcomes} with dense among them; a sampler with one seed stands for all seeds. Columns: difference,
    low, high, p (two-sided: how often resampling turns the difference's sign), p_holm (corrected for all rows of the
    table), n_seeds, n_videos. The oracle, which cheats, is left out.
    """
    pairs = [(n, r) for r in references if r in found for n in found if n not in (r, "oracle", "dense")]
    if not pairs:
        return pd.DataFrame(columns=["sampler", "reference", "k", "difference", "low", "high", "p", "p_holm"])
    ks, place = found["dense"].ks, {name: i for i, name in enumerate(found)}
    right = _of_all(found, "right")
    values = np.stack([right[place[n]] - right[place[r]] for n, r in pairs])
    resampled = bootstrap(values, draws)  # (draws, pairs, K)
    low, high = np.quantile(resampled, (0.025, 0.975), axis=0)
    tail = np.minimum((resampled <= 0).sum(0), (resampled >= 0).sum(0))
    p = np.minimum(1, 2 * (tail + 1) / (draws + 1))
    index = pd.MultiIndex.from_tuples([(n, r, k) for n, r in pairs for k in ks], names=["sampler", "reference", "k"])
    table = {"difference": values.mean((2, 3)), "low": low, "high": high, "p": p, "p_holm": holm(p)}
    table = pd.DataFrame({name: column.ravel() for name, column in table.items()}, index)
    return table.assign(n_seeds=values.shape[2], n_videos=values.shape[3]).reset_index()


def holm(p):
    """p-values of any shape -> corrected for their number by Holm's (1979) step-down procedure, same shape."""
    flat = np.ravel(p)
    order = np.argsort(flat)
    out = np.empty(len(flat))
    out[order] = np.minimum(1, np.maximum.accumulate(flat[order] * np.arange(len(flat), 0, -1)))
    return out.reshape(np.shape(p))


_ORDER = ["short", "medium", "long", "fewest", "some", "most", "typical", "hard"]  # of groups in tables and figures


def by_group(found, groups, dense):
    """Accuracy within groups of videos: a row a (grouping, group, sampler, k).

    found: {name: Outcomes}; groups: {grouping: str [V]}; dense: float [V]. Columns: accuracy, gain (to dense), helped,
    hurt (shares of videos that only the sampler, or only dense, gets right), each with _low and _high; n_seeds,
    n_videos.
    """
    rows = [(name, k, one.right.shape[1]) for name, one in found.items() for k in one.ks]
    head = pd.DataFrame(rows, columns=["sampler", "k", "n_seeds"])
    all_right = _of_all(found, "right")
    tables = []
    for grouping, values in groups.items():
        for group in sorted(set(values), key=lambda g: (_ORDER.index(g) if g in _ORDER else 0, g)):
            inside = values == group
            right, gain = all_right[..., inside], all_right[..., inside] - dense[inside]
            columns = _columns(accuracy=right, gain=gain, helped=gain.clip(0), hurt=(-gain).clip(0))
            tables.append(head.assign(grouping=grouping, group=group, **columns, n_videos=inside.sum()))
    return pd.concat(tables, ignore_index=True)


def thirds(values, names):
    """Which third of the values each lies in: str [V], one of three names, lowest first; equal values stay together."""
    return np.asarray(names)[np.searchsorted(np.quantile(values, (1 / 3, 2 / 3)), values)]


def divided_probs(arrays, probs, entropy, k, k_student, mode="nested"):
    """Divided inference of one seed: (sum over the chosen clips of their probabilities [V, C], by_student, by_teacher).

    probs [V, N, C], entropy [V, N]: the student's, of arrays.student_logits; who classifies what: see sampler.divide.
    """
    by_student, by_teacher = divide(arrays.score, entropy, k, k_student, arrays.mask, mode)
    total = (probs * by_student[..., None]).sum(1) + (arrays.probs * by_teacher[..., None]).sum(1)
    return total, by_student, by_teacher


def division_outcomes(arrays, ks, mode="nested"):
    """Outcomes of divided inference at each (k, k_student), k in ks and k_student from 0 to k.

    arrays: a list of ClipArrays with score and student_logits, one a seed. The video's prediction is the argmax of the
    mean probabilities of all chosen clips, the student's for its part and the teacher's for the rest.
    """
    rows = [(k, k_student) for k in ks for k_student in range(k + 1)]
    shape = len(rows), len(arrays), len(arrays[0].labels)
    found = Outcomes(rows, *(np.empty(shape) for _ in range(3)))
    for s, one in enumerate(arrays):
        probs, entropy = softmax(one.student_logits), predictive_entropy(one.student_logits)
        for i, (k, k_student) in enumerate(rows):
            total, _, by_teacher = divided_probs(one, probs, entropy, k, k_student, mode)
            place = place_of_truth(total, one.labels)
            found.right[i, s], found.top5[i, s], found.n_clips[i, s] = place == 0, place < 5, by_teacher.sum(1)
    return found


def division_table(found, dense, mode="nested"):
    """division_outcomes as a tidy table, a row a (k, k_student). dense: float [V], which videos dense gets right.

    Columns: k, k_student, mode, n_clips (mean clips per video that the teacher classifies), accuracy, gain (each with
    _low and _high), n_seeds, n_videos.
    """
    head = pd.DataFrame(found.ks, columns=["k", "k_student"]).assign(mode=mode, n_clips=found.n_clips.mean((1, 2)))
    columns = pd.DataFrame(_columns(accuracy=found.right, gain=found.right - dense))
    return pd.concat([head, columns], axis=1).assign(n_seeds=found.right.shape[1], n_videos=len(dense))


def division(arrays, ks, mode="nested"):
    """division_table of a list of ClipArrays, one a seed."""
    return division_table(division_outcomes(arrays, ks, mode), dense_right(arrays[0]), mode)


def pareto(cost, accuracy):
    """Which points are not dominated, bool [M]: by one that costs no more and is no less accurate, and is not equal."""
    cost, accuracy = np.asarray(cost), np.asarray(accuracy)
    no_worse = (cost[:, None] <= cost) & (accuracy[:, None] >= accuracy)  # [i, j]: i against j
    return ~(no_worse & ~no_worse.T).any(0)


def select_settings(clips, candidates, ks):
    """Settings chosen on the validation split, the only one it reads: ({"setting", "k"}, table of accuracies).

    candidates: {setting: (name of the sampler, {loss: [score table of each seed]})}. The setting is that of the highest
    accuracy, meant over ks (the first of equals); k is the smallest at which it is not below dense, or where there is
    none, that of its highest accuracy. The table is accuracy_table's, its "sampler" the setting.
    """
    clips = clips[clips.split == "val"]
    if not len(clips):
        raise ValueError("clips: the table holds no clip of the val split, on which settings are chosen")
    arrays = clip_arrays(clips)
    found = {
        setting: outcomes(arrays, sampler.keep(name, sampler.read_arrays(clips, scores, "val")), ks)
        for setting, (name, scores) in candidates.items()
    }
    table = accuracy_table(found, dense_right(arrays), outcomes(arrays, sampler.true_class_prob(arrays), ks))
    setting = table.groupby("sampler", sort=False).accuracy.mean().idxmax()
    best = table[table.sampler == setting]
    enough = best[best.gain >= 0]
    k = enough.k.min() if len(enough) else best.k[best.accuracy.idxmax()]
    return {"setting": setting, "k": int(k)}, table


# The sampler as a detector of "the teacher will be right": positive is z = 1. correct bool [M], score float [M];
# weights float [B, M] count each clip in B resamples and give B values; None counts each clip once and gives one value


def choose_threshold(correct, score):
    """The threshold that minimises FPR + FNR: to be called on the validation split. correct bool [M], score [M]."""
    from sklearn.metrics import roc_curve  # here: it takes a second to load

    fpr, tpr, thresholds = roc_curve(correct, score)
    return float(thresholds[1:][np.argmax((tpr - fpr)[1:])])  # the first threshold is infinite


def _weights(correct, weights):
    return np.ones((1, len(correct))) if weights is None else weights


def _ratio(a, b):
    """a / b, nan where b is 0."""
    return np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=np.broadcast_to(b, np.shape(a)) > 0)


def error_rates(correct, score, threshold, weights=None):
    """(FPR, FNR), float [B] each: shares of wrong clips with score >= threshold, and of right clips below it."""
    weights, called = _weights(correct, weights), score >= threshold
    return tuple(
        _ratio(weights @ (missed & kind), weights @ kind) for missed, kind in ((called, ~correct), (~called, correct))
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
    return _ratio((new_wrong * (right - new_right / 2)).sum(1), right[:, -1] * wrong[:, -1])


def auprc(correct, score, weights=None):
    """Average precision, float [B]: precision at each distinct score, weighted by the recall gained there."""
    right, wrong = _cumulative(correct, score, weights)
    precision = np.nan_to_num(_ratio(right, right + wrong))
    return _ratio((np.diff(right, prepend=0) * precision).sum(1), right[:, -1])


def aurc(correct, score, weights=None):
    """Area under the risk-coverage curve, float [B]: mean over clips of the risk of taking all clips at or above each.

    Risk: the share of the clips taken on which the teacher is wrong (El-Yaniv and Wiener 2010). Lower is better.
    """
    right, wrong = _cumulative(correct, score, weights)
    taken = right + wrong
    return _ratio((np.diff(taken, prepend=0) * np.nan_to_num(_ratio(wrong, taken))).sum(1), taken[:, -1])


def reliability(correct, prob, weights=None, bins=15):
    """(weight, mean probability, share right) in each of `bins` equal bins of [0, 1]: float [B, bins] each."""
    inside = np.eye(bins)[np.minimum((prob * bins).astype(int), bins - 1)]  # (M, bins)
    weights = _weights(correct, weights)
    n = weights @ inside
    return n, _ratio(weights @ (inside * prob[:, None]), n), _ratio(weights @ (inside * correct[:, None]), n)


def ece(correct, prob, weights=None, bins=15):
    """Expected calibration error, float [B]: the bins' |mean probability - share right|, weighted by their clips."""
    n, mean, share = reliability(correct, prob, weights, bins)
    return _ratio((n * np.nan_to_num(np.abs(mean - share))).sum(1), n.sum(1))


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
    return _ratio(weights @ np.nan_to_num(within), weights @ np.isfinite(within).astype(float))


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
    videos = np.vstack([np.ones(n_videos), _resample(n_videos, draws, rng)])  # the first row: as it is
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
    seeds = _resample(n_seeds, draws, rng) / n_seeds
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


def clip_kinds(clips, truth, frames):
    """The planted kind of each clip of the clip table: the kind of all its real frames, else "mixed" (Series).

    truth: the embedded benchmark's table (video, frame, kind); frames: frames of a clip.
    """
    kinds = truth.assign(clip=truth.frame // frames).groupby(["video", "clip"]).kind.agg(["first", "nunique"])
    kinds = kinds["first"].where(kinds["nunique"] == 1, "mixed").rename("kind")
    return clips[["video", "clip"]].join(kinds, on=["video", "clip"]).kind


def video_groups(arrays, videos, truth=None):
    """What by_group compares: {grouping: str [V]}: class, length and, with the planted truth, what was planted."""
    n = arrays.mask.sum(1)
    names = videos.set_index("video").class_name
    groups = {"length": thirds(n, ["short", "medium", "long"])}
    if truth is not None:
        per_video = truth.assign(ambiguous=truth.kind != "clean", hard=truth.blend > 0).groupby("video")
        share, hard = (per_video[column].mean().loc[arrays.videos].to_numpy() for column in ("ambiguous", "hard"))
        groups["ambiguous frames"] = thirds(share, ["fewest", "some", "most"])
        groups["motion"] = np.where(hard > 0, "hard", "typical")
    return {**groups, "class": names.loc[arrays.videos].to_numpy()}


def standing(arrays, score):
    """Place of each clip among its video's as a share: 1 for the highest score, 0 for the lowest; float [V, N]."""
    place = ranks(score, arrays.mask) / np.maximum(arrays.mask.sum(1, keepdims=True) - 1, 1)
    return np.where(arrays.mask, 1 - place, 0.0)


def standing_by_kind(name, arrays, kinds, draws=300):
    """Mean standing of clips of each kind, by sampler `name`: columns sampler, kind, standing, low, high, n_clips,
    n_seeds, n_videos. kinds: str [V, N] of the test clips."""
    test = arrays[""][0][0]
    per_seed = [standing(test, score) for score, _ in sampler.score(name, arrays)]
    rng = np.random.default_rng(0)
    n_videos, n_seeds = len(test.labels), len(per_seed)
    videos = np.vstack([np.ones(n_videos), _resample(n_videos, draws, rng)])
    seeds = np.vstack([np.ones(n_seeds), _resample(n_seeds, draws, rng)]) / n_seeds
    rows = []
    for kind in sorted(set(kinds[test.mask]), key=lambda kind: (kind == "mixed", kind != "clean", kind)):
        inside = kinds == kind
        sums = np.stack([(s * inside).sum(1) for s in per_seed])  # (S, V)
        means = (seeds * _ratio(videos @ sums.T, np.repeat((videos @ inside.sum(1))[:, None], n_seeds, 1))).sum(1)
        low, high = np.nanquantile(means[1:], (0.025, 0.975))
        rows.append((name, kind, means[0], low, high, inside.sum(), n_seeds, n_videos))
    return pd.DataFrame(rows, columns=["sampler", "kind", "standing", "low", "high", "n_clips", "n_seeds", "n_videos"])


def example_table(arrays, kinds=None, k=5):
    """One test video for figures.example_video: the first that ConDi-SR at k gets right and dense does not.

    Where there is none, or no ConDi-SR, the first video. The scores are the first seed's. Columns: video, clip, kind,
    teacher_true, teacher_max (probabilities), correct, and standing_<sampler> of each detector.
    """
    test = arrays[""][0][0]
    names = sampler.detectors(arrays)
    won = np.zeros(len(test.labels), bool)
    if "condi_sr" in names:
        won = (outcomes(test, sampler.keep("condi_sr", arrays)[:1], [k]).right[0, 0] > dense_right(test)) > 0
    v = int(won.argmax())
    real = test.mask[v]
    columns = {
        "video": test.videos[v],
        "clip": np.arange(real.sum()),
        "kind": "" if kinds is None else kinds[v][real],
        "teacher_true": sampler.true_class_prob(test)[v][real],
        "teacher_max": sampler.teacher_max(test)[v][real],
        "correct": test.correct[v][real],
    }
    columns |= {f"standing_{n}": standing(test, sampler.score(n, arrays)[0][0])[v][real] for n in names}
    return pd.DataFrame(columns)
