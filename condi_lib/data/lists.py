"""Your own data as list files: classes, where the videos lie, segments, splits. See list_files for their forms."""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd

from condi_lib.data.annotations import read_json, read_lines
from condi_lib.data.layouts import one_spelling
from condi_lib.data.list_files import choose_lists, read_list
from condi_lib.data.splits import in_one_split, split_of
from condi_lib.data.tree import ending, folded, is_left_behind, printable, stem

MAX_CLASSES = 100_000


def list_file(root, fold, annotations):
    """Rows of list files: path is absolute or below the working folder, and error says what is wrong with a row.

    Bad rows (a file that is not there, a label that is no class, a line that says nothing) stay, as bad videos do.
    """
    root = Path(root)
    place = Path(annotations).expanduser() if annotations else root
    bases = _bases(root, place.parent if place.is_file() else place)
    lists, class_files, notes = choose_lists(root, annotations, fold, _seen_below(bases))
    tables = []
    for split, path in lists:
        bases = _bases(root, path.parent)
        table = read_list(path, _seen_below(bases), fold)
        if not len(table):
            notes.append(f"{path} names no video")
            continue
        table = table.assign(path_on_disk=_locate(table.path, bases, notes), split=_splits(table, split, path))
        tables.append(table)
    if not tables:
        raise ValueError(f"annotations: {', '.join(str(path) for _, path in lists)} name no video")
    table = pd.concat(tables, ignore_index=True)
    for column in ("error", "class_name", "fold", "start_frame", "end_frame", "n_frames", "source"):
        table[column] = table[column].fillna("") if column in table else ""
    class_name, classes = _classes(table, class_files, notes)
    rows = _rows(table.assign(class_name=class_name), root, len(classes), notes, fold)
    return rows, classes, {"notes": notes}


def _is_utf8(name):
    return name.isascii() or printable(name) == name


def _join(base, path):
    return path if os.path.isabs(path) and base is None else f"{base}/{path.lstrip('/')}"


def _bases(root, place):
    """Where listed paths may begin: as they are (None), at the root, beside the list, right below the root."""
    below = [
        Path(root, e.name) for e in os.scandir(root) if _is_utf8(e.name) and not is_left_behind(e.name) and e.is_dir()
    ]
    return list(dict.fromkeys([None, root, place, *(sorted(below) if len(below) <= 200 else [])]))


