"""What is known of a video frame by frame, and where a sampler ranks it."""

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from condi_lib import sampler
from condi_lib.evaluation.accuracy import dense_right, outcomes
from condi_lib.evaluation.intervals import _interval, ratio, resample


# truth: what a data set knows of its frames, a row a frame shown: video, frame (from 0, in the row's segment), shows
# (bool: does the frame show the video's class?), kind (str: what it shows)
def clip_kinds(clips, truth, frames, stride=1):
    """The kind of each clip of the clip table: the kind of all its real frames, else "mixed" (Series).

    frames, stride: of a clip.
    """
    truth = _of_clips(truth, frames, stride)
    kinds = truth.groupby(["video", "clip"]).kind.agg(["first", "nunique"])
    kinds = kinds["first"].where(kinds["nunique"] == 1, "mixed").rename("kind")
    return clips[["video", "clip"]].join(kinds, on=["video", "clip"]).kind


def _of_clips(truth, frames, stride):
    """The rows of the frames that clips of this many frames at this stride take, with the number of the clip."""
    truth = truth[truth.frame % stride == 0]
    return truth.assign(clip=truth.frame // (frames * stride))


def with_truth(clips, truth, frames, stride=1):
    """The clip table with the column shows, for samplers that need it: share of a clip's frames that show the class.

    float32 in [0, 1]. truth: None for data sets without one: the table as it is. frames, stride: of a clip. Raises
    ValueError for a clip of which the truth knows no frame.
    """
    if truth is None:
        return clips
    truth = _of_clips(truth[truth.video.isin(clips.video)], frames, stride)
    shows = truth.shows.astype(np.float32).groupby([truth.video, truth["clip"]]).mean()
    found = clips[["video", "clip"]].join(shows.rename("shows"), on=["video", "clip"]).shows
    if found.isna().any():
        video, clip = clips.loc[found.isna(), ["video", "clip"]].iloc[0]
        raise ValueError(f"truth: knows no frame of clip {clip} of {video}; expected a row for each frame")
    return clips.assign(shows=found)


def standing(arrays, score):
    """The share of its video's other clips that a clip stands above, equal ones counting half: float [V, N].

    1 for the highest score, 0 for the lowest, and for padding; 0.5 for the only clip of a video.
    """
    others = arrays.mask.sum(1, keepdims=True) - 1
    padding = score.shape[1] - others - 1
    above = rankdata(np.where(arrays.mask, score, -np.inf), axis=1) - 1 - padding
    return np.where(arrays.mask, np.where(others > 0, above / np.maximum(others, 1), 0.5), 0.0)


def standing_by_kind(name, arrays, kinds, draws=300):
    """Mean standing of clips of each kind, by sampler `name`: columns sampler, kind, standing, low, high, n_clips,
    n_seeds, n_videos. kinds: str [V, N] of the test clips; those that show the class most come first, mixed last."""
    test = arrays[""][0]
    shows = np.zeros(test.mask.shape) if test.shows is None else test.shows
    per_seed = [standing(test, score) for score, _ in sampler.score(name, arrays)]
    rng = np.random.default_rng(0)
    n_videos, n_seeds = len(test.labels), len(per_seed)
    videos = np.vstack([np.ones(n_videos), resample(n_videos, draws, rng)])
    seeds = np.vstack([np.ones(n_seeds), resample(n_seeds, draws, rng)]) / n_seeds
    rows = []
    for kind in sorted(set(kinds[test.mask]), key=lambda k: (k == "mixed", -shows[(kinds == k) & test.mask].mean(), k)):
        inside = (kinds == kind) & test.mask
        sums = np.stack([(s * inside).sum(1) for s in per_seed])  # (S, V)
        means = (seeds * ratio(videos @ sums.T, np.repeat((videos @ inside.sum(1))[:, None], n_seeds, 1))).sum(1)
        low, high = _interval(means[1:], n_videos)
        rows.append((name, kind, means[0], low, high, inside.sum(), n_seeds, n_videos))
    return pd.DataFrame(rows, columns=["sampler", "kind", "standing", "low", "high", "n_clips", "n_seeds", "n_videos"])


def bounds(arrays, ks):
    """{name: Outcomes} of what stands for a limit: dense, oracle, truth (where it is known), and the video's own share.

    The last gives each clip its video's share of right clips: it cheats, and knows nothing of the clip. arrays: of
    sampler.read_arrays, of all videos or of some (see join).
    """
    test = arrays[""][0]
    share = np.where(test.mask, (test.correct.sum(1) / test.mask.sum(1))[:, None], 0.0)
    names = [name for name in ("dense", "oracle", "truth") if name in sampler.available(arrays)]
    found = {name: outcomes(test, sampler.keep(name, arrays), ks) for name in names}
    return found | {"video's share": outcomes(test, share, ks)}


def example_table(arrays, kinds=None, k=5):
    """One test video for figures.example_video: the first that ConDi-SR at k gets right and dense does not.

    Where there is none, or no ConDi-SR, the first video. The scores are the first seed's. Columns: video, clip, kind,
    teacher_true, teacher_max (probabilities), correct, won (is it such a video?), and standing_<sampler> of each
    detector.
    """
    test = arrays[""][0]
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
        "won": won[v],
    }
    columns |= {f"standing_{n}": standing(test, sampler.score(n, arrays)[0][0])[v][real] for n in names}
    return pd.DataFrame(columns)
