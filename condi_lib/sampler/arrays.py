"""Clip and score tables as padded arrays [videos, clips] with a mask (True where a clip is real)."""

from dataclasses import dataclass, field, fields, replace

import numpy as np
import pandas as pd

from condi_lib.labelling import softmax


@dataclass(frozen=True, eq=False)
class ClipArrays:
    """All that a sampler may be given: V videos of at most N clips, C classes, as padded arrays, 0 at padding.

    Floats are float64, logits float32 as stored; what was not read (logits, truth, a score table, other splits) is
    None.
    """

    videos: np.ndarray  # str [V]
    labels: np.ndarray  # int [V]
    mask: np.ndarray  # bool [V, N]
    correct: np.ndarray  # bool [V, N], z
    logits: np.ndarray = None  # [V, N, C], the teacher's
    probs: np.ndarray = None  # [V, N, C], its softmax
    shows: np.ndarray = None  # [V, N], the truth: share of the clip's frames that show the class
    score: np.ndarray = None  # [V, N], what ranks: a logit, or minus an entropy
    confidence: np.ndarray = None  # [V, N], the score as a probability; None where the loss has none
    student_logits: np.ndarray = None  # [V, N, C]
    mc_entropy: np.ndarray = None  # [V, N], nats
    attention: np.ndarray = None  # [V, N], of a context network: sums to one over a video's clips
    features: np.ndarray = None  # [V, N, D], of each clip, as stored
    val: "ClipArrays" = None  # the validation split, with the same student's scores; V may be 0
    train: "ClipArrays" = None  # the samplers' training split: z alone
    known: dict = field(default_factory=dict, init=False)  # what the registry has computed: {(what, sampler): [V, N]}

    def take(self, rows):
        """The same of some of the videos; val and train as they are."""
        taken = {name: None if value is None else value[rows] for name, value in _columns(self).items()}
        return _knowing(replace(self, **taken), {what: value[rows] for what, value in self.known.items()})

    def bare(self):
        """Which clips are there and right, and what the registry has computed: in a fraction of the memory."""
        read = (
            "logits",
            "probs",
            "shows",
            "score",
            "confidence",
            "student_logits",
            "mc_entropy",
            "attention",
            "features",
        )
        return _knowing(replace(self, **dict.fromkeys(read)), self.known)

    def check_finite(self, what, values):
        """Raises ValueError, naming video and clip, where float [..., V, N] is not finite on a real clip."""
        bad = ~np.isfinite(values) & self.mask
        if bad.any():
            at = tuple(x[0] for x in np.nonzero(bad))
            raise ValueError(
                f"{what}: the score of clip {at[-1]} of {self.videos[at[-2]]} is {values[at]}; expected a finite number"
            )


def _knowing(arrays, known):
    arrays.known.update(known)
    return arrays


def _columns(arrays):
    """What has one row per video."""
    return {f.name: getattr(arrays, f.name) for f in fields(arrays) if f.name not in ("val", "train", "known")}


def join_arrays(parts):
    """ClipArrays of parts of the videos as those of all, sorted by video; val and train are the first part's."""
    order = np.argsort(np.concatenate([part.videos for part in parts]), kind="stable")
    n = max(part.mask.shape[1] for part in parts)

    def join(values):
        if values[0] is None:
            return None
        if values[0].ndim > 1:
            values = [np.pad(x, [(0, 0), (0, n - x.shape[1])] + [(0, 0)] * (x.ndim - 2)) for x in values]
        return np.concatenate(values)[order]

    columns = [_columns(part) for part in parts]
    joined = {name: join([own[name] for own in columns]) for name in columns[0]}
    known = {what: join([part.known[what] for part in parts]) for what in parts[0].known}
    return _knowing(replace(parts[0], **joined), known)


def pad(values, mask):
    """Rows in clip order [M, ...] -> [V, N, ...], zero (False) at padding."""
    values = np.asarray(values)
    out = np.zeros((*mask.shape, *values.shape[1:]), values.dtype)
    out[mask] = values
    return out


def clip_arrays(clips, scores=None):
    """ClipArrays of a clip table and, where given, a score table; rows in any order.

    clips: with or without teacher_logits and shows (see evaluation.with_truth). scores: video, clip, score and any of
    confidence (all null where the loss has none), student_logits, mc_entropy, attention. Raises ValueError, naming the
    table's file (its .attrs["file"], where it has one), video and clip: where the clips of a video are not 0, 1, 2, ...
    once each, or the two tables do not list the same ones; for a number that is missing or not finite, a confidence or
    a truth outside [0, 1], labels that differ within a video or lie outside the classes, a `correct` that logits and
    label contradict, and numbers of classes that differ.
    """
    table = _Checked(clips, "clip table", ("label", "correct"))
    clips, mask = table.rows, table.mask
    n = mask.sum(1)
    starts = np.cumsum(n) - n  # each video's first row
    labels = table.numbers("label", np.int64)
    table.check(labels == np.repeat(labels[starts], n), "label", labels, "one label a video")
    correct = table.numbers("correct", np.float64)
    table.check(np.isin(correct, (0, 1)), "correct", correct, "True or False")
    read = {}
    if "teacher_logits" in clips:
        logits = table.vectors("teacher_logits")
        inside = (labels >= 0) & (labels < logits.shape[1])
        table.check(inside, "label", labels, f"0 to {logits.shape[1] - 1}, the teacher's classes")
        agrees = (logits.argmax(1) == labels) == (correct > 0)
        table.check(agrees, "correct", correct > 0, "whether the largest of teacher_logits is the label's")
        read = {"logits": pad(logits, mask), "probs": pad(softmax(logits), mask)}
    if "shows" in clips:
        read["shows"] = pad(table.numbers("shows", np.float64, (0, 1)), mask)
    arrays = ClipArrays(clips.video.to_numpy()[starts], labels[starts], mask, pad(correct > 0, mask), **read)
    return arrays if scores is None else with_scores(arrays, scores)


