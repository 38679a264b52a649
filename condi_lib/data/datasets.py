"""Layouts on disk, as published or your own -> the video table (one row a video, or a segment of one)."""

import json
import os
from pathlib import Path

import joblib
import numpy as np
import pandas as pd

from condi_lib.data import layouts
from condi_lib.data.folders import folder
from condi_lib.data.grid import grid, grid_truth, shifted
from condi_lib.data.index import frame_numbers
from condi_lib.data.lists import list_file
from condi_lib.data.splits import carve, check_splits, in_one_split
from condi_lib.data.tree import printable
from condi_lib.data.video import VideoError, check_bad_share, probe
from condi_lib.progress import tqdm

LAYOUTS = {
    "planted": layouts.ucf101,
    "ucf101": layouts.ucf101,
    "hmdb51": layouts.hmdb51,
    "kinetics": layouts.kinetics,
    "activitynet": layouts.activitynet,
    "mit": layouts.mit,
    "jester": layouts.jester,
    "ssv2": layouts.ssv2,
    "grid": grid,
    "list": list_file,
    "folder": folder,
}
DATASETS = tuple(LAYOUTS)
# Their classes come in pairs that a mirror swaps (Swiping Left, Swiping Right): flips are not for them
MIRROR_MATTERS = frozenset(("planted", "jester", "ssv2"))
PICTURES_FPS = {"jester": 12.0}  # frames a second of folders of pictures, as published
_COLUMNS = ("video", "path", "source", "start_frame", "end_frame", "label", "class_name", "split", "fold")


def find_videos(
    dataset,
    root,
    fold=1,
    annotations="",
    val_share=0.1,
    seed=0,
    fps=0.0,
    word="colour",
    turn=True,
    segment_frames=8,
    train_share=1.0,
):
    """The video table of a data set: one row per video, or segment of one, sorted by video.

    video: unique; path: a file, or a folder of numbered pictures; source: what it was cut from or shot with (splits and
    folds keep it together); start_frame, end_frame: of the segment, as shown, end exclusive (0 and -1: all of it);
    label (from 0; -1 for a bad row), class_name; split: train, val, test (and teacher: for the teacher only);
    fold: -1 where the list gives none; fps: of folders of pictures, 0 for files; error: what is wrong with a row of a
    list ("" mostly). ActivityNet adds other_labels and segments, lists of frames n_listed.

    fold: of UCF-101, HMDB-51 and lists that have several. annotations: the file or folder of the lists, where they are
    not in `root` or below it. fps: of folders of pictures; 0 takes the published rate (Jester: 12), or else 25. word,
    turn, segment_frames: of data set grid, which adds a column turn (see grid.grid). Where the labels of the test split
    are held out the published validation split takes its place. Where no validation split is left, one is carved from
    train: `val_share` of each class, seeded, with one source never on both sides. train_share: of each class' sources
    in train that stay, seeded and at least one, for learning curves.

    .attrs: classes (names, in the order of labels: the published list, whatever is on disk), missing (listed, not on
    disk), passed_over (files that are no video by their ending, or lie beside the layout), classes_without_videos,
    classes_without_training_videos (that have others), notes (sentences: all that a user should know of this).

    Raises ValueError for an unknown data set, a root that does not exist or has another layout, a label outside the
    classes of a published list, no videos to train or test with (check_splits names an empty val too).
    """
    if dataset not in LAYOUTS:
        raise ValueError(f"dataset: {dataset!r} is unknown; expected one of {', '.join(DATASETS)}")
    root = Path(root).expanduser()
    if not root.is_dir():
        raise ValueError(f"root: {root} does not exist; expected the folder of data set {dataset}")
    if printable(root) != str(root):
        raise ValueError(f"root: {printable(root)} is no UTF-8; tables cannot hold it: rename the folder")
    if dataset == "planted" and (root / "untrimmed").is_dir():
        root = root / "untrimmed"
    options = {"word": word, "turn": turn, "segment_frames": segment_frames, "seed": seed} if dataset == "grid" else {}
    videos = _read_layout(dataset, root, fold, annotations, fps, options)
    attrs, videos.attrs = videos.attrs, {}
    videos = _with_all_splits(videos, val_share, seed, attrs["notes"])
    if train_share < 1:
        videos = _with_less_to_train(videos, train_share, seed, attrs["notes"])
    videos.attrs = attrs | _classes_without(videos, attrs["classes"], attrs["notes"])
    return videos


