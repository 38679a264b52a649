"""One video as the strip shows it: its frames, its clips, who chooses which, what each choice makes of it."""

import io
from dataclasses import dataclass
from itertools import islice

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
from PIL import Image

from condi_lib import evaluation, runs, sampler
from condi_lib.data import iter_frames, segments
from condi_lib.explore.study import DIVIDED
from condi_lib.figures.style import _look
from condi_lib.sampler import SAMPLERS

PLAYED = 900  # frames that are kept for playing: of a longer video every second one, or every fourth, ...


@dataclass(frozen=True)
class Frames:
    """What is shown of a video's frames."""

    middle: np.ndarray  # uint8 [N, H, W, 3], RGB: of each clip its middle frame
    played: list  # JPEG files, bytes: every `stride`-th frame
    stride: int
    n_frames: int

    def of_clips(self, n):
        """The middle frames of n clips; the last one again where the file has fewer than when it was labelled."""
        return self.middle[np.minimum(np.arange(n), len(self.middle) - 1)]


def keep_frames(decoded, frames):
    """Frames of a stream of uint8 [H, W, 3] in clips of `frames`; memory holds PLAYED small files and a frame a clip.

    Raises ValueError where there is none.
    """
    middle, played, stride, n = [], [], 1, 0
    decoded = iter(decoded)
    while clip := list(islice(decoded, frames)):
        middle.append(clip[min(frames // 2, len(clip) - 1)])
        for i, frame in enumerate(clip):
            if (n + i) % stride == 0:
                played.append(jpeg(frame))
        n += len(clip)
        while len(played) > PLAYED:
            played, stride = played[::2], 2 * stride
    if not n:
        raise ValueError("frames: found none, expected at least one")
    return Frames(np.stack(middle), played, stride, n)


def read_frames(study, video):
    """Frames of a study's video, as its networks see them. Raises VideoError."""
    path, start, end, turn = segments(study.videos[study.videos.video == video])[0]
    path = runs.ROOT / path  # an absolute path stays so
    decoded = iter_frames(path, study.parameters["size"], start, end, study.parameters["stride"], turn=turn)
    return keep_frames(decoded, study.parameters["frames"])


def jpeg(frame):
    """The bytes of a JPEG file of an image uint8 [H, W, 3], colours at full resolution."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(frame)).save(buffer, "jpeg", quality=92, subsampling=0)
    return buffer.getvalue()


def png(figure, dpi=72):
    """The bytes of a PNG file of a matplotlib figure, which is closed: nothing else draws it then."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    plt.close(figure)
    return buffer.getvalue()


def colour(name):
    """A sampler's colour in all figures, as #rrggbb."""
    return to_hex(_look(name)[0])


def clip_table(study, split, video, name=DIVIDED, frames=None):
    """One video for figures.video_view, a row a clip: clip, the teacher's probability of the true class and its
    largest, correct, confidence (sampler `name`'s, see Study.shown_score; nan of one that does not score) and, where
    `frames` (see read_frames) are given, image (uint8 [H, W, 3]).
    """
    test, v = study.table(split), study.place(split, video)
    real = test.mask[v]
    shown, _ = study.shown_score(split, name)
    table = pd.DataFrame(
        {
            "clip": np.arange(real.sum()),
            "teacher_true": sampler.true_class_prob(test)[v][real],
            "teacher_max": test.probs[v][real].max(1),
            "correct": test.correct[v][real],
            "confidence": np.nan if shown is None else shown[v][real],
        }
    )
    return table.assign(image=list(frames.of_clips(len(table)))) if frames else table


def chosen_table(study, split, video, k, k_student=0):
    """Who keeps which clips of a video at k: {label: bool [N]} of each sampler, and where k_student is above 0 of
    ConDi-SR's part for the student and for the teacher."""
    rows = answers(study, split, video, k, k_student)
    chosen = {row["label"]: np.array([bool(cell) for cell in row["cells"]]) for row in rows}
    own = next((row for row in rows if row["name"] == DIVIDED), None)
    if k_student and own:
        parts = {f"{own['label']}: to the student": "S", f"{own['label']}: to the teacher": "T"}
        chosen = {name: np.array([c == who for c in own["cells"]]) for name, who in parts.items()} | chosen
    return chosen


def answers(study, split, video, k, k_student=0):
    """What each sampler keeps of a video and makes of it: a list of dicts.

    name, label, colour; cells: list [N] of "" (not kept), "T" and "S" (classified by the teacher, by the student);
    answer: the predicted class' name, probability, right (bool).
    """
    v = study.place(split, video)
    test, rows = study.table(split), slice(v, v + 1)
    n, label = int(test.mask[v].sum()), int(test.labels[v])
    found = []
    for name in study.samplers(split):
        probs, by_student, by_teacher = study.answers(split, name, k, k_student if name == DIVIDED else 0, rows)
        guess = int(probs[0].argmax())
        cells = np.where(by_student[0], "S", np.where(by_teacher[0], "T", ""))[:n].tolist()
        found.append(
            {
                "name": name,
                "label": SAMPLERS[name].label + (" (one draw)" if name == "random" else ""),
                "colour": colour(name),
                "cells": cells,
                "answer": study.classes[guess],
                "probability": float(probs[0, guess]),
                "right": guess == label,
            }
        )
    return found


def strip_view(study, split, video, k, k_student, first, second, frames=None):
    """What Strip.view takes, of a study's video; frames: Frames, None where they cannot be decoded."""
    v, test = study.place(split, video), study.table(split)
    table = clip_table(study, split, video, first)
    curves = []
    for name in dict.fromkeys((first, second)):
        shown, what = study.shown_score(split, name)
        if shown is not None:
            values = shown[v][test.mask[v]]
            curves.append({"name": name, "label": f"{SAMPLERS[name].label}: {what}", "values": _plain(values)})
    found = answers(study, split, video, k, k_student)
    chosen = {row["name"]: row for row in found}
    for curve in curves:
        curve |= {key: chosen[curve["name"]][key] for key in ("colour", "cells")}
    fps = float(study.videos.set_index("video").fps[video] or 25)
    return {
        "clip_frames": study.parameters["frames"],
        "fps": (fps if np.isfinite(fps) else 25.0) / study.parameters["stride"],
        "n_frames": frames.n_frames if frames else 0,
        "stride": frames.stride if frames else 1,
        "divided": k_student > 0,
        "truth": study.classes[int(test.labels[v])],
        "bars": [_plain(table.teacher_true), _plain(table.teacher_max), [bool(z) for z in table.correct]],
        "kinds": _kinds(study, video, len(table)),
        "curves": curves,
        "marked": [first] if first == second else [first, second],
        "rows": found,
    }


def _plain(values):
    """Numbers as JSON takes them, rounded to what can be seen."""
    return [round(float(x), 4) for x in values]


def _kinds(study, video, n):
    """What each clip shows, where that is known."""
    if study.truth is None:
        return []
    own = study.clips[study.clips.video == video].sort_values("clip")
    truth = study.truth[study.truth.video == video]
    kinds = evaluation.clip_kinds(own, truth, study.parameters["frames"], study.parameters["stride"])
    return kinds.fillna("").astype(str).tolist()[:n]
