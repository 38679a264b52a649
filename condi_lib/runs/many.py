"""Many finished runs as one: which are folds of one data set, and what notebook 14 reads of each."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from condi_lib import evaluation, flops, sampler
from condi_lib.runs.provenance import MissingStep, read_provenance
from condi_lib.runs.run import Run

NOT_THE_DATA = ("fold", "show_frames")  # parameters of notebook 01 in which folds of one data set may differ
DIVISION_K = 5  # K at which the division of inference is looked at


def finished(run, folders):
    """The Run of every run whose notebooks have run up to 08, in these folders or below them, each once, in order.

    run: of the notebook that reads them. Raises MissingStep where a folder holds none.
    """
    found = {}
    for folder in map(Path, folders):
        costs = sorted(folder.rglob("costs.json"))
        if not costs:
            raise MissingStep(f"{folder} holds no finished run: run notebooks 01 to 08 first, or make reproduce")
        for path in costs:
            found[path.parent.resolve()] = Run(run.notebook, read_provenance(path)["parameters"], path.parent)
    return list(found.values())


def groups_of(runs):
    """{(data set, teacher): [its runs]}: folds of one data set, of one profile and teacher, are together.

    Folds differ in the parameter `fold` of notebook 01 and in nothing else of it, and their entries' names in the
    number at the end: colour_1, colour_2. Several folds have the name without it, all else the name of its entry; where
    profiles share a name, the profile's stands before it. Raises ValueError where two are still called alike.
    """
    groups = {}
    for run in runs:
        parameters = read_provenance(run.check(run.folder / "videos.parquet", "01_dataset"))["parameters"]
        data = {name: value for name, value in parameters.items() if name not in NOT_THE_DATA}
        key = (run.folder.parents[1], run.folder.name, _name(run), str(sorted(data.items())))
        groups.setdefault(key, []).append((parameters["fold"], run))
    found = []  # ((profile, name, teacher), its runs)
    for (profile, teacher, name, _), members in groups.items():
        of = [run for _, run in members]
        if len({fold for fold, _ in members}) == len(of) > 1:
            found.append(((profile, name, teacher), of))
        else:  # a fold that is there twice: studies of the same data that differ in later steps
            found += [((profile, run.folder.parent.name, teacher), [run]) for run in of]
    named = {}
    for (profile, name, teacher), of in found:
        shared = sum((name, teacher) == other[1:] for other, _ in found) > 1
        named.setdefault((f"{profile.name} {name}" if shared else name, teacher), []).append(of)
    for (name, _), alike in named.items():
        if len(alike) > 1:
            places = ", ".join(str(of[0].folder) for of in alike)
            raise ValueError(f"folders: two data sets are called {name} ({places}); give one another `out`")
    return {key: of for key, (of,) in named.items()}


def _name(run):
    """The name of its entry without the number of the fold: colour of colour_1."""
    name = run.folder.parent.name
    return re.sub(r"[\W_]*(fold|split)?[\W_]*\d+$", "", name) or name


def read_fold(run):
    """(evaluation.Fold of a run's test videos, facts: a dict).

    facts: accuracy (notebook 06's table, with auroc and auroc_within of 07's), cost (08's, with multiply-adds and
    seconds as shares of dense's), videos (names of the test videos), fold, n_train (training videos of the samplers),
    hard (share of test videos whose motion is another class', of the embedded benchmark; else nan).
    """
    accuracy_file, clips_file = run.folder / "accuracy_vs_k.parquet", run.folder / "clips.parquet"
    accuracy = run.read_table(accuracy_file, "06_sampling")
    asked, truth = read_provenance(accuracy_file)["parameters"], run.truth()
    parts, shares = [], []
    for arrays in run.study_in_parts(asked["losses"] + asked["networks"], asked["seeds"], truth=truth):
        parts.append(evaluation.outcomes_of_all(arrays, sorted(set(accuracy.k) - {0})))
        if "condi_sr" in asked["losses"]:
            parts[-1]["division"] = evaluation.division_outcomes(arrays["condi_sr"], [DIVISION_K])
        shares.append(_shares(arrays))
    found, shares = evaluation.join(parts), {name: one.right[0] for name, one in evaluation.join(shares).items()}
    good, shows = shares.pop("good")[0], shares.pop("shows")[0]
    train = run.read_table(clips_file, "03_teacher_labels", ["video"], "train")
    measured = run.read_table(run.folder / "detection.parquet", "07_fpr_fnr")
    measured = measured.pivot(index="sampler", columns="measure", values="mean")[["auroc", "auroc_within"]]
    facts = {
        "accuracy": accuracy.join(measured, on="sampler"),
        "cost": _cost(run, accuracy),
        "videos": found["dense"].videos,
        "fold": read_provenance(run.folder / "videos.parquet")["parameters"]["fold"],
        "n_train": train.video.nunique(),
        "hard": np.nan,
    }
    if truth is not None and "blend" in truth:
        facts["hard"] = (truth.groupby("video").blend.max().loc[facts["videos"]] > 0).mean()
    return evaluation.Fold(found, shares, good, None if np.isnan(shows).any() else shows), facts


def _shares(arrays):
    """What each video has one number of, as Outcomes, so that evaluation.join puts them together."""
    test = arrays[""][0]
    n = test.mask.sum(1)
    values = {"good": test.correct.sum(1) / n, "shows": np.nan * n if test.shows is None else test.shows.sum(1) / n}
    for name in sampler.detectors(arrays):
        values[name] = np.stack([evaluation.auroc_within(test, score) for score, _ in sampler.score(name, arrays)])
    values = {name: np.atleast_2d(value)[None] for name, value in values.items()}
    return {name: evaluation.Outcomes([0], *[value] * 3, test.videos, test.labels) for name, value in values.items()}


def _cost(run, accuracy):
    """Multiply-adds and seconds of each (sampler, k) as shares of dense's, from notebook 08."""
    cost = run.read_table(run.folder / "cost.parquet", "08_flops_and_time")
    cost = cost[cost.k_student == 0].assign(multiply_adds=cost.share_of_dense).rename(columns={"setting": "sampler"})
    second = run.read_json(run.folder / "costs.json", "08_flops_and_time")["seconds"]
    n = accuracy.n_clips[accuracy["sampler"] == "dense"].iloc[0]
    seconds = np.array([flops.of_video(row.sampler, n, row.n_clips, second) for row in cost.itertuples()])
    cost = cost.assign(seconds=seconds / flops.of_video("dense", n, n, second))
    return cost.set_index(["sampler", "k"])[["multiply_adds", "seconds"]]


def read_across(run, folders):
    """What notebook 14 tells of all runs in these folders: (across, differences, folds), three tables.

    across: a row a (data_set, teacher, sampler, k): evaluation.across_table with_savings, the costs as shares of
    dense's, n_train and hard (see read_fold). differences: evaluation.across_differences. folds: accuracy,
    mean_class, auroc and auroc_within of each fold and their mean (fold "mean"), with once: is every video a test video
    once? All that was read is noted in `run`. Raises MissingStep, and ValueError of groups_of.
    """
    tables = [], [], []
    for (name, teacher), members in groups_of(finished(run, folders)).items():
        folds, facts = zip(*map(read_fold, members), strict=True)
        n = [len(fold.good) for fold in folds]
        cost = sum(one["cost"] * share / sum(n) for one, share in zip(facts, n, strict=True)).reset_index()
        table = evaluation.across_table(folds).merge(cost, "left", ["sampler", "k"])
        hard, n_train = (np.average([one[what] for one in facts], weights=n) for what in ("hard", "n_train"))
        table = evaluation.with_savings(table.assign(n_train=round(n_train), hard=hard))
        for own, all_of_them in zip(
            (table, evaluation.across_differences(folds), _of_each(facts)), tables, strict=True
        ):
            own.insert(0, "data_set", name)
            own.insert(1, "teacher", teacher)
            all_of_them.append(own)
        for one in members:
            run.inputs.update({run.name_of(one.folder / file): digest for file, digest in one.inputs.items()})
    return tuple(pd.concat(some, ignore_index=True) for some in tables)


def _of_each(facts):
    """Accuracies fold by fold, and the means over folds, as UCF-101 and HMDB-51 are reported."""
    means = ["accuracy", "mean_class", "auroc", "auroc_within"]
    columns = ["sampler", "k", *means, "n_videos"]
    rows = pd.concat([one["accuracy"][columns].assign(fold=str(one["fold"])) for one in facts], ignore_index=True)
    of_all = rows.groupby(["sampler", "k"], sort=False)
    of_all = of_all.agg({**dict.fromkeys(means, "mean"), "n_videos": "sum"}).reset_index()
    once = not pd.Series(np.concatenate([one["videos"] for one in facts])).duplicated().any()
    return pd.concat([rows, of_all.assign(fold="mean")], ignore_index=True)[["fold", *columns]].assign(once=once)