def _with_all_splits(videos, val_share, seed, notes):
    """Videos with train, val and test; bad rows stay as they are. notes is added to. Raises ValueError."""
    good, bad = videos[videos.error == ""], videos[videos.error != ""]
    if (good.split == "").any():
        good = carve(good.assign(split=good.split.replace("", "train")), "train", "test", 0.2, seed)
        notes.append("no split is given: a fifth of each class is test")
    if not (good.split == "test").any() and (good.split == "val").any():
        good = good.assign(split=good.split.replace("val", "test"))
        notes.append("no test video with a label is there: the validation split takes its place")
    if not (good.split == "val").any():
        good = carve(good, "train", "val", val_share, seed)
        n = (good.split == "val").sum()
        why = f"{n:,} videos of train become it" if n else "none can be had from train, one source a class"
        notes.append(f"no validation split is given: {why}")
    bad_rows = [f"{len(bad):,} rows are bad, the first: {bad.video.iloc[0]} {bad.error.iloc[0]}"] if len(bad) else []
    check_splits(good, ("train", "test"), [*bad_rows, *notes])
    return pd.concat([good, bad.assign(split=bad.split.replace("", "train"))]).sort_index()


def _with_less_to_train(videos, share, seed, notes):
    left_out = carve(videos, "train", "left out", 1 - share, seed).split == "left out"
    n = (videos.split == "train").sum()
    notes.append(f"train_share {share}: {n - left_out.sum():,} of {n:,} training videos are used")
    return videos[~left_out].reset_index(drop=True)


def _classes_without(videos, classes, notes):
    """The names of classes that have no good video, and of those that have some but none in train."""
    good = videos[(videos.error == "") & (videos.split != "teacher")]
    there, trained = set(good.class_name), set(good.class_name[good.split == "train"])
    none = [name for name in classes if name not in there]
    untrained = [name for name in classes if name in there - trained]
    if none:
        notes.append(f"{len(none):,} of {len(classes):,} classes have no video here: {layouts.some(none)}")
    if untrained:
        notes.append(f"{len(untrained):,} classes have no training video, but others: {layouts.some(untrained)}")
    return {"classes_without_videos": none, "classes_without_training_videos": untrained}


