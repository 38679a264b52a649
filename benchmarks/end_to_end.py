"""Does it help to train student and context network together? A trial on the validation split of a finished run.

python benchmarks/end_to_end.py runs/reference/planted/resnext14_small [--seeds 0 1] [--epochs 3] [--lr 1e-4]

Both start from the run's own, the network of notebook 13 on a frozen student, whose row comes first. Then the gradient
of the same loss (z and the video's classes) goes through the features into the student as well, on the training videos
alone, and features and scores of val are made anew after each epoch. Test is not read.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from condi_lib import context, labelling, runs, sampler
from condi_lib.data import VideoDataset, VideoError, decoded_folder
from condi_lib.models import build_student, read_checkpoint, to_input
from condi_lib.progress import tqdm

KS = [1, 3, 5, 10]


def batches(reader, arrays, rng, batch_videos):
    """Yields (clips of some videos, uint8 [M, 3, F, H, W]; context.batch_of them). Videos that fail are left out."""
    order = rng.permutation(len(reader))
    for some in np.array_split(order, -(-len(order) // batch_videos)):
        read = {i: reader[i][0] for i in some}
        read = {i: clips for i, clips in read.items() if not isinstance(clips, VideoError)}
        yield torch.cat(list(read.values())), context.batch_of(arrays, list(read))


def train_epoch(student, network, loader, optimizer):
    student.train()
    network.train()
    for clips, batch in loader:
        x = student.trunk(to_input(clips, student))
        read = torch.cat([x, student.classifier(x), student.confidence(x)], 1)  # as models.WithFeatures has them
        mask = batch["mask"]
        features = read.new_zeros(*mask.shape, read.shape[1])
        features[mask] = read
        loss, _ = context.context_loss(network(features, mask), batch, {"z": 1.0, "classes": 1.0})
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*student.parameters(), *network.parameters()], 1.0)
        optimizer.step()
    network.eval()
    student.eval()


def trial(folder, seed, args):
    file = folder / args.loss / f"seed{seed}" / "student.safetensors"
    p = runs.read_provenance(file)["parameters"]
    clips, videos = (pd.read_parquet(folder / f"{name}.parquet") for name in ("clips", "labelled_videos"))
    val_clips, train_clips = (clips[clips.split == split] for split in ("val", "train"))
    videos = videos[videos.ok]
    n_classes = len(runs.read_provenance(folder / "videos.parquet")["classes"])
    student = build_student(p["student_width"], n_classes, file, new_head=False, repeats=p["student_repeats"])
    of_context = folder / "context" / f"seed{seed}" / "network.safetensors"
    network = context.load_network("context", read_checkpoint(of_context))
    shape = {name: p[name] for name in ("frames", "size", "stride")}
    store = decoded_folder(folder / "decoded", videos, **shape)
    arrays = sampler.clip_arrays(train_clips)
    of_train = videos.set_index("video").loc[arrays.videos].reset_index()
    reader = VideoDataset(of_train, p["frames"], p["size"], store, p["stride"])
    groups = [{"params": student.parameters(), "lr": args.lr}, {"params": network.parameters(), "lr": 10 * args.lr}]
    optimizer, rng = torch.optim.AdamW(groups, weight_decay=0.01), np.random.default_rng(seed)
    torch.manual_seed(seed)
    for epoch in range(args.epochs + 1):
        if epoch:
            loader = batches(reader, arrays, rng, args.batch_videos)
            steps = -(-len(reader) // args.batch_videos)
            train_epoch(student, network, tqdm(loader, desc=f"seed {seed}, epoch {epoch}", total=steps), optimizer)
        features = labelling.clip_features(student, videos[videos.split == "val"], **shape, decoded=store)
        val = sampler.with_features(sampler.clip_arrays(val_clips), features)
        yield {"epochs together": epoch, "seed": seed} | runs.context_on_val(network, val_clips, val, KS)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--loss", default="condi_sr")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--lr", type=float, default=1e-4, help="of the student; ten times that of the context network")
    parser.add_argument("--batch_videos", type=int, default=16)
    args = parser.parse_args()
    rows = [row for seed in args.seeds for row in trial(args.folder, seed, args)]
    table = pd.DataFrame(rows).drop(columns="seed").groupby("epochs together").mean().round(3).reset_index()
    print(f"`{' '.join(['python', *sys.argv])}`: means over seeds {args.seeds}, on val; {runs.machine()}\n")
    print(runs.markdown(table))


if __name__ == "__main__":
    main()
