"""Clips per second of training and labelling, against the plain loop that one would write, in one run.

python benchmarks/training.py [--teacher resnext14_small] [--frames 8] [--size 32] [--width 0.25] [--steps 50]
                              [--batch 64] [--rounds 3]

On a GPU of real size: --teacher resnext101 --frames 16 --size 112 --width 1.0. Teacher, and student with each loss:
training.fit on clips in memory, against a loop in eager float32 with the default layout and AdamW. Labelling:
labelling.label_clips on embedded benchmark's files, against decoding and running the network video by video; then the
same with the clips decoded before (what the network alone takes). Each measurement has a process of its own, since
memory settings are a process's; rounds take turns and the best counts.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch

from condi_lib import labelling, runs, training
from condi_lib.data import Store, planted, probe_videos, read_clips
from condi_lib.models import build_student, build_teacher, input_of

CLASSES, VIDEOS = 10, 40
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Clips(torch.utils.data.Dataset):
    """Random clips in memory, as ClipDataset gives them."""

    def __init__(self, n, frames, size):
        self.clips = torch.randint(0, 256, (n, 3, frames, size, size), dtype=torch.uint8)
        logits = torch.randn(n, CLASSES)
        self.columns = {"label": torch.arange(n) % CLASSES, "teacher_logits": logits, "correct": torch.rand(n) < 0.6}
        self.columns["video"] = torch.arange(n) // 16

    def __len__(self):
        return len(self.clips)

    def __getitems__(self, i):
        return {"clips": self.clips[i], **{name: column[i] for name, column in self.columns.items()}}


def network_of(what, args):
    torch.manual_seed(0)
    if what in ("teacher", "labelling", "labelling, decoded before"):
        return build_teacher(args.teacher, CLASSES), training.classifier_batch_loss
    return build_student(args.width, CLASSES), training.student_batch_loss(what)


def normalised(clips, network):
    wants = input_of(network)
    mean, std = (torch.tensor(v, device=DEVICE).view(3, 1, 1, 1) for v in (wants.mean, wants.std))
    return (clips.to(DEVICE).float() - mean) / std


def plain_training(network, data, batch_loss, args):
    network = network.to(DEVICE, memory_format=torch.contiguous_format).train()
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3)
    loader = torch.utils.data.DataLoader(data, args.batch, shuffle=True, collate_fn=lambda batch: batch)
    for batch in loader:
        batch = {name: value.to(DEVICE) for name, value in batch.items()}
        optimiser.zero_grad()
        loss, _ = batch_loss(network(normalised(batch["clips"], network)), batch)
        loss.backward()
        optimiser.step()
        loss.item()


def plain_labelling(network, videos):
    """videos: the clips of each, uint8 [N, 3, F, H, W]."""
    network = network.to(DEVICE, memory_format=torch.contiguous_format).eval()
    with torch.no_grad():
        for clips in videos:
            network(normalised(clips, network)).cpu().numpy()


def write_videos(folder):
    rows = []
    for i in range(VIDEOS):
        frames, _, label = planted.draw_video(planted.World(), "test", i)
        planted.write_video(folder / f"{i}.mp4", frames)
        rows.append((f"v{i}", str(folder / f"{i}.mp4"), label, "test"))
    return probe_videos(pd.DataFrame(rows, columns=["video", "path", "label", "split"]))


def measure(what, plain, args):
    """Clips per second."""
    network, batch_loss = network_of(what, args)
    if what.startswith("labelling"):
        with tempfile.TemporaryDirectory() as folder:
            videos = write_videos(Path(folder))
            kept = [read_clips(path, args.frames, args.size) for path in videos.path]
            n, before = sum(map(len, kept)), "before" in what

            def once():
                if plain:
                    decoding = (read_clips(path, args.frames, args.size) for path in videos.path)
                    plain_labelling(network, kept if before else decoding)
                else:
                    decoded = Store(folder) if before else None
                    labelling.label_clips(network, videos, args.frames, args.size, decoded=decoded)

            once()
            begin = time.perf_counter()
            once()
    else:
        n = args.steps * args.batch
        options = training.order_of(what) if what != "teacher" else {}

        def train(data):
            if plain:
                plain_training(network, data, batch_loss, args)
            else:
                training.fit(network, data, batch_loss, 1, 1e-3, args.batch, 0, **options)

        train(Clips(2 * args.batch, args.frames, args.size))
        data = Clips(n, args.frames, args.size)
        if options.get("balance"):
            n = len(training.EpochSampler(n, 0, data.columns["correct"]))
        begin = time.perf_counter()
        train(data)
        n = args.steps * args.batch if plain else n
    return n / (time.perf_counter() - begin)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--teacher", default="resnext14_small")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # what, and "plain" or "ours"
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one[0], args.one[1] == "plain", args)))
        return
    rows = []
    for what in ("teacher", *training.LOSSES, "labelling", "labelling, decoded before"):
        best = dict.fromkeys(("plain", "ours"), 0.0)
        for _ in range(args.rounds):
            for how in best:
                command = [sys.executable, __file__, *sys.argv[1:], "--one", what, how]
                env = os.environ | {"TQDM_DISABLE": "1"}
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env)
                best[how] = max(best[how], json.loads(done.stdout.splitlines()[-1]))
        rows.append({"what": what, **{f"{how} (clips/s)": x for how, x in best.items()}})
        rows[-1]["ratio"] = best["ours"] / best["plain"]
        print(rows[-1], flush=True)
    print(f"{runs.machine()}, {args.frames} x {args.size} x {args.size}, batches of {args.batch} clips\n")
    print(runs.markdown(pd.DataFrame(rows)))


if __name__ == "__main__":
    main()
