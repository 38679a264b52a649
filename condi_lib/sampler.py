"""Scores -> ranking -> the K clips kept, division between student and teacher; and the predictor on a video.

Tables become padded arrays [videos, clips] with a mask (True where a clip is real); padding never gets chosen.
"""

import copy
import time
from dataclasses import dataclass

import numpy as np
import torch

from condi_lib import flops
from condi_lib.data import read_clips
from condi_lib.labelling import predictive_entropy, softmax
from condi_lib.models import fold_batch_norms, to_input


@dataclass(frozen=True)
class ClipArrays:
    """The clip table, padded. V videos of at most N clips, C classes."""

    videos: np.ndarray  # str [V]
    labels: np.ndarray  # int [V]
    mask: np.ndarray  # bool [V, N]
    probs: np.ndarray  # float64 [V, N, C], the teacher's softmax, 0 at padding
    correct: np.ndarray  # bool [V, N], z


def pad(values, mask):
    """Rows in clip order [M, ...] -> [V, N, ...], zero (False) at padding."""
    values = np.asarray(values)
    out = np.zeros((*mask.shape, *values.shape[1:]), values.dtype)
    out[mask] = values
    return out


def clip_arrays(clips):
    """ClipArrays of a clip table (any row order; clips of a video must count 0, 1, 2, ...)."""
    clips = clips.sort_values(["video", "clip"])
    first = ~clips.video.duplicated().to_numpy()
    counts = np.diff(np.r_[np.flatnonzero(first), len(clips)])
    mask = np.arange(counts.max()) < counts[:, None]
    if not np.array_equal(clips["clip"].to_numpy(), np.nonzero(mask)[1]):
        raise ValueError("clip table: the clips of some video are not 0, 1, 2, ...; expected each clip once")
    return ClipArrays(
        videos=clips.video.to_numpy()[first],
        labels=clips.label.to_numpy()[first],
        mask=mask,
        probs=pad(softmax(np.stack(clips.teacher_logits.to_list())), mask),
        correct=pad(clips.correct.to_numpy(bool), mask),
    )


def align(arrays, scores):
    """The score table's rows in the arrays' order. Raises ValueError where the two do not list the same clips."""
    scores = scores[scores.video.isin(arrays.videos)].sort_values(["video", "clip"])
    expected = np.repeat(arrays.videos, arrays.mask.sum(1))
    if not np.array_equal(scores.video.to_numpy(), expected):
        raise ValueError(
            f"score table: lists {len(scores)} of the clip table's {len(expected)} clips; expected the same clips of "
            "the same data set"
        )
    return scores


def check_k(k):
    if k < 1:
        raise ValueError(f"k: found {k}, expected a number of clips >= 1")


def ranks(scores, mask):
    """Place of each clip among its video's, 0 for the highest score; ties by clip order; padding comes last.

    scores float [..., V, N] -> int [..., V, N].
    """
    order = np.argsort(-np.where(mask, scores, -np.inf), axis=-1, kind="stable")
    return np.argsort(order, axis=-1, kind="stable")


def select(scores, k, mask):
    """The k best clips of each video (all, where it has fewer): bool [..., V, N]."""
    check_k(k)
    return (ranks(scores, mask) < k) & mask


def divide(confidence, entropy, k, k_student, mask, mode="nested"):
    """Who classifies what: (student's clips, teacher's clips), each bool [V, N], disjoint.

    nested: the k clips of highest confidence, of those the k_student with the lowest student entropy to the student.
    disjoint: the k_student of lowest entropy to the student, then the k - k_student most confident of the rest to the
    teacher. Where a video has n < k clips, k is n, and k_student at most n.
    """
    check_k(k)
    if not 0 <= k_student <= k:
        raise ValueError(f"k_student: found {k_student}, expected 0 to k = {k}")
    if mode == "nested":
        chosen = select(confidence, k, mask)
        student = (ranks(-entropy, chosen) < k_student) & chosen
        return student, chosen & ~student
    if mode == "disjoint":
        student = (ranks(-entropy, mask) < k_student) & mask
        rest = mask & ~student
        return student, (ranks(confidence, rest) < k - k_student) & rest
    raise ValueError(f"mode: {mode!r} is unknown; expected nested or disjoint")


# The reference samplers: arrays -> scores [V, N], scores of several draws [D, V, N], or a function k -> scores


def oracle(arrays):
    """The teacher's probability of the true class: an upper bound that cheats."""
    return np.take_along_axis(arrays.probs, arrays.labels[:, None, None], 2)[..., 0]


def random(arrays, draws=20, seed=0):
    """`draws` random orders."""
    return np.random.default_rng(seed).random((draws, *arrays.mask.shape))


