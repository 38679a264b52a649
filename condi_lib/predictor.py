"""From a video file to its classes: decode, score, choose, classify."""

import time

import numpy as np
import torch
from tqdm.auto import tqdm

from condi_lib import flops
from condi_lib.data import VideoError, in_batches, read_ahead, read_clips
from condi_lib.labelling import clip_scores, predictive_entropy, softmax
from condi_lib.models import for_inference, to_input
from condi_lib.sampler import divide


class Predictor:
    """Classifies video files with a teacher and, where given, a student that chooses the clips.

    teacher, student: networks as build_teacher and build_student give them; copies of them run where they lie, as
    models.for_inference makes them. class_names: list of C names, else classes are numbers. loss: what the student was
    trained with, which says how it scores (labelling.clip_scores). Without a student the teacher sees all clips: dense.
    """

    def __init__(self, teacher, student=None, frames=16, size=112, class_names=None, batch_size=64, loss="condi_sr"):
        self.device = next(teacher.parameters()).device
        self.frames, self.size, self.class_names, self.batch_size = frames, size, class_names, batch_size
        self.loss = loss
        self.networks, self.multiply_adds = {}, {}
        for name, network in (("teacher", teacher), ("student", student)):
            if network is not None:
                self.multiply_adds[name] = flops.count(network, frames, size)[0]
                self.networks[name] = for_inference(network, move=False)

    def _run(self, name, clips):
        """Outputs of a network for uint8 clips [M, 3, F, H, W], in batches: numpy arrays [M, ...], one or a tuple."""
        network = self.networks[name]
        with torch.inference_mode():
            outputs = [network(to_input(part, network)) for part in clips.split(self.batch_size)]
        if name == "teacher":
            return torch.cat(outputs).float().cpu().numpy()
        return [torch.cat(part).float().cpu().numpy() for part in zip(*outputs, strict=True)]

    def __call__(self, path, k=None, k_student=0, mode="nested", progress=False):
        """One video file: decoded once, scored by the student, its k best clips classified (all for k = None).

        Returns a dict: top5 ([class, probability], best first), score, confidence (as in the score table, float [N];
        None without a student), by_student and by_teacher (bool [N]: who classified which clip), multiply_adds
        ({network: int}), seconds ({"decode", "student", "teacher": float}), n_frames and fault (see iter_frames), and
        clips (uint8 [N, 3, F, H, W]). progress: shows a bar of the three stages.
        Raises VideoError for a file that cannot be read; ValueError for k < 1, k_student outside 0..k, or either
        without a student.
        """
        with tqdm(total=3, desc="decode", unit="stage", disable=not progress) as bar:
            return self._classify([self._decode(path, bar)], k, k_student, mode, bar)[0]

    def each(self, paths, k=None, k_student=0, mode="nested"):
        """Yields (path, what a call returns, or its VideoError) for each file, in order, faster than single calls.

        The next files are decoded while the networks work, and the clips of several videos share batches; seconds of a
        network are a video's share of its batch's by clips. Raises ValueError as a call does.
        """
        for batch in in_batches(read_ahead(self._try_to_decode, paths), _n_clips, self.batch_size):
            read = [decoded for _, decoded in batch if not isinstance(decoded, VideoError)]
            found = iter(self._classify(read, k, k_student, mode) if read else ())
            for path, decoded in batch:
                yield path, decoded if isinstance(decoded, VideoError) else next(found)

    def _decode(self, path, bar=None):
        """(clips, report, seconds) of a video file."""
        report, begin = {}, time.perf_counter()
        clips = read_clips(path, self.frames, self.size, report=report)
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
        """What a call returns, for each of some decoded videos."""
        student = "student" in self.networks
        if not student and (k is not None or k_student):
            raise ValueError(f"k, k_student: found {k}, {k_student}; without a student all clips go to the teacher")
        clock = _Clock(self.device, bar)
        n = [len(clips) for clips, *_ in videos]
        all_clips = torch.cat([clips for clips, *_ in videos])
        found = [{"score": None, "confidence": None} for _ in videos]
        if student:
            logits, confidence_logit = self._run("student", all_clips)
            if k_student and not logits.shape[1]:
                raise ValueError(f"k_student: found {k_student}, but the student has no classification head")
            for one, own, confidence in zip(found, _split(logits, n), _split(confidence_logit, n), strict=True):
                one["score"], one["confidence"] = clip_scores(self.loss, own, confidence)
                entropy, mask = predictive_entropy(own), np.ones((1, len(own)), bool)
                at_k = len(own) if k is None else k
                divided = divide(one["score"][None], entropy[None], at_k, k_student, mask, mode)
                one["by_student"], one["by_teacher"] = (chosen[0] for chosen in divided)
                one["probs"] = [softmax(own[one["by_student"]])] if k_student else []
        else:
            for one, m in zip(found, n, strict=True):
                one |= {"by_student": np.zeros(m, bool), "by_teacher": np.ones(m, bool), "probs": []}
        student_seconds = clock.lap()
        chosen = np.concatenate([one["by_teacher"] for one in found])
        if chosen.any():
            probs = softmax(self._run("teacher", all_clips[torch.from_numpy(chosen)]))
            for one, own in zip(found, _split(probs, [one["by_teacher"].sum() for one in found]), strict=True):
                one["probs"].append(own)
        teacher_seconds = clock.lap()
        names, results = self.class_names, []
        for one, (clips, report, decode_seconds) in zip(found, videos, strict=True):
            mean = np.concatenate([p for p in one.pop("probs") if len(p)]).mean(0)
            best = np.argsort(-mean, kind="stable")[:5]
            m, by_teacher = len(clips), int(one["by_teacher"].sum())
            results.append(
                {
                    "top5": [[names[c] if names else c, float(mean[c])] for c in best],
                    **one,
                    "multiply_adds": {
                        "student": m * self.multiply_adds.get("student", 0),
                        "teacher": by_teacher * self.multiply_adds["teacher"],
                    },
                    "seconds": {
                        "decode": decode_seconds,
                        "student": student_seconds * m / sum(n),
                        "teacher": teacher_seconds * by_teacher / max(1, chosen.sum()),
                    },
                    "clips": clips,
                    **report,
                }
            )
        return results


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
