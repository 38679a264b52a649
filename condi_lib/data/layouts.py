"""Layouts as published: what their lists name, and where it lies. Each returns (rows, class list, attrs).

rows: a table with video, path (below the root; None where it is not on disk), class_name, split, and source: what
clips of one scene or source video share. attrs: notes, sentences on what was found, and passed_over, files.
"""

import json
import os
import re
from collections import Counter, defaultdict

import pandas as pd

from condi_lib.data.annotations import (
    beside,
    find_fitting_lists,
    find_lists,
    find_most_lists,
    listed_path,
    read_csv,
    read_json,
    read_lines,
)
from condi_lib.data.splits import SPLITS, split_of
from condi_lib.data.tree import Finder, find_below, folded, spelled, stem, walk


def some(names, n=5):
    """The first few of many names, for a sentence."""
    names = [str(name) for name in names]
    return ", ".join(names[:n]) + (f" and {len(names) - n:,} more" if len(names) > n else "")


def one_spelling(names, notes):
    """The class names, those that are spelled in several ways in the commonest of these. notes is added to."""
    times = Counter(names)
    ways = defaultdict(list)
    for name in sorted(times, key=lambda name: (-times[name], name)):
        ways[folded(name)].append(name)
    if several := [" = ".join(of_class) for of_class in ways.values() if len(of_class) > 1]:
        notes.append(f"{len(several):,} classes are spelled in several ways, and each is one class: {some(several)}")
    return names.map({name: of_class[0] for of_class in ways.values() for name in of_class})


def _found(listed, find, notes):
    """Rows of (video, listed path, class name, split, source), with the path on disk. notes is added to.

    Where several files have one name (A/0000.avi, B/0000.avi), the video is the listed path (without its ending, where
    that tells them apart), and the file must lie in a folder of that name.
    """
    paths = defaultdict(set)
    for video, path, *_ in listed:
        paths[spelled(video)].add(spelled(path))
    without_ending = Counter(_bare(path) for of_video in paths.values() for path in of_video)
    rows = []
    for video, path, name, split, source in listed:
        if len(paths[spelled(video)]) == 1:
            rows.append((video, find(path), name, split, source))
        else:
            own = _bare(path) if without_ending[spelled(_bare(path))] == 1 else path
            place = find(path, depth=path.count("/") + 1)
            rows.append((own, place, name, split, f"{path.rpartition('/')[0]}/{source}"))
    if several := [video for video, of_video in paths.items() if len(of_video) > 1]:
        notes.append(f"files of one name are listed, each a video of its own, called by its path: {some(several)}")
    return _rows(rows)


def _bare(path):
    return path.removesuffix(path.rsplit("/", 1)[-1]) + stem(path)


def _rows(rows):
    return pd.DataFrame(rows, columns=["video", "path", "class_name", "split", "source"])


def _attrs(tree, find, notes):
    if find.copies:
        notes.append(f"{find.copies:,} listed videos lie in root more than once: the first by name is taken")
    return {"passed_over": tree.passed_over, "notes": [*notes, *tree.notes], "not_utf8": tree.not_utf8}


def _numbers(path, separator=None, last=False):
    """{class name: number} of a file with a line a class; the number comes first, or last."""
    found = {}
    for i, line in read_lines(path):
        try:
            number, name = reversed(line.rsplit(separator, 1)) if last else line.split(separator, 1)
            found[name.strip()] = int(number)
        except ValueError:
            raise ValueError(f"{path}, line {i}: found {line!r}, expected a class and its number") from None
    return found


def _in_order(numbers):
    return sorted(numbers, key=numbers.get)


def _unknown_class(path, label, index, classes):
    return ValueError(f"{path}: has class {label!r}, which is not among the {len(classes)} of {index}")


