"""Splits and folds: what names mean, what is carved from train, and which parts leave each other out."""

import re

import numpy as np

SPLITS = ("train", "val", "test")
_WORDS = {
    "train": "train training trn trainval",
    "val": "val valid validate validation dev devel development eval evaluation",
    "test": "test testing tst",
}
_SPLIT_OF = {word: split for split, words in _WORDS.items() for word in words.split()}
KNOWN = tuple(_SPLIT_OF)  # the words that say a split
_NO_WORDS = """
set sets split splits data dataset video videos vid vids clip clips frame frames rawframes img imgs images rgb
px p x the list lists file files v k full all part resized small mini tiny large original raw cropped
"""
_SAYS_NOTHING = frozenset(_NO_WORDS.split())


def words_of(name):
    """(the split that a name says, "" for none or several; its other words): train_256 -> ("train", ())."""
    found = re.findall(r"[^\W\d_]+", name.lower())
    found = [re.sub(r"(?<=.)(set|list)$", "", word) for word in found]  # trainset, testlist01
    said = {_SPLIT_OF[word] for word in found if word in _SPLIT_OF}
    others = tuple(word for word in found if word not in _SPLIT_OF and word not in _SAYS_NOTHING)
    return (said.pop() if len(said) == 1 else ""), others


def split_of(name):
    """train, val or test for a name such as Training, val_256, dev, testing-set; "" where it says no split."""
    split, others = words_of(name)
    return "" if others else split


def in_one_split(rows, by, notes):
    """The rows without those for val that are for test, too, which notes says. `by` is the column that says which
    video. Raises ValueError for one in any other two splits, naming it.
    """
    if not rows[by].duplicated().any():
        return rows
    splits = rows.groupby(by).split.agg(lambda of_video: "+".join(sorted(set(of_video))))
    several = splits[splits.str.contains("+", regex=False)]
    leaks = several[several != "test+val"]
    if len(leaks):
        names = " = ".join(rows.video[rows[by] == leaks.index[0]].unique())
        raise ValueError(f"split: {names} is in {' and in '.join(leaks.iloc[0].split('+'))} ({len(leaks):,} such)")
    if len(several):
        notes.append(f"{len(several):,} videos are listed for val and for test: they count as test")
    return rows[~(rows[by].isin(several.index) & (rows.split == "val"))]


def carve(videos, from_split, to_split, share, seed):
    """Moves about `share` of each class's sources (videos of one scene) from one split to another, at random, seeded.

    A class with a single source keeps it, whichever other classes have that source too; rows without a class stay.
    """
    rng = np.random.default_rng(seed)
    here = videos[(videos.split == from_split) & (videos.label >= 0)]
    left = here.groupby("label").source.nunique().to_dict()
    labels_of = here.groupby("source").label.unique().to_dict()
    moved = set()
    for _, names in here.source.groupby(here.label):
        names = np.unique(names)
        if len(names) > 1:
            for name in rng.choice(names, max(1, round(share * len(names))), replace=False):
                if name not in moved and all(left[label] > 1 for label in labels_of[name]):
                    moved.add(name)
                    left |= {label: left[label] - 1 for label in labels_of[name]}
    to_move = (videos.split == from_split) & videos.source.isin(moved)
    return videos.assign(split=videos.split.mask(to_move, to_split))


def assign_folds(videos, n, seed=0):
    """The fold of each video, int [videos] in 0..n-1: classes alike in all, rows of one source in one fold.

    A list's own folds (column fold) are taken where all rows have one. Raises ValueError where these are not n, or
    where a class has fewer sources than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # here: it takes a second to import

    if len(videos) and (videos.fold >= 0).all():
        own, folds = np.unique(videos.fold, return_inverse=True)
        if len(own) != n:
            raise ValueError(f"folds: found {n}, expected {len(own)}, the folds that the list gives these videos")
        return folds
    fewest = videos.source.groupby(videos.label).nunique().min()
    if fewest < n:
        raise ValueError(f"folds: found {n}, expected at most {fewest}, the source videos of the smallest class")
    folds = StratifiedGroupKFold(n, shuffle=True, random_state=seed)
    out = np.empty(len(videos), int)
    for fold, (_, inside) in enumerate(folds.split(videos, videos.label, videos.source)):
        out[inside] = fold
    return out


_HELP = {
    "train": "training videos on disk",
    "val": "a validation split, or a class with two source videos or more in train, to carve one from",
    "test": "test videos on disk (or a validation split, which then takes their place)",
}


def check_splits(videos, splits=SPLITS, why=()):
    """Raises ValueError for the first of the splits without a good video: which, what is there, what would help."""
    counts = videos[videos.error == ""].split.value_counts().reindex(SPLITS, fill_value=0)
    for split in splits:
        if not counts[split]:
            there = ", ".join(f"{n:,} {name}" for name, n in counts.items())
            raise ValueError(
                f"split: {split} has no video (found {there}); expected {_HELP[split]}{''.join(f'; {w}' for w in why)}"
            )
