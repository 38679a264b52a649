# One rule a notebook, each run by papermill (workflow/notebook.py). The profile is a configuration file:
#   snakemake --configfile config/quick.yaml --cores all
import sys
from contextlib import ExitStack

sys.path.insert(0, workflow.basedir)
from workflow.profile import ABLATION_FILES, FIGURE_FILES, check_profile, notebook_parameters

if workflow.is_main_process:  # its jobs read this file again
    check_profile(config)
    LOCK = ExitStack()  # until this process ends, however it ends; Snakemake's own lock would outlive a kill


onstart:
    from condi_lib.runs import alone

    LOCK.enter_context(alone(config["out"], "snakemake"))


OUT, ALL = config["out"], workflow.cores
RUN = OUT + "/{dataset}/{teacher}"
SAMPLER = RUN + "/{loss}/seed{seed}"
TRAINED = [f"{RUN}/{loss}/seed{seed}" for loss in config["losses"] for seed in config["seeds"]]
VARIANTS = [f"{RUN}/condi_sr-{name}/seed{seed}" for name in config["ablations"] for seed in config["ablation_seeds"]]
SHOWN = config["figures_out"] + "/{dataset}/{teacher}"

# notebook: (its folder, outputs there or as paths, inputs, threads). Samplers take one thread each: two side by side use two
# cores better than one with two threads. Notebook 08 takes all threads, so that nothing else runs while it times.
STEPS = {
    "01_dataset": (RUN, ["videos.parquet", "table_1_1.parquet"], [], ALL),
    "02_teacher": (
        RUN,
        ["teacher.safetensors", "student_start.safetensors"]
        + ["teacher_history.parquet", "teacher_confidence.parquet", "teacher.json"],
        [RUN + "/videos.parquet"],
        ALL,
    ),
    "03_teacher_labels": (
        RUN,
        ["clips.parquet", "labelled_videos.parquet", "label_shares.parquet"],
        [RUN + "/videos.parquet", RUN + "/teacher.safetensors"],
        ALL,
    ),
    "04_oracle": (RUN, ["oracle.parquet"], [RUN + "/clips.parquet"], 1),
    "05_train_sampler": (
        SAMPLER,
        ["student.safetensors", "scores.parquet", "history.parquet", "metrics.json"],
        [RUN + "/clips.parquet", RUN + "/labelled_videos.parquet", RUN + "/student_start.safetensors"],
        1,
    ),
    "06_sampling": (
        RUN,
        ["accuracy_vs_k.parquet", "comparisons.parquet", "groups.parquet", "settings.json", "division.parquet"],
        [RUN + "/clips.parquet", *(folder + "/scores.parquet" for folder in TRAINED)],
        1,
    ),
    "07_fpr_fnr": (
        RUN,
        ["detection.parquet", "curves.parquet", "confidence.parquet", "example.parquet"],
        [RUN + "/clips.parquet", *(folder + "/scores.parquet" for folder in TRAINED)],
        1,
    ),
    "08_flops_and_time": (
        RUN,
        ["cost.parquet", "division_cost.parquet", "seconds.parquet", "costs.json"],
        [
            RUN + "/accuracy_vs_k.parquet",
            RUN + "/division.parquet",
            RUN + "/settings.json",
            RUN + "/teacher.safetensors",
            f"{RUN}/condi_sr/seed{config['seeds'][0]}/student.safetensors",
        ],
        ALL,
    ),
    "12_ablations": (
        RUN,
        ["ablations.parquet", "inference.parquet", *(f"{SHOWN}/{file}" for file in ABLATION_FILES)],
        [
            RUN + "/clips.parquet",
            RUN + "/student_start.safetensors",
            *(folder + "/scores.parquet" for folder in TRAINED + VARIANTS),
        ],
        1,
    ),
    "09_figures": (
        SHOWN,
        FIGURE_FILES,
        [f"{RUN}/{step}.ipynb" for step in ("01_dataset", "02_teacher", "03_teacher_labels", "04_oracle")]
        + [f"{RUN}/{step}.ipynb" for step in ("06_sampling", "07_fpr_fnr", "08_flops_and_time")],
        1,
    ),
}

# What a cluster should set aside for a job of real size: MB of memory, minutes, GPUs. Change it for a study with
# --set-resources 02_teacher:runtime=2880, or in config/slurm/config.yaml.
NEEDS = dict.fromkeys(STEPS, (16_000, 120, 0)) | {
    "02_teacher": (64_000, 2880, 1),
    "03_teacher_labels": (32_000, 1440, 1),
    "05_train_sampler": (64_000, 1440, 1),
    "08_flops_and_time": (32_000, 240, 1),
    "12_ablations": (32_000, 240, 1),
}


def paths(folder, outputs):
    return [name if "/" in name else f"{folder}/{name}" for name in outputs]


def shown(path):
    """The path, on the page of `snakemake --report` if it is a figure or what it was made with."""
    if not path.startswith(config["figures_out"]) or not path.endswith((".png", ".json")):
        return path
    kind = "figures" if path.endswith(".png") else "parameters, versions and commit of each figure"
    return report(path, category=kind, subcategory="{dataset}, {teacher}", labels={"name": path.split("/")[-1]})


EXECUTED = {step: (SAMPLER if spec[0] == SAMPLER else RUN) + f"/{step}.ipynb" for step, spec in STEPS.items()}

# Each output by name, since Snakemake makes a missing file again only where somebody asks for it
EVERYTHING = set(
    expand(
        [path for folder, outputs, _, _ in STEPS.values() for path in paths(folder, outputs)] + [*EXECUTED.values()],
        dataset=config["datasets"],
        teacher=config["teachers"],
        loss=config["losses"],
        seed=config["seeds"],
    )
)


wildcard_constraints:
    dataset="[^/]+",
    teacher="[^/]+",
    loss="[^/]+",
    seed=r"\d+",


rule all:
    default_target: True
    input:
        EVERYTHING,


for step, (folder, outputs, inputs, n_threads) in STEPS.items():
    executed = EXECUTED[step]

    rule:
        name:
            step
        message:
            f"{step}: {{wildcards}}"
        input:
            inputs,
            nb=f"notebooks/{step}.ipynb",
        output:
            [shown(path) for path in paths(folder, outputs)],
            nb=report(executed, category="executed notebooks", labels={"name": executed}),
        params:
            values=lambda wildcards, step=step: notebook_parameters(config, step, wildcards),
        threads: n_threads
        resources:
            mem_mb=NEEDS[step][0],
            runtime=NEEDS[step][1],
            gpu=NEEDS[step][2],
        log:
            f"logs/{executed}".replace("//", "/").replace(".ipynb", ".log"),
        benchmark:
            f"logs/{executed}".replace("//", "/").replace(".ipynb", ".tsv")
        script:
            "workflow/notebook.py"
