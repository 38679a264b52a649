"""A finished run for tests: random tables, untrained networks, a real file for each video."""

import torch
from conftest import make_study, numbered_frames

from condi_lib import runs
from condi_lib.data import NO_TRUTH
from condi_lib.data.planted import write_video
from condi_lib.models import build_student, build_teacher

PARAMETERS = {"dataset": "folder", "teacher": "resnext14_small", "frames": 8, "size": 32, "stride": 1, "crops": 1}
COSTS = {
    "multiply_adds": {"teacher": 100, "student": 7},
    "seconds": {"decode": 2e-3, "student": 1e-3, "teacher": 5e-3},
    "device": "cpu",
}


def make_run(root, seed=3, n_videos=10, name="test"):
    """Writes it below root/runs and returns its folder. Its videos have as many clips as the random tables say."""
    clips, scores = make_study(seed, n_videos, losses=("st_ent", "condi_sr"), seeds=1)
    folder = root / "runs" / name / "folder" / "resnext14_small"
    run = runs.Run("03_teacher_labels", PARAMETERS, folder)
    one = clips.drop_duplicates("video")
    videos = one[["video", "label", "split"]].assign(class_name="class " + one.label.astype(str), fps=25.0, ok=True)
    videos["n_frames"] = [8 * (clips.video == video).sum() for video in videos.video]
    for row in videos.itertuples():
        write_video(root / f"{row.video}.mp4", numbered_frames(8 * (clips.video == row.video).sum()))
    videos["path"] = [str(root / f"{v}.mp4") for v in videos.video]
    runs.Run("01_dataset", PARAMETERS, folder).write_table(folder / "truth.parquet", NO_TRUTH)
    run.write_table(folder / "clips.parquet", clips)
    run.write_table(folder / "labelled_videos.parquet", videos)
    runs.Run("01_dataset", PARAMETERS, folder).write_table(
        folder / "videos.parquet", videos, classes=[f"class {i}" for i in range(4)]
    )
    torch.manual_seed(0)
    run.write_weights(folder / "teacher.safetensors", build_teacher("resnext14_small", 4))
    own = {**PARAMETERS, "student_width": 0.25, "student_repeats": [1, 2, 1]}
    for loss, (table,) in scores.items():
        student = runs.Run("05_train_sampler", own, folder)
        student.write_table(folder / loss / "seed0" / "scores.parquet", table)
        network = build_student(0.25, 4, repeats=(1, 2, 1))
        student.write_weights(folder / loss / "seed0" / "student.safetensors", network)
    runs.Run("08_flops_and_time", PARAMETERS, folder).write_json(folder / "costs.json", COSTS)
    return folder
