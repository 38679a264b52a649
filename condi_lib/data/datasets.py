"""Layouts on disk, as published -> the video table (one row a video)."""

from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from tqdm import tqdm

from condi_lib.data.layouts import DATASETS, LAYOUTS, _sources, files_below
from condi_lib.data.video import VideoError, check_bad_share, probe


def carve(videos, sources, from_split, to_split, share, seed):
    """Moves about `share` of each class's sources (videos of one scene) from one split to another, at random, seeded.

    A class with a single source stays where it is.
    """
    rng = np.random.default_rng(seed)
    moved = []
    for _, names in sources[videos.split == from_split].groupby(videos.label):
        names = np.unique(names)
        if len(names) > 1:
            moved += list(rng.choice(names, max(1, round(share * len(names))), replace=False))
    return videos.assign(split=videos.split.mask((videos.split == from_split) & sources.isin(moved), to_split))


def assign_folds(dataset, videos, n, seed=0):
    """The fold of each video, int [videos] in 0..n-1: classes alike in all, clips of one source video in one fold.

    Raises ValueError where a class has fewer source videos than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # here: it takes a second to import

    sources = _sources(dataset, videos)
    fewest = sources.groupby(videos.label).nunique().min()
    if fewest < n:
        raise ValueError(f"folds: found {n}, expected at most {fewest}, the source videos of the smallest class")
    folds = StratifiedGroupKFold(n, shuffle=True, random_state=seed)
    out = np.empty(len(videos), int)
    for fold, (_, inside) in enumerate(folds.split(videos, videos.label, sources)):
        out[inside] = fold
    return out


def find_videos(dataset, root, fold=1, annotations="", val_share=0.1, seed=0):
    """The video table of a data set: video (unique), path, label (from 0), class_name, split (train, val, test).

    fold: of UCF-101 and HMDB-51. annotations: the file or folder of the published lists, where they are not in `root`
    or right below it. ActivityNet adds other_labels. Where the labels of the test split are held out (Kinetics,
    ActivityNet, Moments in Time) the published validation split takes its place. Where no validation split is left,
    one is carved from train: `val_share` of each class, seeded, with clips of one source video never on both sides.
    Videos that the lists name and the disk lacks are in `.attrs["missing"]`. Raises ValueError for an unknown data set,
    a root that does not exist or has another layout.
    """
    if dataset not in LAYOUTS:
        raise ValueError(f"dataset: {dataset!r} is unknown; expected one of {', '.join(DATASETS)}")
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"root: {root} does not exist; expected the folder of data set {dataset}")
    if dataset == "planted" and (root / "untrimmed").is_dir():
        root = root / "untrimmed"
    videos = _read_layout(dataset, root, fold, annotations)
    sources, attrs = _sources(dataset, videos), videos.attrs
    if (videos.split == "").any():
        videos = carve(videos.assign(split="train"), sources, "train", "test", 0.2, seed)
    if not (videos.split == "test").any():
        videos = videos.assign(split=videos.split.replace("val", "test"))
    if not (videos.split == "val").any():
        videos = carve(videos, sources, "train", "val", val_share, seed)
    videos.attrs = attrs
    return videos


def _read_layout(dataset, root, fold=1, annotations=""):
    """The listed videos that are on disk, with their published splits ("" where the layout has none)."""
    listed, classes = LAYOUTS[dataset](root, files_below(root), fold, annotations)
    there = listed.path.notna()
    if not there.any():
        raise ValueError(f"root: none of the {len(listed):,} listed videos is in {root}; first: {listed.video.iloc[0]}")
    videos = listed[there].sort_values("video", ignore_index=True)
    videos["path"] = f"{root}/" + videos.path
    videos.insert(2, "label", pd.Categorical(videos.class_name, classes).codes.astype(int))
    videos.attrs = {"missing": sorted(listed.video[~there]), "classes": list(classes)}
    return videos


def find_teacher_videos(dataset, root, videos):
    """The videos that the teacher learns from (splits train and val), given the data set's video table.

    planted: a trimmed, clean split of its own. Elsewhere the data set's own train split, which the teacher then
    memorises: labels on that split say little (see notebook 03).
    """
    if dataset == "planted":
        videos = probe_videos(_read_layout("planted", Path(root) / "trimmed"))
    return videos[videos.split != "test"].reset_index(drop=True)


def probe_videos(videos, max_bad_share=1.0):
    """The video table with n_frames, fps, ok and error filled in from each file's header; a bad file is a row too.

    Raises VideoError where more than max_bad_share of the videos cannot be opened.
    """

    def look(path):
        try:
            return (*probe(path), True, "")
        except VideoError as e:
            return 0, 0.0, False, str(e)

    jobs = joblib.Parallel(n_jobs=-1, prefer="threads", return_as="generator", batch_size=32)
    found = jobs(joblib.delayed(look)(path) for path in videos.path)
    found = list(tqdm(found, total=len(videos), desc="opening videos", unit="video"))
    extra = pd.DataFrame(found, columns=["n_frames", "fps", "ok", "error"], index=videos.index)
    check_bad_share(extra.error[~extra.ok], len(videos), max_bad_share)
    return pd.concat([videos, extra], axis=1)
