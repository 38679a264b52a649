"""Your own videos in folders: <split>/<class>/<video>, or <class>/<video>. Returns what layouts.py's functions do."""

import re
from collections import Counter, defaultdict

import pandas as pd

from condi_lib.data.layouts import one_spelling, some
from condi_lib.data.splits import KNOWN, words_of
from condi_lib.data.tree import folded, walk


def folder(root, fold, annotations):
    """<split>/<class>/<any file>, or <class>/<any file>: a fifth of each class then becomes the test split.

    All of it may lie one folder deeper, and the splits below the classes. What lies beside the splits and says nothing
    is passed over and named; raises ValueError, listing what was found, where it may be a split or a class.
    """
    tree = walk(root)
    start = _around(tree.videos)
    paths = [path for path in tree.videos if path.startswith(start) and "/" in path[len(start) :]]
    below = {path: path[len(start) :].split("/") for path in paths}
    if not below:
        found = [*tree.videos, *tree.passed_over][:5]
        raise ValueError(
            f"root: {root} has no video in <class>/ or <split>/<class>/; found {', '.join(found) or 'nothing'}"
        )
    tops, notes = Counter(parts[0] for parts in below.values()), tree.notes
    splits = _splits_in(tops)
    with_classes = {parts[0] for parts in below.values() if len(parts) > 2} & splits.keys()
    inner = {parts[1] for parts in below.values() if len(parts) > 2}
    if with_classes:
        splits = {top: splits[top] for top in with_classes}
        below = _without_inner_folders(below, splits)
        _check_beside(root, tops, splits, below, [path[len(start) :] for path in tree.empty if path.startswith(start)])
        rows = [(path, p[1], splits[p[0]]) for path, p in below.items() if p[0] in splits and len(p) > 2]
    elif len(set(splits.values())) > 1:
        raise ValueError(f"root: {_shown(splits, tops)} in {root} have no folder for each class; expected one in each")
    elif len(set(_splits_in(inner).values())) > 1 and "train" in _splits_in(inner).values():
        inner_splits = _splits_in(inner)
        if unclear := [path for path, p in below.items() if len(p) != 3 or p[1] not in inner_splits]:
            raise ValueError(
                f"root: folders in {root} hold {', '.join(sorted(inner_splits))}, but {unclear[0]} is not in "
                "<class>/<split>/; expected a root with <split>/<class>/ or <class>/<split>/ right below it"
            )
        rows = [(path, p[0], inner_splits[p[1]]) for path, p in below.items()]
    else:
        notes += _check_no_splits(root, tops, below)
        rows = [(path, p[0], "") for path, p in below.items()]
    taken = {row[0] for row in rows}
    left = [path for path in tree.videos if path not in taken]
    if left:
        notes.append(f"{len(left):,} videos lie in no class of a split and are passed over, the first {left[0]}")
    depth = 1 if with_classes else 0
    bare = [path for path in tree.empty if path.startswith(start) and path[len(start) :].count("/") == depth]
    bare = [path for path in bare if not depth or path[len(start) :].split("/")[0] in splits]
    if bare:
        notes.append(f"folders without a video are no classes: {some(bare)}")
    videos = pd.DataFrame(rows, columns=["path", "class_name", "split"])
    videos = videos.assign(class_name=one_spelling(videos.class_name, notes))
    videos = videos.assign(video=videos.path, source=videos.path)
    attrs = {"passed_over": sorted(tree.passed_over + left), "notes": notes, "not_utf8": tree.not_utf8}
    return videos, sorted(set(videos.class_name)), attrs


def _without_inner_folders(below, splits):
    """{path: parts} without a folder around all classes of a split (train/train/<class>, test/videos/<class>)."""
    of = defaultdict(list)
    for parts in below.values():
        if parts[0] in splits and len(parts) > 2:
            of[parts[0]].append(parts)
    one = {top for top, inside in of.items() if len({p[1] for p in inside}) == 1 and all(len(p) > 3 for p in inside)}
    if one == of.keys():  # in each split: the folders below are classes where there are several
        one = one if len({p[2] for inside in of.values() for p in inside}) > 1 else set()
    else:  # in some: where those below are classes of the others, and it is none
        classes = {folded(p[1]) for top, inside in of.items() if top not in one for p in inside}
        one = {top for top in one if folded(of[top][0][1]) not in classes and {folded(p[2]) for p in of[top]} & classes}
    return {path: [p[0], *p[2:]] if p[0] in one and len(p) > 2 else p for path, p in below.items()}


