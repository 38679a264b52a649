"""Small things that several tests share: random clip tables, frame-numbered videos."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from condi_lib.data import planted, probe_videos
from condi_lib.data.planted import write_video

SHARED = Path(__file__).resolve().parents[2] / "shared"  # where our developers keep real files; never needed


def make_clips(seed=0, n_videos=6, n_classes=4, longest=7, split="test"):
    """A random clip table; teacher logits are coarse, so that ties occur."""
    rng = np.random.default_rng(seed)
    rows = []
    for v in range(n_videos):
        label = int(rng.integers(n_classes))
        for c in range(int(rng.integers(1, longest + 1))):
            logits = rng.integers(-3, 4, n_classes).astype(np.float32)
            rows.append((f"v{v:03d}", c, 8 * c, 8, split, label, logits, bool(logits.argmax() == label)))
    columns = ["video", "clip", "start_frame", "n_real_frames", "split", "label", "teacher_logits", "correct"]
    return pd.DataFrame(rows, columns=columns)


def make_study(seed=0, n_videos=12, losses=("st_ent", "bce_c", "condi_sr"), seeds=2, splits=("val", "test"), **options):
    """(clip table of some splits, {loss: score tables}): random, as sampler.read_arrays takes them."""
    parts = [make_clips(seed + i, n_videos, split=split, **options) for i, split in enumerate(splits)]
    clips = pd.concat([part.assign(video=part.split + part.video) for part in parts], ignore_index=True)
    return clips, {loss: [make_scores(clips, 10 * i + s) for s in range(seeds)] for i, loss in enumerate(losses)}


def make_scores(clips, seed=0, levels=5):
    """A random score table for a clip table; scores, logits, have few levels, so that ties occur."""
    rng = np.random.default_rng(seed)
    score = rng.integers(0, levels, len(clips)) - (levels - 1) / 2
    logits = list(rng.normal(size=(len(clips), len(clips.teacher_logits[0]))).astype(np.float32))
    return clips[["video", "clip"]].assign(
        score=score.astype(np.float32),
        confidence=(1 / (1 + np.exp(-score))).astype(np.float32),
        student_logits=logits,
        mc_entropy=rng.random(len(clips)).astype(np.float32),
    )


def make_videos(folder, lengths, broken=None):
    """The video table of planted test videos v0, v1, ... of these lengths; file v<broken> breaks once it is listed."""
    rows = []
    for i, n in enumerate(lengths):
        frames, _, label = planted.draw_video(planted.World(), "test", i)
        write_video(folder / f"v{i}.mp4", frames[:n])
        rows.append((f"v{i}", str(folder / f"v{i}.mp4"), label, "test"))
    videos = probe_videos(pd.DataFrame(rows, columns=["video", "path", "label", "split"]))
    if broken is not None:
        (folder / f"v{broken}.mp4").write_bytes(b"broken since it was listed")
    return videos


def numbered_frames(n, size=32):
    """uint8 [n, size, size, 3]: frame i shows i in binary, as 8 grey columns (black 0, white 1)."""
    bits = (np.arange(n)[:, None] >> np.arange(8)) & 1
    row = np.repeat(bits, size // 8, axis=1) * 255
    return np.broadcast_to(row[:, None, :, None], (n, size, size, 3)).astype(np.uint8)


def read_numbers(clips):
    """The numbers that clips uint8 [N, 3, F, H, W] of such a video show: int [N, F]."""
    columns = clips.float().mean((1, 3)).unflatten(-1, (8, -1)).mean(-1) > 128  # (N, F, 8)
    return (columns.numpy() * 2 ** np.arange(8)).sum(-1)


@pytest.fixture
def numbered_video(tmp_path):
    def make(n):
        path = tmp_path / f"numbered_{n}.mp4"
        write_video(path, numbered_frames(n))
        return path

    return make
