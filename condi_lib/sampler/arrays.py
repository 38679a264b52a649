"""Clip and score tables as padded arrays [videos, clips] with a mask (True where a clip is real)."""

from dataclasses import dataclass

import numpy as np

from condi_lib.labelling import softmax


@dataclass(frozen=True)
class ClipArrays:
    """The clip table, padded, and a student's score table beside it. V videos of at most N clips, C classes.

    Floats are float64, 0 at padding; what was not read (logits, a score table) is None.
    """

    videos: np.ndarray  # str [V]
    labels: np.ndarray  # int [V]
    mask: np.ndarray  # bool [V, N]
    correct: np.ndarray  # bool [V, N], z
    logits: np.ndarray = None  # [V, N, C], the teacher's
    probs: np.ndarray = None  # [V, N, C], its softmax
    score: np.ndarray = None  # [V, N]
    confidence: np.ndarray = None  # [V, N], nan where the loss has none
    student_logits: np.ndarray = None  # [V, N, C]
    mc_entropy: np.ndarray = None  # [V, N], nats


def pad(values, mask):
    """Rows in clip order [M, ...] -> [V, N, ...], zero (False) at padding."""
    values = np.asarray(values)
    out = np.zeros((*mask.shape, *values.shape[1:]), values.dtype)
    out[mask] = values
    return out


def clip_arrays(clips, scores=None):
    """ClipArrays of a clip table (with or without teacher_logits) and, where given, a score table; rows in any order.

    Raises ValueError where the clips of a video are not 0, 1, 2, ..., or the two tables do not list the same clips.
    """
    clips = clips.sort_values(["video", "clip"])
    if not len(clips):
        raise ValueError("clip table: found no clip; expected at least one in the split that is asked for")
    first = ~clips.video.duplicated().to_numpy()
    counts = np.diff(np.r_[np.flatnonzero(first), len(clips)])
    mask = np.arange(counts.max(initial=0)) < counts[:, None]
    if not np.array_equal(clips["clip"].to_numpy(), np.nonzero(mask)[1]):
        raise ValueError("clip table: the clips of some video are not 0, 1, 2, ...; expected each clip once")
    videos = clips.video.to_numpy()[first]
    read = {}
    if "teacher_logits" in clips:
        logits = np.stack(clips.teacher_logits.to_list()).astype(np.float64)
        read = {"logits": pad(logits, mask), "probs": pad(softmax(logits), mask)}
    if scores is not None:
        scores = scores[scores.video.isin(videos)].sort_values(["video", "clip"])
        if not np.array_equal(scores[["video", "clip"]].to_numpy(), clips[["video", "clip"]].to_numpy()):
            raise ValueError(
                f"score table: lists {len(scores)} of the clip table's {len(clips)} clips; expected the same clips of "
                "the same data set"
            )
        columns = [name for name in ("score", "confidence", "mc_entropy") if name in scores]
        read |= {name: pad(scores[name].to_numpy(np.float64), mask) for name in columns}
        if "student_logits" in scores:
            read["student_logits"] = pad(np.stack(scores.student_logits.to_list()).astype(np.float64), mask)
    return ClipArrays(
        videos=videos,
        labels=clips.label.to_numpy()[first],
        mask=mask,
        correct=pad(clips.correct.to_numpy(bool), mask),
        **read,
    )
