"""From a video file to its classes: decode, score, choose, classify."""

import copy
import time

import numpy as np
import torch
from tqdm.auto import tqdm

from condi_lib import flops
from condi_lib.data import read_clips
from condi_lib.labelling import clip_scores, predictive_entropy, softmax
from condi_lib.models import fold_batch_norms, to_input
from condi_lib.sampler import divide


class Predictor:
    """Classifies video files with a teacher and, where given, a student that chooses the clips.

    teacher, student: networks as build_teacher and build_student give them; they run where they lie, with batch norms
    folded (in copies). class_names: list of C names, else classes are numbers. loss: what the student was trained with,
    which says how it scores (labelling.clip_scores). Without a student the teacher sees all clips: dense.
    """

    def __init__(self, teacher, student=None, frames=16, size=112, class_names=None, batch_size=64, loss="condi_sr"):
        self.device = next(teacher.parameters()).device
        self.frames, self.size, self.class_names, self.batch_size = frames, size, class_names, batch_size
        self.loss = loss
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

    def __call__(self, path, k=None, k_student=0, mode="nested", progress=False):
        """One video file: decoded once, scored by the student, its k best clips classified (all for k = None).

        Returns a dict: top5 ([class, probability], best first), score, confidence (as in the score table, float [N];
        None without a student), by_student and by_teacher (bool [N]: who classified which clip), multiply_adds
        ({network: int}), seconds ({"decode", "student", "teacher": float}), n_frames and fault (see iter_frames), and
        clips (uint8 [N, 3, F, H, W]). progress: shows a bar of the three stages.
        Raises VideoError for a file that cannot be read; ValueError for k < 1, k_student outside 0..k, or either
        without a student.
        """
        student = "student" in self.networks
        if not student and (k is not None or k_student):
            raise ValueError(f"k, k_student: found {k}, {k_student}; without a student all clips go to the teacher")
        clock, report = _Clock(self.device, progress), {}
        clips = read_clips(path, self.frames, self.size, report=report)
        n = len(clips)
        clock.lap("decode")
        score, confidence, probs = None, None, []
        by_student, by_teacher = np.zeros(n, bool), np.ones(n, bool)
        if student:
            logits, confidence_logit = self._run("student", clips)
            if k_student and not logits.shape[1]:
                raise ValueError(f"k_student: found {k_student}, but the student has no classification head")
            score, confidence = clip_scores(self.loss, logits, confidence_logit)
            entropy, mask = predictive_entropy(logits), np.ones((1, n), bool)
            divided = divide(score[None], entropy[None], n if k is None else k, k_student, mask, mode)
            by_student, by_teacher = (chosen[0] for chosen in divided)
            probs.append(softmax(logits[by_student]) if k_student else np.empty((0, 0)))
        clock.lap("student")
        if by_teacher.any():
            probs.append(softmax(self._run("teacher", clips[torch.from_numpy(by_teacher)])))
        clock.lap("teacher")
        clock.bar.close()
        mean = np.concatenate([p for p in probs if len(p)]).mean(0)
        best = np.argsort(-mean, kind="stable")[:5]
        names = self.class_names or range(len(mean))
        return {
            "top5": [[names[c], float(mean[c])] for c in best],
            "score": score,
            "confidence": confidence,
            "by_student": by_student,
            "by_teacher": by_teacher,
            "multiply_adds": {
                "student": n * self.multiply_adds.get("student", 0),
                "teacher": int(by_teacher.sum()) * self.multiply_adds["teacher"],
            },
            "seconds": clock.seconds,
            "clips": clips,
            **report,
        }


class _Clock:
    """Seconds of wall time between laps, the device's queued work included."""

    def __init__(self, device, progress=False):
        self.device, self.seconds = device, {}
        self.bar = tqdm(total=3, desc="decode", unit="stage", disable=not progress)
        self.last = time.perf_counter()

    def lap(self, stage):
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        self.seconds[stage], self.last = now - self.last, now
        self.bar.set_description(f"{stage} done")
        self.bar.update()