# Parts of names that may mean a split, for telling the takes of a class from the classes of a split
_MAY_BE_SPLITS = re.compile("train|test|val|seen|label|source|target|split|fold|set|part|^(tr|te|va|ts|dev)$")


def _check_no_splits(root, tops, below):
    """Raises ValueError where the top folders hold folders of the same names: splits whose names are not understood.

    Where these are only numbered apart (camera 1, camera 2: takes of a class, too) the names at the top decide; where
    they are few for many top folders (archery/front, archery/side, ...), they are taken as views of each class. Returns
    notes.
    """
    inner = defaultdict(set)
    for parts in below.values():
        if len(parts) > 2:
            inner[folded(parts[0])].add(folded(parts[1]))
    times = Counter(name for names in inner.values() for name in names)
    shared = sorted(name for name in times if times[name] > 1)
    if len(shared) < 2 or 2 * len(shared) <= len(times) or 2 * len(inner) <= len(tops):
        return []
    found = f"{_shown(tops, tops)} hold folders of the same names, {some(shared)}"
    takes_or_views = len(_words(shared)) == 1 or len(inner) > max(5, len(shared))
    if takes_or_views and len(_words(inner)) > 1 and not all(map(_MAY_BE_SPLITS.search, inner)):
        return [f"{found}: they are taken for the classes, not for splits"]
    raise ValueError(
        f"root: {found}, in {root}: they seem to be splits of the classes, and their names say none that is known; "
        f"expected names with one of the words {', '.join(KNOWN)}, such as train, val and test. If they are the "
        "classes, put the videos right into them, or list them (data set list)"
    )


def _words(names):
    return {re.sub(r"[\d\W_]+", "", name) for name in names}


def _around(paths):
    """ "" or the folders, with / at the end, around all that lies in folders: no split, and several folders in it."""
    start = ""
    while True:
        inside = [path[len(start) :].split("/") for path in paths if path.startswith(start)]
        inside = [parts for parts in inside if len(parts) > 1]
        tops = {parts[0] for parts in inside}
        if len(tops) != 1 or _splits_in(tops) or any(len(parts) < 3 for parts in inside):
            return start
        if len({parts[1] for parts in inside}) == 1 and all(len(parts) == 3 for parts in inside):
            return start
        start += f"{tops.pop()}/"


def _splits_in(names):
    """{folder: split} of the names that say a split: alone (val_256), or with the same words (ucf_train, ucf_val)."""
    said = {name: words_of(name) for name in names}
    found = {name: split for name, (split, others) in said.items() if split and not others}
    alike = defaultdict(dict)
    for name, (split, others) in said.items():
        if split and others:
            alike[others][name] = split
    for group in alike.values():
        if len(set(group.values())) > 1 and "train" in group.values():  # one alone may be a class: "test drive"
            found |= group
    kinds = Counter(found.values())
    evals = [name for name, split in found.items() if split == "val" and "eval" in name.lower()]
    if evals and not kinds["test"] and kinds["val"] > len(evals):  # train, val, eval
        found |= dict.fromkeys(evals, "test")
    return found


def _shown(names, tops):
    return ", ".join(f"{name}/ ({tops[name]:,} videos)" for name in sorted(names)[:12])


def _check_beside(root, tops, splits, below, empty):
    """Raises ValueError where a folder beside the splits may be one too, a split is empty or has two folders."""
    found = f"found {_shown(tops, tops)}; expected <split>/<class>/<video> with train, val and test"
    classes = {folded(parts[1]) for parts in below.values() if parts[0] in splits and len(parts) > 2}
    for path, parts in below.items():
        if parts[0] in splits:
            continue
        if len(set(splits.values())) == 1 or len(parts) > 2 and folded(parts[1]) in classes:
            raise ValueError(f"root: {parts[0]}/ in {root} says no split, and holds {path}; {found}")
    names = {name for name in empty if "/" not in name}
    hollow = sorted(names & _splits_in({*tops, *names}).keys())
    if hollow:
        raise ValueError(
            f"split: {hollow[0]}/ in {root} holds no video; expected videos in {hollow[0]}/<class>/, or no such folder"
        )
    first = {}
    for path, parts in below.items():
        if parts[0] in splits:
            same = first.setdefault((splits[parts[0]], *parts[1:]), path)
            if same != path:
                raise ValueError(f"root: {same} and {path} in {root} are one video of the same split twice; {found}")
