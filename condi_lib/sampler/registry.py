"""Samplers: scores of the clips of a video, what they keep of it at K, and classes of their own.

Every sampler of the study is a line of SAMPLERS, and everything after (measures, notebooks, figures) asks the registry.
Padding never gets chosen.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from condi_lib.models import MC_PASSES, give_back_freed_memory
from condi_lib.sampler.arrays import ClipArrays, clip_arrays, join_arrays, with_scores
from condi_lib.sampler.choose import above_threshold, check_k, equidistant, everything, fit_share, top_k, weighted_top_k
from condi_lib.sampler.scores import (
    largest_class_score,
    mc_dropout_entropy,
    mean_classes,
    no_score,
    own_confidence,
    own_score,
    place,
    pooled_classes,
    random_orders,
    scaled_entropy,
    teacher_max,
    true_class_prob,
    truth,
)
from condi_lib.sampler.stopping import until_sure


@dataclass(frozen=True)
class Sampler:
    label: str  # in tables and figures
    group: str  # reference, thesis, published, beyond or context
    score: Callable = own_score
    keep: Callable = top_k
    loss: str = ""  # whose student it reads; "" for none
    passes: int = 1  # of the student over every clip
    sees_all: bool = False  # needs the teacher on every clip before it can choose
    cheats: bool = False  # knows what no sampler can know: a bound, no method
    needs: tuple = ()  # of ClipArrays, beside score: val, train, shows, columns of the score table
    probability: Callable = None  # arrays -> its score as the probability that the teacher is right, where it means one
    classes: Callable = None  # arrays -> class probabilities of its own, float [V, C]; needs val, which weighs them
    stops: bool = False  # gives the teacher one clip after the other until the prediction with its classes is sure


# Classes of its own that a sampler pools over the clips by attention
POOLED = {"needs": ("student_logits", "attention"), "classes": pooled_classes}

SAMPLERS = {
    "dense": Sampler("dense", "reference", no_score, everything, passes=0),
    "oracle": Sampler("oracle (cheats)", "reference", true_class_prob, passes=0, sees_all=True, cheats=True),
    "truth": Sampler("truth (cheats)", "reference", truth, passes=0, needs=("shows",), cheats=True),
    "random": Sampler("random", "reference", random_orders, passes=0),
    "equidistant": Sampler("equidistant", "reference", no_score, equidistant, passes=0),
    "place": Sampler("place", "reference", place, passes=0, needs=("train",), probability=place),
    "teacher_max": Sampler(
        "teacher's max. probability", "reference", teacher_max, passes=0, sees_all=True, probability=teacher_max
    ),
    "st_ent": Sampler("ST-Ent", "thesis", loss="st_ent"),
    "st_conf": Sampler("ST-Conf", "thesis", loss="st_conf", probability=own_confidence),
    "bce_c": Sampler("BCE-C", "thesis", loss="bce_c", probability=own_confidence),
    "condi_sr": Sampler("ConDi-SR", "thesis", loss="condi_sr", probability=own_confidence),
    "st_ent_scaled": Sampler(
        "ST-Ent, temperature-scaled", "published", scaled_entropy, loss="st_ent", needs=("val", "student_logits")
    ),
    "mc_dropout": Sampler(
        "MC dropout", "published", mc_dropout_entropy, loss="st_ent", passes=MC_PASSES, needs=("mc_entropy",)
    ),
    "sc_saliency": Sampler(
        "SCSampler, saliency",
        "published",
        largest_class_score,
        loss="st_ent",
        needs=("student_logits",),
        probability=largest_class_score,
    ),
    "sc_rank": Sampler("SCSampler, ranking", "published", loss="sc_rank"),
    "condi_sr_rank": Sampler("ConDi-SR + ranking", "beyond", loss="condi_sr_rank", probability=own_confidence),
    "condi_sr_adaptive": Sampler(
        "ConDi-SR, adaptive K", "beyond", keep=above_threshold, loss="condi_sr", needs=("val",)
    ),
    "condi_sr_weighted": Sampler(
        "ConDi-SR, weighted", "beyond", keep=weighted_top_k, loss="condi_sr", needs=("confidence",)
    ),
    # notebook 13: their "students" are networks over the features of all clips of a video
    "condi_sr_mean": Sampler(
        "ConDi-SR + student's mean", "context", loss="condi_sr", needs=("student_logits",), classes=mean_classes
    ),
    "listen_to_look": Sampler("Listen to Look", "context", loss="listen_to_look"),
    "adaframe": Sampler("AdaFrame", "context", keep=above_threshold, loss="adaframe", needs=("val",)),
    "context_z": Sampler("context, z~ alone", "context", loss="context", probability=own_confidence),
    "context_attention": Sampler("context, attention alone", "context", loss="context_attention", **POOLED),
    "context_each": Sampler("clip by clip, pooled", "context", loss="context_each", **POOLED),
    "context": Sampler("context", "context", loss="context", **POOLED),
    "context_adaptive": Sampler("context, adaptive K", "context", loss="context", **POOLED, stops=True),
    "dense_pooled": Sampler(
        "dense, learned pooling", "context", keep=everything, loss="dense_pooled", passes=0, sees_all=True, **POOLED
    ),
}


def read_arrays(clips, scores, split="test"):
    """{loss: [ClipArrays of the split, one a seed]}, with "" for the clip table alone; val and train inside.

    clips: clip table of all splits, with the column shows where there is a truth (evaluation.with_truth); scores:
    {loss: [score table of each seed]}. A table without clips of val or train leaves out what needs them.
    """
    some, val, train = (clips[clips.split == name] for name in (split, "val", "train"))
    some, val = clip_arrays(some), clip_arrays(val) if len(val) else None
    train = train_arrays(train)
    found = {"": [with_splits(some, val, train)]}
    for loss, tables in scores.items():
        found[loss] = [
            with_splits(with_scores(some, table), None if val is None else with_scores(val, table), train)
            for table in tables
        ]
    return found


def train_arrays(clips):
    """ClipArrays of the samplers' training split, with z alone; None without clips."""
    return clip_arrays(clips[["video", "clip", "label", "correct"]]) if len(clips) else None


