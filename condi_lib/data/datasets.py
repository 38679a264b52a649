"""Layouts on disk -> the video table (one row a video)."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from condi_lib.data.video import VideoError, probe

DATASETS = ("planted", "ucf101")


def _ucf_like(root, fold):
    """UCF-101's layout: classInd.txt (from 1), {train,val,test}list0<fold>.txt, <Class>/<video>."""
    index = root / "classInd.txt"
    if not index.is_file():
        raise ValueError(f"root: {root} has no classInd.txt; expected UCF-101's layout with its split lists")
    labels = {name: int(i) - 1 for i, name in (line.split() for line in index.read_text().splitlines() if line)}
    rows = []
    for split in ("train", "val", "test"):
        names = root / f"{split}list{fold:02d}.txt"
        for line in names.read_text().splitlines() if names.is_file() else []:
            if line.strip():
                path = line.split()[0]
                name = path.split("/")[0]
                rows.append((Path(path).stem, str(root / path), labels[name], name, split))
    if not rows:
        raise ValueError(f"root: {root} has no trainlist{fold:02d}.txt or testlist{fold:02d}.txt that names a video")
    return pd.DataFrame(rows, columns=["video", "path", "label", "class_name", "split"])


def carve_val(videos, share=0.1, seed=0):
    """Moves about `share` of each class's train groups (UCF-101: the same scene, `_g07_`) to split "val"."""
    group = videos.video.map(lambda v: re.sub(r"_c\d+$", "", v))
    rng = np.random.default_rng(seed)
    val = []
    for _, names in group[videos.split == "train"].groupby(videos.label):
        names = np.unique(names)
        val += list(rng.choice(names, max(1, round(share * len(names))), replace=False))
    return videos.assign(split=videos.split.mask((videos.split == "train") & group.isin(val), "val"))


def find_videos(dataset, root, fold=1, seed=0):
    """The video table of a data set: video (unique), path, label (from 0), class_name, split (train, val, test).

    A validation split is carved from train by group, seeded, where the data set has none. Raises ValueError for an
    unknown data set, a root that does not exist or that has another layout.
    """
    if dataset not in DATASETS:
        raise ValueError(f"dataset: {dataset!r} is unknown; expected one of {', '.join(DATASETS)}")
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"root: {root} does not exist; expected the folder of data set {dataset}")
    videos = _ucf_like(root / "untrimmed" if dataset == "planted" else root, fold)
    if not (videos.split == "val").any():
        videos = carve_val(videos, seed=seed)
    return videos.sort_values("video", ignore_index=True)


def find_teacher_videos(dataset, root, fold=1, seed=0):
    """The videos that the teacher learns from (splits train and val).

    planted: a trimmed, clean split of its own. Elsewhere the data set's own train split, which the teacher then
    memorises: labels on that split say little (see notebook 03).
    """
    planted = dataset == "planted"
    videos = _ucf_like(Path(root) / "trimmed", fold) if planted else find_videos(dataset, root, fold, seed)
    return videos[videos.split != "test"].reset_index(drop=True)


def probe_videos(videos):
    """The video table with n_frames, fps, ok and error filled in from each file's header; a bad file is a row too."""
    found = []
    for path in tqdm(videos.path, desc="opening videos", unit="video"):
        try:
            found.append((*probe(path), True, ""))
        except VideoError as e:
            found.append((0, 0.0, False, str(e)))
    extra = pd.DataFrame(found, columns=["n_frames", "fps", "ok", "error"], index=videos.index)
    return pd.concat([videos, extra], axis=1)