def _read_layout(dataset, root, fold=1, annotations="", fps=0.0, options=None):
    """The listed videos that are on disk, with their published splits ("" where the layout has none)."""
    lines, classes, attrs = LAYOUTS[dataset](root, fold, annotations, **(options or {}))
    notes = list(attrs.get("notes", []))
    lines = in_one_split(lines, "video", notes)
    listed = lines.drop_duplicates("video")
    there = listed.path.notna()
    if not there.any():
        raise ValueError(f"root: none of the {len(listed):,} listed videos is in {root}; first: {listed.video.iloc[0]}")
    videos = listed[there].sort_values("video", ignore_index=True)
    if LAYOUTS[dataset] is not list_file:
        if not_utf8 := attrs.get("not_utf8"):
            bad = "its name is not UTF-8, which tables cannot hold: rename the file or folder"
            own = videos.error if "error" in videos else ""
            videos["error"] = np.where(videos.path.isin(not_utf8), bad, own)
        videos["path"] = f"{root}/" + videos.path
    defaults = {
        "start_frame": 0,
        "end_frame": -1,
        "fold": -1,
        "error": "",
        "fps": fps or PICTURES_FPS.get(dataset, 25.0),
    }
    videos = videos.assign(**{name: value for name, value in defaults.items() if name not in videos})
    videos = _each_file_in_one_split(videos, notes)
    number = {name: i for i, name in enumerate(classes)}
    videos["label"] = videos.class_name.map(number).fillna(-1).astype(int)
    videos = videos[[*_COLUMNS, *(name for name in videos if name not in _COLUMNS)]]
    missing, passed_over = sorted(listed.video[~there]), attrs.get("passed_over", [])
    if twice := len(lines) - len(listed):
        n = (lines.groupby("video").class_name.nunique() > 1).sum()
        other = f"; {n:,} videos are of several classes there" if n else ""
        notes.append(f"{twice:,} lines name a video again, and the first of each counts{other}")
    if missing:
        notes.append(f"{len(missing):,} of {len(listed):,} listed videos are not on disk: {layouts.some(missing)}")
    if passed_over:
        notes.append(f"{len(passed_over):,} files are passed over: {layouts.some(passed_over)}")
    videos.attrs = {"classes": classes, "missing": missing, "passed_over": passed_over, "notes": notes}
    return videos


def _each_file_in_one_split(videos, notes):
    """The videos; those of one file, by links or by several names of a list, have one source. notes is added to.

    Raises ValueError for a file that is in train and in another split.
    """

    def number(row):
        try:
            found = os.stat(row.path)
        except (OSError, ValueError):
            return row.video
        return row.video if row.error else f"{found.st_dev} {found.st_ino} {row.start_frame} {row.end_frame}"

    def file(number, path):
        """Some network file systems number two files alike: one file is at the end of both paths, or a hard link."""
        several_names = os.path.isfile(path) and os.stat(path).st_nlink > 1
        return number if several_names else f"{number} {os.path.realpath(path)}"

    files = pd.Series([number(row) for row in videos.itertuples()], index=videos.index, dtype=object)
    for i in files.index[files.duplicated(keep=False)]:
        files[i] = file(files[i], videos.path[i])
    if not files.duplicated().any():
        return videos
    videos = in_one_split(videos.assign(file=files), "file", notes)
    again = videos.video[videos.file.duplicated()]
    if len(again):
        notes.append(f"{len(again):,} videos are the same file as another one: {layouts.some(again)}")
    source = videos.groupby("file").source.transform("first")
    return videos.assign(source=source).drop(columns="file").reset_index(drop=True)


def find_teacher_videos(dataset, root, videos, kind="trimmed"):
    """The videos that the teacher learns from (splits train and val), given the data set's probed video table.

    planted: a trimmed, clean split of its own. A list with a split `teacher`: those videos, a tenth of them for val;
    GRID too, with each training segment at several starts (grid.SHIFTS).
    ActivityNet: the annotated segments, each with its own label; one outside its video is a bad row. Elsewhere, and
    everywhere with kind "untrimmed", the samplers' own train split, which the teacher then memorises: labels on that
    split say little (see notebook 03).
    """
    if kind == "untrimmed":
        return videos[videos.split.isin(("train", "val"))].reset_index(drop=True)
    if dataset == "planted":
        videos = probe_videos(_read_layout("planted", Path(root) / "trimmed"))
        return videos[videos.split != "test"].reset_index(drop=True)
    own = videos[videos.split == "teacher"].reset_index(drop=True)
    if len(own):
        own = carve(own.assign(split="train"), "train", "val", 0.1, seed=0)
        return shifted(own) if dataset == "grid" else own
    videos = videos[videos.split.isin(("train", "val"))].reset_index(drop=True)
    return _segments(videos) if "segments" in videos else videos


def _planted_truth(root, videos, word, annotations):
    table = pd.read_parquet(Path(root) / "untrimmed" / "truth.parquet")
    return table[table.video.isin(videos.video)].assign(shows=table.kind == "clean")


