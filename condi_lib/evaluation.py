"""Measures: accuracy against K, paired differences, groups of videos, division, and their intervals.

Pure functions of the clip table and the score tables. Accuracies, shares and rates lie in [0, 1]. Intervals are 95 %,
from a bootstrap over videos and seeds.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from condi_lib import sampler
from condi_lib.labelling import predictive_entropy, softmax
from condi_lib.sampler import clip_arrays, divide

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
    """{name: Outcomes} of parts of the videos, one after the other, as those of all; takes them out of `parts`.

    For tables that memory does not hold.
    """
    found = {}
    for name in list(parts[0]):
        own = [part.pop(name) for part in parts]
        arrays = ([getattr(one, what) for one in own] for what in ("right", "top5", "n_clips"))
        found[name] = Outcomes(own[0].ks, *(np.concatenate(some, axis=-1) for some in arrays))
    return found


def at(found, ks):
    """Outcomes at some of their ks."""
    places = [found.ks.index(k) for k in ks]
    return Outcomes(list(ks), *(values[places] for values in (found.right, found.top5, found.n_clips)))


def place_of_truth(values, labels):
    """Place of the true class among float [..., V, C], 0 for the highest; ties by class number: int [..., V]."""
    true = np.take_along_axis(values, np.broadcast_to(labels, values.shape[:-1])[..., None], -1)
    before = np.arange(values.shape[-1]) < labels[:, None]
    return ((values > true) | ((values == true) & before)).sum(-1)


def resample(n, draws, rng):
    return rng.multinomial(n, np.full(n, 1 / n), draws)


def bootstrap(values, draws=BOOTSTRAPS, seed=0):
    """Means over seeds and videos of float [..., S, V] in `draws` resamples of both: float [draws, ...].

    All entries of [...] are resampled alike, so that their differences are paired; so are calls with the same S, V,
    draws and seed.
    """
    *shape, n_seeds, n_videos = values.shape
    return _bootstrap([values.reshape(-1, n_seeds, n_videos)], draws, seed).reshape(draws, *shape)


def _bootstrap(parts, draws=BOOTSTRAPS, seed=0):
    """bootstrap of [M, S, V] that comes in parts, which memory need not hold again; one seed stands for all seeds."""
    n_seeds, n_videos = max(part.shape[1] for part in parts), parts[0].shape[2]
    rng = np.random.default_rng(seed)
    found = []
    at_once = max(1, min(250, 2**24 // n_videos))  # 128 MB of weights
    for start in range(0, draws, at_once):
        size = min(at_once, draws - start)
        videos, seeds = resample(n_videos, size, rng) / n_videos, resample(n_seeds, size, rng) / n_seeds
        means = [
            sum(seeds[:, [s]] * (videos @ part[:, s].T) for s in range(n_seeds))
            if part.shape[1] > 1
            else videos @ part[:, 0].T
            for part in parts
        ]
        found.append(np.hstack(means))
    return np.concatenate(found)


def interval(values, draws=BOOTSTRAPS, seed=0):
    """(mean, low, high), float [...] each, of float [..., S, V] over seeds and videos."""
    return values.mean((-2, -1)), *_interval(bootstrap(values, draws, seed))


def _interval(resampled):
    """(low, high) of float [draws, ...]."""
    return np.quantile(resampled, (0.025, 0.975), axis=0)


def _columns(**values):
    """{name, name_low, name_high: float [M]} of float [..., S, V] each, resampled alike and flat."""
    columns = {}
    for name, value in values.items():
        columns |= _named(name, interval(value))
    return columns


def _named(name, found):
    """{name, name_low, name_high: float [M]} of an interval's (mean, low, high), flat."""
    return {name + suffix: column.ravel() for suffix, column in zip(("", "_low", "_high"), found, strict=True)}


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
    parts = [getattr(one, what) for what in ("right", "top5") for one in found.values()]
    resampled, of_dense = np.split(_bootstrap([*parts, dense[None, None]]), [-1], axis=1)
    right, top5 = np.split(resampled, 2, axis=1)
    accuracy, five = np.split(np.concatenate([part.mean((1, 2)) for part in parts]), 2)
    rows = [(n, k, clips, one.right.shape[1]) for n, one in found.items() for k, clips in _mean_clips(one)]
    table = pd.DataFrame(rows, columns=["sampler", "k", "n_clips", "n_seeds"])
    gain = np.concatenate([(one.right - dense).mean((1, 2)) for one in found.values()])
    gains = (right - of_dense).round(12)  # so that what equals dense differs by 0
    for name, mean, draws in (("accuracy", accuracy, right), ("top5", five, top5), ("gain", gain, gains)):
        table = table.assign(**_named(name, (mean, *_interval(draws))))
    table["headroom"] = ratio(table.gain.to_numpy(), np.tile(room, len(found)))
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
    low, high = _interval(resampled)
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


def ratio(a, b):
    """a / b, nan where b is 0."""
    return np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=np.broadcast_to(b, np.shape(a)) > 0)
