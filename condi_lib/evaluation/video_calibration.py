"""Is a sampler's prediction of a video as sure as it should be?"""

import numpy as np
import pandas as pd

from condi_lib.evaluation.detector import _cumulative, _risk, aurc, ece, reliability
from condi_lib.evaluation.intervals import _interval, resample


def video_calibration(found, draws=300):
    """Calibration of the video's prediction by its largest probability: a row a (sampler, k).

    found: {name: Outcomes} of samplers that do not draw. ece: expected calibration error in 15 bins; aurc: area under
    the risk-coverage curve, where the surest videos are answered first (both lower is better); sure: mean largest
    probability; accuracy. Each but sure and accuracy with _low and _high, 95 %, over videos and seeds; those of ece lie
    high, since resampling adds noise to each bin. One video has no interval: nan.
    """
    rows = []
    for name, one in found.items():
        n_seeds, n_videos = one.right.shape[1:]
        rng = np.random.default_rng(0)
        videos = np.vstack([np.ones(n_videos), resample(n_videos, draws, rng)])
        seeds = resample(n_seeds, draws, rng) / n_seeds
        for k, right, sure in zip(one.ks, one.right > 0, one.sure, strict=True):
            row = {"sampler": name, "k": k, "accuracy": right.mean(), "sure": sure.mean()}
            for what, measure in (("ece", ece), ("aurc", aurc)):
                per_seed = np.array([measure(*of_seed, videos) for of_seed in zip(right, sure, strict=True)])
                low, high = _interval((seeds.T * per_seed[:, 1:]).sum(0), n_videos)
                row |= {what: per_seed[:, 0].mean(), f"{what}_low": low, f"{what}_high": high}
            rows.append(row | {"n_seeds": n_seeds, "n_videos": n_videos})
    return pd.DataFrame(rows)


def risk_of_videos(found, k, points=101):
    """Risk-coverage and reliability curves of videos at k: columns sampler, curve, x, y.

    risk_coverage (x: share of the videos that are answered, the surest first; y: share of them that is wrong) is the
    mean over seeds; reliability (x: mean largest probability in each of 15 bins; y: share right) pools them, and leaves
    out bins with less than 1 % of the videos.
    """
    grid, tables = np.linspace(0, 1, points), []
    for name, one in found.items():
        right, sure = one.right[one.ks.index(k)] > 0, one.sure[one.ks.index(k)]
        in_order = (_cumulative(*of_seed, None) for of_seed in zip(right, sure, strict=True))
        risk = [_risk(grid, right[0], wrong[0]) for right, wrong in in_order]
        tables.append(pd.DataFrame({"sampler": name, "curve": "risk_coverage", "x": grid, "y": np.mean(risk, 0)}))
        (n,), (x,), (y,) = reliability(right.ravel(), np.clip(sure.ravel(), 0, 1))
        enough = n >= 0.01 * right.size
        tables.append(pd.DataFrame({"sampler": name, "curve": "reliability", "x": x, "y": y})[enough])
    return pd.concat(tables, ignore_index=True)
