"""Tables as readers see them: a value with its interval, one look in all notebooks, the summary and its short form."""

import html
import re
from zlib import crc32

import pandas as pd

from condi_lib.figures.style import label
from condi_lib.sampler import SAMPLERS

PAGE = 1000  # pixels that a notebook has on a laptop
_CHARACTER, _PADDING = 7, 18  # pixels of a table's text as notebooks show it
# How the names of columns begin in which the highest, or the lowest, value is the best
_HIGHEST = ("K = ", "accuracy", "AUROC", "auroc", "within", "auprc", "headroom", "minus ", "gain", "top-")
_LOWEST = ("FPR", "FNR", "fpr", "fnr", "ece", "aurc", "multiply-adds", "seconds", "share of dense")
# Measures in words, where a table's columns have the names of the code
_HEADS = {
    "fpr": "FPR",
    "fnr": "FNR",
    "fpr_at_half": "FPR at 0.5",
    "fnr_at_half": "FNR at 0.5",
    "auroc": "AUROC",
    "auroc_within": "AUROC within videos",
    "auprc": "average precision",
    "aurc": "area of risk",
    "ece": "calibration error",
    "ece_scaled": "calibration error, scaled",
    "k": "K",
    "k_student": "K_s",
    "k_as_dense": "K as good as dense",
    "mean_class": "mean of classes",
    "n_videos": "videos",
    "n_train": "training videos",
    "good": "good clips",
    "shows": "clips that show the class",
    "hard": "hard videos",
}
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?")


def shown(value, low=None, high=None, percent=False, digits=None, signed=False):
    """A value with its interval as text, "x [low, high]"; without one, "x"; "" where the value is missing (nan, None).

    percent: times 100, to one digit; digits: after the point, else 3 (1 for percent); signed: with a plus.
    """
    digits = (1 if percent else 3) if digits is None else digits

    def text(x):
        return f"{round((100 if percent else 1) * x, digits) + 0.0:{'+' if signed else ''}.{digits}f}"

    if pd.isna(value):
        return ""
    return text(value) + ("" if pd.isna(low) or pd.isna(high) else f" [{text(low)}, {text(high)}]")


def _cell(x):
    if isinstance(x, float):
        return "" if pd.isna(x) else f"{x:.4g}"
    return "" if x is None else str(x)


def _width(table):
    """Pixels of each column, roughly."""
    longest = [max([len(str(c)), *map(len, table[c].map(_cell))]) for c in table]
    return [_CHARACTER * n + _PADDING for n in longest]


def _head(column):
    return _HEADS.get(column, str(column).replace("_", " "))


def _counts(table):
    """Columns that say on how much all of a table rests."""
    return [c for c in ("videos", "seeds") if c in table and table[c].nunique() == 1]


def split_wide(table, width=PAGE):
    """Tables that fit a page: the first column and as many of the others as there is room for, in order.

    A list of DataFrames, of one where all fits. Each has the columns `videos` and `seeds` that are constant, and the
    rows in which it says something. width: pixels.
    """
    counts = _counts(table)
    measured = table.drop(columns=counts)
    (first, *widths), (key, *columns) = _width(measured), measured.columns

    def packed(room):
        parts, left = [[]], room - first
        for column, wide in zip(columns, widths, strict=True):
            if wide > left and parts[-1]:
                parts.append([])
                left = room - first
            parts[-1].append(column)
            left -= wide
        return parts

    parts = packed(width)
    while len(packed(width - 10)) == len(parts) and width > 10:  # as evenly as they go
        width -= 10
        parts = packed(width)
    if len(parts) == 1:
        return [table]
    text = table.map(_cell)
    says = [(text[[c for c in part if c != "seeds"]] != "").any(axis=1) for part in parts]
    return [table.loc[rows, [key, *part, *counts]] for rows, part in zip(says, parts, strict=True)]


def _best(text, column, cheats, directions):
    """Whether each cell is the best of its column, ties included, what cheats left out: bool [rows]."""
    direction = directions.get(column)
    numbers = text.map(lambda x: float(m.group()) if (m := _NUMBER.match(x)) else float("nan")).where(~cheats)
    if direction is None or numbers.notna().sum() < 2:
        return pd.Series(False, text.index)
    return numbers == (numbers.max() if direction == "high" else numbers.min())


