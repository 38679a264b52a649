"""Seconds per video, dense against ConDi-SR, on the same files in one run: networks alone, and decoding included.

python benchmarks/inference.py [RUN] [--videos 60] [--k K] [--rounds 3] [--threads 2]

RUN is the folder of a finished run (such as runs/quick/planted/resnext14_small); K is the one that its validation split
chose unless given. Videos are test videos. Without RUN: networks of the published size, untrained (ResNeXt-101 and
ShuffleNetV2 1.0x on 16 x 112 x 112), on planted videos of 112 x 112 pixels, K = 5 unless given.

For dense, K, and K divided (half of K to the student): one file after the other (a call each), all together
(Predictor.each: the next file is decoded meanwhile, clips share batches), and the networks alone (as together, all
decoded before).

Columns: multiply-adds and seconds as shares of dense, and their quotient (speed-up measured over speed-up counted; 1 is
all of it); wall over the slower of decoding and networks (1 is full overlap). Medians of several rounds, the settings
taken in turn.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from condi_lib import explore, runs
from condi_lib.data import in_batches, planted
from condi_lib.models import build_student, build_teacher
from condi_lib.predictor import Predictor


def one_by_one(predict, paths, k, k_student):
    return [predict(path, k, k_student) for path in paths]


def together(predict, paths, k, k_student):
    return [found for _, found in predict.each(paths, k, k_student)]


def networks_alone(predict, decoded, k, k_student):
    batches = in_batches(decoded, lambda video: len(video[0]), predict.batch_size)
    return [found for batch in batches for found in predict._classify(batch, k, k_student, "nested")]


def of_run(run, n):
    """(predictor, video files, the K that validation chose) of a finished run."""
    videos = pd.read_parquet(run / "labelled_videos.parquet")
    paths = videos[(videos.split == "test") & videos.ok].path.head(n).tolist()
    return explore.load_predictor(run), paths, json.loads((run / "settings.json").read_text())["k"]


def published(folder, n):
    """The same of untrained networks as published."""
    world = planted.World(clip_frames=16, size=112)
    for i in range(n):
        planted.write_video(f"{folder}/{i}.mp4", planted.draw_video(world, "test", i)[0], crf=23)
    predictor = Predictor(build_teacher("resnext101", 600), build_student(1.0, 600))
    return predictor, [f"{folder}/{i}.mp4" for i in range(n)], 5


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--videos", type=int, default=60)
    parser.add_argument("--k", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        sampled, paths, k = of_run(args.run, args.videos) if args.run else published(folder, args.videos)
        compare(sampled, paths, args.k or k, args)


def compare(sampled, paths, k, args):
    """Measures and prints."""
    dense = explore.dense_predictor(sampled)
    settings = {"dense": (dense, None, 0), f"K = {k}": (sampled, k, 0)}
    settings[f"K = {k}, K_s = {(k + 1) // 2}"] = (sampled, k, (k + 1) // 2)
    decoded = [dense._decode(path) for path in paths]
    ways = {"one by one": (one_by_one, paths), "together": (together, paths), "alone": (networks_alone, decoded)}
    rows = []
    for turn in range(args.rounds + 1):  # the first warms up
        for way, (run, videos) in ways.items():
            for name, setting in settings.items():
                begin = time.perf_counter()
                found = run(setting[0], videos, *setting[1:])
                wall = (time.perf_counter() - begin) / len(paths)
                row = {stage: np.mean([one["seconds"][stage] for one in found]) for stage in found[0]["seconds"]}
                adds = np.mean([sum(one["multiply_adds"].values()) for one in found])
                rows += [{"way": way, "setting": name, "multiply-adds": adds, **row, "wall": wall}] * bool(turn)
    table = pd.DataFrame(rows).groupby(["way", "setting"], sort=False).median()
    table["networks"] = table.student + table.teacher
    table["wall over slower"] = table.wall / table[["decode", "networks"]].max(axis=1)
    for column in ("multiply-adds", "networks", "wall"):
        first = table[column].groupby("way").transform("first")
        table[f"{column}, share of dense"] = table[column] / first
    table["quotient, networks"] = table["multiply-adds, share of dense"] / table["networks, share of dense"]
    stages = ["decode", "student", "teacher", "networks", "wall"]
    table[stages] *= 1000
    table = table.rename(columns={name: f"{name} (ms)" for name in stages}).drop(columns="multiply-adds")
    print(f"{runs.machine()}, {len(paths)} videos, {args.run or 'as published'}\n")
    print(runs.markdown(table.reset_index()))


if __name__ == "__main__":
    main()
