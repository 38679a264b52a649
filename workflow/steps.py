"""The notebooks of a study as steps: where each works, what it writes and reads; which of its files no longer stand."""

import os
import re
from itertools import product
from pathlib import Path
from types import SimpleNamespace

from condi_lib.declared import ROOT, declared_parameters
from workflow.profile import ACROSS_FILES, FIGURE_FILES, ablation_files, notebook_parameters, runs_of

RUN = "{out}/{{dataset}}/{{teacher}}"


def steps(config):
    """{notebook: (its folder, outputs there or as paths, inputs, threads)} of a profile, with wildcards.

    Threads are a number, "all", or "share": those of a data set, where several are trained side by side.
    Samplers take one thread each: two side by side use two cores better than one with two threads. Notebook 08 takes
    all threads, so that nothing else runs while it times.
    """
    run = RUN.format(out=config["out"])
    sampler = run + "/{loss}/seed{seed}"
    trained = [f"{run}/{loss}/seed{seed}" for loss in config["losses"] for seed in config["seeds"]]
    variants = [
        f"{run}/condi_sr-{name}/seed{seed}" for name in config["ablations"] for seed in config["ablation_seeds"]
    ]
    shown = config["figures_out"] + "/{dataset}/{teacher}"
    n_folds = config["notebooks"].get("02_teacher", {}).get("folds", 0)
    folds = [f"teacher_fold{i}.safetensors" for i in range(n_folds)] + ["folds.parquet"] * (n_folds > 1)
    scores = [folder + "/scores.parquet" for folder in trained]
    of_networks = [f"{run}/{name}/seed{seed}/" for name in config["networks"] for seed in config["seeds"]]
    networks = {
        "13_context": (
            run,
            [folder + file for folder in of_networks for file in ("network.safetensors", "scores.parquet")]
            + ["context.json"],
            [run + "/clips.parquet", run + "/teacher.safetensors", *scores],
            1,
        )
    }
    networks = networks if config["networks"] else {}
    tables = ["accuracy_vs_k", "detection", "cost", "videos", "clips", "truth"]
    of_a_run = [f"{name}.parquet" for name in tables] + ["costs.json"]
    of_a_run += [f"{loss}/seed{seed}/scores.parquet" for loss in config["losses"] for seed in config["seeds"]]
    of_a_run += [f"{name}/seed{seed}/scores.parquet" for name in config["networks"] for seed in config["seeds"]]
    fold_labels = ["in_sample.parquet", "out_of_fold.parquet"] * (n_folds > 1)
    return {
        "00_background": (run, [], [], 1),
        "01_dataset": (
            run,
            ["videos.parquet", "missing_videos.parquet", "truth.parquet", "table_1_1.parquet"],
            [],
            "share",
        ),
        "02_teacher": (
            run,
            ["teacher.safetensors", "student_start.safetensors", "teacher_videos.parquet", *folds]
            + ["teacher_history.parquet", "teacher_confidence.parquet", "teacher.json"],
            [run + "/videos.parquet"],
            "share",
        ),
        "03_teacher_labels": (
            run,
            ["clips.parquet", "labelled_videos.parquet", "label_shares.parquet", *fold_labels],
            [run + "/videos.parquet", run + "/truth.parquet", run + "/teacher.safetensors"]
            + [f"{run}/{name}" for name in folds],
            "share",
        ),
        "04_oracle": (run, ["oracle.parquet"], [run + "/clips.parquet"], 1),
        "05_train_sampler": (
            sampler,
            ["student.safetensors", "scores.parquet", "history.parquet", "metrics.json"],
            [run + "/clips.parquet", run + "/labelled_videos.parquet", run + "/student_start.safetensors"]
            + [f"{run}/{name}" for name in fold_labels],
            1,
        ),
        **networks,
        "06_sampling": (
            run,
            ["accuracy_vs_k.parquet", "comparisons.parquet", "groups.parquet", "settings.json", "division.parquet"],
            [run + "/clips.parquet", run + "/truth.parquet", *scores, *(f + "scores.parquet" for f in of_networks)],
            1,
        ),
        "07_fpr_fnr": (
            run,
            ["detection.parquet", "curves.parquet", "confidence.parquet"],
            [run + "/clips.parquet", run + "/truth.parquet", *scores, *(f + "scores.parquet" for f in of_networks)],
            1,
        ),
        "08_flops_and_time": (
            run,
            ["cost.parquet", "division_cost.parquet", "seconds.parquet", "costs.json"],
            [run + "/accuracy_vs_k.parquet", run + "/division.parquet", run + "/settings.json"]
            + [run + "/teacher.safetensors", f"{run}/condi_sr/seed{config['seeds'][0]}/student.safetensors"]
            + [run + "/context.json"] * bool(networks),
            "all",
        ),
        "12_ablations": (
            run,
            ["ablations.parquet", "inference.parquet", *(f"{shown}/{file}" for file in ablation_files(config))],
            [run + "/clips.parquet", run + "/student_start.safetensors", *scores]
            + [folder + "/scores.parquet" for folder in variants],
            1,
        ),
        "09_figures": (
            shown,
            FIGURE_FILES,
            [f"{run}/{step}.ipynb" for step in ("01_dataset", "02_teacher", "03_teacher_labels", "04_oracle")]
            + [f"{run}/{step}.ipynb" for step in ("06_sampling", "07_fpr_fnr", "08_flops_and_time")],
            1,
        ),
        "14_across": (
            config["out"],
            ["across.parquet", "folds.parquet", "claims.parquet"]
            + [f"{config['figures_out']}/{file}" for file in ACROSS_FILES],
            [f"{one}/{name}" for one in runs_of(config) for name in of_a_run],
            1,
        ),
    }


