"""Decoding, as ratios in one run.

python benchmarks/decode.py [VIDEO ...] [--size 112] [--rounds 5]

Frames per second of read_clips against the plainest PyAV loop (decode, reformat, to_ndarray) on the same files, with
one thread; then several files at once (a thread a video) against the plain loop with FFmpeg's own threads; and against
torchcodec and decord where they are installed. Without VIDEOs it writes four H.264 files of 300 frames at 320 x 240.
"""

import argparse
import importlib.util
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pandas as pd

from condi_lib.data import read_clips
from condi_lib.data.planted import write_video
from condi_lib.runs import markdown


def scaled(width, height, size):
    scale = size / min(width, height)
    return max(size, round(width * scale)), max(size, round(height * scale))


def plain(path, size, thread_type=None):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if thread_type:
            stream.thread_type = thread_type
        else:
            stream.thread_count = 1
        w, h = scaled(stream.width, stream.height, size)
        return np.stack([frame.reformat(w, h, "rgb24").to_ndarray() for frame in container.decode(stream)])


def torchcodec(path, size):
    from torchcodec.decoders import VideoDecoder

    return VideoDecoder(str(path))[:]


def decord(path, size):
    import decord

    with av.open(str(path)) as container:
        w, h = scaled(container.streams.video[0].width, container.streams.video[0].height, size)
    reader = decord.VideoReader(str(path), width=w, height=h)
    return reader.get_batch(range(len(reader))).asnumpy()


def read(path, size):
    return read_clips(path, 16, size)


def over_videos(paths, size):
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda path: read(path, size), paths))


def fastest(runs, rounds):
    """{name: best seconds} of {name: function}, taken in turns so that the machine's load falls on all alike."""
    best = dict.fromkeys(runs, float("inf"))
    for i in range(rounds + 1):  # the first round warms up
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if i:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def decoding(paths, size, rounds):
    n = sum(len(plain(path, size)) for path in paths)
    runs = {
        "plain PyAV loop, one thread": lambda: [plain(p, size) for p in paths],
        "read_clips, one thread": lambda: [read(p, size) for p in paths],
        "plain PyAV loop, FFmpeg's threads": lambda: [plain(p, size, "AUTO") for p in paths],
        "read_clips, a thread a video": lambda: over_videos(paths, size),
    }
    for name, function in (("torchcodec", torchcodec), ("decord", decord)):
        if importlib.util.find_spec(name):
            runs[name] = lambda f=function: [f(p, size) for p in paths]
    seconds = fastest(runs, rounds)
    base = seconds["plain PyAV loop, one thread"]
    rows = [(name, n / s, base / s) for name, s in seconds.items()]
    print(f"{len(paths)} files, {n} frames, to {size} x {size}")
    print(markdown(pd.DataFrame(rows, columns=["reader", "frames/s", "over the plain loop"])))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        for i in range(0 if args.videos else 4):
            picture = rng.integers(0, 255, (240, 640, 3), dtype=np.uint8)
            frames = np.stack([picture[:, t % 320 : t % 320 + 320] // 2 + 64 for t in range(300)])
            args.videos.append(Path(folder) / f"{i}.mp4")
            write_video(args.videos[-1], frames, crf=23)
        decoding(args.videos, args.size, args.rounds)


if __name__ == "__main__":
    main()
