"""A profile (config/*.yaml): its keys, and the parameters of each notebook."""

import os
from itertools import product
from pathlib import Path
from types import SimpleNamespace

from condi_lib import catalogue
from condi_lib.declared import ROOT, declared_parameters

KEYS = {
    "out": str,
    "figures_out": str,
    "datasets": dict,  # name: root, or {parameter: value}; the name is the folder, and the layout if none is said
    # ($ROOT in them: a variable of the environment, or of make)
    "teachers": dict,  # name: weights to start from ("shipped", "" for none), or {parameter: value}; likewise
    "frames": int,
    "size": int,
    "student_width": float,
    "student_repeats": list,
    "losses": list,
    "networks": list,  # of notebook 13, over all clips of a video
    "seeds": list,
    "ablations": dict,  # variant: {parameter of notebook 05: value}
    "ablation_seeds": list,
    "notebooks": dict,  # notebook: {parameter: value}
}
NOTEBOOKS = ROOT / "notebooks"
# What notebooks 09 and 12 write for every data set
FIGURE_FILES = [
    file
    for name in {**catalogue.BACKGROUND, **catalogue.FIGURES}
    if name not in catalogue.SOME_ONLY
    for file in catalogue.files(name)
]

ACROSS_FILES = [file for name in catalogue.ACROSS for file in catalogue.files(name)]  # and 14 for all of them


def ablation_files(config):
    """What notebook 12 writes: the figure of variants only where the profile has some."""
    names = [name for name in catalogue.ABLATIONS if name != "ablations" or config["ablations"]]
    return [file for name in names for file in catalogue.files(name)]


def check_profile(config):
    """Raises ValueError at the first fault, so that a study fails before anything runs.

    A key, notebook or parameter that is unknown or missing, a value of the wrong type or out of range, a value twice, a
    data set's root or a teacher's weights that are not there.
    """
    # here: it loads torch, and each job reads this module
    from condi_lib.runs import check_values

    for what, keys in (("unknown", config.keys() - KEYS), ("missing", KEYS.keys() - config.keys())):
        if keys:
            raise ValueError(f"profile: {what} key {min(keys)!r}; expected {', '.join(sorted(KEYS))}")
    for key, kind in KEYS.items():
        value = config[key]
        if not isinstance(value, (int, float) if kind is float else kind) or isinstance(value, bool):
            raise ValueError(f"profile: {key}: found {value!r}, expected a {kind.__name__}")
        if key in ("datasets", "teachers", "losses", "seeds") and not value:
            raise ValueError(f"profile: {key}: found none, expected one or more")
        if kind is list and key != "student_repeats" and len(set(map(str, value))) < len(value):
            raise ValueError(f"profile: {key}: found {value}, expected each once")
    known = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
    for notebook in config["notebooks"]:
        if notebook not in known:
            raise ValueError(f"profile: notebooks: {notebook!r} is unknown; expected {', '.join(known)}")
    declared = {notebook: declared_parameters(notebook) for notebook in known}
    for key in ("dataset", "teacher"):
        for name in config[f"{key}s"]:
            entry = entry_of(config, key, name)
            if unknown := entry.keys() - set().union(*declared.values()):
                raise ValueError(f"profile: {key}s: {name}: no notebook has a parameter {min(unknown)!r}")
    for name in config["datasets"]:
        entry = entry_of(config, "dataset", name)
        root = entry.get("root", "")
        if entry["dataset"] != "planted" and not Path(root).expanduser().is_dir():  # notebook 01 writes the benchmark
            unset = "; say make reproduce PROFILE=... ROOT=/folder/of/the/data" if root.startswith("$") else ""
            raise ValueError(f"profile: datasets: {name}: {root!r} is not a folder that is there{unset}")
    for name in config["teachers"]:
        weights = entry_of(config, "teacher", name)["teacher_checkpoint"]
        if weights not in ("", "shipped") and not Path(weights).expanduser().is_file():
            raise ValueError(f"profile: teachers: {name}: {weights!r} is not a file that is there")
    students = [*config["losses"], *(f"condi_sr-{variant}" for variant in config["ablations"])]
    jobs = [(nb, students[0]) for nb in known] + [("05_train_sampler", loss) for loss in students]
    names = (config["datasets"], config["teachers"], config["seeds"], jobs)
    for dataset, teacher, seed, (notebook, loss) in product(*names):
        wildcards = SimpleNamespace(dataset=dataset, teacher=teacher, loss=loss, seed=seed)
        try:
            check_values(notebook, declared[notebook], notebook_parameters(config, notebook, wildcards))
        except ValueError as e:
            raise ValueError(f"profile: {notebook}: {e}") from e
    if "condi_sr" not in config["losses"]:
        raise ValueError(
            f"profile: losses: found {config['losses']}, expected condi_sr among them: notebook 08 times it"
        )


def runs_of(config):
    """The folders of a profile's runs, one for each data set and teacher."""
    return [
        f"{config['out']}/{dataset}/{teacher}" for dataset, teacher in product(config["datasets"], config["teachers"])
    ]


def entry_of(config, key, name):
    """{parameter: value} of an entry of the profile's datasets or teachers (key: dataset, teacher)."""
    short = {"dataset": "root", "teacher": "teacher_checkpoint"}[key]
    entry = config[f"{key}s"][name]
    entry = {key: name, short: "", **(entry if isinstance(entry, dict) else {short: entry})}
    return {name: os.path.expandvars(value) if isinstance(value, str) else value for name, value in entry.items()}


def notebook_parameters(config, notebook, wildcards):
    """{name: value} for papermill, of the notebook (such as "05_train_sampler") with these wildcards.

    Notebook 14 has none: it is of all runs.
    """
    values = {name: config[name] for name in ("out", "frames", "size")}
    if notebook == "14_across":
        values |= {"folders": runs_of(config), "figures_out": config["figures_out"]}
        return values | config["notebooks"].get(notebook, {})
    values |= {"data_name": wildcards.dataset, "teacher_name": wildcards.teacher}
    entries = entry_of(config, "dataset", wildcards.dataset) | entry_of(config, "teacher", wildcards.teacher)
    known = declared_parameters(notebook)
    if notebook != "02_teacher":
        del entries["teacher_checkpoint"]  # which 11 has for another teacher
    values |= config["notebooks"].get(notebook, {})
    values |= {name: value for name, value in entries.items() if name in known}  # of this data set: the closer wins
    if notebook in ("02_teacher", "05_train_sampler", "08_flops_and_time", "12_ablations", "13_context"):
        values |= {name: config[name] for name in ("student_width", "student_repeats")}
    if notebook == "05_train_sampler":
        loss, _, variant = wildcards.loss.partition("-")
        values |= {"loss": loss, "variant": variant, "seed": int(wildcards.seed)}
        values |= config["ablations"][variant] if variant else {}
    if notebook in ("06_sampling", "07_fpr_fnr"):
        values |= {"losses": config["losses"], "networks": config["networks"], "seeds": config["seeds"]}
    if notebook == "08_flops_and_time":
        values |= {"seed": config["seeds"][0], "networks": config["networks"]}
    if notebook == "13_context":
        values |= {"networks": config["networks"], "seeds": config["seeds"]}
    if notebook == "12_ablations":
        values |= {"seeds": config["seeds"]}
        values |= {"variants": list(config["ablations"]), "variant_seeds": config["ablation_seeds"]}
    if notebook in ("09_figures", "12_ablations"):
        values |= {"figures_out": f"{config['figures_out']}/{wildcards.dataset}/{wildcards.teacher}"}
    return values