def styled(table, best=None, caption=""):
    """A table as notebooks show it, a pandas Styler: no index, four digits, measures in words, the best in bold.

    best: {column: "high" or "low"}; where it is not given, the columns of this suite's measures are known by name. What
    cheats ("oracle (cheats)") is never best. Columns `videos` and `seeds` that are constant move into the caption. What
    would be wider than a page has its intervals below the values: split_wide(table) gives parts that are not.
    """
    table = table.reset_index() if table.index.name else table.reset_index(drop=True)
    counts = _counts(table)
    caption = ", ".join([*([caption] if caption else []), *(f"{table[c].iloc[0]} {c}" for c in counts)])
    table = table.drop(columns=counts)
    if best is None:
        known = [c for c in table if not str(c).endswith("_at_half")]  # one is had for the other
        best = {c: "high" for c in known if str(c).startswith(_HIGHEST)}
        best |= {c: "low" for c in known if str(c).startswith(_LOWEST)}
    text = table.map(_cell).astype(str)
    cheats = text.iloc[:, 0].str.contains("cheats").astype(bool)
    narrow = sum(_width(table)) > PAGE
    cells = text.map(html.escape)
    if narrow:
        cells = cells.replace(r"^([^\[]*\d) \[", r"\1<br>[", regex=True)
    for column in text:
        cells[column] = cells[column].where(~_best(text[column], column, cheats, best), "<b>" + cells[column] + "</b>")
    key = f"{crc32(text.to_csv().encode()):08x}"  # the same table gives the same page
    numbers = [_head(c) for c in text if text[c].str.match(_NUMBER).any()]
    cells = cells.rename(columns=_head)
    style = cells.style.hide(axis="index").set_uuid(key)
    for columns, side in ((numbers, "right"), ([c for c in cells if c not in numbers], "left")):
        style = style.set_properties(subset=columns, **{"text-align": side, "white-space": "nowrap"})
    return style.set_caption(caption) if caption else style


def detection_table(table):
    """Each detector's measures as text, mean [low, high]: a row a sampler. table: evaluation.detection of all."""
    text = [shown(*row) for row in table[["mean", "low", "high"]].to_numpy()]
    wide = table.assign(text=text).pivot(index="sampler", columns="measure", values="text")
    counts = table.groupby("sampler")[["n_seeds", "n_videos"]].first()
    wide = wide[table.measure.unique()].join(counts.rename(columns={"n_seeds": "seeds", "n_videos": "videos"}))
    return wide.loc[table.sampler.unique()].rename(index=label).reset_index().rename_axis(columns=None)


def accuracy_table(table, ks=(1, 3, 5, 10)):
    """Video accuracy in percent at each K, as text: a row a sampler. table: evaluation.accuracy_table of all."""
    rows = []
    for name, part in table.groupby("sampler", sort=False):
        at = part.drop_duplicates("k").set_index("k")
        cells = {f"K = {k}": _accuracy(at, k) for k in ks if k in table.k.to_numpy()}
        rows.append({"sampler": label(name), **cells, "seeds": part.n_seeds.iloc[0], "videos": part.n_videos.iloc[0]})
    return pd.DataFrame(rows)


def _accuracy(at, k):
    return shown(*at.loc[k, ["accuracy", "accuracy_low", "accuracy_high"]], percent=True) if k in at.index else ""


def comparisons(table):
    """The paired differences that a reader looks for first, as text: a row a sampler, dense and ConDi-SR apart.

    In points; a star where the difference remains after correction. table: evaluation.compare.
    """
    cells = [
        shown(row.difference, row.low, row.high, percent=True, signed=True) + "*" * (row.p_holm < 0.05)
        for row in table.itertuples()
    ]
    wide = table.assign(text=cells, column="minus " + table.reference.map(label) + ", K = " + table.k.astype(str))
    order = list(wide.column.unique())
    wide = wide.pivot(index="sampler", columns="column", values="text").loc[table.sampler.unique(), order]
    counts = {"seeds": table.n_seeds.max(), "videos": table.n_videos.max()}
    return wide.rename(index=label).fillna("").reset_index().rename_axis(columns=None).assign(**counts)


