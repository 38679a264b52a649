"""Small things that several tests share: random clip tables, frame-numbered videos."""

import json
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from condi_lib.data import planted, probe_videos
from condi_lib.data.planted import write_video
from condi_lib.runs import ROOT
from condi_lib.runs.locks import let_go

# CUDA sums some gradients in an order of its own each time
bit_for_bit = pytest.mark.skipif(torch.cuda.is_available(), reason="the same weights bit for bit: on a CPU")
SHARED = Path(__file__).resolve().parents[2] / "shared"  # where our developers keep real files; never needed


def pytest_collection_modifyitems(items):
    """The slow ones first, so that none is left over at the end for one worker alone."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


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
    attention = pd.Series(rng.random(len(clips)), clips.index)
    return clips[["video", "clip"]].assign(
        attention=attention / attention.groupby(clips.video).transform("sum"),
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


def ucf_tree(root, groups=8, frames=24):
    """A small UCF-101-like tree, two classes and two folds whose test groups differ, in `root`, a new folder."""
    rng = np.random.default_rng(0)
    for k, name in enumerate(("Down", "Right")):
        for g in range(1, groups + 1):
            path = root / name / f"v_{name}_g{g:02d}_c01.avi"
            path.parent.mkdir(parents=True, exist_ok=True)
            pictures = np.repeat(rng.integers(0, 90, (1, 32, 32, 3)), frames, 0).astype(np.uint8)
            for i in range(frames):
                at = (2 * i % 28, 8) if k else (8, 2 * i % 28)
                pictures[i, at[0] : at[0] + 6, at[1] : at[1] + 6] = 230
            write_video(path, pictures)
    (root / "classInd.txt").write_text("1 Down\n2 Right\n")
    for fold, test in ((1, (1, 2)), (2, (7, 8))):
        for kind, some in (("test", test), ("train", [g for g in range(1, groups + 1) if g not in test])):
            lines = [f"{name}/v_{name}_g{g:02d}_c01.avi\n" for name in ("Down", "Right") for g in some]
            (root / f"{kind}list{fold:02d}.txt").write_text("".join(lines))
    return root


def run_notebook(name, **parameters):
    """Executes a notebook's code cells in this process, with these parameters; returns its variables."""
    cells = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text())["cells"]
    scope = {"display": lambda *shown: None, "__name__": "__main__"}
    here = os.getcwd()
    try:
        for cell in (cell for cell in cells if cell["cell_type"] == "code"):
            exec(compile("".join(cell["source"]), f"{name}.ipynb", "exec"), scope)
            if "parameters" in cell["metadata"].get("tags", []):
                scope |= parameters
    finally:
        os.chdir(here)
        plt.close("all")
        let_go()
    return scope


@pytest.fixture
def make_files(tmp_path):
    """Makes files: make_files(names, or {name: text or bytes}) -> their root. For what is listed, not opened."""

    def make(files):
        for name in files:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            content = files[name] if isinstance(files, dict) else ""
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return make
