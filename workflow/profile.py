"""A profile (config/*.yaml): its keys, and the parameters of each notebook."""

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
    "notebooks",
}
_FIGURES = ("teacher_training", "teacher_confidence", "label_shares", "oracle", "accuracy_vs_k", "division")
_FIGURES += ("error_rates", "roc", "confidence", "cost", "seconds")
_TABLES = ("table_1_1", "condi_sr_versus", "summary")
# What notebook 09 writes for every data set (for planted also confidence_by_kind)
FIGURES = [f"{name}.{ext}" for name in _FIGURES for ext in ("png", "svg", "csv", "md", "json")]
FIGURES += [f"{name}.{ext}" for name in _TABLES for ext in ("csv", "md", "json")]


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
    if notebook in ("02_teacher", "05_train_sampler", "08_flops_and_time"):
        values |= {name: config[name] for name in ("student_width", "student_repeats")}
    if notebook == "05_train_sampler":
        values |= {"loss": wildcards.loss, "seed": int(wildcards.seed)}
    if notebook in ("06_sampling", "07_fpr_fnr"):
        values |= {"losses": config["losses"], "seeds": config["seeds"]}
    if notebook == "08_flops_and_time":
        values |= {"seed": config["seeds"][0]}
    if notebook == "09_figures":
        values |= {"figures_out": f"{config['figures_out']}/{wildcards.dataset}/{wildcards.teacher}"}
    return values
