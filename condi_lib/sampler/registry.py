"""Samplers: scores of the clips of a video, and what they keep of it at K; division between student and teacher.

Tables become padded arrays [videos, clips] with a mask (True where a clip is real); padding never gets chosen. Every
sampler of the study is a line of SAMPLERS, and everything after (measures, notebooks, figures) asks the registry.
"""

from collections.abc import Callable
from dataclasses import dataclass

from condi_lib.models import MC_PASSES
from condi_lib.sampler.arrays import clip_arrays
from condi_lib.sampler.choose import above_threshold, equidistant, everything, top_k, weighted_top_k
from condi_lib.sampler.scores import (
    largest_class_score,
    mc_dropout_entropy,
    no_score,
    own_score,
    random_orders,
    scaled_entropy,
    teacher_max,
    true_class_prob,
)


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
