"""The tables of a finished run in memory, for questions about one video or all."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from condi_lib import evaluation, flops, runs, sampler
from condi_lib.labelling import predictive_entropy, softmax
from condi_lib.sampler import SAMPLERS
from condi_lib.training import LOSSES

DIVIDED = "condi_sr"  # the sampler whose clips the student may classify too (K_s)
ORDERS = ("as listed", "gain", "score", "most ambiguous", "longest")


def find_runs(root="runs"):
    """{name: folder} of the runs below `root` whose notebooks have run up to 08, sorted by name."""
    folders = sorted(path.parent for path in Path(root).glob("*/*/*/costs.json"))
    return {str(folder.relative_to(root)): folder for folder in folders}


def runs_to_open(root="runs", start=None):
    """({name: folder} of the runs, the name of the one that opens): find_runs, and `start` too where it lies elsewhere.

    start: a name or a folder; None opens the run that was finished last. Raises MissingStep where nothing is finished.
    """
    found = find_runs(root)
    if start is None:
        if not found:
            raise runs.MissingStep(f"{root} holds no finished run: run notebooks 01 to 08 first, or make reproduce")
        return found, max(found, key=lambda name: (found[name] / "costs.json").stat().st_mtime)
    if str(start) in found:
        return found, str(start)
    folder = Path(start)
    for name, other in found.items():
        if other.resolve() == folder.resolve():
            return found, name
    if not (folder / "costs.json").is_file():
        others = ", ".join(found) or "none"
        raise runs.MissingStep(
            f"{start} holds no finished run: run notebooks 01 to 08 first; finished below {root}: {others}"
        )
    return {str(folder): folder, **found}, str(folder)


def filters(first=DIVIDED, second="dense"):
    """What `Study.pick` can show of two samplers: all videos, or those that one of them, both or neither gets right."""
    one, other = SAMPLERS[first].label, SAMPLERS[second].label
    return ["all", f"only {one} correct", f"only {other} correct", "both correct", "neither correct"]


@dataclass
class Study:
    """The tables of one run, of the first seed of each loss that is there."""

    folder: Path
    clips: pd.DataFrame
    scores: dict  # {loss: [score table]}
    videos: pd.DataFrame
    costs: dict  # of notebook 08: multiply-adds and seconds of a clip
    parameters: dict  # of notebook 08
    classes: list  # names, in label order
    truth: pd.DataFrame = None  # of the embedded benchmark, a row a frame

    _arrays: dict = field(default_factory=dict, repr=False)  # {split: sampler.read_arrays}
    _choosers: dict = field(default_factory=dict, repr=False)  # {(split, sampler): sampler.keep of the first seed}

    def arrays(self, split):
        """sampler.read_arrays of a split, read once."""
        if split not in self._arrays:
            clips = evaluation.with_truth(self.clips, self.truth, self.parameters["frames"], self.parameters["stride"])
            self._arrays[split] = sampler.read_arrays(clips, self.scores, split)
        return self._arrays[split]

    def table(self, split):
        """The split's clip table as ClipArrays."""
        return self.arrays(split)[""][0]

    def splits(self):
        """Those of test and val that hold clips."""
        found = set(self.clips.split)
        return [split for split in ("test", "val") if split in found]

    def samplers(self, split="test"):
        """Names of the samplers that have what they need, in the registry's order."""
        return sampler.available(self.arrays(split))

    def longest(self, split):
        """Clips of the split's longest video: the largest K that means anything."""
        return self.table(split).mask.shape[1]

    def place(self, split, video):
        """The video's row in the split's arrays. Raises ValueError for a video of another split."""
        found = np.flatnonzero(self.table(split).videos == video)
        if not len(found):
            raise ValueError(f"video: {video!r} is not in the {split} split of {self.folder}")
        return int(found[0])

    def score(self, split, name):
        """A sampler's scores of the split's clips: float [V, N]. Of random, one draw."""
        found, _ = sampler.score(name, self.arrays(split))[0]
        return found[0] if found.ndim == 3 else found

    def kept(self, split, name, k, rows=slice(None)):
        """What a sampler keeps of some videos (rows of the arrays) at k: weights [len(rows), N], 0 where not kept."""
        if (split, name) not in self._choosers:
            self._choosers[split, name] = sampler.keep(name, self.arrays(split))[0]
        one = self.arrays(split)[SAMPLERS[name].loss][0].take(rows)
        chooser = self._choosers[split, name]
        return chooser(k)[rows] if SAMPLERS[name].stops else chooser.weights(k, one, self.score(split, name)[rows])

    def answers(self, split, name, k, k_student=0, rows=slice(None)):
        """(probabilities of some videos' predictions [len(rows), C], by_student, by_teacher: bool [len(rows), N]).

        Raises ValueError for k < 1, or a k_student above 0 of a sampler other than DIVIDED.
        """
        one = self.arrays(split)[SAMPLERS[name].loss][0].take(rows)
        if k_student:
            if name != DIVIDED:
                raise ValueError(f"k_student: found {k_student} for {name}; only the clips of {DIVIDED} are divided")
            entropy = predictive_entropy(one.student_logits)
            of_student = softmax(one.student_logits)
            total, by_student, by_teacher = evaluation.divided_probs(one, of_student, entropy, k, k_student)
        else:
            weights = self.kept(split, name, k, rows)
            chooser = self._choosers[split, name]
            own = None if chooser.own is None else chooser.own[rows]
            share = 0.0 if own is None else chooser.share(k)
            total = sampler.blend(one, weights, own, share[rows] if np.ndim(share) else share)[0]
            by_teacher = weights > 0
            by_student = np.zeros_like(by_teacher)
        return total / total.sum(-1, keepdims=True), by_student, by_teacher

    def at(self, split, k, k_student=0, name=DIVIDED):
        """What a sampler's K and K_s give on the split.

        A dict: right (bool [V]), accuracy, dense, probs (of each video's prediction, [V, C]), by_student and by_teacher
        (bool [V, N]), multiply_adds and seconds per video, and these two as shares of dense. Errors: see answers.
        """
        test = self.table(split)
        probs, by_student, by_teacher = self.answers(split, name, k, k_student)
        n = test.mask.sum(1).mean()
        n_clips, unit, second = by_teacher.sum(1).mean(), self.costs["multiply_adds"], self.costs["seconds"]
        spent, time = (flops.of_video(name, n, n_clips, units) for units in (unit, second))
        right = evaluation.place_of_truth(probs, test.labels) == 0
        return {
            "right": right,
            "accuracy": right.mean(),
            "dense": self.dense_right(split).mean(),
            "probs": probs,
            "by_student": by_student,
            "by_teacher": by_teacher,
            "multiply_adds": spent,
            "multiply_adds_of_dense": spent / flops.of_video("dense", n, n, unit),
            "seconds": time,
            "seconds_of_dense": time / flops.of_video("dense", n, n, second),
        }

    def dense_right(self, split):
        """Which videos of the split the teacher gets right from all clips: float [V]."""
        return evaluation.dense_right(self.table(split))

    def shown_score(self, split, name):
        """(a sampler's clips in [0, 1] [V, N], what that is), for showing; (None, "") of a sampler that does not score.

        What it means as a probability where it means one, else the clip's place in its video: 1 ranks first.
        """
        chooser, arrays = SAMPLERS[name], self.arrays(split)
        if chooser.score is sampler.no_score:
            return None, ""
        found = sampler.probability(name, arrays)
        if found:
            own = chooser.probability is sampler.own_confidence
            return found[0][0], "confidence" if own else "probability"
        scores = self.score(split, name)
        if chooser.cheats:  # a probability of the teacher's, or a share of frames
            return scores, "what it goes by"
        return evaluation.standing(self.table(split), scores), "rank, 1 = first"

    def groups(self, split):
        """{grouping: group of each video, str [V]}: class, length and, where it is known, what was planted."""
        return evaluation.video_groups(self.table(split), self.videos, self.truth)

    def pick(self, split, show="all", k=5, k_student=0, first=DIVIDED, second="dense", order="as listed", **groups):
        """Names of the split's videos that pass a filter, in an order.

        show: one of filters(first, second), at this k and k_student. order: one of ORDERS; gain: of the first sampler's
        probability of the true class over the second's; score: the mean of the first one's over what it keeps (as
        shown_score has it); ambiguous: the entropy of the teacher's mean prediction. groups: grouping="group", see
        groups (class_="..." for the class). Raises ValueError for another filter, order, grouping or group.
        """
        test = self.table(split)
        (one, kept), (other, _) = (self._probs_and_kept(split, n, k, k_student) for n in (first, second))
        right, theirs = (evaluation.place_of_truth(p, test.labels) == 0 for p in (one, other))
        known = filters(first, second)
        _check("show", show, known)
        masks = np.ones_like(right), right & ~theirs, theirs & ~right, right & theirs, ~right & ~theirs
        inside = masks[known.index(show)]
        there = self.groups(split) if groups else {}
        for grouping, group in groups.items():
            name = grouping.rstrip("_").replace("_", " ")
            _check("groups", name, there)
            _check(name, group, sorted(set(there[name])))
            inside = inside & (there[name] == group)
        _check("order", order, ORDERS)
        rows = np.flatnonzero(inside)
        if order == "gain":
            key = np.take_along_axis(one - other, test.labels[:, None], 1)[:, 0].round(12)
        elif order == "score":
            shown, _ = self.shown_score(split, first)
            key = 0 * test.labels if shown is None else (shown * kept).sum(1) / np.maximum(kept.sum(1), 1)
        elif order == "most ambiguous":  # by what is known of any data set: how much the teacher's clips disagree
            mean = test.probs.sum(1) / test.mask.sum(1, keepdims=True)
            key = -(mean * np.log(mean + 1e-12)).sum(1)
        else:
            key = test.mask.sum(1) if order == "longest" else 0 * test.labels
        return [str(v) for v in test.videos[rows[np.argsort(-key[rows], kind="stable")]]]

    def _probs_and_kept(self, split, name, k, k_student):
        probs, by_student, by_teacher = self.answers(split, name, k, k_student if name == DIVIDED else 0)
        return probs, by_student | by_teacher


def _check(name, value, known):
    if value not in known:
        raise ValueError(f"{name}: {value!r} is unknown; expected one of {', '.join(known)}")


def read_study(folder):
    """The Study of a run's folder, runs/<profile>/<dataset>/<teacher>.

    Raises MissingStep where a table is not there or is another run's, or notebook 08 has not run.
    """
    folder = Path(folder)
    costs_file = folder / "costs.json"
    if not costs_file.is_file():
        raise runs.MissingStep(f"{costs_file} is missing or unreadable: run notebooks/08_flops_and_time.ipynb first")
    run = runs.Run("10_explore", runs.read_provenance(costs_file)["parameters"], folder)
    scores = {}
    for loss in LOSSES:
        found = sorted(folder.glob(f"{loss}/seed*/scores.parquet"))
        if found:
            scores[loss] = [run.read_table(found[0], "05_train_sampler")]
    return Study(
        folder,
        run.read_table(folder / "clips.parquet", "03_teacher_labels"),
        scores,
        run.read_table(folder / "labelled_videos.parquet", "03_teacher_labels"),
        run.read_json(costs_file, "08_flops_and_time"),
        run.parameters,
        run.classes(),
        run.truth(),
    )