def equidistant(arrays):
    """k clips at equal distances: of n clips those that hold the centres of k equal parts of the video."""

    def scores(k):
        n = arrays.mask.sum(1, keepdims=True)
        steps = np.minimum(k, n)  # [V, 1]
        at = ((2 * np.arange(k) + 1) * n) // (2 * steps)  # [V, k]; those past the end are dropped below
        out = np.zeros(arrays.mask.shape)
        inside = np.arange(k) < steps
        rows = np.broadcast_to(np.arange(len(n))[:, None], at.shape)
        out[rows[inside], at[inside]] = 1.0
        return out

    return scores


def teacher_max(arrays):
    """The teacher's own largest probability: a reference that has already paid the full cost."""
    return arrays.probs.max(-1)


REFERENCES = {"oracle": oracle, "random": random, "equidistant": equidistant, "teacher_max": teacher_max}


class Predictor:
    """Classifies video files with a teacher and, where given, a student that chooses the clips.

    teacher, student: networks as build_teacher and build_student give them; they run where they lie, with batch norms
    folded (in copies). class_names: list of C names, else classes are numbers. Without a student the teacher sees all
    clips: dense.
    """

    def __init__(self, teacher, student=None, frames=16, size=112, class_names=None, batch_size=64):
        self.device = next(teacher.parameters()).device
        self.frames, self.size, self.class_names, self.batch_size = frames, size, class_names, batch_size
        self.networks, self.multiply_adds = {}, {}
        for name, network in (("teacher", teacher), ("student", student)):
            if network is not None:
                self.multiply_adds[name] = flops.count(network, frames, size)[0]
                self.networks[name] = fold_batch_norms(copy.deepcopy(network))

    def _run(self, name, clips):
        """Outputs of a network for uint8 clips [M, 3, F, H, W], in batches: numpy arrays [M, ...], one or a tuple."""
        network = self.networks[name]
        with torch.inference_mode():
            outputs = [network(to_input(part, network)) for part in clips.split(self.batch_size)]
        if name == "teacher":
            return torch.cat(outputs).float().cpu().numpy()
        return [torch.cat(part).float().cpu().numpy() for part in zip(*outputs, strict=True)]

    def __call__(self, path, k=None, k_student=0, mode="nested"):
        """One video file: decoded once, scored by the student, its k best clips classified (all for k = None).

        Returns a dict: top5 ([class, probability], best first), confidence (z~, float [N], or None), by_student and
        by_teacher (bool [N]: who classified which clip), multiply_adds ({network: int}), seconds ({"decode",
        "student", "teacher": float}), n_frames and fault (see iter_frames). Raises VideoError for a file that cannot
        be read; ValueError for k < 1, k_student outside 0..k, or either without a student.
        """
        student = "student" in self.networks
        if not student and (k is not None or k_student):
            raise ValueError(f"k, k_student: found {k}, {k_student}; without a student all clips go to the teacher")
        clock, report = _Clock(self.device), {}
        clips = read_clips(path, self.frames, self.size, report=report)
        n = len(clips)
        clock.lap("decode")
        confidence, probs = None, []
        by_student, by_teacher = np.zeros(n, bool), np.ones(n, bool)
        if student:
            logits, confidence_logit = self._run("student", clips)
            if k_student and not logits.shape[1]:
                raise ValueError(f"k_student: found {k_student}, but the student has no classification head")
            entropy, mask = predictive_entropy(logits), np.ones((1, n), bool)
            divided = divide(confidence_logit[None], entropy[None], n if k is None else k, k_student, mask, mode)
            by_student, by_teacher = (chosen[0] for chosen in divided)
            confidence = 1 / (1 + np.exp(-confidence_logit))
            probs.append(softmax(logits[by_student]) if k_student else np.empty((0, 0)))
        clock.lap("student")
        if by_teacher.any():
            probs.append(softmax(self._run("teacher", clips[torch.from_numpy(by_teacher)])))
        clock.lap("teacher")
        mean = np.concatenate([p for p in probs if len(p)]).mean(0)
        best = np.argsort(-mean, kind="stable")[:5]
        names = self.class_names or range(len(mean))
        return {
            "top5": [[names[c], float(mean[c])] for c in best],
            "confidence": confidence,
            "by_student": by_student,
            "by_teacher": by_teacher,
            "multiply_adds": {
                "student": n * self.multiply_adds.get("student", 0),
                "teacher": int(by_teacher.sum()) * self.multiply_adds["teacher"],
            },
            "seconds": clock.seconds,
            **report,
        }


class _Clock:
    """Seconds of wall time between laps, the device's queued work included."""

    def __init__(self, device):
        self.device, self.seconds, self.last = device, {}, time.perf_counter()

    def lap(self, stage):
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        self.seconds[stage], self.last = now - self.last, now
