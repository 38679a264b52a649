# One rule a notebook, each run by papermill (workflow/notebook.py). The profile is a configuration file:
#   snakemake --configfile config/quick.yaml --cores all
import sys
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, workflow.basedir)
from condi_lib.captions import CAPTIONS
from workflow.profile import check_profile, notebook_parameters
from workflow.steps import downstream, forget_unfinished, paths, stale_files, steps, upstream

if workflow.is_main_process:  # its jobs read this file again
    check_profile(config)
    LOCK = ExitStack()  # until this process ends, however it ends; Snakemake's own lock would outlive a kill
    STALE = {}

    class ByContent(type(workflow)):
        """Snakemake looks at times. What changed in videos, weights or parameters is in the files, and forced from there."""

        @property
        def dag_settings(self):
            return vars(self)["settings of the plan"]

        @dag_settings.setter
        def dag_settings(self, settings):
            STALE.update(stale_files(config, settings.targets))
            after = downstream(config, settings.forcerun) & upstream(config, settings.targets)
            settings.forcerun = {*settings.forcerun, *after, *STALE}
            vars(self)["settings of the plan"] = settings

    workflow.__class__ = ByContent


onstart:
    from condi_lib.runs import alone

    LOCK.enter_context(alone(config["out"], "snakemake"))
    for path, reason in STALE.items():
        print(f"recomputed: {path}, because {reason}", file=sys.stderr)
    if workflow.dag_settings.forceall:
        forget_unfinished(config["out"])


ALL = workflow.cores
SHARE = max(1, ALL // (len(config["datasets"]) * len(config["teachers"])))  # of a teacher: several are trained side by side
STEPS = steps(config)

# What a cluster should set aside for a job of real size: MB of memory, minutes, GPUs. Change it for a study with
# --set-resources 02_teacher:runtime=2880, or in config/slurm/config.yaml.
NEEDS = dict.fromkeys(STEPS, (16_000, 120, 0)) | {
    "02_teacher": (64_000, 2880, 1),
    "03_teacher_labels": (32_000, 1440, 1),
    "05_train_sampler": (64_000, 1440, 1),
    "08_flops_and_time": (32_000, 240, 1),
    "12_ablations": (32_000, 240, 1),
    "13_context": (32_000, 240, 1),
}


def shown(path):
    """The path, on the page of `snakemake --report` if it is a figure, the summary, or what it was made with."""
    name, _, ending = path.split("/")[-1].rpartition(".")
    first = name in ("summary", "headline", "verdicts") and ending == "csv"
    if not path.startswith(config["figures_out"]) or not (first or ending in ("png", "json")):
        return path
    kind = "1 summary" if first else {"png": "2 figures", "json": "4 parameters, versions and commits"}[ending]
    of = "{dataset}, {teacher}" if "{dataset}" in path else "across data sets"
    return report(path, caption=caption_file(name), category=kind, subcategory=of, labels={"name": name})


def caption_file(name):
    """The caption of a figure or table as a file, which is how a report takes it."""
    file = Path(".snakemake") / "captions" / f"{name}.rst"
    text = CAPTIONS.get(name, "") + "\n"
    if not file.exists() or file.read_text() != text:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return str(file.absolute())


RUN = STEPS["01_dataset"][0]
EXECUTED = {step: (RUN if step == "09_figures" else spec[0]) + f"/{step}.ipynb" for step, spec in STEPS.items()}

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
    loss="|".join([*config["losses"], *(f"condi_sr-{name}" for name in config["ablations"])]),
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
            [ancient(path) for path in inputs],  # what changed is forced by content; times say nothing
            nb=ancient(f"notebooks/{step}.ipynb"),
        output:
            [shown(path) for path in paths(folder, outputs)],
            nb=report(executed, category="3 executed notebooks", labels={"name": executed}),
        params:
            values=lambda wildcards, step=step: notebook_parameters(config, step, wildcards),
        threads: {"all": ALL, "share": SHARE}.get(n_threads, n_threads)
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