def summary(accuracy, detection, ks=(1, 3, 5, 10)):
    """The summary table, as text: accuracy (%) at each K, headroom recovered at K = 5, and the detector's measures.

    accuracy, detection: evaluation's tables of all samplers. What a table lacks stays empty.
    """
    table = accuracy_table(accuracy, ks)
    headroom = accuracy[accuracy.k == 5].set_index("sampler").headroom
    names = accuracy.sampler.unique()
    table.insert(len(table.columns) - 2, "headroom, K = 5", [_signed(headroom, name) for name in names])
    for measure, text in (("auroc", "AUROC"), ("auroc_within", "within videos"), ("fpr", "FPR"), ("fnr", "FNR")):
        table.insert(len(table.columns) - 2, text, [_measure(detection, name, measure) for name in names])
    return table


def _signed(values, name):
    return shown(values[name], digits=2, signed=True) if name in values else ""


def _measure(detection, name, measure):
    found = detection[(detection.sampler == name) & (detection.measure == measure)]
    return shown(*found[["mean", "low", "high"]].iloc[0]) if len(found) else ""


def headline(accuracy, detection, division, k=5):
    """The summary in six lines: dense, the oracle, the best sampler without a student, the best of the thesis' other
    losses, ConDi-SR, and ConDi-SR whose student also classifies the K clips. What is not there has no line.

    Best is best at `k` on these videos. accuracy, detection: as for summary; division: evaluation.division with, where
    known, share_of_dense (multiply-adds). Columns: sampler, accuracy at K = 1 and k, multiply-adds at k, AUROC.
    """
    at_k = accuracy[accuracy.k == k].drop_duplicates("sampler").set_index("sampler")
    names = [name for name in at_k.index if pd.notna(at_k.accuracy[name])]

    def best(group, leave_out):
        those = [n for n in names if n in SAMPLERS and SAMPLERS[n].group == group and n not in leave_out]
        return at_k.accuracy[those].idxmax() if those else None

    def line(name, text):
        own = accuracy[accuracy.sampler == name].drop_duplicates("k").set_index("k")
        row = {"sampler": text} | {f"K = {i}": _accuracy(own, i) for i in dict.fromkeys((1, k))}
        return row | {share: _percent(_share(name, at_k, division, k)), "AUROC": _measure(detection, name, "auroc")}

    share, cheats = f"multiply-adds, K = {k}", [n for n in names if "cheats" in label(n)]
    without, other = best("reference", ["dense", *cheats]), best("thesis", ["condi_sr"])
    rows = [line(name, text) for name, text in (("dense", "dense: every clip"), ("oracle", label("oracle")))]
    rows += [line(without, f"best without a student: {label(without)}")] if without else []
    rows += [line(other, f"best of the thesis' other losses: {label(other)}")] if other else []
    rows += [line("condi_sr", label("condi_sr"))] if "condi_sr" in names else []
    alone = division[division.k_student == division.k].drop_duplicates("k").set_index("k")
    if k in alone.index:
        cells = {f"K = {i}": _accuracy(alone, i) for i in dict.fromkeys((1, k))}
        cost = _percent(alone.share_of_dense[k]) if "share_of_dense" in alone else ""
        rows.append({"sampler": f"{label('condi_sr')}, the student classifies too", **cells, share: cost, "AUROC": ""})
    return pd.DataFrame([row for row in rows if any(list(row.values())[1:])])


def _share(name, at_k, division, k):
    """Multiply-adds of a sampler at k over dense's; nan where these tables do not say."""
    spec = SAMPLERS.get(name)
    if spec is None or name not in at_k.index or "dense" not in at_k.index:
        return float("nan")
    if name == "dense" or spec.sees_all:
        return 1.0
    if spec.passes == 0:
        return at_k.n_clips[name] / at_k.n_clips["dense"]
    own = division[(division.k == k) & (division.k_student == 0)]
    return own.share_of_dense.iloc[0] if spec.passes == 1 and len(own) and "share_of_dense" in own else float("nan")


def _percent(x):
    return "" if pd.isna(x) else f"{100 * x:.0f} %"
