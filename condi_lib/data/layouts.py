"""Layouts on disk, as published: what their lists name, and where it lies."""

import json
import os
from pathlib import Path

import pandas as pd

SUFFIXES = (".avi", ".mp4", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ts")
SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validate", "validation"),
    "test": ("test", "testing"),
}
_SPLIT_OF = {name: split for split, names in SPLITS.items() for name in names}


def files_below(root):
    """Relative paths of the video files below `root`, sorted; a folder that links lead to twice is walked once."""
    found, todo, seen = [], [""], set()
    while todo:
        folder = todo.pop()
        where = os.stat(os.path.join(root, folder))
        if (where.st_dev, where.st_ino) in seen:
            continue
        seen.add((where.st_dev, where.st_ino))
        with os.scandir(os.path.join(root, folder)) as entries:
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                try:
                    is_folder = entry.is_dir()
                except OSError:  # a link that leads to itself: listed, and found unreadable later
                    is_folder = False
                if is_folder:
                    todo.append(path)
                elif entry.name.lower().endswith(SUFFIXES):
                    found.append(path)
    return sorted(found)


def _annotations(root, annotations, patterns, what):
    """Annotation files that match: in `annotations` (a file or folder), or in `root` and the folders right below it."""
    if annotations and Path(annotations).is_file():
        return [Path(annotations)]
    if annotations and not Path(annotations).is_dir():
        raise ValueError(f"annotations: {annotations} does not exist; expected {what}")
    places = [Path(annotations)] if annotations else [root, *sorted(p for p in root.iterdir() if p.is_dir())]
    for place in places:
        files = sorted(path for pattern in patterns for path in place.glob(pattern))
        if files:
            return files
    where = f"annotations: {annotations}" if annotations else f"root: {root}"
    raise ValueError(f"{where} has no {' or '.join(patterns)}; expected {what}")


def _by_stem(files):
    """{name without folder and suffix: path}; the first where several have it."""
    return {os.path.splitext(path.rsplit("/", 1)[-1])[0]: path for path in reversed(files)}


def _table(rows, classes):
    """rows: (video, path or None if it is not on disk, class name, split)."""
    videos = pd.DataFrame(rows, columns=["video", "path", "class_name", "split"]).drop_duplicates("video")
    return videos, classes


def _ucf101(root, files, fold, annotations):
    """classInd.txt (from 1), {train,val,test}list0<fold>.txt; <Class>/<video>.

    Folder and file name spell HandstandPushups differently, and copies on disk do too: letter case is ignored where
    the exact path is not there.
    """
    what = "UCF-101's classInd.txt with its split lists"
    index = _annotations(root, annotations, ["classInd.txt"], what)[0]
    numbered = [line.split() for line in index.read_text().splitlines() if line.strip()]
    classes = [name for _, name in sorted(numbered, key=lambda pair: int(pair[0]))]
    names = {name.lower(): name for name in classes}
    exact, folded = set(files), {path.lower(): path for path in files}
    rows = []
    for split in SPLITS:
        path = index.with_name(f"{split}list{fold:02d}.txt")
        for line in path.read_text().splitlines() if path.is_file() else []:
            if line.strip():
                path = line.split()[0]
                name = path.split("/")[0].lower()
                if name not in names:
                    raise ValueError(
                        f"{index}: has no class {path.split('/')[0]}, which {split}list{fold:02d}.txt names"
                    )
                rows.append((Path(path).stem, path if path in exact else folded.get(path.lower()), names[name], split))
    if not rows:
        raise ValueError(f"fold: {index.parent} has no trainlist{fold:02d}.txt or testlist{fold:02d}.txt with videos")
    return _table(rows, classes)


def _hmdb51(root, files, fold, annotations):
    """<class>_test_split<fold>.txt, a line "<file> <0 unused, 1 train, 2 test>"; <class>/<file>."""
    ending = f"_test_split{fold}.txt"
    lists = _annotations(root, annotations, [f"*{ending}"], "HMDB-51's split files, fold 1, 2 or 3")
    on_disk, rows = set(files), []
    for path in lists:
        name = path.name.removesuffix(ending)
        for line in path.read_text().splitlines():
            if line.strip():
                file, use = line.strip().rsplit(None, 1)
                if use in "12":
                    file_path = f"{name}/{file}"
                    found = file_path if file_path in on_disk else None
                    rows.append((os.path.splitext(file)[0], found, name, "train" if use == "1" else "test"))
    return _table(rows, sorted(path.name.removesuffix(ending) for path in lists))


