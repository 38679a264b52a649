"""From a video file to its classes: decode, score, choose, classify."""

import html
import os
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from condi_lib import flops
from condi_lib.context import pooled
from condi_lib.data import VideoError, in_batches, planted, read_ahead, read_clips, three_crops
from condi_lib.labelling import check_finite, clip_scores, predictive_entropy, softmax
from condi_lib.models import (
    WithFeatures,
    build_student,
    build_teacher,
    check_pixels,
    device_of,
    for_inference,
    mean_over_crops,
    to_input,
)
from condi_lib.progress import tqdm
from condi_lib.sampler import divide

SHIPPED = Path(__file__).parent / "shipped"  # weights of the embedded benchmark's teacher and student's start


class Prediction(dict):
    """What Predictor finds in a video: a dict of plain values that json takes, `clips` apart; shown in a line.

    Keys: top5 ([class, probability], best first), score and confidence (as in the score table, one number a clip; None
    without a student, confidence also where the loss has none), by_student and by_teacher (bool, one a clip: who
    classified which), multiply_adds ({network: int}), seconds ({"decode", "student", "teacher": float}), n_frames and
    fault (see iter_frames), path, and clips (uint8 [N, 3, F, H, W]).
    """

    def to_json(self):
        """All but the clips: json.dumps takes it."""
        return {name: value for name, value in self.items() if name != "clips"}

    def table(self):
        """A row a clip: clip, score, confidence, classified by."""
        by = np.select([self["by_student"], self["by_teacher"]], ["student", "teacher"], "")
        columns = {"score": self["score"], "confidence": self["confidence"], "classified by": by}
        return pd.DataFrame({"clip": np.arange(len(by)), **columns})

    def __repr__(self):
        top = ", ".join(f"{name} {probability:.2f}" for name, probability in self["top5"][:3])
        student, teacher, n = sum(self["by_student"]), sum(self["by_teacher"]), len(self["by_teacher"])
        by = f"{teacher} of {n} clips by the teacher" + f", {student} by the student" * bool(student)
        return f"Prediction({top}; {by}; {sum(self['seconds'].values()):.2f} s)"

    def _repr_html_(self):
        rows = "".join(f"<tr><td>{html.escape(str(c))}</td><td>{p:.3f}</td></tr>" for c, p in self["top5"])
        return f"<p>{html.escape(repr(self))}</p><table><tr><th>class</th><th>probability</th></tr>{rows}</table>"


