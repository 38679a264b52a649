"""How the planted benchmark's rates were chosen: dense and oracle accuracy of its teacher, and nothing else.

python benchmarks/calibrate_planted.py [--seeds 0 1 2] [--set hard_share=0.2 ...]

No sampler is trained or looked at here. For each generator seed it writes the benchmark (the teacher's splits and the
test split), trains the teacher of config/reference.yaml, labels the test split, and prints dense and oracle accuracies
(%) beside the thesis' Table 1.2. Takes about three minutes a seed on two cores.
"""

import argparse
import tempfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml

from condi_lib import evaluation, figures, labelling, runs, sampler, training
from condi_lib.data import ClipDataset, find_teacher_videos, find_videos, planted, probe_videos
from condi_lib.data.clips import recolour
from condi_lib.models import build_teacher


def run(world, teacher, epochs, batch_size, lr=3e-3):
    with tempfile.TemporaryDirectory() as folder:
        root = planted.write(Path(folder) / "planted", world)
        videos = probe_videos(find_videos("planted", root))
        trimmed = find_teacher_videos("planted", root, videos)
        table = trimmed[trimmed.split == "train"].assign(clip=0)
        shape = (world.clip_frames, world.size)
        dataset = ClipDataset(trimmed, table, training.columns(table, "label"), *shape, recolour)
        torch.manual_seed(0)
        network = build_teacher(teacher, len(world.classes))
        training.fit(network, dataset, training.classifier_batch_loss, epochs, lr, batch_size, seed=0)
        clips, _ = labelling.label_clips(network, videos[videos.split == "test"], *shape)
    arrays = sampler.clip_arrays(clips)
    ks = list(figures.THESIS_ORACLE)
    right = evaluation.outcomes(arrays, sampler.true_class_prob(arrays), ks).right.mean((1, 2))
    return {"dense": evaluation.dense_right(arrays).mean(), **dict(zip(ks, right, strict=True))}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", nargs="*", default=[], metavar="RATE=VALUE")
    args = parser.parse_args()
    profile = yaml.safe_load((runs.ROOT / "config" / "reference.yaml").read_text())
    counts = {k.removeprefix("planted_"): v for k, v in profile["notebooks"]["01_dataset"].items()}
    types = {f.name: f.type for f in fields(planted.World)}
    rates = {name: types[name](value) for name, value in (item.split("=") for item in args.set)}
    rows = []
    for seed in args.seeds:
        world = planted.World(**{**counts, "train": 1, "val": 1, "test": 500, "seed": seed, **rates})
        settings = profile["notebooks"]["02_teacher"]
        rows.append(run(world, next(iter(profile["teachers"])), settings["teacher_epochs"], settings["batch_size"]))
        print(f"generator seed {seed}:", {k: round(100 * v, 1) for k, v in rows[-1].items()}, flush=True)
    thesis = {"dense": figures.THESIS_DENSE, **figures.THESIS_ORACLE}
    table = pd.DataFrame({"mean": {k: 100 * np.mean([row[k] for row in rows]) for k in thesis}})
    table["thesis"] = [100 * v for v in thesis.values()]
    print(table.assign(difference=table["mean"] - table.thesis).round(1).to_string())


if __name__ == "__main__":
    main()