def ucf101(root, fold, annotations):
    """classInd.txt (from 1), {train,val,test}list0<fold>.txt; <Class>/<video>.

    Folder and file name spell HandstandPushups differently, and copies on disk do too: letter case is ignored.
    """
    index = find_lists(root, annotations, ["classInd.txt"], "UCF-101's classInd.txt with its split lists")[0]
    numbers = _numbers(index)
    names, tree = {name.lower(): name for name in numbers}, walk(root)
    find, rows, notes, others = Finder(tree), [], [], []
    for split in SPLITS:
        path = beside(index, f"{split}list{fold:02d}.txt")
        lines = read_lines(path) if path.is_file() else []
        if path.is_file() and not lines:
            notes.append(f"{path} names no video")
        for i, line in lines:
            file, number = re.fullmatch(r"(.*?)(?:\s+(\d+))?", listed_path(line)).groups()
            name = names.get(file.split("/")[0].lower())
            if name is None:
                raise ValueError(f"{index}: has no class {file.split('/')[0]}, which {path.name} names in line {i}")
            if number and int(number) != numbers[name]:
                others.append(f"{path.name}, line {i}: {name} has number {number}, but {numbers[name]} in {index.name}")
            rows.append((stem(file), file, name, split, re.sub(r"_c\d+$", "", stem(file))))
    if others:
        notes.append(
            f"{len(others):,} lines have another number than the class list, and the folder counts: {others[0]}"
        )
    if not rows:
        raise ValueError(f"fold: {index.parent} has no trainlist{fold:02d}.txt or testlist{fold:02d}.txt with videos")
    return _found(rows, find, notes), _in_order(numbers), _attrs(tree, find, notes)


def hmdb51(root, fold, annotations):
    """<class>_test_split<fold>.txt, a line "<file> <0 unused, 1 train, 2 test>"; <class>/<file>."""
    end = f"_test_split{fold}.txt"
    lists, left = find_most_lists(root, annotations, [f"*{end}"], "HMDB-51's split files, fold 1, 2 or 3")
    tree = walk(root)
    find, rows, notes = Finder(tree), [], []
    for path in lists:
        name, n = path.name[: -len(end)], len(rows)
        for i, line in read_lines(path):
            file, use = line.rsplit(None, 1) if " " in line or "\t" in line else (line, "")
            if use not in ("0", "1", "2"):
                raise ValueError(f"{path}, line {i}: found {line!r}, expected a file and 0, 1 or 2")
            if use != "0":
                video, split = stem(listed_path(file)), "train" if use == "1" else "test"
                rows.append((video, f"{name}/{listed_path(file)}", name, split, video.split(f"_{name}_")[0]))
        if len(rows) == n:
            notes.append(f"{path} names no video")
    if left:
        notes.append(f"the {len(lists):,} lists in {lists[0].parent} are read, and others left out: {some(left)}")
    if not rows:
        raise ValueError(f"fold: the lists {lists[0].parent}/*{end} name no video")
    classes = sorted(path.name[: -len(end)] for path in lists)
    return _found(rows, find, notes), classes, _attrs(tree, find, notes)


