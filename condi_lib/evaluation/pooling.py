"""Runs side by side: the folds of a data set pooled, what choosing wins and saves there, with intervals.

Every fold has a teacher and students of its own. Videos are resampled within their fold, and each fold's seeds apart.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from condi_lib.evaluation.accuracy import at
from condi_lib.evaluation.intervals import BOOTSTRAPS, _bootstrap, _interval, _named, ratio
from condi_lib.sampler import SAMPLERS


@dataclass(frozen=True)
class Fold:
    """What the V test videos of one run come to, S seeds a student."""

    found: dict  # {sampler: Outcomes}; "division": at (K, K_s), see evaluation.division_outcomes
    within: dict  # {detector: AUROC within each video, float [S, V]; nan where all its clips are right, or all wrong}
    good: np.ndarray  # float [V], share of a video's clips on which the teacher is right
    shows: np.ndarray = None  # float [V], share of it that shows the class; None where that is not known


def pooled(folds, draws=BOOTSTRAPS):
    """Means over the videos of all folds, and of resamples: float [1 + draws, M], the mean itself first.

    folds: for each fold a list of float [m, S, V], the same quantities in each; M is the sum of the m. Videos and seeds
    are resampled within each fold; one seed stands for all. All M are resampled alike, so differences are paired.
    """
    n = np.array([parts[0].shape[-1] for parts in folds])
    found = 0.0
    for i, (share, parts) in enumerate(zip(n / n.sum(), folds, strict=True)):
        means = np.concatenate([part.mean((1, 2)) for part in parts])
        found = found + share * np.vstack([means, _bootstrap(parts, draws, seed=i)])
    return found


def _values(folds, draws):
    """{what: float [1 + draws], a value and its resamples}: (sampler, k): accuracy; ("auroc", name); good; shows."""
    names = [name for name in folds[0].found if all(name in fold.found for fold in folds)]
    ks = {n: [k for k in folds[0].found[n].ks if all(k in fold.found[n].ks for fold in folds)] for n in names}
    detectors = [name for name in folds[0].within if all(name in fold.within for fold in folds)]
    known = all(fold.shows is not None for fold in folds)
    keys = [(n, k) for n in names for k in ks[n]] + [("auroc", n) for n in detectors] + ["good"] + ["shows"] * known
    parts = [
        [at(fold.found[n], ks[n]).right for n in names]
        + [np.nan_to_num(fold.within[n])[None] for n in detectors]
        + [fold.good[None, None]]
        + ([fold.shows[None, None]] if known else [])
        + [np.isfinite(fold.within[n][:1])[None].astype(float) for n in detectors[:1]]
        for fold in folds
    ]
    resampled = pooled(parts, draws)
    found = dict(zip(keys, resampled.T, strict=False))
    for name in detectors:  # of the videos that have both right and wrong clips
        found["auroc", name] = ratio(found["auroc", name], resampled[:, -1])
    return found


def _ends(values, n_videos):
    """(value, low, high) of a value and its resamples."""
    return values[0], *_interval(values[1:], n_videos)


def across_table(folds, draws=BOOTSTRAPS):
    """Pooled results of one data set: a row a (sampler, k). folds: a Fold each.

    Columns, those marked * with _low and _high: n_clips (mean clips per video that the teacher classifies), accuracy*,
    gain* (paired difference to dense), headroom* and reachable* (share of what the oracle, and ranking by the truth,
    win at the same k), auroc_within*, good* and shows* (shares of a video's clips on which the teacher is right, that
    show the class); n_folds, n_seeds, n_videos. nan where there is nothing to say.
    """
    values, n_videos = _values(folds, draws), sum(len(fold.good) for fold in folds)
    nothing, dense = np.full(draws + 1, np.nan), _dense(values)
    rows = []
    for name, k in (key for key in values if key[0] in folds[0].found and key[0] != "division"):
        gain = (values[name, k] - dense).round(12)  # so that what equals dense differs by 0
        own = {"accuracy": values[name, k], "gain": gain}
        for share, best in (("headroom", "oracle"), ("reachable", "truth")):
            own[share] = ratio(gain, values[best, k] - dense) if (best, k) in values else nothing
        own["auroc_within"] = values.get(("auroc", name), nothing)
        own |= {"good": values["good"], "shows": values.get("shows", nothing)}
        columns = {}
        for what, value in own.items():
            columns |= {key: x.item() for key, x in _named(what, map(np.asarray, _ends(value, n_videos))).items()}
        clips = [fold.found[name].n_clips[fold.found[name].ks.index(k)].mean() for fold in folds]
        n_seeds = max(fold.found[name].right.shape[1] for fold in folds)
        n_clips = np.average(clips, weights=[len(fold.good) for fold in folds])
        rows.append({"sampler": name, "k": k, "n_clips": n_clips, **columns, "n_seeds": n_seeds})
    return pd.DataFrame(rows).assign(n_folds=len(folds), n_videos=n_videos)


def _dense(values):
    return next(value for (name, _), value in values.items() if name == "dense")


def across_differences(folds, draws=BOOTSTRAPS):
    """Paired differences, pooled, for claims: of every sampler to dense, and of ConDi-SR to every honest one.

    A row a (measure, sampler, reference, k, k_student): difference, low, high. measure: accuracy, or auroc_within
    (k = 0). sampler "division" is ConDi-SR whose student classifies k_student of the k clips, against k_student = 0.
    """
    values, n_videos = _values(folds, draws), sum(len(fold.good) for fold in folds)
    dense, rows = _dense(values), []

    def add(measure, name, reference, k, difference, k_student=0):
        rows.append((measure, name, reference, k, k_student, *_ends(difference.round(12), n_videos)))

    for (name, k), value in ((key, value) for key, value in values.items() if isinstance(key, tuple)):
        if name == "division":
            if k[1]:
                add("accuracy", name, "condi_sr", k[0], value - values[name, (k[0], 0)], k[1])
        elif name == "auroc":
            if ("auroc", "condi_sr") in values and k != "condi_sr":
                add("auroc_within", "condi_sr", k, 0, values["auroc", "condi_sr"] - value)
        else:
            if name != "dense":
                add("accuracy", name, "dense", k, value - dense)
            if ("condi_sr", k) in values and name not in ("condi_sr", "dense") and not SAMPLERS[name].cheats:
                add("accuracy", "condi_sr", name, k, values["condi_sr", k] - value)
    columns = ["measure", "sampler", "reference", "k", "k_student", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def with_savings(table):
    """across_table of one data set with what its samplers save at dense's accuracy; picked on test, to describe it.

    table: with multiply_adds and seconds, shares of dense's. Adds k_as_dense (the fewest clips at which the sampler is
    not below dense), multiply_adds_saved, seconds_saved (one minus the shares there); nan where there is none.
    """
    enough = table[(table.gain >= 0) & table.multiply_adds.notna() & (table.sampler != "dense")]
    first = enough.sort_values("k").drop_duplicates("sampler").set_index("sampler")
    saved = {f"{what}_saved": table.sampler.map(1 - first[what]) for what in ("multiply_adds", "seconds")}
    return table.assign(k_as_dense=table.sampler.map(first.k), **saved)


def pays_from(table):
    """Where a sampler beats dense as clips get worse: a row a (sampler, k).

    table: across_table of several worlds. It beats dense where the interval of its gain lies above 0: told are, in the
    order of their shares of bad clips, the worlds around the largest such gain that all have it so. Columns: bad,
    bad_to (shares of clips on which the teacher is wrong in the first and last of them; nan where there is none), gain,
    low, high (in the first), most, most_low, most_high, most_bad (the largest gain, and where), hardest (the largest
    share of bad clips of all), n_worlds.
    """
    rows = []
    for (name, k), own in table.assign(bad=1 - table.good).groupby(["sampler", "k"], sort=False):
        own = own.sort_values("bad", ignore_index=True)
        above = (own.gain_low > 0).to_numpy()
        best = int((own.gain.where(above) if above.any() else own.gain).argmax())
        first = best + 1 - int(above[: best + 1][::-1].cumprod().sum())
        last = best - 1 + int(above[best:].cumprod().sum())
        start = own.loc[first, ["bad", "gain", "gain_low", "gain_high"]].to_list() if above[best] else [np.nan] * 4
        most = own.loc[best]
        bad_to = own.bad[last] if above[best] else np.nan
        found = (start[0], bad_to, *start[1:], most.gain, most.gain_low, most.gain_high, most.bad)
        rows.append((name, k, *found, own.bad.iloc[-1], len(own)))
    columns = ["sampler", "k", "bad", "bad_to", "gain", "low", "high", "most", "most_low", "most_high", "most_bad"]
    return pd.DataFrame(rows, columns=[*columns, "hardest", "n_worlds"])
