"""How the planted benchmark's rates were chosen: dense and oracle accuracy of the quick teacher, and nothing else.

python benchmarks/calibrate_planted.py [--seeds 0 1 2] [--set hard_share=0.3 ...]

No sampler is trained or looked at here. For each generator seed it writes the benchmark (trimmed splits and the test
split), trains the quick profile's teacher, labels the test split, and prints dense and oracle beside the thesis'
Table 1.2.
"""

import argparse
import json
import tempfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch

from condi_lib import evaluation, labelling, sampler, training
from condi_lib.data import RECOLOUR, ClipDataset, find_teacher_videos, find_videos, planted, probe_videos
from condi_lib.models import build_teacher

THESIS = {"dense": 68.3, 1: 81.27, 5: 76.64, 10: 71.3, 15: 69.1}
TEACHER = "resnext14_small"


def run(world, epochs):
    with tempfile.TemporaryDirectory() as folder:
        root = planted.write(Path(folder) / "planted", world)
        trimmed = find_teacher_videos("planted", root)
        table = trimmed[trimmed.split == "train"].assign(clip=0)
        columns = {"label": torch.tensor(table.label.to_numpy())}
        dataset = ClipDataset(trimmed, table, columns, world.clip_frames, world.size, RECOLOUR)
        torch.manual_seed(0)
        teacher = build_teacher(TEACHER, len(world.classes))
        history = training.fit(teacher, dataset, training.teacher_batch_loss, epochs, 3e-3, 64, seed=0)
        videos = probe_videos(find_videos("planted", root))
        test = videos[videos.split == "test"]
        clips, _ = labelling.label_clips(teacher, test, world.clip_frames, world.size)
        kind = __import__("pandas").read_parquet(root / "untrimmed" / "truth.parquet")
    arrays = sampler.clip_arrays(clips)
    out = {"train": history.accuracy.iloc[-1], "dense": evaluation.dense_right(arrays).mean()}
    ks = [k for k in THESIS if k != "dense"]
    for k, right in zip(ks, evaluation.videos_right(arrays, sampler.oracle(arrays), ks), strict=True):
        out[k] = right.mean()
    rnd = evaluation.videos_right(arrays, sampler.random(arrays), [1])
    out["clip"] = rnd.mean()
    kind["clip"] = kind.frame // world.clip_frames
    pure = kind.groupby(["video", "clip"]).kind.agg(lambda k: k.iloc[0] if k.nunique() == 1 else "mixed")
    clips = clips.merge(pure.reset_index(), on=["video", "clip"])
    print(clips.groupby("kind").correct.agg(["mean", "size"]).round(2).T.to_string())
    top = arrays.probs.max(-1)[arrays.mask]
    print(
        "right/wrong median top prob",
        np.median(top[arrays.correct[arrays.mask]]),
        np.median(top[~arrays.correct[arrays.mask]]),
    )
    r = arrays.correct.sum(1)
    print("R hist", np.histogram(r, [0, 1, 3, 6, 10, 14, 30])[0] / len(r))
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--set", nargs="*", default=[], metavar="RATE=VALUE")
    args = parser.parse_args()
    types = {f.name: f.type for f in fields(planted.World)}
    rates = {name: types[name](value) for name, value in (item.split("=") for item in args.set)}
    rows = []
    for seed in args.seeds:
        rows.append(run(planted.World(seed=seed, train=1, val=1, **rates), args.epochs))
        print(seed, json.dumps({str(k): round(100 * float(v), 1) for k, v in rows[-1].items()}), flush=True)
    mean = {k: 100 * np.mean([row[k] for row in rows]) for k in rows[0]}
    for k, thesis in THESIS.items():
        print(f"{k:>6}: {mean[k]:.1f}, thesis {thesis}, difference {mean[k] - thesis:+.1f}")


if __name__ == "__main__":
    main()