def _kinetics(root, files, fold, annotations):
    """CSVs (label, youtube_id, time_start, time_end, split); <id>_<start>_<end> (6 digits) or <id>, in any folder."""
    paths = _annotations(root, annotations, ["*.csv"], "Kinetics' CSV files")
    wanted = ["label", "youtube_id", "time_start", "time_end", "split"]
    tables = []
    for path in paths:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        if "label" not in table:  # a test list whose labels are held out
            continue
        lacking = [column for column in wanted if column not in table]
        if lacking:
            raise ValueError(f"{path}: has no column {lacking[0]}; expected {', '.join(wanted)}")
        tables.append(table[wanted])
    if not tables:
        raise ValueError(f"annotations: {', '.join(map(str, paths))} hold no labels")
    table = pd.concat(tables, ignore_index=True)
    start, end = (table[name].astype(float).astype(int).map("{:06d}".format) for name in ("time_start", "time_end"))
    video = table.youtube_id + "_" + start + "_" + end
    stems = _by_stem(files)
    path = video.map(stems).fillna(table.youtube_id.map(stems))
    split = table.split.str.lower().map(_SPLIT_OF)
    if split.isna().any():
        raise ValueError(f"split: {table.split[split.isna()].iloc[0]!r} in {paths[0]}; expected {', '.join(_SPLIT_OF)}")
    rows = {"video": video, "path": path.where(path.notna(), None), "class_name": table.label, "split": split}
    return pd.DataFrame(rows).drop_duplicates("video"), sorted(table.label.unique())


def _activitynet(root, files, fold, annotations):
    """The official JSON; v_<id>.<suffix> in any folder. The label is the one with the longest annotated time."""
    path = _annotations(root, annotations, ["*.json"], "ActivityNet's JSON")[0]
    content = json.loads(path.read_text())
    if "database" not in content:
        raise ValueError(f'{path}: has no "database"; expected ActivityNet\'s JSON')
    stems, rows, others = _by_stem(files), [], {}
    for name, entry in content["database"].items():
        seconds = {}
        for part in entry["annotations"]:
            start, end = part["segment"]
            seconds[part["label"]] = seconds.get(part["label"], 0.0) + end - start
        if seconds:  # the testing subset's annotations are held out
            longest, *rest = sorted(seconds, key=lambda label: (-seconds[label], label))
            video = f"v_{name}"
            rows.append((video, stems.get(video, stems.get(name)), longest, _SPLIT_OF[entry["subset"].lower()]))
            others[video] = "; ".join(rest)
    labels = {part["label"] for entry in content["database"].values() for part in entry["annotations"]}
    videos, classes = _table(rows, sorted(labels))
    return videos.assign(other_labels=videos.video.map(others)), classes


def _mit(root, files, fold, annotations):
    """moments_categories.txt (class,number), trainingSet.csv and validationSet.csv (<class>/<file>,class,...)."""
    index = _annotations(root, annotations, ["moments_categories.txt"], "Moments in Time's moments_categories.txt")[0]
    numbered = [line.rsplit(",", 1) for line in index.read_text().splitlines() if line.strip()]
    classes = [name for name, _ in sorted(numbered, key=lambda pair: int(pair[1]))]
    on_disk, rows = set(files), []
    for split, folder in (("train", "training"), ("val", "validation")):
        path = index.with_name(f"{folder}Set.csv")
        if not path.is_file():
            raise ValueError(f"annotations: {path} does not exist; expected it beside {index.name}")
        table = pd.read_csv(path, header=None, usecols=[0, 1], dtype=str, keep_default_na=False)
        for file, name in table.itertuples(index=False):
            found = next((f for f in (f"{folder}/{file}", file) if f in on_disk), None)
            rows.append((os.path.splitext(file)[0], found, name, split))
    return _table(rows, classes)


def _folder(root, files, fold, annotations):
    """<split>/<class>/<any file>, or <class>/<any file>: a fifth of each class then becomes the test split."""
    parts = [path.split("/") for path in files]
    splits = {p[0].lower() for p in parts}
    if splits and splits <= _SPLIT_OF.keys():
        rows = [(path, path, p[1], _SPLIT_OF[p[0].lower()]) for path, p in zip(files, parts, strict=True) if len(p) > 2]
    else:
        rows = [(path, path, p[0], "") for path, p in zip(files, parts, strict=True) if len(p) > 1]
    if not rows:
        raise ValueError(f"root: {root} has no video in <class>/ or <split>/<class>/; expected {', '.join(SUFFIXES)}")
    return _table(rows, sorted({row[2] for row in rows}))


LAYOUTS = {
    "planted": _ucf101,
    "ucf101": _ucf101,
    "hmdb51": _hmdb51,
    "kinetics": _kinetics,
    "activitynet": _activitynet,
    "mit": _mit,
    "folder": _folder,
}
DATASETS = tuple(LAYOUTS)


# What two clips of the same scene or source video share: the name up to here
_SOURCE = {
    "ucf101": r"_c\d+$",
    "planted": r"_c\d+$",
    "kinetics": r"_\d{6}_\d{6}$",
    "mit": r"_\d+$",
}


def _sources(dataset, videos):
    if dataset == "hmdb51":
        return pd.Series(
            [v.split(f"_{c}_")[0] for v, c in zip(videos.video, videos.class_name, strict=True)], videos.index
        )
    return videos.video.str.replace(_SOURCE[dataset], "", regex=True) if dataset in _SOURCE else videos.video
