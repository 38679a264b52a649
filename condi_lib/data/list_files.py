"""List files of videos: which there are, and what their lines say. One table for the forms of MMAction2, TSN, SlowFast.

A line is `path label`, `path n_frames label` or `path first n_frames label`, apart by blanks, commas, semicolons or
tabs, or a table has named columns (CSV, TSV, JSON lines). The label comes last, so that a path may hold blanks.
"""

import csv
import io
import json
import re
from pathlib import Path

import pandas as pd

from condi_lib.data.annotations import _levels, files_in, listed_path, read_lines, read_text
from condi_lib.data.splits import split_of, words_of
from condi_lib.data.tree import VIDEO_ENDINGS, ending

PATTERNS = ("*.csv", "*.tsv", "*.txt", "*.jsonl", "*.lst", "*.list")
COLUMNS = {  # as others call them, the surest first
    "path": "path video_path clip_path file_path filepath file_name filename file frame_dir video video_name video_id",
    "label": "label class labels target category action label_id class_id class_name label_name",
    "class_name": "class_name label_name classname",
    "n_frames": "n_frames num_frames total_frames",
    "split": "split subset partition",
    "fold": "fold",
    "start_frame": "start_frame",
    "end_frame": "end_frame",
    "source": "source",
}
_SEPARATORS = ("\t", ",", ";", None, "ending")  # blanks; what follows a video's ending, for labels of several words


def _named(header, fold=1):
    """{our column: theirs} of a header's names."""
    names = {str(name).strip().strip('"').lower(): name for name in header}
    found = {ours: next((names[n] for n in theirs.split() if n in names), None) for ours, theirs in COLUMNS.items()}
    found["split"] = found["split"] or names.get(f"split{fold}", names.get(f"split_{fold}"))
    if found["class_name"] == found["label"]:
        found["class_name"] = None
    return {ours: name for ours, name in found.items() if name is not None}


def _header(lines, columns=("path", "label")):
    """The separator of a first line that names these columns, or None."""
    for separator in (",", "\t", ";", "|"):
        if lines and separator in lines[0][1] and set(columns) <= _named(lines[0][1].split(separator)).keys():
            return separator
    return None


def is_list(path, exists):
    """Whether a file names videos: by its columns, or since `exists` finds one of its first lines' paths."""
    if ending(path.name) == ".jsonl":
        return True
    lines = read_lines(path)
    if _header(lines):
        return True
    return any(exists(row["path"]) for row in _plain(lines[:20], exists) if "path" in row)


def read_list(path, exists, fold=1):
    """The rows of a list file, text: columns of COLUMNS that it has, and `error` for lines that say nothing.

    exists(listed path), 2 where it lies on disk, 1 where one with another ending does, 0 where none, decides how lines
    are cut that can be read in several ways. Raises ValueError.
    """
    if ending(path.name) == ".jsonl":
        table = pd.DataFrame([_json_row(path, i, line) for i, line in read_lines(path)])
    else:
        lines = read_lines(path)
        if separator := _header(lines, ["path"]):
            table = _read_columns(path, separator)
        else:
            if lines and {"path", "label"} <= _named(lines[0][1].split()).keys():  # blanks, as in the lines below
                lines = lines[1:]
            return pd.DataFrame(_plain(lines, exists, path.name)).fillna("")
    named = _named(table.columns, fold)
    if len(table) and not {"path", "label"} <= named.keys():
        raise ValueError(f"{path}: has columns {', '.join(table.columns)}; expected path (or file_name) and label")
    table = pd.DataFrame({ours: table[theirs].fillna("").astype(str).str.strip() for ours, theirs in named.items()})
    if len(table):
        table["path"] = table.path.map(listed_path)
    return table


def _read_columns(path, separator):
    """A table of named columns. Surplus fields belong to a path that comes first: it has commas without quotes."""
    try:
        rows = [
            row for row in csv.reader(io.StringIO(read_text(path).strip()), delimiter=separator, strict=True) if row
        ]
    except csv.Error as e:
        raise ValueError(f"{path}: is no table: {e}") from e
    names = [name.strip().lower() for name in rows[0]]
    n, out = len(names), []
    for row in rows[1:]:
        while len(row) > n and not row[-1].strip():
            row.pop()
        if surplus := max(0, len(row) - n):
            row = [separator.join(row[: surplus + 1]), *row[surplus + 1 :]]
        out.append([*row, *[""] * (n - len(row))])
    return pd.DataFrame(out, columns=names, dtype=str)


def _json_row(path, i, line):
    try:
        row = json.loads(line)
    except json.JSONDecodeError as e:
        raise ValueError(f"{path}, line {i}: is no JSON: {e}") from e
    if not isinstance(row, dict):
        raise ValueError(f"{path}, line {i}: found {line[:50]!r}, expected an object with file_name and label")
    return {str(name).lower(): value for name, value in row.items()}


def _cut(line, separator, n):
    """[path, n last fields], or None."""
    if separator == "ending":
        ends = [m.end() for m in re.finditer(r"\.\w+(?=\s)", line) if m[0].lower() in VIDEO_ENDINGS]
        words = ends and re.search(r"[^\W\d]", line[ends[0] :])  # several numbers are no name
        parts = [line[: ends[0]], line[ends[0] :]] if words and n == 1 else []
    elif '"' in line and separator:
        fields = next(csv.reader([line], delimiter=separator))
        parts = [separator.join(fields[:-n]), *fields[-n:]] if len(fields) > n else []
    else:
        parts = line.rsplit(separator, n)
    parts = [part.strip() for part in parts]
    counts = parts[1:-1]  # a video has at least one frame
    good = len(parts) == n + 1 and all(parts) and all(c.isdigit() for c in counts) and counts[-1:] != ["0"]
    return parts if good else None