def kinetics(root, fold, annotations):
    """CSVs (label, youtube_id, time_start, time_end, split); <id>_<start>_<end> (6 digits) or <id>, in any folder."""
    wanted = ["label", "youtube_id", "time_start", "time_end", "split"]
    contents, notes = find_fitting_lists(
        *(root, annotations, ["*.csv"], f"Kinetics' CSV files, with columns {', '.join(wanted)}", read_csv),
        lambda table: "" if "youtube_id" in table else f"has no column youtube_id, but {some(table.columns) or 'none'}",
        lambda path: split_of(re.sub(r"kinetics|k?[4-7]00", "", path.stem.lower())),
    )
    tables = []
    for path, table in contents.items():
        if "label" not in table:  # a test list whose labels are held out
            notes.append(f"{path} has no labels and is left out (columns {some(table.columns)})")
            continue
        if lacking := [column for column in wanted if column not in table]:
            raise ValueError(f"{path}: has no column {lacking[0]}; expected {', '.join(wanted)}")
        if not len(table):
            notes.append(f"{path} names no video")
            continue
        split = table.split.map({name: split_of(name) for name in table.split.unique()})
        if (split == "").any():
            found = table.split[split == ""].iloc[0]
            raise ValueError(f"split: {found!r} in {path}; expected train, validate or test")
        if (table.label == "").any():
            raise ValueError(f"{path}: {table.youtube_id[table.label == ''].iloc[0]} has no label")
        times = []
        for name in ("time_start", "time_end"):
            seconds = pd.to_numeric(table[name], errors="coerce")
            if seconds.isna().any():
                row = table[seconds.isna()].iloc[0]
                raise ValueError(f"{path}: {row.youtube_id} has {name} {row[name]!r}; expected seconds")
            times.append(seconds.astype(int).map("{:06d}".format))
        video = table.youtube_id + "_" + times[0] + "_" + times[1]
        tables.append(table[["label", "youtube_id"]].assign(video=video, split=split))
    if not tables:
        raise ValueError(f"annotations: {some(contents)} name no video with a label; {'; '.join(notes)}")
    table, tree = pd.concat(tables, ignore_index=True), walk(root)
    table = table.assign(label=one_spelling(table.label, notes))
    find = Finder(tree, exact=True)
    path = [find(video) or find(name) for video, name in zip(table.video, table.youtube_id, strict=True)]
    rows = {"video": table.video, "path": path, "class_name": table.label, "split": table.split}
    return pd.DataFrame(rows | {"source": table.youtube_id}), sorted(table.label.unique()), _attrs(tree, find, notes)


def activitynet(root, fold, annotations):
    """The official JSON; v_<id>.<suffix> in any folder. The label is the one with the longest annotated time.

    Column segments is the JSON of all [start, end, label] of the video, in seconds.
    """
    contents, notes = find_fitting_lists(
        *(root, annotations, ["*.json"], "ActivityNet's JSON", read_json),
        lambda found: (
            "" if isinstance(found, dict) and isinstance(found.get("database"), dict) else 'has no "database"'
        ),
        lambda path: "activity" in path.name.lower(),
    )
    path, *left = contents
    if left:
        notes.append(f"{path} is read, and others like it are left out: {some(left)}")
    database, tree = contents[path]["database"], walk(root)
    find, rows, others, segments, labels, bare = Finder(tree, exact=True), [], {}, {}, set(), []
    for name, entry in database.items():
        try:
            parts = [(*map(float, part["segment"]), part["label"]) for part in entry.get("annotations") or []]
            seconds = {}
            for start, end, label in parts:
                seconds[label] = seconds.get(label, 0.0) + end - start
            subset = entry["subset"] if parts else str(entry.get("subset"))
            if not parts and split_of(subset) in ("train", "val"):
                bare.append(name)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ValueError(
                f"{path}: {name} is {json.dumps(entry)[:200]}; expected subset and annotations, each with segment "
                "(start and end in seconds) and label"
            ) from None
        if seconds:  # the testing subset's annotations are held out
            labels |= seconds.keys()
            longest, *rest = sorted(seconds, key=lambda label: (-seconds[label], label))
            video = f"v_{name}"
            split = split_of(subset)
            if not split:
                raise ValueError(f"{path}: {name} has subset {subset!r}; expected training or validation")
            rows.append((video, find(video) or find(name), longest, split, video))
            others[video] = "; ".join(rest)
            segments[video] = json.dumps([[*part["segment"], part["label"]] for part in entry["annotations"]])
    if bare:
        notes.append(f"{len(bare):,} videos of training or validation have no annotation in {path}: {some(bare)}")
    if not rows:
        raise ValueError(f"{path}: none of its {len(database):,} videos has an annotation")
    videos = _rows(rows)
    videos = videos.assign(other_labels=videos.video.map(others), segments=videos.video.map(segments))
    return videos, sorted(labels), _attrs(tree, find, notes)


