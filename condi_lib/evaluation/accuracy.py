"""Measures: accuracy against K, paired differences, groups of videos, division, and their intervals.

Pure functions of the clip table and the score tables. Accuracies, shares and rates lie in [0, 1]. Intervals are 95 %,
from a bootstrap over videos and seeds.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from condi_lib import sampler
from condi_lib.evaluation.intervals import _bootstrap, _interval, _named, bootstrap, holm, ratio
from condi_lib.sampler import clip_arrays


@dataclass(frozen=True)
class Outcomes:
    """What a sampler's choices lead to at each of `ks`: arrays float [len(ks), S seeds, V videos], means over draws."""

    ks: list
    right: np.ndarray  # is the video's true class the first?
    top5: np.ndarray  # is it among the first five?
    n_clips: np.ndarray  # clips that the teacher classifies
    videos: np.ndarray = None  # str [V]
    labels: np.ndarray = None  # int [V]
    sure: np.ndarray = None  # the prediction's largest class probability, where it has one: [len(ks), S, V]


MEASURED = ("right", "top5", "n_clips", "sure")  # of Outcomes, those at each of its ks


def outcomes(arrays, scores, ks, average="probs"):
    """Outcomes of one sampler: every sampler goes through this function.

    arrays: ClipArrays; scores: float [..., V, N] to take the k best of, a function k -> weights [..., V, N] (as
    sampler.keep gives them), or a list of these, one a seed. A video's prediction is the weighted mean of its clips'
    softmax (see sampler.blend, also for samplers that bring classes of their own); average "logits" takes the mean of
    logits instead. Raises ValueError for k < 1, and for scores that are not finite or leave a video without a clip.
    """
    per_seed = [_chooser(one, arrays) for one in (scores if isinstance(scores, list) else [scores])]
    shape = len(ks), len(per_seed), len(arrays.labels)
    right, top5, n_clips, sure = np.empty((4, *shape))
    sure = sure if average == "probs" else None
    found = Outcomes(list(ks), right, top5, n_clips, arrays.videos, arrays.labels, sure)
    for s, one in enumerate(per_seed):
        for i, k in enumerate(ks):
            weights, own = one(k), getattr(one, "own", None)
            values = sampler.blend(arrays, weights, own, 0.0 if own is None else one.share(k), average)
            place = place_of_truth(values, arrays.labels)
            found.right[i, s], found.top5[i, s] = (place == 0).mean(0), (place < 5).mean(0)
            found.n_clips[i, s] = (weights > 0).reshape(-1, *arrays.mask.shape).sum(-1).mean(0)
            if sure is not None:
                sure[i, s] = (values.max(-1) / values.sum(-1)).mean(0)
    return found


def _chooser(scores, arrays):
    if callable(scores):
        return scores
    arrays.check_finite("scores", scores)
    return lambda k: sampler.select(scores, k, arrays.mask)


def outcomes_of_all(arrays, ks):
    """{name: Outcomes} of every sampler that has what it needs in `arrays` (of sampler.read_arrays).

    Those that bring classes of their own have K = 0 too, where the teacher sees no clip.
    """
    test = arrays[""][0]
    return {
        name: outcomes(test, sampler.keep(name, arrays), [0] * bool(sampler.SAMPLERS[name].classes) + list(ks))
        for name in sampler.available(arrays)
    }


def join(parts):
    """{name: Outcomes} of parts of the videos as those of all, sorted by video; takes them out of `parts`.

    For tables that memory does not hold.
    """
    found = {}
    for name in list(parts[0]):
        own = [part.pop(name) for part in parts]
        order = np.argsort(np.concatenate([one.videos for one in own]), kind="stable")
        arrays = {}
        for what in (*MEASURED, "videos", "labels"):
            if getattr(own[0], what) is not None:
                arrays[what] = np.concatenate([getattr(one, what) for one in own], axis=-1)[..., order]
        found[name] = Outcomes(own[0].ks, **arrays)
    return found


def at(found, ks):
    """Outcomes at some of their ks."""
    places = [found.ks.index(k) for k in ks]
    measured = {what: getattr(found, what) for what in MEASURED}
    return replace(found, ks=list(ks), **{what: None if one is None else one[places] for what, one in measured.items()})


def place_of_truth(values, labels):
    """Place of the true class among float [..., V, C], 0 for the highest; ties by class number: int [..., V].

    nan never puts it first.
    """
    true = np.take_along_axis(values, np.broadcast_to(labels, values.shape[:-1])[..., None], -1)
    before = np.arange(values.shape[-1]) < labels[:, None]
    return (~(values <= true) | ((values == true) & before)).sum(-1)


