"""The networks of a finished run as a Predictor."""

import json
from pathlib import Path

import pandas as pd

from condi_lib import context, runs
from condi_lib.explore.study import find_runs
from condi_lib.models import build_student, build_teacher, read_checkpoint
from condi_lib.models.weights import HEADS
from condi_lib.predictor import Predictor
from condi_lib.training import LOSSES

CONTEXTS = [  # those that rank by z~, as Predictor does
    name
    for name, (without, _, whose) in context.NETWORKS.items()
    if whose == "student" and "z" not in without and name not in context.POLICIES
]


def load_predictor(folder, loss="condi_sr", seed=0, teacher_checkpoint="", class_names=""):
    """The Predictor of a run's teacher and of its student of this loss and seed, with the data set's class names.

    folder: runs/<profile>/<dataset>/<teacher>. teacher_checkpoint: a file with other weights for the run's teacher
    network (see models.read_checkpoint), such as published ones; class_names: a text file with its classes, one a line.
    loss may name a context network of notebook 13, which brings its student and its classes' shares along. Raises
    MissingStep where there is no such run or student; ValueError for an unknown loss, one of teacher_checkpoint and
    class_names without the other, or class_names of another number than the checkpoint's classes.
    """
    folder = Path(folder)
    if loss not in (*LOSSES, *CONTEXTS):
        raise ValueError(f"loss: {loss!r} is unknown; expected one of {', '.join((*LOSSES, *CONTEXTS))}")
    of_videos = {}
    if loss in CONTEXTS:
        loss, of_videos = _context(folder, loss, seed)
    if bool(teacher_checkpoint) != bool(class_names):
        empty, given = "class_names", "teacher_checkpoint"
        if class_names:
            empty, given = given, empty
        raise ValueError(
            f"{empty}: empty, but {given} is given; expected both: a file of weights, and a text file with the classes "
            "that it knows, one a line"
        )
    names = _read_names(class_names) if class_names else None
    teacher_file, student_file = _files_of(folder, loss, seed)
    own, student = (runs.read_provenance(file)["parameters"] for file in (teacher_file, student_file))
    classes = runs.read_provenance(folder / "videos.parquet")["classes"]
    if names is None:
        names = classes
    else:
        there = _n_classes(teacher_checkpoint)
        if there not in (None, len(names)):
            raise ValueError(
                f"class_names: {class_names} lists {len(names)} classes; expected {there}, as many as "
                f"{teacher_checkpoint} was trained for"
            )
    networks = (
        build_teacher(own["teacher"], len(names), teacher_checkpoint or teacher_file, new_head=False),
        build_student(student["student_width"], len(classes), student_file, False, student["student_repeats"]),
    )
    crops = runs.read_provenance(folder / "clips.parquet")["parameters"]["crops"]
    options = {"class_names": names, "loss": loss, "stride": own["stride"], "crops": crops}
    options |= of_videos
    return Predictor(*networks, own["frames"], own["size"], **options)


def _context(folder, name, seed):
    """(the loss of the student that it reads, what Predictor takes of a context network)."""
    file = folder / name / f"seed{seed}" / "network.safetensors"
    if not file.is_file():
        raise runs.MissingStep(f"{file} is missing: run notebooks/13_context.ipynb with {name} and seed {seed}")
    shares = json.loads(file.with_name("shares.json").read_text())
    shares = {int(k): share for k, share in shares.items() if k != "provenance"}
    network = context.load_network(name, read_checkpoint(file))
    return runs.read_provenance(file)["parameters"]["loss"], {"context": network, "shares": shares}


def example_video(folder):
    """(path, class' name) of a run's longest test video that can be read: the most clips to choose from.

    Raises MissingStep where there is none.
    """
    file = Path(folder) / "labelled_videos.parquet"
    if not file.is_file():
        raise runs.MissingStep(f"{file} is missing: run notebooks/03_teacher_labels.ipynb first")
    videos = pd.read_parquet(file)
    videos = videos[(videos.split == "test") & videos.ok]
    if not len(videos):
        raise runs.MissingStep(f"{file}: found no readable video in the test split; expected at least one")
    longest = videos.loc[videos.n_frames.idxmax()]
    return longest.path, longest.class_name


def _files_of(folder, loss, seed):
    """The weights of a run's teacher and student; raises MissingStep, saying what is there instead."""
    teacher, student = folder / "teacher.safetensors", folder / loss / f"seed{seed}" / "student.safetensors"
    if not teacher.is_file():
        finished = ", ".join(map(str, find_runs(folder.parents[2]).values())) if len(folder.parts) > 3 else ""
        raise runs.MissingStep(
            f"{folder}: holds no run ({teacher.name} is missing): run notebooks 01 to 05 first"
            + f"; finished runs: {finished}" * bool(finished)
        )
    if not student.is_file():
        there = sorted(str(file.parent.relative_to(folder)) for file in folder.glob("*/seed*/student.safetensors"))
        raise runs.MissingStep(
            f"{student} is missing; students there: {', '.join(there) or 'none'}: run notebooks/05_train_sampler.ipynb "
            f"with loss {loss} and seed {seed}"
        )
    return teacher, student


def _read_names(path):
    """The lines of a text file of classes."""
    try:
        lines = Path(path).expanduser().read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise ValueError(f"class_names: {path} cannot be read; expected a text file, a class a line: {e}") from e
    names = [line.strip() for line in lines]
    twice = next((name for name in names if names.count(name) > 1), None)
    if not names or "" in names or twice is not None:
        found = "no class" if not names else "an empty line" if "" in names else f"{twice} twice"
        raise ValueError(f"class_names: {path}: found {found}; expected each class once, a class a line")
    return names


def _n_classes(path):
    """How many classes the head of a file of weights tells apart; None where no layer goes by a head's name."""
    weights = read_checkpoint(path)
    heads = [w for key, w in weights.items() if key.split(".")[0] in HEADS and "confidence" not in key and w.ndim > 1]
    return len(heads[-1]) if heads else None
