"""Published lists as they lie on disk: found, decoded, and read as tables, whatever programme saved them."""

import codecs
import fnmatch
import io
import json
import os
import re
from pathlib import Path

import pandas as pd

from condi_lib.data.tree import is_left_behind

_MARKS = (  # the longer first: a mark of UTF-16 begins one of UTF-32
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_text(path):
    """The text of a list: UTF-8, UTF-16 or UTF-32 with or without a byte-order mark, or else Windows' Latin-1.

    Raises ValueError, naming the file, for what is no text, OSError where it cannot be read.
    """
    data = Path(path).read_bytes()
    mark, encoding = next((pair for pair in _MARKS if data.startswith(pair[0])), (b"", ""))
    data = data[len(mark) :]
    if not mark:  # or PowerShell's, whose mark is gone
        head = data[:4096]
        zeros = [head[i::2].count(0) > len(head) / 4 for i in (0, 1)]
        encoding = "utf-16-be" if zeros[0] else "utf-16-le" if zeros[1] else "utf-8"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        if encoding != "utf-8":
            raise ValueError(f"{path}: begins as {encoding} text and is none; save it as UTF-8") from None
        text = data.decode("cp1252", "replace")
    if "\0" in text:
        raise ValueError(f"{path}: holds zero bytes; expected a text file")
    return re.sub(r"\A\s*sep=.\r?\n", "", text)  # a spreadsheet's note to itself


def read_lines(path):
    """[(number from 1, line)] of a list: without blank lines, and without blanks and line ends around each."""
    lines = read_text(path).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [(i, line.strip()) for i, line in enumerate(lines, 1) if line.strip()]


def read_csv(path, **options):
    """A list as a table of text, apart by commas, or by semicolons or tabs where its first line has more of them.

    The names of its columns are stripped and lower-case. Raises ValueError, naming the file.
    """
    text = read_text(path)
    first = text.lstrip().split("\n", 1)[0]
    options.setdefault("sep", max(",;\t", key=first.count))
    try:
        table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, **options)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except pd.errors.ParserError as e:
        raise ValueError(f"{path}: is no table: {e}") from e
    if options.get("header", 0) == 0:
        table.columns = [str(name).strip().lower() for name in table.columns]
    return table.apply(lambda column: column.str.strip())


def read_json(path):
    """Raises ValueError, naming the file."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as e:
        raise ValueError(f"{path}: is no JSON: {e}") from e


def listed_path(text):
    """A path as a list writes it -> with /, without ./ in front."""
    path = text.strip().strip('"').replace("\\", "/")
    while path.startswith("./"):
        path = path[2:]
    return path


def _levels(place, deepest):
    """The folders at depth 0, 1, ... below a folder, level by level."""
    level = [Path(place)]
    for depth in range(deepest + 1):
        yield level
        below = []
        for folder in level:
            try:
                with os.scandir(folder) as entries:
                    for i, entry in enumerate(entries):
                        if not is_left_behind(entry.name) and entry.is_dir():
                            below.append(folder / entry.name)
                        if depth and i > 1000 and not below:  # a folder of files: of videos, or of frames
                            break
            except OSError:
                continue
        level = sorted(below)


def _candidates(root, annotations, patterns, what, deepest=2):
    """Yields the matching files of each folder, the shallowest first. Raises ValueError where there are none."""
    if annotations:
        annotations = Path(annotations).expanduser()
        if annotations.is_file():
            yield [annotations]
            return
        if not annotations.is_dir():
            raise ValueError(f"annotations: {annotations} does not exist; expected {what}")
    none = True
    for level in _levels(annotations or root, deepest):
        for place in level:
            if files := files_in(place, patterns):
                none = False
                yield files
    if none:
        where = f"annotations: {annotations}" if annotations else f"root: {root}"
        raise ValueError(f"{where} has no {' or '.join(patterns)}; expected {what}")


def find_lists(root, annotations, patterns, what):
    """Files whose names match the patterns (letter case apart): in `annotations` (a file or folder), else in `root`
    or the folders below it, the shallowest first, at most two down. Raises ValueError, saying `what` it expected.
    """
    return next(_candidates(root, annotations, patterns, what))


def find_most_lists(root, annotations, patterns, what):
    """(files, those left out): as find_lists, but of the folder with most of them."""
    found = list(_candidates(root, annotations, patterns, what))
    most = max(found, key=len)
    return most, [path for files in found if files is not most for path in files]


def find_fitting_lists(root, annotations, patterns, what, read, fault, surely):
    """({path: content}, sentences on files passed over): the lists of the shallowest folder with one that fits.

    read(path) -> content, or ValueError; fault(content) -> what is wrong with it, or "". A file that is named like the
    true ones (surely(path)), or that `annotations` names, is not passed over. Raises ValueError, naming it.
    """
    left = []
    for files in _candidates(root, annotations, patterns, what):
        good = {}
        for path in files:
            try:
                content = read(path)
                why = fault(content) and f"{path}: {fault(content)}"
            except ValueError as e:
                why = str(e)
            if not why:
                good[path] = content
            elif surely(path) or (annotations and Path(annotations).expanduser() == path):
                raise ValueError(f"{why}; expected {what}")
            else:
                left.append(why)
        if good:
            return good, [f"passed over as no list: {why}" for why in left]
    more = f" ({len(left):,} such)" if len(left) > 1 else ""
    raise ValueError(f"{left[0]}{more}; expected {what}")


def beside(path, name):
    """The file of this name, letter case apart, in the folder of `path`; it may not be there."""
    found = files_in(path.parent, [name])
    return found[0] if found else path.with_name(name)


def files_in(place, patterns):
    """The files in a folder whose names match one of the patterns, letter case apart; sorted."""
    found, patterns = [], [pattern.lower() for pattern in patterns]
    with os.scandir(place) as entries:
        for entry in entries:
            name = entry.name.lower()
            matches = any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
            if matches and not is_left_behind(entry.name) and entry.is_file():
                found.append(Path(place, entry.name))
    return sorted(found)
