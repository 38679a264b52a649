"""Seconds and resident memory of find_videos, by layout, on trees of N empty files, each in a process of its own.

    python benchmarks/listing.py [--videos 650000] [--pictures 2] [--at FOLDER]

Frame folders have `pictures` pictures each: real ones have hundreds, of which listing looks at the first 64.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLASSES = 700


def write_tree(layout, root, n, pictures):
    splits = {"train": 8, "val": 9, "test": 10}  # of ten videos of a class, eight, one and one
    rows = {split: [] for split in splits}
    for c in range(CLASSES):
        for i in range(n // CLASSES):
            split = next(s for s, end in splits.items() if i % 10 < end)
            if not i:
                for s in splits:
                    Path(root, s, f"class {c:03d}").mkdir(parents=True)
            name = f"{split}/class {c:03d}/{c:03d}_{i:07d}_000000_000010"
            if layout.endswith("frames"):
                Path(root, name).mkdir()
                for p in range(1, pictures + 1):
                    Path(root, name, f"img_{p:05d}.jpg").touch()
                rows[split].append(f"{name} {pictures} {c}")
            else:
                Path(root, name + ".mp4").touch()
                row = f"class {c:03d},{c:03d}_{i:07d},0,10,{split}"
                rows[split].append(row if layout == "kinetics" else f"{name}.mp4 {c}")
    for split, lines in rows.items():
        if layout == "kinetics":
            Path(root, f"{split}.csv").write_text("label,youtube_id,time_start,time_end,split\n" + "\n".join(lines))
        elif layout.startswith("list"):
            Path(root, f"{split}.txt").write_text("\n".join(lines))


def list_tree(layout, root):
    from condi_lib.data import find_videos

    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    videos = find_videos(layout.split()[0], root)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (videos.error == "").all()
    print(f"| {layout} | {len(videos):,} | {seconds:.1f} | {before / 2**20:.2f} | {peak / 2**20:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--videos", type=int, default=650_000)
    parser.add_argument("--pictures", type=int, default=2)
    parser.add_argument("--at", help="folder in which the trees are made, and removed again")
    parser.add_argument("--layout", nargs=2, help=argparse.SUPPRESS)  # of the processes that this one starts
    args = parser.parse_args()
    if args.layout:
        return list_tree(*args.layout)
    print("| layout | videos | seconds | GiB before | GiB peak |\n| --- | --- | --- | --- | --- |", flush=True)
    for layouts in (["kinetics", "folder"], ["list"], ["list frames", "folder frames"]):  # a tree for each
        with tempfile.TemporaryDirectory(dir=args.at) as root:
            write_tree(layouts[0], root, args.videos, args.pictures)
            for layout in layouts:
                subprocess.run([sys.executable, __file__, "--layout", layout, root], check=True)


if __name__ == "__main__":
    main()