def _plain(lines, exists, name=""):
    """Rows of lines without a header. The cut under which most paths exist is taken for all; "# ..." is a remark."""
    lines = [(i, line) for i, line in lines if not line.startswith("# ") or exists(line.rsplit(None, 1)[0])]
    sample = [line for _, line in lines[:20] + lines[20 :: max(1, len(lines) // 20)]]
    best, how = (0,), (None, 1)
    for separator in _SEPARATORS:
        for n in (1, 2, 3):
            rows = [row for row in (_cut(line, separator, n) for line in sample) if row]
            if len(rows) < 0.8 * len(sample):
                continue
            rank = (
                sum(exists(listed_path(row[0])) for row in rows),
                sum(ending(row[0]) in VIDEO_ENDINGS or " " not in row[0] for row in rows),
                sum(row[-1].isdigit() for row in rows),
                n > 1,
            )
            if rank > best:
                best, how = rank, (separator, n)
    out = []
    for i, line in lines:
        row = _cut(line, *how)
        if row is None:
            out.append({"path": f"{name}:{i}", "label": "", "error": f"is no path and label: {line[:80]!r}"})
            continue
        path, *numbers, label = row
        row = {"path": listed_path(path), "label": label}
        if len(numbers) == 2:
            row |= {"start_frame": numbers[0], "end_frame": str(int(numbers[0]) + int(numbers[1]))}
        elif numbers:
            row["n_frames"] = numbers[0]
        out.append(row)
    return out


def choose_lists(root, annotations, fold, exists):
    """([(split or "", list file)], files with class names, notes). Raises ValueError, listing what was found.

    `annotations` is a file, or a folder; else the shallowest of `root` and the folders below it that hold lists. Names
    say splits (train.csv, ucf101_val_split_1_videos.txt: fold 1), or the folder of a metadata.csv does.
    """
    place = Path(annotations).expanduser() if annotations else Path(root)
    if not place.exists():
        raise ValueError(f"annotations: {annotations} does not exist; expected a list file, or a folder of lists")
    if place.is_file():
        beside = [p for p in files_in(place.parent, (*PATTERNS, "*.json")) if p != place]
        return [(words_of(place.stem)[0], place)], [p for p in beside if _names_classes(p)], []
    for level in _levels(place, 2):
        files = [path for folder in level for path in files_in(folder, (*PATTERNS, "*.json"))]
        classes = [path for path in files if _names_classes(path)]
        files = [path for path in files if path not in classes and ending(path.name) != ".json"]
        metadata = [path for path in files if path.stem.lower() == "metadata"]
        splits = {path: words_of(path.stem)[0] or split_of(path.parent.name) for path in metadata or files}
        named = [path for path in splits if splits[path]] or metadata
        lists = _of_fold(named, fold) or [path for path in files if is_list(path, exists)]
        if not lists:
            continue
        if len(lists) > 1 and not named:
            raise ValueError(
                f"annotations: {', '.join(map(str, lists))} all name videos, and not which split; expected "
                "annotations to say which, or names with train, val and test"
            )
        if named:
            lists = _of_one_kind(lists, exists)
        left = [str(path) for path in files if path not in lists]
        notes = [f"files beside the lists are left out: {', '.join(left[:5])}"] if left else []
        return [(splits.get(path, ""), path) for path in lists], classes, notes
    raise ValueError(
        f"{'annotations' if annotations else 'root'}: {place} has no list of videos ({', '.join(PATTERNS)} with path "
        "and label); expected one in it or right below it"
    )


def _names_classes(path):
    name = path.stem.lower()
    return any(word in name for word in ("class", "label", "categor")) and not _header(read_lines(path)[:1])


def _of_fold(paths, fold):
    numbers = {path: re.search(r"(?:split|fold|list)[ _-]?0*(\d+)", path.stem.lower()) for path in paths}
    if not any(numbers.values()):
        return paths
    found = [path for path in paths if numbers[path] and int(numbers[path][1]) == fold]
    if not found:
        there = sorted({int(number[1]) for number in numbers.values() if number})
        raise ValueError(f"fold: found {fold}, but {paths[0].parent} has lists of {', '.join(map(str, there))}")
    return found


def _of_one_kind(paths, exists):
    """Of lists for videos and lists for frames of the same data, those whose paths exist."""
    kinds = {}
    for path in paths:
        split = words_of(path.stem)[0]
        words = [w for w in re.findall(r"[^\W\d_]+", path.stem.lower()) if words_of(w)[0] != split or not split]
        kinds.setdefault(tuple(words), []).append(path)
    if len(kinds) > 1:
        there = {
            kind: sum(exists(row["path"]) for p in files for row in _plain(read_lines(p)[:20], exists))
            for kind, files in kinds.items()
        }
        best = [kind for kind in kinds if there[kind] and there[kind] == max(there.values())]
        if len(best) != 1:
            raise ValueError(
                f"annotations: {', '.join(map(str, paths))} are lists of {len(kinds)} kinds; expected one kind, or "
                "annotations to name a folder with one"
            )
        return kinds[best[0]]
    return next(iter(kinds.values()))
