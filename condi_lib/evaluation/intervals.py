"""Intervals and p-values from resampled videos and seeds. One video has no interval: nan."""

import numpy as np

BOOTSTRAPS = 2000


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
    return values.mean((-2, -1)), *_interval(bootstrap(values, draws, seed), values.shape[-1])


def _interval(resampled, n_videos):
    """(low, high) of float [draws, ...], of the draws in which it is a number; nan for fewer than two videos."""
    shape = resampled.shape[1:]
    if n_videos < 2:
        return np.full((2, *shape), np.nan)
    if not np.isnan(resampled).any():
        return np.quantile(resampled, (0.025, 0.975), axis=0)
    known = (column[~np.isnan(column)] for column in resampled.reshape(len(resampled), -1).T)
    ends = [np.quantile(draws, (0.025, 0.975)) if len(draws) else (np.nan, np.nan) for draws in known]
    return np.array(ends).T.reshape(2, *shape)


def _columns(**values):
    """{name, name_low, name_high: float [M]} of float [..., S, V] each, resampled alike and flat."""
    columns = {}
    for name, value in values.items():
        columns |= _named(name, interval(value))
    return columns


def _named(name, found):
    """{name, name_low, name_high: float [M]} of an interval's (mean, low, high), flat."""
    return {name + suffix: column.ravel() for suffix, column in zip(("", "_low", "_high"), found, strict=True)}


def holm(p):
    """p-values of any shape -> corrected for their number by Holm's (1979) step-down procedure, same shape.

    nan stays nan and does not count.
    """
    flat = np.ravel(p)
    order = np.argsort(flat)[: np.isfinite(flat).sum()]  # nan comes last
    out = np.full(len(flat), np.nan)
    out[order] = np.minimum(1, np.maximum.accumulate(flat[order] * np.arange(len(order), 0, -1)))
    return out.reshape(np.shape(p))


def ratio(a, b):
    """a / b, nan where b is 0."""
    return np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=np.broadcast_to(b, np.shape(a)) > 0)