class Predictor:
    """Classifies video files with a teacher and, where given, a student that chooses the clips.

    teacher, student: networks as build_teacher and build_student give them; copies of them run where they lie, as
    models.for_inference makes them. class_names: list of C names, else classes are numbers. loss: what the student was
    trained with, which says how it scores (labelling.clip_scores). stride: clips are every stride-th frame. crops: with
    3 the teacher takes data.three_crops of a clip and their mean, the student the middle one. Without a student the
    teacher sees all clips: dense. context: a context.ContextNetwork trained on this student's features, which then
    ranks the clips and brings classes of its own; shares: {k: their share of the prediction} (a k between takes that of
    the next lower). Raises ValueError where the teacher has another number of classes than there are
    names.
    """

    def __init__(
        self,
        teacher,
        student=None,
        frames=16,
        size=112,
        class_names=None,
        batch_size=64,
        loss="condi_sr",
        stride=1,
        crops=1,
        context=None,
        shares=None,
    ):
        self.device, self.unseen = device_of(teacher), teacher  # until the first video shows whether its pixels fit
        self.frames, self.size, self.class_names, self.batch_size = frames, size, class_names, batch_size
        # A context network ranks by z~, whatever its student learnt
        self.loss = loss if context is None else "condi_sr"
        self.stride, self.crops = stride, crops
        self.context, self.shares = context, shares or {0: 1.0}
        self.n_trunk = 0 if context is None else student.confidence.in_features  # then come class logits and confidence
        self.networks, self.multiply_adds = {}, {}
        for name, network in (("teacher", teacher), ("student", student)):
            if network is not None:
                self.multiply_adds[name], _ = flops.count(network, frames, size, crops if name == "teacher" else 1)
                whole = WithFeatures(network) if context is not None and name == "student" else network
                self.networks[name] = for_inference(whole, move=False)
        blank = torch.zeros(crops, 3, frames, size, size, dtype=torch.uint8)
        self.n_classes = self._run("teacher", blank).shape[1]
        if class_names is not None and len(class_names) != self.n_classes:
            found = f"found {len(class_names)} names, but the teacher has {self.n_classes} classes"
            raise ValueError(f"class_names: {found}; expected one name a class, in order")

    def _run(self, name, clips):
        """Outputs of a network for uint8 clips [M, 3, F, H, W], in batches: numpy arrays [M, ...], one or a tuple.

        Of the teacher's crops, side by side in `clips`, the mean: [M / crops, C].
        """
        network = self.networks[name]
        with torch.inference_mode():
            outputs = [network(to_input(part, network)) for part in clips.split(self.batch_size)]
        if name == "teacher":
            logits = torch.cat(outputs).float()
            return (mean_over_crops(logits, self.crops) if self.crops > 1 else logits).cpu().numpy()
        if self.context is not None:
            return torch.cat(outputs)
        return [torch.cat(part).float().cpu().numpy() for part in zip(*outputs, strict=True)]

    def _of_video(self, features):
        """Of a video's clips, float [N, D]: (the student's class logits, z~ logits in context, the video's classes)."""
        with torch.inference_mode():
            mask = torch.ones(1, len(features), dtype=torch.bool, device=features.device)
            z, attention, logits = self.context(features[None].half(), mask)
            classes = pooled(attention, logits)[0].softmax(-1)
        return tuple(x.float().cpu().numpy() for x in (features[:, self.n_trunk : -1], z[0], classes))

    def _scored(self, clips, n):
        """Of each of the videos with n clips: (class logits [n, C], confidence logits [n], own classes [C] or None)."""
        found = self._run("student", clips)
        if self.context is not None:
            return [self._of_video(features) for features in found.split(n)]
        logits, confidence = found
        return list(zip(_split(logits, n), _split(confidence, n), [None] * len(n), strict=True))

    def _share(self, k):
        return self.shares[max((known for known in self.shares if known <= k), default=min(self.shares))]

    def __call__(self, path, k=None, k_student=0, mode="nested", progress=False):
        """The Prediction of one video file: decoded once, scored by the student, its k best clips classified.

        k = None: all clips. progress: shows a bar of the three stages.
        Raises VideoError for a file that cannot be read; ValueError for k < 1 (with context k < 0),
        k_student outside 0..k, or either without a student, and for outputs that are not finite.
        """
        with tqdm(total=3, desc="decode", unit="stage", disable=not progress) as bar:
            return self._classify([self._decode(path, bar)], k, k_student, mode, bar)[0]

    def each(self, paths, k=None, k_student=0, mode="nested"):
        """Yields (path, its Prediction or VideoError) for each file, in order, faster than single calls.

        The next files are decoded while the networks work, and the clips of several videos share batches; seconds of a
        network are a video's share of its batch's by clips. Raises ValueError as a call does.
        """
        for batch in in_batches(read_ahead(self._try_to_decode, paths), _n_clips, self.batch_size):
            read = [decoded for _, decoded in batch if not isinstance(decoded, VideoError)]
            found = iter(self._classify(read, k, k_student, mode) if read else ())
            for path, decoded in batch:
                yield path, decoded if isinstance(decoded, VideoError) else next(found)

    def _decode(self, path, bar=None):
        """(clips uint8 [N, crops, 3, F, H, W], report with the path, seconds) of a video file."""
        report, begin = {}, time.perf_counter()
        options = {"stride": self.stride, "whole": self.crops > 1}
        clips = read_clips(path, self.frames, self.size, report=report, **options)
        clips = three_crops(clips) if self.crops > 1 else clips[:, None]
        report["path"] = os.fspath(path)
        if bar is not None:
            bar.update()
        return clips, report, time.perf_counter() - begin

    def _try_to_decode(self, path):
        """(path, what _decode returns or its VideoError)."""
        try:
            return path, self._decode(path)
        except VideoError as e:
            return path, e

    def _classify(self, videos, k, k_student, mode, bar=None):
        """The Prediction of each of some decoded videos."""
        student = "student" in self.networks
        if not student and (k is not None or k_student):
            raise ValueError(f"k, k_student: found {k}, {k_student}; without a student all clips go to the teacher")
        clock = _Clock(self.device, bar)
        n = [len(clips) for clips, *_ in videos]
        all_crops = torch.cat([clips for clips, *_ in videos])
        all_clips = all_crops[:, self.crops // 2]
        if self.unseen is not None:
            note, self.unseen = check_pixels(self.unseen, all_clips[:4], one_video=True), None
            if note:
                warnings.warn(note, stacklevel=4)
        found = [{"score": None, "confidence": None, "probs": []} for _ in videos]
        if student:
            for one, (_, report, _), (own, confidence, classes) in zip(
                found, videos, self._scored(all_clips, n), strict=True
            ):
                if k_student:
                    self._check_classes(own.shape[1], k_student)
                _check("student", [own, confidence], report)
                score, confidence = clip_scores(self.loss, own, confidence)
                one["own"] = classes
                entropy, mask = predictive_entropy(own), np.ones((1, len(own)), bool)
                at_k = len(own) if k is None else k
                divided = divide(score[None], entropy[None], at_k, k_student, mask, mode, least=int(classes is None))
                one["by_student"], one["by_teacher"] = (chosen[0] for chosen in divided)
                one["score"] = score.tolist()
                one["confidence"] = None if np.isnan(confidence).any() else confidence.tolist()
                one["probs"] += [softmax(own[one["by_student"]])] if k_student else []
        else:
            for one, m in zip(found, n, strict=True):
                one |= {"by_student": np.zeros(m, bool), "by_teacher": np.ones(m, bool)}
        student_seconds = clock.lap()
        chosen = np.concatenate([one["by_teacher"] for one in found])
        if chosen.any():
            logits = self._run("teacher", all_crops[torch.from_numpy(chosen)].flatten(0, 1))
            sizes = [one["by_teacher"].sum() for one in found]
            for one, (_, report, _), own in zip(found, videos, _split(logits, sizes), strict=True):
                _check("teacher", [own], report, np.flatnonzero(one["by_teacher"]))
                one["probs"].append(softmax(own))
        teacher_seconds = clock.lap()
        results = []
        for one, (clips, report, decode_seconds) in zip(found, videos, strict=True):
            m, by_teacher = len(clips), int(one["by_teacher"].sum())
            spent = {"student": m * self.multiply_adds.get("student", 0) + self._count_video(m)}
            spent["teacher"] = by_teacher * self.multiply_adds["teacher"]
            seconds = {"decode": decode_seconds, "student": student_seconds * m / sum(n)}
            seconds["teacher"] = teacher_seconds * by_teacher / max(1, int(chosen.sum()))
            one |= {name: one[name].tolist() for name in ("by_student", "by_teacher")}
            top5 = self._top5(self._mixed(one.pop("probs"), one.pop("own", None), k))
            one |= {"clips": clips[:, self.crops // 2], "multiply_adds": spent, "seconds": seconds}
            results.append(Prediction(top5=top5, **one, **report))
        return results

    def _mixed(self, probs, own, k):
        """The video's classes: the mean of the chosen clips' probabilities, and of the context network's own."""
        probs = [one for one in probs if len(one)]
        if not probs:
            return own
        probs = np.concatenate(probs)
        share = 0.0 if own is None else self._share(len(probs) if k is None else k)
        return probs.mean(0) if own is None else (1 - share) * probs.mean(0) + share * own

    def _count_video(self, n):
        return 0 if self.context is None else flops.count_video(self.context, n, len(self.context.mean))

    def _top5(self, probs):
        best = np.argsort(-probs, kind="stable")[:5].tolist()
        return [[self.class_names[c] if self.class_names is not None else c, float(probs[c])] for c in best]

    def _check_classes(self, found, k_student):
        if not found:
            raise ValueError(f"k_student: found {k_student}, but the student has no classification head")
        if found != self.n_classes:
            raise ValueError(
                f"k_student: found {k_student}, but the student has {found} classes and the teacher {self.n_classes}"
            )


def _check(network, outputs, report, clips=None):
    check_finite(network, outputs, Path(report["path"]).name, report["path"], clips)


def shipped_predictor():
    """The Predictor of the networks that the project ships: toy motions of the embedded benchmark, ten classes.

    Its student is the start of all samplers of the study, a classifier that chooses by its entropy.
    """
    teacher = build_teacher("resnext14_small", len(planted.CLASSES), SHIPPED / "teacher.safetensors", new_head=False)
    student = build_student(
        0.25, len(planted.CLASSES), SHIPPED / "student_start.safetensors", new_head=False, repeats=(1, 2, 1)
    )
    return Predictor(teacher, student, 8, 32, list(planted.CLASSES), loss="st_ent")


def _n_clips(video):
    _, decoded = video
    return 0 if isinstance(decoded, VideoError) else len(decoded[0])


def _split(values, sizes):
    return np.split(values, np.cumsum(sizes)[:-1])


class _Clock:
    """Seconds of wall time between laps, the device's queued work included."""

    def __init__(self, device, bar=None):
        self.device, self.bar, self.last = device, bar, time.perf_counter()

    def lap(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        before, self.last = self.last, time.perf_counter()
        if self.bar is not None:
            self.bar.update()
        return self.last - before
