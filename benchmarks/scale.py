"""Seconds and memory of the notebooks' tables, against the number of clips.

python benchmarks/scale.py [--clips 10000 100000 1000000] [--classes 600] [--steps evaluate ...] [--folder FOLDER]

For each size a clip table of videos of 18 clips, with random logits of so many classes, is written group by group as
notebook 03 writes it, with one student's scores (with logits) beside it. Then, each in a process of its own, what the
notebooks do with tables of that size:

learn      05: the order of an epoch over all clips, its batches with the teacher's logits (no pixels, no network)
score      05: the score table written in parts, and read again for its checks
evaluate   06: all samplers at nine K
detect     07: measures and curves of all detectors
explore    10: the study of a run, one move of a slider
ablate     12: the arrays of all clips with one student, outcomes at four K

Printed are seconds, peak resident memory (MiB; some 660 are the imports), for 10 and 12 what they say beforehand that
they will need, and the exponent of seconds against clips (1 is linear). Bytes on disk are 8 x classes x clips: 10^6
clips of 600 classes take 4.9 GB.
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
import torch

from condi_lib import evaluation, explore, runs, sampler, training
from condi_lib.data import NO_TRUTH, ClipDataset

KS, FEW = [1, 2, 3, 5, 8, 10, 12, 15, 18], [1, 3, 5, 10]
CLIPS, PART = 18, 500  # clips of a video, videos of a part
PARAMETERS = {"dataset": "folder", "teacher": "none", "frames": 16, "size": 112, "stride": 1}


def random_part(start, n_videos, classes, rng):
    """Clip table and score table of some videos; the first part is val, the second train."""
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
            "split": {0: "val", PART: "train"}.get(start, "test"),
            "label": label,
            "teacher_logits": list(logits),
            "correct": logits.argmax(1) == label,
        }
    )
    confidence = rng.random(len(clips), dtype=np.float32)
    entropy = rng.random(len(clips), dtype=np.float32)
    scores = clips[["video", "clip"]].assign(
        score=confidence, confidence=confidence, student_logits=list(logits[:, ::-1].copy()), mc_entropy=entropy
    )
    return clips, scores


def parts_of(n_clips, classes, which):
    rng, n_videos = np.random.default_rng(0), max(3 * PART, n_clips // CLIPS)
    for start in range(0, n_videos, PART):
        yield random_part(start, min(PART, n_videos - start), classes, rng)[which]


def file_of(run, name):
    return run.folder / {"clips": "clips.parquet", "scores": "condi_sr/seed0/scores.parquet"}[name]


def run_of(notebook, folder):
    return runs.Run(notebook, PARAMETERS, Path(folder))


def write(n_clips, classes, folder):
    """All tables that the notebooks read."""
    labels, student = run_of("03_teacher_labels", folder), run_of("05_train_sampler", folder)
    for i, (run, name) in enumerate(((labels, "clips"), (student, "scores"))):
        path = file_of(run, name)
        run._write(path, lambda at, i=i, run=run, path=path: run._to_parquet(at, path, parts_of(n_clips, classes, i)))
    names = [f"class {i}" for i in range(classes)]
    clips = labels.read_table(file_of(labels, "clips"), "03_teacher_labels", ["video", "label", "split"])
    videos = clips.drop_duplicates("video").assign(n_frames=16 * CLIPS, fps=25.0, ok=True, path="none", start_frame=0)
    videos = videos.assign(class_name=[names[i] for i in videos.label], end_frame=-1, error="")
    dataset = run_of("01_dataset", folder)
    dataset.write_table(labels.folder / "videos.parquet", videos, classes=names)
    dataset.write_table(labels.folder / "truth.parquet", NO_TRUTH)
    labels.write_table(labels.folder / "labelled_videos.parquet", videos)
    costs = {
        "multiply_adds": {"teacher": 100, "student": 7},
        "seconds": dict.fromkeys(("decode", "student", "teacher"), 1.0),
    }
    costs |= {"device": "none"}
    run_of("08_flops_and_time", folder).write_json(labels.folder / "costs.json", costs)


def learn(run, classes):
    """The test clips stand for those of training: the order of an epoch, and a hundred of its batches."""
    file = file_of(run, "clips")
    videos = run.read_table(run.folder / "labelled_videos.parquet", "03_teacher_labels").drop(columns="n_frames")
    train = run.read_table(file, "03_teacher_labels", ["video", "clip", "label", "correct"], split="test")
    columns = training.columns(train, "label", "correct", "video")
    columns["teacher_logits"] = runs.teacher_logits(run, file, "test")
    data = ClipDataset(videos, train, columns, 16, 112)
    order = training.EpochSampler(len(data), 0, source=data.sources, buffer=data.buffer)
    batches = training.Parts(order, 64, 1)
    batches, _, of_videos = data.plan(batches)
    assert sum(map(len, of_videos)) == sum(map(len, batches))
    for batch in batches[:100]:
        assert data.columns["teacher_logits"][torch.from_numpy(batch)].shape == (len(batch), classes)


def score(run, classes):
    """The score table anew, in parts, and what notebook 05 reads of it."""
    path = run.folder / "written.parquet"
    in_turn = (part for part in run.read_in_parts(file_of(run, "scores"), "05_train_sampler"))
    run._write(path, lambda at: run._to_parquet(at, path, in_turn))
    found = run.read_table(path, "05_train_sampler", ["video", "clip", "score", "confidence", "mc_entropy"])
    kept = run.read_table(file_of(run, "clips"), "03_teacher_labels", ["video", "clip"])
    which = [np.sort(pd.util.hash_pandas_object(t[["video", "clip"]], index=False)) for t in (found, kept)]
    assert np.array_equal(*which)
    path.unlink()


def evaluate(run, classes):
    found = evaluation.join([evaluation.outcomes_of_all(some, KS) for some in run.study_in_parts(["condi_sr"], [0])])
    table = evaluation.accuracy_table(found, found["dense"].right[0, 0], found["oracle"])
    assert (table[table.k > 0].groupby("sampler").k.nunique() == len(KS)).all() and set(table["sampler"]) == set(found)


def detect(run, classes):
    parts, limits = [], []
    for some in run.study_in_parts(["condi_sr"], [0]):
        parts.append(sampler.only_scores(some))
        limits.append(evaluation.bounds(some, FEW))
    arrays = sampler.join_studies(parts)
    for name in sampler.detectors(arrays):
        evaluation.detection(name, arrays), evaluation.detection_curves(name, arrays)


def look(run, classes):
    study = explore.read_study(run.folder)
    assert len(study.at("test", 5)["right"])


def ablate(run, classes):
    clips = run.read_table(file_of(run, "clips"), "03_teacher_labels")
    arrays = sampler.read_arrays(clips, run.read_scores(["condi_sr"], [0]))
    test = arrays[""][0]
    found = {name: evaluation.outcomes(test, sampler.keep(name, arrays), FEW) for name in ("dense", "condi_sr")}
    evaluation.compare(found, references=("dense",))


STEPS = {"learn": learn, "score": score, "evaluate": evaluate, "detect": detect, "explore": look, "ablate": ablate}
NOTEBOOKS = {"explore": "10_explore", "ablate": "12_ablations"}


def measure(step, n_clips, classes, folder):
    """{column: value} of one step."""
    begin = time.perf_counter()
    if step == "write":
        write(n_clips, classes, folder)
    else:
        STEPS[step](run_of(NOTEBOOKS.get(step, "05_train_sampler"), folder), classes)
    found = {"seconds": time.perf_counter() - begin}
    return found | {"MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--classes", type=int, default=600)
    parser.add_argument("--steps", nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--folder", help="where the tables are written, and removed again")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # a step, in a process of its own
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one, args.clips[0], args.classes, args.folder)))
        return
    rows = []
    for n in args.clips:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            for step in ("write", *args.steps):
                command = [sys.executable, __file__, "--one", step, "--clips", str(n), "--classes", str(args.classes)]
                done = subprocess.run([*command, "--folder", folder], check=True, stdout=subprocess.PIPE, text=True)
                said = runs.needed_memory(n, args.classes) / 2**20 if step in NOTEBOOKS else np.nan
                rows.append({"step": step, "clips": n, **json.loads(done.stdout.splitlines()[-1]), "MiB said": said})
                print({name: round(x, 2) if isinstance(x, float) else x for name, x in rows[-1].items()}, flush=True)
    table = pd.DataFrame(rows)
    print(f"{runs.machine()}, {args.classes} classes\n")
    print(runs.markdown(table.round(1)))
    for step, own in table.groupby("step", sort=False):
        if len(own) > 1:
            exponent = np.polyfit(np.log(own.clips), np.log(own.seconds), 1)[0]
            print(f"{step}: seconds are clips to the power of {exponent:.2f}")


if __name__ == "__main__":
    main()