def mit(root, fold, annotations):
    """moments_categories.txt (class,number), trainingSet.csv and validationSet.csv (<class>/<file>,class,...)."""
    index = find_lists(root, annotations, ["moments_categories.txt"], "Moments in Time's moments_categories.txt")[0]
    numbers, tree = _numbers(index, ",", last=True), walk(root)
    find, rows, notes = Finder(tree, depth=2), [], []
    for split, folder in (("train", "training"), ("val", "validation")):
        path = beside(index, f"{folder}Set.csv")
        if not path.is_file():
            raise ValueError(f"annotations: {path} does not exist; expected it beside {index.name}")
        table = read_csv(path, header=None, usecols=[0, 1])
        if not len(table):
            notes.append(f"{path} names no video")
        for file, name in table.itertuples(index=False):
            if name not in numbers:
                raise _unknown_class(path, name, index, numbers)
            video = os.path.splitext(listed_path(file))[0]
            rows.append((video, f"{folder}/{listed_path(file)}", name, split, re.sub(r"_\d+$", "", video)))
    return _found(rows, find, notes), _in_order(numbers), _attrs(tree, find, notes)


def jester(root, fold, annotations):
    """jester-v1-{train,validation}.csv (id;label), jester-v1-labels.csv; 20bn-jester-v1/<id>/00001.jpg."""
    index = find_lists(root, annotations, ["jester-v1-labels.csv"], "Jester's jester-v1-labels.csv")[0]
    classes = list(dict.fromkeys(line for _, line in read_lines(index)))
    listed, notes = [], []
    for split, name in (("train", "train"), ("val", "validation")):
        path = beside(index, f"jester-v1-{name}.csv")
        lines = read_lines(path) if path.is_file() else []
        if not lines:
            notes.append(f"{path} names no video")
        for i, line in lines:
            video, _, label = line.partition(";")
            if label.strip() not in classes:
                raise _unknown_class(f"{path}, line {i}", label, index, classes)
            listed.append((video.strip(), label.strip(), split))
    return _by_number(root, index, listed, classes, notes)


def ssv2(root, fold, annotations):
    """something-something-v2-{train,validation}.json (id, template with brackets), ...-labels.json; <id>.webm.

    The same files are also handed out as labels.json, train.json and validation.json.
    """
    patterns = ["something-something-v2-labels.json", "labels.json"]
    index = find_lists(root, annotations, patterns, f"Something-Something's {patterns[0]}")[0]
    numbers = {name.replace("[", "").replace("]", ""): int(number) for name, number in read_json(index).items()}
    listed, notes = [], []
    for split, name in (("train", "train"), ("val", "validation")):
        path = beside(index, index.name.lower().replace("labels", name))
        entries = read_json(path) if path.is_file() else []
        if not entries:
            notes.append(f"{path} names no video")
        for entry in entries:
            try:
                video, label = str(entry["id"]), entry["template"].replace("[", "").replace("]", "")
            except (AttributeError, KeyError, TypeError):
                found = json.dumps(entry)[:200]
                raise ValueError(f"{path}: found {found}, expected an object with id and template") from None
            if label not in numbers:
                raise _unknown_class(f"{path}, id {video}", label, index, numbers)
            listed.append((video, label, split))
    return _by_number(root, index, listed, _in_order(numbers), notes)


def _by_number(root, index, listed, classes, notes):
    """listed: (id, class name, split); <id> is a file or a folder of pictures, in root or at most two folders down."""
    if not listed:
        raise ValueError(f"annotations: no list beside {index} names a video; expected a train and a validation list")
    paths = find_below(root, {video for video, _, _ in listed})
    return _rows([(v, paths.get(v), label, split, v) for v, label, split in listed]), classes, {"notes": notes}
