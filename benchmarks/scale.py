"""Seconds and memory of writing and evaluating a clip table, against its size.

python benchmarks/scale.py [--clips 10000 100000 1000000] [--classes 600] [--folder FOLDER]

For each size a clip table of videos of 18 clips, with random logits of so many classes, is written in parts as notebook
03 does (runs.label_in_parts joins such parts), with one student's scores beside it, and evaluated for every K as
notebook 06 does: dense, oracle, random, equidistant, the teacher's max. probability and ConDi-SR. Each size runs in a
process of its own; printed are seconds, peak resident memory (MiB) and the exponent of seconds against clips (1 is
linear), fitted over the sizes. Bytes are 4 x classes x clips: 10^6 clips of 600 classes take 2.4 GB of disk.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from condi_lib import evaluation, runs
from condi_lib.data import write_atomically

KS = [1, 2, 3, 5, 8, 10, 12, 15, 18]
CLIPS, PART = 18, 500  # clips of a video, videos of a part
ROW = ["seconds to write", "seconds to evaluate", "MiB after the imports", "MiB peak", "GB on disk"]


def random_part(start, n_videos, classes, rng):
    """Clip table and score table of some videos; the first part is val."""
    video = [f"v{start + i:07d}" for i in range(n_videos)]
    logits = rng.standard_normal((n_videos * CLIPS, classes), dtype=np.float32)
    label = np.repeat(rng.integers(0, classes, n_videos), CLIPS)
    logits[np.arange(len(label)), label] += rng.standard_normal(len(label), dtype=np.float32) + 2
    clip = np.tile(np.arange(CLIPS), n_videos)
    clips = pd.DataFrame(
        {
            "video": np.repeat(video, CLIPS),
            "clip": clip,
            "start_frame": 16 * clip,
            "n_real_frames": 16,
            "split": "val" if start < PART else "test",
            "label": label,
            "teacher_logits": list(logits),
            "correct": logits.argmax(1) == label,
        }
    )
    confidence = rng.random(len(clips), dtype=np.float32)
    return clips, clips[["video", "clip"]].assign(score=confidence, confidence=confidence)


def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write(n_clips, classes, run):
    student = runs.Run("05_train_sampler", run.parameters, run.folder)
    rng, n_videos = np.random.default_rng(0), max(2 * PART, n_clips // CLIPS)
    files, scores = [], []
    for start in range(0, n_videos, PART):
        clips, table = random_part(start, min(PART, n_videos - start), classes, rng)
        files.append(run.folder / "parts" / f"{start:07d}.parquet")
        run.write_table(files[-1], clips)
        scores.append(run.folder / "parts" / f"scores{start:07d}.parquet")
        student.write_table(scores[-1], table)
    for maker, path, some in (
        (student, student.student_folder("condi_sr", 0) / "scores.parquet", scores),
        (run, run.folder / "clips.parquet", files),
    ):
        write_atomically(path, lambda at, maker=maker, some=some: runs.join_parts(at, some, maker.provenance()))


def evaluate(run):
    parts = [evaluation.outcomes_of_all(arrays, KS) for arrays in run.study_in_parts(["condi_sr"], [0])]
    found = evaluation.join(parts)
    table = evaluation.accuracy_table(found, found["dense"].right[0, 0], found["oracle"])
    assert len(table) == len(found) * len(KS)
    return table


def measure(n_clips, classes, folder):
    """What one size takes: {column: value}."""
    after_imports = memory()
    run = runs.Run("03_teacher_labels", {"dataset": "simulated", "teacher": "none"}, Path(folder))
    begin = time.perf_counter()
    write(n_clips, classes, run)
    wrote = time.perf_counter()
    evaluate(run)
    evaluated = time.perf_counter()
    disk = (run.folder / "clips.parquet").stat().st_size / 1e9
    return dict(zip(ROW, (wrote - begin, evaluated - wrote, after_imports, memory(), disk), strict=True))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--classes", type=int, default=600)
    parser.add_argument("--folder", help="where the tables are written, and removed again")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)  # in a process of its own
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.clips[0], args.classes, args.folder)))
        return
    rows = []
    for n in args.clips:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            command = [sys.executable, __file__, "--one", "--clips", str(n), "--classes", str(args.classes)]
            done = subprocess.run([*command, "--folder", folder], check=True, stdout=subprocess.PIPE, text=True)
            rows.append({"clips": n, **json.loads(done.stdout.splitlines()[-1])})
            print({name: round(value, 2) for name, value in rows[-1].items()}, flush=True)
    table = pd.DataFrame(rows)
    print(f"{runs.machine()}, {args.classes} classes\n")
    print(runs.markdown(table.round(1)))
    if len(rows) > 1:
        for name in ROW[:2]:
            exponent = np.polyfit(np.log(table.clips), np.log(table[name]), 1)[0]
            print(f"{name}: clips to the power of {exponent:.2f}")


if __name__ == "__main__":
    main()