def with_splits(arrays, val=None, train=None):
    """The arrays beside those of val (None: no videos) and of the training split (None where it is not read).

    val knows itself: with_splits(val, val, train).val serves many parts, and what is computed of it is kept.
    """
    if val is None:
        val = arrays.take(slice(0))
    if val.val is None:
        val = replace(val, train=train)
        object.__setattr__(val, "val", val)  # a loop, which frozen arrays cannot be made with
    return replace(arrays, val=val, train=train)


def available(arrays):
    """Names of the samplers that have what they need in `arrays` (of read_arrays), in the registry's order."""
    return [name for name, sampler in SAMPLERS.items() if sampler.loss in arrays and _has(arrays[sampler.loss], name)]


def _has(of_seeds, name):
    sampler = SAMPLERS[name]
    if all(("score", name) in one.known for one in of_seeds):
        return True
    needs = (*sampler.needs, *["val"] * bool(sampler.classes))
    values = (getattr(one, need) for one in of_seeds for need in needs)
    return all(len(value.videos) if isinstance(value, ClipArrays) else value is not None for value in values)


def detectors(arrays):
    """Those of them whose scores say, clip by clip, how right the teacher will be."""
    named = {name: SAMPLERS[name] for name in available(arrays)}
    return [n for n, s in named.items() if s.keep is top_k and not (s.cheats or s.stops or n == "random")]


def only_scores(arrays):
    """The same for measures of detectors (evaluation.detection and such): with their scores, without any logits.

    For splits whose logits memory does not hold: join_studies of the only_scores of each part.
    """
    for name in detectors(arrays):
        score(name, arrays), probability(name, arrays)
    return {loss: [one.bare() for one in of_seeds] for loss, of_seeds in arrays.items()}


def join_studies(parts):
    """{loss: [ClipArrays of each seed]} (of read_arrays) of parts of the videos, as that of all.

    Takes them out of `parts`.
    """
    joined = {
        loss: [join_arrays(of_parts) for of_parts in zip(*(part.pop(loss) for part in parts), strict=True)]
        for loss in list(parts[0])
    }
    give_back_freed_memory()
    return joined


def _of_both(what, name, arrays):
    """What the registry computes (score or probability) for each seed: (of the split, of val), checked to be finite."""
    return [(_computed(what, name, one), _computed(what, name, one.val)) for one in arrays[SAMPLERS[name].loss]]


def _computed(what, name, arrays):
    if (what, name) in arrays.known:
        return arrays.known[what, name]
    values = getattr(SAMPLERS[name], what)(arrays)
    arrays.check_finite(f"sampler {name}", values)
    if values.ndim == 2:  # draws are many, and soon made
        arrays.known[what, name] = values
    return values


def score(name, arrays):
    """The sampler's scores, for each seed (of the split, of val): float [V, N] or [D, V, N] each.

    Raises ValueError where one is not finite.
    """
    return _of_both("score", name, arrays)


def probability(name, arrays):
    """Its scores as probabilities that the teacher is right, likewise; None for a sampler that does not mean any.

    None too where the score table has no confidence.
    """
    sampler = SAMPLERS[name]
    if not sampler.probability:
        return None
    known = all(("probability", name) in one.known for one in arrays[sampler.loss])
    if not known and sampler.probability is own_confidence and any(o.confidence is None for o in arrays[sampler.loss]):
        return None
    return _of_both("probability", name, arrays)


@dataclass(frozen=True)
class Chooser:
    """A sampler's choice, of one seed: a function k -> weights [..., V, N] of the clips."""

    weights: Callable
    own: np.ndarray = None  # classes of its own, probabilities [V, C]
    share: Callable = None  # k -> their share of the prediction, or that of each video [V, 1]

    def __call__(self, k):
        return self.weights(k)


def keep(name, arrays):
    """What the sampler keeps: a Chooser for each seed. It raises ValueError for k < 1.

    For samplers that bring classes of their own k may be 0: no clip goes to the teacher.
    """
    sampler, choosers = SAMPLERS[name], []
    for one, (scores, val_scores) in zip(arrays[sampler.loss], score(name, arrays), strict=True):
        choosers.append(_chooser(sampler, one, scores, val_scores))
    return choosers


def _chooser(sampler, arrays, scores, val_scores):
    def weights(k, arrays=arrays, scores=scores):
        if sampler.classes and k == 0:
            return np.zeros(arrays.mask.shape, bool)
        return sampler.keep(arrays, scores, k, val_scores)

    if not sampler.classes:
        return Chooser(weights)
    if sampler.stops:
        return Chooser(*until_sure(sampler.classes, arrays, scores, val_scores))
    val = arrays.val
    of_val = sampler.classes(val)

    def share(k):
        check_k(k, 0)
        return fit_share(val, weights(k, val, val_scores), of_val)

    return Chooser(weights, sampler.classes(arrays), share)
