"""Division of a video's clips between student and teacher."""

from dataclasses import replace

import numpy as np
import pandas as pd

from condi_lib.evaluation.accuracy import Outcomes, dense_right, place_of_truth
from condi_lib.evaluation.intervals import _columns
from condi_lib.labelling import predictive_entropy, softmax
from condi_lib.sampler import blend, divide
from condi_lib.sampler.choose import ranks


def divided_probs(arrays, probs, entropy, k, k_student, mode="nested"):
    """Divided inference of one seed: (sum over the chosen clips of their probabilities [V, C], by_student, by_teacher).

    probs [V, N, C], entropy [V, N]: the student's, of arrays.student_logits; who classifies what: see sampler.divide.
    """
    by_student, by_teacher = divide(arrays.score, entropy, k, k_student, arrays.mask, mode)
    total = (probs * by_student[..., None]).sum(1) + (arrays.probs * by_teacher[..., None]).sum(1)
    return total, by_student, by_teacher


def division_outcomes(arrays, ks, mode="nested", choosers=None):
    """Outcomes of divided inference at each (k, k_student), k in ks and k_student from 0 to k.

    arrays: a list of ClipArrays with score and student_logits, one a seed. The video's prediction is the argmax of the
    mean probabilities of all chosen clips, the student's for its part and the teacher's for the rest. choosers: of
    sampler.keep, one a seed, for a sampler that brings classes of its own, which chooses then and whose classes join
    with their share; ks may hold 0, where they decide alone.
    """
    rows = [(k, k_student) for k in ks for k_student in range(k + 1)]
    shape = len(rows), len(arrays), len(arrays[0].labels)
    found = Outcomes(rows, *(np.empty(shape) for _ in range(3)), arrays[0].videos, arrays[0].labels)
    for s, one in enumerate(arrays):
        probs, entropy = softmax(one.student_logits), predictive_entropy(one.student_logits)
        for i, (k, k_student) in enumerate(rows):
            if choosers is None:
                total, _, by_teacher = divided_probs(one, probs, entropy, k, k_student, mode)
            else:
                total, by_teacher = _divided_choice(one, choosers[s], probs, entropy, k, k_student)
            place = place_of_truth(total, one.labels)
            found.right[i, s], found.top5[i, s], found.n_clips[i, s] = place == 0, place < 5, by_teacher.sum(1)
    return found


def _divided_choice(arrays, chooser, probs, entropy, k, k_student):
    """(values [V, C] that rank classes, by_teacher [V, N]): the chooser's clips, divided, and its classes joined."""
    chosen = chooser(k) > 0
    by_student = (ranks(-entropy, chosen) < k_student) & chosen
    divided = replace(arrays, probs=np.where(by_student[..., None], probs, arrays.probs))
    return blend(divided, chosen, chooser.own, chooser.share(k))[0], chosen & ~by_student


def division_table(found, dense, mode="nested"):
    """division_outcomes as a tidy table, a row a (k, k_student). dense: float [V], which videos dense gets right.

    Columns: k, k_student, mode, n_clips (mean clips per video that the teacher classifies), accuracy, gain (each with
    _low and _high), n_seeds, n_videos.
    """
    head = pd.DataFrame(found.ks, columns=["k", "k_student"]).assign(mode=mode, n_clips=found.n_clips.mean((1, 2)))
    columns = pd.DataFrame(_columns(accuracy=found.right, gain=found.right - dense))
    return pd.concat([head, columns], axis=1).assign(n_seeds=found.right.shape[1], n_videos=len(dense))


def division(arrays, ks, mode="nested"):
    """division_table of a list of ClipArrays, one a seed."""
    return division_table(division_outcomes(arrays, ks, mode), dense_right(arrays[0]), mode)