def paths(folder, outputs):
    """The outputs of a step, those without a folder in its own."""
    return [name if "/" in name else f"{folder}/{name}" for name in outputs]


def _jobs(config, notebook, outputs):
    """The wildcards of each job that the step's outputs stand for; of 14, which is of all runs, one without any."""
    if notebook == "14_across":
        yield SimpleNamespace()
        return
    names = {key: list(config[f"{key}s"]) for key in ("dataset", "teacher")}
    if any("{loss}" in path for path in outputs):
        students = [(loss, seed) for loss in config["losses"] for seed in config["seeds"]]
        students += [(f"condi_sr-{name}", s) for name in config["ablations"] for s in config["ablation_seeds"]]
    else:
        students = [("", 0)]
    for dataset, teacher, (loss, seed) in product(*names.values(), students):
        yield SimpleNamespace(dataset=dataset, teacher=teacher, loss=loss, seed=seed)


def _pattern(path):
    """A regular expression of the paths that a path with wildcards stands for."""
    return re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))


def _graph(config):
    """({notebook: a regular expression of what it makes}, {notebook: the notebooks that it needs})."""
    table = steps(config)
    makes = {name: paths(folder, outputs) for name, (folder, outputs, _, _) in table.items()}
    made_by = {name: re.compile("|".join(map(_pattern, made)) or "$^") for name, made in makes.items()}
    needs = {
        name: [n for n in table if any(made_by[n].fullmatch(path) for path in inputs)]
        for name, (_, _, inputs, _) in table.items()
    }
    # it waits for executed notebooks
    needs["09_figures"] = [name for name in table if name not in ("09_figures", "12_ablations", "14_across")]
    return made_by, needs


def _closure(first, following):
    found, todo = set(), list(first)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += following[name]
    return found


def _named(made_by, targets):
    """The notebooks that some targets of Snakemake's, files or rules, stand for."""
    return [n for n in made_by for one in targets if n in (one, Path(one).stem) or made_by[n].fullmatch(one)]


def upstream(config, targets):
    """The notebooks that make these files or rules, and what they need; all of them where nothing is named."""
    made_by, needs = _graph(config)
    return _closure(_named(made_by, targets), needs) or set(made_by)


def downstream(config, targets):
    """The notebooks that need what makes these files or rules, in turn."""
    made_by, needs = _graph(config)
    first = set(_named(made_by, targets))
    return _closure(first, {name: [n for n in needs if name in needs[n]] for name in needs}) - first


def stale_files(config, targets=()):
    """{file: why} of the profile's files that are there and no longer stand: for what changed, or made otherwise.

    Snakemake cannot know it: it looks at times, and not at videos, weights or what was made without it.
    """
    from condi_lib.runs import why_stale
    from condi_lib.runs.parameters import found_paths
    from condi_lib.runs.provenance import made_with

    found, known, wanted, again = {}, {}, upstream(config, targets), {}  # again: {run: notebooks that run again}
    needs = _graph(config)[1]
    for notebook, (folder, outputs, _, _) in steps(config).items():
        if notebook not in wanted:
            continue
        outputs = paths(folder, outputs)
        declared = declared_parameters(notebook)
        for wildcards in _jobs(config, notebook, outputs):
            values = declared | notebook_parameters(config, notebook, wildcards)
            parameters = made_with(values | found_paths(notebook, values))
            run = folder_of_run(config, wildcards)
            before = again.setdefault(run, set())
            if run == config["out"]:  # it needs all of them
                before = again[run] = set().union(*again.values())
            for path in {path.format(**vars(wildcards)) for path in outputs}:
                if path.endswith((".parquet", ".safetensors", ".json")) and Path(path).exists():
                    reason = why_stale(path, notebook, parameters, known) or _of_another_run(path, run)
                    if made := before & set(needs[notebook]):
                        reason = reason or f"{min(made)} is run again"
                    if reason:
                        found[path] = reason
                        before.add(notebook)
    return found


def folder_of_run(config, wildcards):
    """The folder of a job's run; `out` for a job without wildcards."""
    return RUN.format(out=config["out"]).format(**vars(wildcards)) if vars(wildcards) else config["out"]


def _of_another_run(path, run):
    """Why a figure is not this run's, where two runs share a folder of figures; "" where it is."""
    from condi_lib.runs import read_provenance

    found = read_provenance(path)
    other = "run" in found and os.path.abspath(ROOT / found["run"]) != os.path.abspath(run)
    return f"it is of {found['run']}" if other else ""


def forget_unfinished(out):
    """Removes what jobs would go on from: parts of labelling, checkpoints of training, decoded clips."""
    kept = ("*/*/parts-*/*.parquet", "*/*/**/.*-*.pt", "*/*/decoded/*")
    for path in [path for pattern in kept for path in Path(out).glob(pattern)]:
        path.unlink()