def with_scores(arrays, scores):
    """ClipArrays of a clip table with what a score table holds, beside it; errors as clip_arrays'."""
    rows = {"video": np.repeat(arrays.videos, arrays.mask.sum(1)), "clip": np.nonzero(arrays.mask)[1]}
    table = _Checked(scores, "score table", ("score",), expected=rows)
    found = {}
    for name, inside in (("score", None), ("confidence", (0, 1)), ("mc_entropy", None), ("attention", (0, 1))):
        if name in scores and not (name == "confidence" and scores[name].isna().all()):
            found[name] = pad(table.numbers(name, np.float64, inside), table.mask)
    if "student_logits" in scores:
        found["student_logits"] = pad(table.vectors("student_logits"), table.mask)
        own = found["student_logits"].shape[-1]
        classes = own if arrays.logits is None else arrays.logits.shape[-1]
        if own not in (0, classes):  # 0: of a student without class head
            raise ValueError(f"{table.file}: student_logits have {own} classes, the teacher's have {classes}")
    return replace(arrays, **found)


def with_features(arrays, features):
    """ClipArrays of a clip table with the features of its clips beside it (a table: video, clip, features)."""
    rows = {"video": np.repeat(arrays.videos, arrays.mask.sum(1)), "clip": np.nonzero(arrays.mask)[1]}
    table = _Checked(features, "table of features", ("features",), expected=rows)
    return replace(arrays, features=pad(table.vectors("features", np.float16), table.mask))


class _Checked:
    """A table's rows in clip order, their mask, and columns that hold what they should; else ValueError."""

    def __init__(self, table, kind, columns, expected=None):
        self.file = table.attrs.get("file", kind)
        if missing := {"video", "clip", *columns} - set(table):
            raise ValueError(f"{self.file}: found no column {', '.join(sorted(missing))}, which a {kind} has")
        if table.video.isna().any() or not pd.api.types.is_numeric_dtype(table["clip"]):
            found = table["clip"].dtype if table.video.notna().all() else "a row without a video"
            raise ValueError(f"{self.file}: video, clip: found {found}; expected a name and a number in each row")
        if not len(table) and expected is None:
            raise ValueError(f"{self.file}: found no clip; expected at least one in the split that is asked for")
        if expected is not None:
            table = table[table.video.isin(set(expected["video"]))]  # the others are of other splits
        self.rows = table.sort_values(["video", "clip"])
        if expected is not None:
            self._check_same(expected)
        counts = np.diff(np.r_[np.flatnonzero(~self.rows.video.duplicated().to_numpy()), len(self.rows)])
        self.mask = np.arange(counts.max(initial=0)) < counts[:, None]
        number, place = self.rows["clip"].to_numpy(), np.nonzero(self.mask)[1]
        if (bad := number != place).any():
            video = self.rows.video.iloc[int(bad.argmax())]
            listed = ", ".join(map(str, self.rows["clip"][self.rows.video == video].head(9)))
            raise ValueError(f"{self.file}: the clips of {video} are {listed}; expected 0, 1, 2, ..., each clip once")

    def _check_same(self, expected):
        if all(np.array_equal(self.rows[name], expected[name]) for name in ("video", "clip")):
            return
        mine, theirs = (pd.MultiIndex.from_arrays([t["video"], t["clip"]]) for t in (self.rows, expected))
        for some, what in (
            (mine[mine.duplicated()], "twice"),
            (theirs.difference(mine), "not at all"),
            (mine.difference(theirs), "beyond those of the clip table"),
        ):
            if len(some):
                video, clip = some[0]
                raise ValueError(
                    f"{self.file}: lists {len(mine)} of the clip table's {len(theirs)} clips, clip {clip} of "
                    f"{video} {what}; expected the same clips, once each, of the same data set"
                )

    def check(self, good, name, values, expected):
        if not good.all():
            i = int((~good).argmax())
            raise ValueError(
                f"{self.file}: {name} of clip {self.rows['clip'].iloc[i]} of {self.rows.video.iloc[i]} is {values[i]}; "
                f"expected {expected}"
            )

    def numbers(self, name, dtype, inside=None):
        """A column of finite numbers, [M]; inside: (lowest, highest)."""
        values = pd.to_numeric(self.rows[name], errors="coerce").to_numpy(np.float64, na_value=np.nan)
        integral = np.issubdtype(dtype, np.integer)
        good = np.isfinite(values) & ((values == np.round(values)) | (not integral))
        self.check(good, name, self.rows[name].to_numpy(), "a whole number" if integral else "a finite number")
        if inside:
            low, high = inside
            self.check((values >= low) & (values <= high), name, values, f"{low} to {high}")
        return values.astype(dtype)

    def vectors(self, name, dtype=np.float32):
        """A column of vectors of one length and of finite numbers, [M, C]."""
        rows = self.rows[name].to_list()
        sizes = np.array([len(x) if np.ndim(x) == 1 else -1 for x in rows])
        if not (sizes == max(sizes[0], 0)).all():
            shown = [f"of {n} classes" if n >= 0 else repr(x) for n, x in zip(sizes, rows, strict=True)]
            self.check((sizes == sizes[0]) & (sizes >= 0), name, shown, "a vector of as many classes for all")
        values = np.stack(rows).astype(dtype, copy=False)
        finite = np.isfinite(values)
        if not finite.all():
            first = values[np.arange(len(values)), finite.argmin(1)]  # the number to show
            self.check(finite.all(1), name, first, "finite numbers")
        return values