def in_common(found):
    """{name: Outcomes} at the ks that all of them have: K = 0 is of those with classes of their own alone."""
    first = next(iter(found.values()))
    ks = [k for k in first.ks if all(k in one.ks for one in found.values())]
    return {name: at(one, ks) for name, one in found.items()}


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
    """Accuracy of samplers against k, a row a (sampler, k). found: {name: Outcomes}.

    dense: float [V], which videos dense gets right; oracle: its Outcomes. Columns: sampler, k, n_clips (mean clips per
    video that the teacher classifies), n_seeds, accuracy, top5, gain (paired difference to dense), mean_class (mean
    over classes of the accuracy in each), each with _low and _high; headroom (share of the way from dense to the
    oracle at the same k), reachable (share of what ranking by the truth wins at the same k, where "truth" is among
    `found`), n_videos. nan where there is nothing to say: no room above dense, an interval of one video.
    """
    names, n_videos = ("right", "top5"), len(dense)
    parts = [getattr(one, what) for what in names for one in found.values()]
    labelled = all(one.labels is not None for one in found.values())
    by_class = [_linear_class_mean(one) for one in found.values()] if labelled else []
    resampled = _bootstrap([*parts, *by_class, dense[None, None]])
    rows = [(n, k, clips, one.right.shape[1]) for n, one in found.items() for k, clips in _mean_clips(one)]
    table = pd.DataFrame(rows, columns=["sampler", "k", "n_clips", "n_seeds"])
    right, top5, classes, of_dense = np.split(resampled, np.cumsum([len(rows), len(rows), len(rows) * labelled]), 1)
    accuracy, five, *mean_class = np.split(_means(parts + by_class), 2 + labelled)
    gain = np.concatenate([(one.right - dense).mean((1, 2)) for one in found.values()])
    gains = (right - of_dense).round(12)  # so that what equals dense differs by 0
    columns = [("accuracy", accuracy, right), ("top5", five, top5), ("gain", gain, gains)]
    columns += [("mean_class", one, classes.clip(0, 1)) for one in mean_class]
    for name, mean, draws in columns:
        table = table.assign(**_named(name, (mean, *_interval(draws, n_videos))))
    for name, best in (("headroom", oracle), ("reachable", found.get("truth"))):
        if best is not None:
            won = dict(zip(best.ks, best.right.mean((1, 2)) - dense.mean(), strict=True))
            table[name] = ratio(table.gain.to_numpy(), table.k.map(won).to_numpy(float))
    return table.assign(n_videos=n_videos)


def _means(parts):
    return np.concatenate([part.mean((1, 2)) for part in parts])


def _linear_class_mean(found):
    """Values [K, S, V] whose mean over videos is the mean-class accuracy, and whose resampled means vary as it does.

    A ratio's first-order form, which may leave [0, 1]: each video counts by how far it lies from its class' mean.
    """
    _, at, n = np.unique(found.labels, return_inverse=True, return_counts=True)
    by_class = found.right[..., np.argsort(at, kind="stable")]
    means = np.add.reduceat(by_class, np.cumsum(n) - n, -1) / n  # (K, S, C)
    deviation = (found.right - means[..., at]) * len(at) / (len(n) * n[at])
    return means.mean(-1, keepdims=True) + deviation


def _mean_clips(one):
    return zip(one.ks, one.n_clips.mean((1, 2)), strict=True)


def compare(found, references=("dense", "condi_sr"), draws=10_000):
    """Paired differences of each sampler to each reference at the same k: a row a (sampler, reference, k).

    found: {name: Outcomes} with dense among them, compared at the ks that all have; a sampler with one seed stands for
    all seeds. Columns: difference, low, high, p (two-sided: how often resampling turns the difference's sign), p_holm
    (corrected for all rows of the table), n_seeds, n_videos. What cheats (oracle, truth) is left out. One video has no
    interval and no p: nan.
    """
    honest = [n for n in found if n != "dense" and not (n in sampler.SAMPLERS and sampler.SAMPLERS[n].cheats)]
    pairs = [(n, r) for r in references if r in found for n in honest if n != r]
    if not pairs:
        return pd.DataFrame(columns=["sampler", "reference", "k", "difference", "low", "high", "p", "p_holm"])
    found = in_common(found)
    ks, place = found["dense"].ks, {name: i for i, name in enumerate(found)}
    right = _of_all(found, "right")
    draws = max(draws, 50 * len(pairs) * len(ks))  # else no p could be below 0.05 after correction
    values = np.stack([right[place[n]] - right[place[r]] for n, r in pairs])
    resampled = bootstrap(values, draws)  # (draws, pairs, K)
    low, high = _interval(resampled, values.shape[-1])
    tail = np.minimum((resampled <= 0).sum(0), (resampled >= 0).sum(0))
    p = np.minimum(1, 2 * (tail + 1) / (draws + 1)) if values.shape[-1] > 1 else np.full(low.shape, np.nan)
    index = pd.MultiIndex.from_tuples([(n, r, k) for n, r in pairs for k in ks], names=["sampler", "reference", "k"])
    table = {"difference": values.mean((2, 3)), "low": low, "high": high, "p": p, "p_holm": holm(p)}
    table = pd.DataFrame({name: column.ravel() for name, column in table.items()}, index)
    return table.assign(n_seeds=values.shape[2], n_videos=values.shape[3]).reset_index()


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
