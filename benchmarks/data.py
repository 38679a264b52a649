"""Reading clips for training, at real sizes: what an epoch decodes, how fast, from the store, at random, in what memory

python benchmarks/data.py [--videos 200] [--seconds 10] [--long 10] [--long-seconds 180] [--workers 1 2] [--rounds 2]

Writes (a) --videos videos of 320 x 240 as MPEG-4 in AVI (tag XVID, with B-frames) and as H.264, (b) --long ones of
640 x 360 as H.264, with a key frame every two seconds; a few are encoded, the others are copies. Clips are
16 x 112 x 112. The plainest loop opens a file, decodes it from front to back with one thread and scales each frame;
files are shared among as many processes as an epoch has workers. Speeds are the best of --rounds, taken in turns;
memory is that of a process of its own.
"""

import argparse
import multiprocessing
import resource
import shutil
import tempfile
import time
from pathlib import Path

import av
import numpy as np
import pandas as pd
import torch
from PIL import Image

from condi_lib import runs, training
from condi_lib.data import ClipDataset, Store, probe_videos, read_clip
from condi_lib.data.video import iter_frames

FRAMES, SIZE, BATCH = 16, 112, 64


def write(path, seconds, width, height, seed, distinct):
    """A video of 30 frames a second: textures that move over one another, and some noise."""
    if seed >= distinct:
        shutil.copy(path.with_stem(f"v{seed % distinct}"), path)
        return
    rng = np.random.default_rng(seed)
    side, small = max(width, height) + 80, [rng.integers(0, 256, (n, n, 3), dtype=np.uint8) for n in (12, 60)]
    far, near = (np.asarray(Image.fromarray(one).resize((side, side), Image.BICUBIC), np.float32) for one in small)
    with av.open(str(path), "w") as out:
        if path.suffix == ".avi":
            stream = out.add_stream("mpeg4", rate=30, options={"q:v": "4", "bf": "2", "g": "250"})
            stream.codec_context.codec_tag, stream.codec_context.qmin = "XVID", 2
        else:
            stream = out.add_stream("libx264", rate=30, options={"preset": "veryfast", "crf": "23", "g": "60"})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", 800_000
        for t in range(30 * seconds):
            y, x = int(40 + 39 * np.sin(t / 23)), int(40 + 39 * np.cos(t / 31))
            image = 0.6 * far[y : y + height, x : x + width] + 0.4 * near[x : x + height, y : y + width]
            image += rng.integers(-2, 3, (height, width, 1))
            frame = av.VideoFrame.from_ndarray(image.clip(0, 255).astype(np.uint8), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def listed(folder, name, n, *shape):
    """The video table of n videos of one kind, written below the folder."""
    (folder / name).mkdir()
    paths = [folder / name / f"v{i}.{'avi' if 'AVI' in name else 'mp4'}" for i in range(n)]
    for i, path in enumerate(paths):
        write(path, *shape, i, 4)
    videos = pd.DataFrame({"video": [p.stem for p in paths], "path": [str(p) for p in paths]})
    return probe_videos(videos.assign(label=0, split="train"))


def in_a_process(function, *arguments):
    """(what the function returns, its process' peak of resident memory with that of its children, MiB)."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_measured, args=(there, function, arguments))
    process.start()
    there.close()
    found = here.recv()
    process.join()
    return found


def _measured(pipe, function, arguments):
    torch.set_num_threads(1)
    found = function(*arguments)
    status = Path("/proc/self/status").read_text()  # getrusage would give what the parent had, too
    own = int(status.split("VmHWM:")[1].split()[0]) / 2**10
    pipe.send((found, (own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10)))


def plain(path):
    """The plainest loop: the number of frames."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        w, h = (round(side * SIZE / min(stream.width, stream.height)) for side in (stream.width, stream.height))
        return sum(len(frame.reformat(w, h, "rgb24").to_ndarray()) > 0 for frame in container.decode(stream))


def plain_epoch(paths, workers):
    begin = time.perf_counter()
    if workers == 1:
        n = sum(map(plain, paths))
    else:
        with multiprocessing.get_context("fork").Pool(workers) as pool:
            begin = time.perf_counter()
            n = sum(pool.imap_unordered(plain, paths))
    return n / FRAMES / (time.perf_counter() - begin)


def epoch(videos, workers, store=None, correct=False, buffer_gb=0.5):
    """(clips a second, frames decoded per frame used) of the data of a training epoch."""
    table = training.clip_rows(videos, FRAMES).reset_index(drop=True)
    data = ClipDataset(videos, table, {"label": torch.zeros(len(table))}, FRAMES, SIZE, cache_gb=0.0, decoded=store)
    half = torch.arange(len(table)) % 5 > 0 if correct else None  # the teacher is right on four clips of five
    buffer = max(16 * BATCH, int(buffer_gb * 2**30 / (3 * FRAMES * SIZE * SIZE)))
    order = training.EpochSampler(len(table), 0, half, source=data.sources, buffer=buffer)
    parts = training.Parts(order, BATCH, 1)
    begin = time.perf_counter()
    n = sum(len(batch["clips"]) for batch in data.batches(parts, 0 if workers == 1 else workers))
    seconds = time.perf_counter() - begin
    used = np.minimum(FRAMES, videos.set_index("video").n_frames[table.video].to_numpy() - FRAMES * table["clip"])
    return n / seconds, data.n_decoded / used.iloc[list(order)].sum()


def from_start(path, number):
    """A clip the old way: the frames before it are decoded too."""
    for i, _ in enumerate(iter_frames(path, SIZE)):
        if i == (number + 1) * FRAMES - 1:
            return


def seconds_of(function, paths, numbers):
    begin = time.perf_counter()
    for path, number in zip(paths, numbers, strict=True):
        function(path, number)
    return (time.perf_counter() - begin) / len(numbers)


def random_clips(videos):
    rng, n_clips = np.random.default_rng(0), int(videos.n_frames.min()) // FRAMES
    paths = list(videos.path)
    for path in paths:
        read_clip(path, 1, FRAMES, SIZE)  # the index is made once
    read = lambda path, number: read_clip(path, number, FRAMES, SIZE)  # noqa: E731
    at = rng.integers(0, n_clips, len(paths))
    return [
        {"a clip of (b)": name, "ms": 1000 * seconds_of(function, paths, numbers)}
        for name, function, numbers in [
            ("random, decoded from the start", from_start, at),
            ("random, by the index", read, at),
            ("first, by the index", read, [0] * len(paths)),
            ("last, by the index", read, [n_clips - 1] * len(paths)),
        ]
    ]


def main():
    parser = argparse.ArgumentParser()
    for name, value in {"videos": 200, "seconds": 10, "long": 10, "long-seconds": 180, "rounds": 2}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        kinds = {
            "(a) XviD AVI": listed(folder, "(a) XviD AVI", args.videos, args.seconds, 320, 240),
            "(a) H.264": listed(folder, "(a) H.264", args.videos, args.seconds, 320, 240),
            "(b) H.264, long": listed(folder, "(b) H.264, long", args.long, args.long_seconds, 640, 360),
        }
        for name, videos in kinds.items():
            rows = []
            store = Store(folder / f"store {name}", 1000.0, quality=95)
            epoch(videos, 1, store)
            about = store.summary()
            for workers in args.workers:
                best = dict.fromkeys(("plain", "epoch", "BCE-C", "store"), (0.0, 0.0))
                for _ in range(args.rounds):
                    found = {
                        "plain": (plain_epoch(list(videos.path), workers), 0),
                        "epoch": epoch(videos, workers),
                        "BCE-C": epoch(videos, workers, None, True),
                        "store": epoch(videos, workers, store),
                    }
                    best = {key: max(best[key], found[key]) for key in best}
                speed = {key: value[0] for key, value in best.items()}
                rows.append(
                    {
                        "videos": name,
                        "processes": workers,
                        "plainest loop, clips/s": speed["plain"],
                        "epoch, clips/s": speed["epoch"],
                        "over the loop": speed["epoch"] / speed["plain"],
                        "frames decoded per frame used": best["epoch"][1],
                        "the same, BCE-C": best["BCE-C"][1],
                        "store, clips/s": speed["store"],
                        "over the epoch": speed["store"] / speed["epoch"],
                        "KB a clip": about["bytes_per_clip"] / 1000,
                        "PSNR, dB": about["psnr_db"],
                    }
                )
            print(runs.markdown(pd.DataFrame(rows)), "\n", flush=True)
        print(runs.markdown(pd.DataFrame(random_clips(kinds["(b) H.264, long"]))), "\n", flush=True)
        memory = []
        for name, videos in kinds.items():
            for n in (len(videos) // 2, len(videos)):
                _, (own, worker) = in_a_process(epoch, videos.head(n), 2)
                memory.append({"videos": name, "n": n, "MiB, the process": own, "MiB, its largest worker": worker})
        print(runs.markdown(pd.DataFrame(memory)))


if __name__ == "__main__":
    main()
