"""Samplers: scores of the clips of a video, and what they keep of it at K; division between student and teacher.

Tables become padded arrays [videos, clips] with a mask (True where a clip is real); padding never gets chosen. Every
sampler of the study is a line of SAMPLERS, and everything after (measures, notebooks, figures) asks the registry.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from condi_lib.labelling import log_softmax, predictive_entropy, softmax
from condi_lib.models import MC_PASSES


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


def fit_temperature(logits, labels):
    """The T > 0 that minimises the mean negative log-likelihood of softmax(logits / T) (Guo et al. 2017).

    logits float [M, C], labels int [M]: of the validation split. T is sought between 0.01 and 100.
    """
    rows = np.arange(len(labels))

    def nll(log_t):
        return -log_softmax(logits / np.exp(log_t))[rows, labels].mean()

    return float(np.exp(minimize_scalar(nll, bounds=np.log((0.01, 100.0)), method="bounded").x))


# Scores: (arrays of the split, arrays of val) -> float [V, N], or [D, V, N] for D draws; higher is better.


def own_score(arrays, val):
    """What the score table holds: minus entropy of st_ent, z~ of the others (c of st_conf, a logit of sc_rank)."""
    return arrays.score


def scaled_entropy(arrays, val):
    """Minus the student's predictive entropy at the temperature fitted to the true classes of val's clips."""
    labels = np.broadcast_to(val.labels[:, None], val.mask.shape)[val.mask]
    return -predictive_entropy(arrays.student_logits / fit_temperature(val.student_logits[val.mask], labels))


def mc_dropout_entropy(arrays, val):
    """Minus the predictive entropy of the mean softmax over stochastic passes (Gal and Ghahramani 2016)."""
    return -arrays.mc_entropy


def largest_class_score(arrays, val):
    """SCSampler's saliency of a light classifier: its largest class probability (Korbar et al. 2019)."""
    return softmax(arrays.student_logits).max(-1)


def true_class_prob(arrays, val=None):
    """The teacher's probability of the true class: the oracle's score, which cheats."""
    return np.take_along_axis(arrays.probs, arrays.labels[:, None, None], 2)[..., 0]


def teacher_max(arrays, val=None):
    """The teacher's own largest probability: a reference that has already paid the full cost."""
    return arrays.probs.max(-1)


def random_orders(arrays, val=None, draws=20, seed=0):
    """`draws` random orders: [draws, V, N]."""
    return np.random.default_rng(seed).random((draws, *arrays.mask.shape))


def no_score(arrays, val=None):
    return np.zeros(arrays.mask.shape)


# What is kept at k: (scores, k, mask, scores of val, mask of val) -> weights [..., V, N] of the clips' probabilities


def top_k(scores, k, mask, val_scores=None, val_mask=None):
    """The k best, alike."""
    return select(scores, k, mask)


def everything(scores, k, mask, val_scores=None, val_mask=None):
    """All clips, whatever k is: dense."""
    check_k(k)
    return mask


def equidistant(scores, k, mask, val_scores=None, val_mask=None):
    """k clips at equal distances: of n clips those that hold the centres of k equal parts of the video."""
    check_k(k)
    n = mask.sum(1, keepdims=True)
    steps = np.minimum(k, n)  # [V, 1]
    at = ((2 * np.arange(k) + 1) * n) // (2 * steps)  # [V, k]; those past the end are dropped below
    out = np.zeros(mask.shape, bool)
    inside = np.arange(k) < steps
    rows = np.broadcast_to(np.arange(len(n))[:, None], at.shape)
    out[rows[inside], at[inside]] = True
    return out


def above_threshold(scores, k, mask, val_scores, val_mask):
    """All clips above one threshold for all videos, and each video's best: k on average over the videos of val.

    The threshold is val's, so an easy video costs more clips than k, or fewer, as its scores say.
    """
    check_k(k)
    in_order = np.sort(val_scores[val_mask])[::-1]
    threshold = in_order[min(k * len(val_mask), len(in_order)) - 1] if k < val_mask.shape[1] else -np.inf
    return ((scores >= threshold) | select(scores, 1, mask)) & mask


