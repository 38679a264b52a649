"""The Snakemake plan, read from a dry run, and the profiles."""

import subprocess
import sys
from collections import Counter
from types import SimpleNamespace

import pytest
import yaml

from condi_lib.runs import ROOT, check_parameters, declared_parameters
from workflow.profile import check_profile, notebook_parameters
from workflow.report import stages

PROFILES = sorted((ROOT / "config").glob("*.yaml"))


def plan(config, tmp_path):
    """{rule: number of jobs} of a dry run."""
    path = tmp_path / "profile.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--directory", str(tmp_path)]
    command += ["--configfile", str(path), "--cores", "2", "-n", "-q", "rules"]
    found = subprocess.run(command, capture_output=True, text=True)
    rows = [line.split() for line in found.stdout.splitlines()]
    return Counter({r[0]: int(r[1]) for r in rows if len(r) == 2 and r[1].isdigit()}), found


def quick(**changes):
    return {**yaml.safe_load((ROOT / "config" / "quick.yaml").read_text()), **changes}


def test_the_plan_for_two_data_sets_six_losses_and_three_seeds(tmp_path):
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    jobs, found = plan(quick(datasets={"planted": "data/planted", "ucf101": "data/UCF-101"}), tmp_path)
    assert jobs["05_train_sampler"] == 2 * 6 * 3, found.stdout + found.stderr
    for step in (p.stem for p in (ROOT / "notebooks").glob("*.ipynb")):
        if not step.startswith(("05", "10", "11")):  # 10 and 11 are for people, not for batches
            assert jobs[step] == 2, step
    assert jobs["total"] == 2 * (9 + 18) + 1


def test_an_unknown_key_of_a_profile_is_an_error_before_anything_runs(tmp_path):
    jobs, found = plan(quick(epochs=3), tmp_path)
    assert found.returncode != 0 and not jobs
    assert "profile: unknown key 'epochs'" in found.stdout + found.stderr


@pytest.mark.parametrize("path", PROFILES, ids=lambda p: p.stem)
def test_every_profile_gives_every_notebook_parameters_that_it_has(path):
    config = yaml.safe_load(path.read_text())
    check_profile(config)
    dataset = next(iter(config["datasets"]))
    wildcards = SimpleNamespace(dataset=dataset, teacher=config["teacher"], loss="st_ent", seed="2")
    for notebook in (p.stem for p in (ROOT / "notebooks").glob("*.ipynb")):
        values = notebook_parameters(config, notebook, wildcards)
        declared = declared_parameters(notebook)
        assert values.keys() <= declared.keys()
        check_parameters(notebook, {"In": [], **declared, **values})
    for variant in config["ablations"]:
        wildcards.loss = f"condi_sr-{variant}"
        values = notebook_parameters(config, "05_train_sampler", wildcards)
        assert (values["loss"], values["variant"]) == ("condi_sr", variant)
        assert config["ablations"][variant].items() <= values.items()
        check_parameters("05_train_sampler", {"In": [], **declared_parameters("05_train_sampler"), **values})


def test_the_plan_of_the_ablations(tmp_path):
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    config = yaml.safe_load((ROOT / "config" / "ablations.yaml").read_text())
    jobs, found = plan(config, tmp_path)
    assert jobs["05_train_sampler"] == 2 * (1 + len(config["ablations"])), found.stdout + found.stderr


def test_the_tiny_profile_is_the_notebooks_own_defaults():
    config = yaml.safe_load((ROOT / "config" / "tiny.yaml").read_text())
    wildcards = SimpleNamespace(dataset="planted", teacher=config["teacher"], loss="condi_sr", seed="0")
    for notebook in (p.stem for p in (ROOT / "notebooks").glob("*.ipynb")):
        values = notebook_parameters(config, notebook, wildcards)
        values.pop("figures_out", None)  # a folder for each data set
        assert values == {k: v for k, v in declared_parameters(notebook).items() if k in values}


def test_stages_add_up_the_jobs_of_a_notebook(tmp_path):
    for i, s in enumerate((1.5, 2.0)):
        (tmp_path / f"seed{i}").mkdir()
        (tmp_path / f"seed{i}" / "05_train_sampler.tsv").write_text(f"s\th:m:s\n{s}\t0:00:01\n")
    assert stages(tmp_path).to_dict("records") == [{"notebook": "05_train_sampler", "jobs": 2, "seconds": 3.5}]
