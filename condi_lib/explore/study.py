"""The tables and networks of a finished run, for questions about one video or all."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from condi_lib import evaluation, flops, runs, sampler
from condi_lib.data import read_clips
from condi_lib.labelling import predictive_entropy, softmax
from condi_lib.models import build_student, build_teacher
from condi_lib.predictor import Predictor
from condi_lib.training import LOSSES

FILTERS = ("all", "dense wrong, ConDi-SR right", "dense right, ConDi-SR wrong", "most ambiguous", "longest")


def find_runs(root="runs"):
    """{name: folder} of the runs below `root` whose notebooks have run up to 08, sorted by name."""
    folders = sorted(path.parent for path in Path(root).glob("*/*/*/costs.json"))
    return {str(folder.relative_to(root)): folder for folder in folders}


@dataclass
class Study:
    """The tables of one run in memory, for questions about one video or all at a given K and K_s."""

    folder: Path
    clips: pd.DataFrame
    scores: dict  # {loss: [score table of the first seed that is there]}
    videos: pd.DataFrame
    costs: dict  # of notebook 08: multiply-adds and seconds of a clip
    parameters: dict  # of notebook 08

    _arrays: dict = field(default_factory=dict)  # {split: sampler.read_arrays}, as they are asked for

    def arrays(self, split):
        """sampler.read_arrays of a split, read once."""
        if split not in self._arrays:
            self._arrays[split] = sampler.read_arrays(self.clips, self.scores, split)
        return self._arrays[split]

    def place(self, split, video):
        """The video's row in the split's arrays."""
        return int(np.flatnonzero(self.arrays(split)[""][0].videos == video)[0])

    def at(self, split, k, k_student=0):
        """What K and K_s give on the split.

        A dict: right (bool [V]), accuracy, dense, probs (of each video's prediction, [V, C]), by_student and by_teacher
        (bool [V, N]), multiply_adds and seconds per video, and these two as shares of dense.
        """
        test = self.arrays(split)["condi_sr"][0]
        probs, entropy = softmax(test.student_logits), predictive_entropy(test.student_logits)
        total, by_student, by_teacher = evaluation.divided_probs(test, probs, entropy, k, k_student)
        n, seen = test.mask.sum(1).mean(), by_teacher.sum(1).mean()
        unit, second = self.costs["multiply_adds"], self.costs["seconds"]
        spent = flops.per_video(n, seen, unit["student"], unit["teacher"])
        time = n * (second["decode"] + second["student"]) + seen * second["teacher"]
        right = evaluation.place_of_truth(total, test.labels) == 0
        dense = evaluation.dense_right(test)
        return {
            "right": right,
            "accuracy": right.mean(),
            "dense": dense.mean(),
            "probs": total / total.sum(-1, keepdims=True),
            "by_student": by_student,
            "by_teacher": by_teacher,
            "multiply_adds": spent,
            "multiply_adds_of_dense": spent / (n * unit["teacher"]),
            "seconds": time,
            "seconds_of_dense": time / (n * (second["decode"] + second["teacher"])),
        }

    def pick(self, split, which="all", k=5):
        """Names of the split's videos that pass a filter of FILTERS (ConDi-SR at k), in its order."""
        test = self.arrays(split)[""][0]
        dense, right = evaluation.dense_right(test) > 0, self.at(split, k)["right"]
        if which == "dense wrong, ConDi-SR right":
            return list(test.videos[~dense & right])
        if which == "dense right, ConDi-SR wrong":
            return list(test.videos[dense & ~right])
        if which == "longest":
            return list(test.videos[np.argsort(-test.mask.sum(1), kind="stable")])
        if which == "most ambiguous":  # by what is known of any data set: how much the teacher's clips disagree
            mean = test.probs.sum(1) / test.mask.sum(1, keepdims=True)
            return list(test.videos[np.argsort(-(-mean * np.log(mean + 1e-12)).sum(1), kind="stable")])
        return list(test.videos)

    def class_name(self, label):
        names = self.videos.drop_duplicates("label").set_index("label").class_name
        return names.get(label, str(label))

    def read(self, video):
        """The video's clips, uint8 [N, 3, F, H, W]. Raises VideoError."""
        path = self.videos.set_index("video").path[video]
        return read_clips(runs.ROOT / path, self.parameters["frames"], self.parameters["size"])


def read_study(folder):
    """The Study of a run's folder, runs/<profile>/<dataset>/<teacher>.

    Raises MissingStep where notebook 08 has not run.
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
    )


def load_predictor(folder, loss="condi_sr", seed=0, checkpoint="", class_names=""):
    """The Predictor of a run's teacher and of its student of this loss and seed, with the data set's class names.

    checkpoint: a file with other weights for the teacher (see models.read_checkpoint), such as published ones, whose
    classes are the lines of the text file class_names. Raises MissingStep where the run has no such networks,
    ValueError for a checkpoint without class_names.
    """
    folder = Path(folder)
    files = {
        "teacher": folder / "teacher.safetensors",
        "student": folder / loss / f"seed{seed}" / "student.safetensors",
    }
    own, student = (runs.read_provenance(files[name])["parameters"] for name in ("teacher", "student"))
    videos = pd.read_parquet(folder / "videos.parquet")
    names = known = videos.drop_duplicates("label").sort_values("label").class_name.tolist()
    if checkpoint:
        if not class_names:
            raise ValueError("class_names: empty; expected a text file with the checkpoint's classes, one a line")
        names = Path(class_names).read_text().splitlines()
    networks = (
        build_teacher(own["teacher"], len(names), checkpoint or files["teacher"], new_head=False),
        build_student(student["student_width"], len(known), files["student"], False, student["student_repeats"]),
    )
    return Predictor(*networks, own["frames"], own["size"], names, loss=loss)


def clip_table(study, split, video, images=True):
    """One video for figures.video_view: clip, image (middle frame), the teacher's probability of the true class and its
    largest, correct, and ConDi-SR's confidence.
    """
    test = study.arrays(split)["condi_sr"][0]
    v = study.place(split, video)
    real = test.mask[v]
    table = pd.DataFrame(
        {
            "clip": np.arange(real.sum()),
            "teacher_true": sampler.true_class_prob(test)[v][real],
            "teacher_max": test.probs[v][real].max(1),
            "correct": test.correct[v][real],
            "confidence": test.confidence[v][real],
        }
    )
    return table.assign(image=list(middle_frames(study.read(video)))) if images else table


def middle_frames(clips):
    """uint8 [N, 3, F, H, W] -> uint8 [N, H, W, 3], each clip's middle frame."""
    return clips[:, :, clips.shape[2] // 2].permute(0, 2, 3, 1).numpy()


def chosen_table(study, split, video, k, at):
    """Who keeps which clips of a video at k: {label: bool [N]} for each sampler, and division (at: Study.at) in two."""
    arrays, v = study.arrays(split), study.place(split, video)
    real = arrays[""][0].mask[v]
    one = {loss: [of_seed.take([v]) for of_seed in of_seeds] for loss, of_seeds in arrays.items()}
    kept = {}
    for name in sampler.available(one):
        if name not in ("dense", "random"):
            weights = sampler.keep(name, one)[0](k)[0]
            kept[sampler.SAMPLERS[name].label] = (weights > 0)[real]
    divided = {
        "ConDi-SR: to the student": at["by_student"][v][real],
        "ConDi-SR: to the teacher": at["by_teacher"][v][real],
    }
    return {**divided, **kept}
