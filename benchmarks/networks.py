"""Time per clip of every network beside its multiply-adds, in both memory layouts, in one run on this machine.

python benchmarks/networks.py [--networks resnext101 r3d_18 1.0 ...] [--batch 8] [--threads 2]

For each network: milliseconds a clip as built and with batch norms folded (models.fold_batch_norms), in the default
layout and in channels_last_3d; of the best, its ratio to ResNeXt-101's best, the ratio of multiply-adds, and the
quotient of the two (1: time is spent where the multiply-adds are; more: something else costs). Inference only, float32,
the best of several rounds, clips of 16 frames at the network's own size.
"""

import argparse
import copy
import time

import pandas as pd
import torch
from tqdm import tqdm

from condi_lib import flops, models, runs

LAYOUTS = {"default": torch.contiguous_format, "channels_last_3d": torch.channels_last_3d}


def seconds(network, x, rounds=5):
    """Best time of one forward pass, the device's work included."""
    best = float("inf")
    with torch.inference_mode():
        network(x)
        for _ in range(rounds):
            start = time.perf_counter()
            network(x)
            if x.is_cuda:
                torch.cuda.synchronize()
            best = min(best, time.perf_counter() - start)
    return best


def main():
    known = {str(name): name for name in (*models.TEACHER_NAMES, *models.WIDTHS)}
    parser = argparse.ArgumentParser()
    parser.add_argument("--networks", nargs="+", choices=list(known), default=["resnext101", *map(str, models.WIDTHS)])
    parser.add_argument("--batch", type=int, default=8, help="clips in one forward pass")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    models.keep_freed_memory()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows = []
    for name in tqdm(dict.fromkeys(["resnext101", *args.networks])):
        name = known[name]
        network = models.build_student(name, 600) if name in models.WIDTHS else models.build_teacher(name, 600)
        network = network.eval().to(device)
        size, row = network.input.size, {"network": name}
        row["10^9 multiply-adds"] = flops.count(network, 16, size)[0] / 1e9
        folded = models.fold_batch_norms(copy.deepcopy(network))
        for what, variant in (("", network), (", folded", folded)):
            for layout, memory_format in LAYOUTS.items():
                x = torch.randn(args.batch, 3, 16, size, size, device=device).to(memory_format=memory_format)
                variant.to(memory_format=memory_format)
                row[f"{layout}{what} (ms)"] = 1000 * seconds(variant, x) / args.batch
        rows.append(row)
    table = pd.DataFrame(rows).set_index("network")
    times = table.filter(like="(ms)")
    table["best"] = times.idxmin(axis=1).str.removesuffix(" (ms)")
    table["time, % of ResNeXt-101"] = 100 * times.min(axis=1) / times.min(axis=1).iloc[0]
    table["multiply-adds, %"] = 100 * table.iloc[:, 0] / table.iloc[0, 0]
    table["quotient"] = table["time, % of ResNeXt-101"] / table["multiply-adds, %"]
    print(f"{runs.machine()}, batches of {args.batch} clips\n")
    print(runs.markdown(table.reset_index()))


if __name__ == "__main__":
    main()