def _locate(listed, bases, notes):
    """The path of each listed path: str, also where nothing lies there.

    The base under which most of a sample exist is taken for the list; where none do, without the first folders of the
    listed paths, which were written on another machine. A file that is not there is looked for with another ending.
    """
    sample, known = listed[:: max(1, len(listed) // 50)], {}
    best, how = 0, (bases[1], 0)
    for cut in range(8):
        for base in bases:
            if base is not None or (not cut and all(map(os.path.isabs, sample))):
                found = sum(_seen(_join(base, _without(path, cut)), known) is not None for path in sample)
                if found > best:
                    best, how = found, (base, cut)
        if best:
            break
    base, cut = how
    if cut:
        notes.append(
            f"listed paths are read without their first {cut} folders, as {_join(base, _without(sample.iloc[0], cut))}"
        )
    out = []
    for path in listed:
        where = _join(base, _without(path, cut))
        out.append(_seen(where, known) or where)
    return out


def _without(path, cut):
    return path.lstrip("/").split("/", cut)[-1] if cut else path


def _seen(where, known):
    """The path if something lies there, or one of the same stem, whatever its ending, in the same folder; or None."""
    if os.path.exists(where):
        return where
    folder, _, name = where.rpartition("/")
    if folder not in known:
        try:
            names = sorted(n for n in os.listdir(folder or "/") if _is_utf8(n) and not is_left_behind(n))
        except OSError:
            names = []
        known[folder] = {stem(name): name for name in names}
    other = known[folder].get(stem(name))
    return f"{folder}/{other}" if other else None


def _seen_below(bases):
    """A function: listed path -> 2 where it lies at one of the bases, 1 where one of its stem does, or 0."""
    known = {}

    def seen(listed):
        places = [_join(base, listed) for base in bases]
        places += [_join(base, _without(listed, cut)) for base in bases[1:3] for cut in range(1, 8)]
        return 2 if any(map(os.path.exists, places)) else int(any(_seen(where, known) for where in places))

    return seen


def _splits(table, split, path):
    """The split of each row, by the column where there is one, else by the file's name; "" where nothing says it."""
    if "split" not in table:
        return split
    said = {name: "teacher" if name.lower() == "teacher" else split_of(name) for name in table.split.unique()}
    for name, found in said.items():
        if not found:
            raise ValueError(f"{path}: has split {name!r}; expected train, val, test (or teacher)")
    return table.split.map(said)


def read_classes(path):
    """(names in order, their numbers or None) of a class file: a name a line, with or without a number, or JSON."""
    if ending(path.name) == ".json":
        content = read_json(path)
        if isinstance(content, dict):
            pairs = [(k, v) if str(v).isdigit() else (v, k) for k, v in content.items()]
        else:
            pairs = [(name, None) for name in content]
    else:
        pairs = [_class_line(line) for _, line in read_lines(path)]
        if pairs and pairs[0][1] is None and all(number is not None for _, number in pairs[1:]) and len(pairs) > 1:
            pairs = pairs[1:]  # a header: id,name
    if any(number is None for _, number in pairs):
        names = [name for name, _ in pairs] if ending(path.name) == ".json" else [line for _, line in read_lines(path)]
        return list(dict.fromkeys(names)), None
    pairs = sorted(((str(name), int(number)) for name, number in pairs), key=lambda pair: pair[1])
    if len({number for _, number in pairs}) < len(pairs):
        raise ValueError(f"{path}: gives two classes one number")
    return [name for name, _ in pairs], [number for _, number in pairs]


def _class_line(line):
    """(name, number or None)."""
    for pattern in (r"(?P<number>\d+)\s*[\s,;:]\s*(?P<name>.+)", r"(?P<name>.+?)\s*[\s,;:]\s*(?P<number>\d+)"):
        if found := re.fullmatch(pattern, line):
            return found["name"].strip('"'), found["number"]
    return line, None


def _classes(table, class_files, notes):
    """(class name of each row, "" where it has none that counts, class list)."""
    labels = table.label.str.replace(r"^(\d+)\.0+$", r"\1", regex=True)
    given = labels[labels != ""]
    numeric = given.str.fullmatch(r"\d+")
    by_number = numeric.mean() > 0.5
    names, numbers = None, None
    if class_files:
        found = {path: read_classes(path) for path in class_files}
        if len({tuple(names) for names, _ in found.values()}) > 1:
            raise ValueError(f"annotations: {', '.join(map(str, class_files))} give different classes; expected one")
        names, numbers = found[class_files[0]]
        by_number &= not given.isin(names).mean() > 0.5
    if not by_number:
        if names:
            known = {folded(name): name for name in names}
            known |= {name: name for name in names}
            labels = labels.map(lambda label: known.get(label, known.get(folded(label), label)))
        else:
            labels = one_spelling(labels, notes)
        classes = names or sorted(labels[labels != ""].unique())
        return labels.where(labels.isin(classes), ""), classes
    value = pd.to_numeric(labels.where(labels.str.fullmatch(r"\d+"), "-1"))
    largest = value.max()
    if names is None and (table.class_name != "").any():
        pairs = (
            table[(table.class_name != "") & (value >= 0)]
            .assign(value=value)[["value", "class_name"]]
            .drop_duplicates()
        )
        if pairs.value.duplicated().any() or pairs.class_name.duplicated().any():
            twice = pairs[pairs.value.duplicated(keep=False) | pairs.class_name.duplicated(keep=False)].iloc[0]
            raise ValueError(f"label: {twice.value} and {twice.class_name!r} do not belong together in all rows")
        pairs = pairs.sort_values("value")
        names, numbers = list(pairs.class_name), list(pairs.value)
    elif names is None:
        if largest >= MAX_CLASSES:
            raise ValueError(f"label: found {largest:,}; expected numbers of classes, or a class file (classes.txt)")
        first = int(value[value >= 0].min() == 1 and len(set(value[value >= 0])) == largest)
        if first:
            notes.append(f"labels begin at 1: {largest} classes named 1 to {largest}")
        numbers = list(range(first, largest + 1))
        names = list(map(str, numbers))
    elif numbers is None or (min(numbers) == 1 and (value == 0).any()):
        # as they come: from 0, or from 1 where the last number would have no class
        first = int(not (value == 0).any() and largest == len(names))
        numbers = list(range(first, first + len(names)))
    return value.map(dict(zip(numbers, names, strict=True))).fillna(""), names


def _rows(table, root, n_classes, notes, fold):
    """The layout's rows, with n_listed (frames that the list gives a folder of pictures; 0: none) and error."""
    rows = pd.DataFrame({"path": table.path_on_disk, "class_name": table.class_name, "split": table.split})
    faults = table[["error"]].copy()
    for name, whole in (("start_frame", 0), ("end_frame", -1), ("fold", -1), ("n_frames", 0)):
        text = table[name].str.replace(r"\.0+$", "", regex=True)
        bad = ~text.str.fullmatch(r"-?\d+|")
        faults[name] = (f"{name} is no number: " + text).where(bad, "")
        rows[name] = text.mask(bad | (text == ""), str(whole)).astype(np.int64)
    rows = rows.rename(columns={"n_frames": "n_listed"})
    segment = rows.start_frame.astype(str) + " to " + rows.end_frame.astype(str)
    backward = (rows.start_frame < 0) | ((rows.end_frame <= rows.start_frame) & (rows.end_frame != -1))
    faults["segment"] = ("has no frames in its segment, " + segment).where(backward, "")
    faults["label"] = ("has label '" + table.label + f"', which is none of the {n_classes} classes").where(
        table.class_name == "", ""
    )
    faults["there"] = ["" if os.path.exists(path) else "is not on disk" for path in rows.path]
    rows["video"] = rows.path.str.removeprefix(f"{root}/")
    rows["source"] = table.source.where(table.source != "", rows.video)
    whole = (rows.start_frame == 0) & (rows.end_frame == -1)
    rows["video"] = rows.video.where(
        whole, rows.video + "#" + rows.start_frame.astype(str) + "-" + rows.end_frame.astype(str)
    )
    first = pd.Series("", index=rows.index)
    for column in faults:
        first = first.mask((first == "") & (faults[column] != ""), faults[column])
    rows["error"] = first
    return _with_roles(_each_once(rows, notes), fold, notes)


def _each_once(rows, notes):
    """Rows without what is listed twice; raises ValueError for a video in train and in val or test."""
    if not rows.video.duplicated().any():
        return rows
    rows = in_one_split(rows, "video", notes)
    classes = rows.groupby("video").class_name.transform("nunique")
    rows = rows.assign(error=rows.error.mask((classes > 1) & (rows.error == ""), "is listed with several classes"))
    rows = rows.assign(class_name=rows.class_name.mask(classes > 1, ""))
    once = rows.drop_duplicates("video")
    if len(once) < len(rows):
        notes.append(f"{len(rows) - len(once):,} lines repeat another and count once")
    return once


def _with_roles(rows, fold, notes):
    """Where no list says splits but folds, fold number `fold` (from 1) is test, the next val, all others train.

    Where there are no folds, the folders of the listed paths may say splits.
    """
    own = sorted(set(rows.fold[rows.fold >= 0]))
    if (rows.split != "").any():
        return rows
    if len(own) < 2:
        said = {where: _split_in(where) for where in {video.rpartition("/")[0] for video in rows.video}}
        if "train" in said.values() and "" not in said.values() and len(set(said.values())) > 1:
            notes.append("no list says splits: the folders of the listed videos do")
            return rows.assign(split=[said[video.rpartition("/")[0]] for video in rows.video])
        return rows
    if not 1 <= fold <= len(own):
        raise ValueError(f"fold: found {fold}, expected 1 to {len(own)}, the folds that the list gives")
    test, val = own[fold - 1], own[fold % len(own)]
    roles = {test: "test", val: "val" if len(own) > 2 else "train"}
    notes.append(f"of the list's {len(own)} folds {test} is test" + (f", {val} is val" if len(own) > 2 else ""))
    return rows.assign(split=rows.fold.map(roles).fillna("train"))


def _split_in(folders):
    """The split that the first of a path's folders says which says one; or ""."""
    return next(filter(None, map(split_of, folders.split("/"))), "")