TRUTHS = {"planted": _planted_truth, "grid": grid_truth}
NO_TRUTH = pd.DataFrame({"video": pd.Series(dtype=str), "frame": pd.Series(dtype=int), "kind": pd.Series(dtype=str)})


def frame_truth(dataset, root, videos, word="colour", annotations=""):
    """What each frame of the videos shows, a row a frame: video, frame (as read, from 0), kind, shows (the class?).

    None for a data set where it is not known. Of planted: what was planted, and blend (how much of the motion is
    another class'). videos: the probed table; word, annotations: see find_videos.
    """
    return TRUTHS[dataset](root, videos, word, annotations) if dataset in TRUTHS else None


def _segments(videos):
    """A row for each annotated segment of the videos, instead of them; those of bad videos are left with the video."""
    labels = dict(videos[["class_name", "label"]].itertuples(index=False, name=None))
    rows = videos.to_dict("records")

    def cut(row):
        parts = json.loads(row["segments"])
        if not row["ok"]:
            return [row]
        try:
            numbers = frame_numbers(row["path"], [second for part in parts for second in part[:2]], row["fps"]).tolist()
        except VideoError as e:
            return [row | {"ok": False, "error": str(e)}]
        found = []
        for i, (start, end, name) in enumerate(parts):
            a, b = numbers[2 * i : 2 * i + 2]
            error = "" if a < b else f"segment {start} to {end} s is outside its {row['n_frames']} frames"
            one = {"video": f"{row['video']}#{i}", "source": row["source"], "start_frame": a, "end_frame": b}
            one |= {"class_name": name, "label": labels.get(name, -1), "n_frames": max(b - a, 0)}
            found.append(row | one | {"ok": not error, "error": error})
        return found

    jobs = joblib.Parallel(n_jobs=-1, prefer="threads", return_as="generator", batch_size=32)
    found = tqdm(jobs(joblib.delayed(cut)(row) for row in rows), total=len(rows), desc="segments", unit="video")
    table = pd.DataFrame([one for of_video in found for one in of_video], columns=videos.columns)
    return table.drop(columns="segments")


def probe_videos(videos, max_bad_share=1.0):
    """The video table with n_frames, fps, ok and error filled in from each file's header; a bad file is a row too.

    n_frames is the segment's, for rows that have one. Rows that are bad already stay so and are not opened. A folder of
    pictures with gaps, or with fewer than its list says, and a segment outside its video are bad rows too. Raises
    VideoError where more than max_bad_share of the videos are bad.
    """

    def look(row):
        try:
            if row.error:
                raise VideoError(f"{row.path}: {row.error}")
            n, fps = probe(row.path, row.fps, row.start_frame, row.end_frame)
            # TSN's lists are one off, for want of a flow between the last frames
            if n + 1 < row.n_listed and os.path.isdir(row.path):
                raise VideoError(f"{row.path}: holds {n} pictures, its list says {row.n_listed}")
            return n, fps, True, ""
        except VideoError as e:
            return 0, 0.0, False, str(e)

    rows = videos if "error" in videos else videos.assign(error="")
    for name, default in (("start_frame", 0), ("end_frame", -1), ("fps", 25.0), ("n_listed", 0)):
        rows = rows if name in rows else rows.assign(**{name: default})
    jobs = joblib.Parallel(n_jobs=-1, prefer="threads", return_as="generator", batch_size=32)
    found = jobs(joblib.delayed(look)(row) for row in rows.itertuples())
    found = list(tqdm(found, total=len(videos), desc="opening videos", unit="video"))
    extra = pd.DataFrame(found, columns=["n_frames", "fps", "ok", "error"], index=videos.index)
    check_bad_share(extra.error[~extra.ok], len(videos), max_bad_share)
    table = pd.concat([videos.drop(columns=["fps", "error", "n_listed"], errors="ignore"), extra], axis=1)
    table.attrs = videos.attrs
    return table