def weighted_top_k(scores, k, mask, val_scores=None, val_mask=None):
    """The k best, each with its score as its weight."""
    return select(scores, k, mask) * scores


@dataclass(frozen=True)
class Sampler:
    label: str  # in tables and figures
    group: str  # reference, thesis, published or beyond
    score: Callable = own_score
    keep: Callable = top_k
    loss: str = ""  # whose student it reads; "" for none
    passes: int = 1  # of the student over every clip
    sees_all: bool = False  # needs the teacher on every clip before it can choose
    probability: bool = False  # its score is meant as the probability that the teacher is right


SAMPLERS = {
    "dense": Sampler("dense", "reference", no_score, everything, passes=0),
    "oracle": Sampler("oracle (cheats)", "reference", true_class_prob, passes=0, sees_all=True),
    "random": Sampler("random", "reference", random_orders, passes=0),
    "equidistant": Sampler("equidistant", "reference", no_score, equidistant, passes=0),
    "teacher_max": Sampler(
        "teacher's max. probability", "reference", teacher_max, passes=0, sees_all=True, probability=True
    ),
    "st_ent": Sampler("ST-Ent", "thesis", loss="st_ent"),
    "st_conf": Sampler("ST-Conf", "thesis", loss="st_conf", probability=True),
    "bce_c": Sampler("BCE-C", "thesis", loss="bce_c", probability=True),
    "condi_sr": Sampler("ConDi-SR", "thesis", loss="condi_sr", probability=True),
    "st_ent_scaled": Sampler("ST-Ent, temperature-scaled", "published", scaled_entropy, loss="st_ent"),
    "mc_dropout": Sampler("MC dropout", "published", mc_dropout_entropy, loss="st_ent", passes=MC_PASSES),
    "sc_saliency": Sampler("SCSampler, saliency", "published", largest_class_score, loss="st_ent", probability=True),
    "sc_rank": Sampler("SCSampler, ranking", "published", loss="sc_rank"),
    "condi_sr_rank": Sampler("ConDi-SR + ranking", "beyond", loss="condi_sr_rank", probability=True),
    "condi_sr_adaptive": Sampler("ConDi-SR, adaptive K", "beyond", keep=above_threshold, loss="condi_sr"),
    "condi_sr_weighted": Sampler("ConDi-SR, weighted", "beyond", keep=weighted_top_k, loss="condi_sr"),
}


def read_arrays(clips, scores, split="test"):
    """{loss: [(arrays of the split, arrays of val) of each seed]}, with "" for the clip table alone.

    clips: clip table of all splits; scores: {loss: [score table of each seed]}.
    """
    parts = [clips[clips.split == name] for name in (split, "val")]
    return {
        loss: [tuple(clip_arrays(part, table) for part in parts) for table in tables]
        for loss, tables in {"": [None], **scores}.items()
    }


def available(arrays):
    """Names of the samplers whose students are in `arrays` (of read_arrays), in the registry's order."""
    return [name for name, sampler in SAMPLERS.items() if sampler.loss in arrays]


def detectors(arrays):
    """Those of them whose scores say, clip by clip, how right the teacher will be."""
    return [n for n in available(arrays) if SAMPLERS[n].keep is top_k and n not in ("oracle", "random")]


def score(name, arrays):
    """The sampler's scores, for each seed (of the split, of val): float [V, N] or [D, V, N] each."""
    sampler = SAMPLERS[name]
    return [(sampler.score(split, val), sampler.score(val, val)) for split, val in arrays[sampler.loss]]


def keep(name, arrays):
    """What the sampler keeps: for each seed a function k -> weights [..., V, N]. Raises ValueError for k < 1."""
    return [
        lambda k, s=s, v=v, split=split, val=val: SAMPLERS[name].keep(s, k, split.mask, v, val.mask)
        for (s, v), (split, val) in zip(score(name, arrays), arrays[SAMPLERS[name].loss], strict=True)
    ]
