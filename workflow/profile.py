"""A profile (config/*.yaml): its keys, and the parameters of each notebook."""

from condi_lib import catalogue

KEYS = {
    "out",
    "figures_out",
    "datasets",
    "teacher",
    "frames",
    "size",
    "student_width",
    "student_repeats",
    "losses",
    "seeds",
    "ablations",
    "ablation_seeds",
    "notebooks",
}
# What notebooks 09 and 12 write for every data set
FIGURE_FILES = [
    file for name in catalogue.FIGURES if name not in catalogue.PLANTED_ONLY for file in catalogue.files(name)
]
ABLATION_FILES = [file for name in catalogue.ABLATIONS for file in catalogue.files(name)]


def check_profile(config):
    """Raises ValueError naming the first key that is unknown or missing."""
    for what, keys in (("unknown", config.keys() - KEYS), ("missing", KEYS - config.keys())):
        if keys:
            raise ValueError(f"profile: {what} key {min(keys)!r}; expected {', '.join(sorted(KEYS))}")


def notebook_parameters(config, notebook, wildcards):
    """{name: value} for papermill, of the notebook (such as "05_train_sampler") with these wildcards."""
    values = {name: config[name] for name in ("out", "frames", "size")}
    values |= {"dataset": wildcards.dataset, "teacher": wildcards.teacher}
    values |= {"root": config["datasets"][wildcards.dataset], **config["notebooks"].get(notebook, {})}
    if notebook in ("02_teacher", "05_train_sampler", "08_flops_and_time", "12_ablations"):
        values |= {name: config[name] for name in ("student_width", "student_repeats")}
    if notebook == "05_train_sampler":
        loss, _, variant = wildcards.loss.partition("-")
        values |= {"loss": loss, "variant": variant, "seed": int(wildcards.seed)}
        values |= config["ablations"][variant] if variant else {}
    if notebook in ("06_sampling", "07_fpr_fnr"):
        values |= {"losses": config["losses"], "seeds": config["seeds"]}
    if notebook == "08_flops_and_time":
        values |= {"seed": config["seeds"][0]}
    if notebook == "12_ablations":
        values |= {"seeds": config["seeds"]}
        values |= {"variants": list(config["ablations"]), "variant_seeds": config["ablation_seeds"]}
    if notebook in ("09_figures", "12_ablations"):
        values |= {"figures_out": f"{config['figures_out']}/{wildcards.dataset}/{wildcards.teacher}"}
    return values
