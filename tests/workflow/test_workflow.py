"""The Snakemake plan, read from a dry run, and the profiles."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from condi_lib.runs import ROOT, declared_parameters
from condi_lib.training import LOSSES
from workflow.profile import check_profile, entry_of, notebook_parameters
from workflow.report import stages
from workflow.steps import downstream, paths, stale_files, steps, upstream

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


def test_the_plan_for_two_data_sets_two_teachers_six_losses_and_three_seeds(tmp_path):
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    (tmp_path / "UCF-101").mkdir()
    teachers = {"resnext14_small": "", "r3d_18": ""}
    study = {"datasets": {"planted": "planted", "ucf101": "UCF-101"}, "losses": list(LOSSES), "seeds": [0, 1, 2]}
    jobs, found = plan(quick(teachers=teachers, **study), tmp_path)
    assert jobs["05_train_sampler"] == 2 * 2 * 6 * 3, found.stdout + found.stderr
    for step in (p.stem for p in (ROOT / "notebooks").glob("*.ipynb")):
        if not step.startswith(("05", "10", "11", "14", "15")):  # 10, 11 and 15 are for people, not for batches
            assert jobs[step] == 4, step
    assert jobs["14_across"] == 1  # of all of them
    assert jobs["total"] == 4 * (11 + 18) + 1 + 1


def test_a_fault_of_a_profile_is_an_error_before_anything_runs(tmp_path):
    jobs, found = plan(quick(epochs=3), tmp_path)
    assert found.returncode != 0 and not jobs
    assert "profile: unknown key 'epochs'" in found.stdout + found.stderr


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"seeds": []}, "seeds: found none, expected one or more"),
        ({"seeds": [0, 1, 0]}, r"seeds: found \[0, 1, 0\], expected each once"),
        ({"seeds": 3}, "seeds: found 3, expected a list"),
        ({"seeds": [-1]}, "05_train_sampler: seed: found -1, expected 0 or more"),
        ({"losses": ["condi"]}, "loss: 'condi' is unknown; expected one of st_ent"),
        ({"losses": ["st_ent"]}, r"losses: found \['st_ent'\], expected condi_sr among them"),
        ({"ablation_seeds": [0, 7]}, r"12_ablations: variant_seeds: found 7, expected some of seeds, \[0, 1\]"),
        ({"notebooks": {"13_context": {"compared_seeds": [2]}}}, "compared_seeds: found 2, expected some of seeds"),
        ({"notebooks": {"13_context": {"dropout": 1.5}}}, r"dropout: found 1.5, expected a share in \[0, 1\]"),
        ({"notebooks": {"08_flops_and_time": {"division_k": 2}}}, "division_k_student: found 3, expected at most"),
        ({"frames": True}, "frames: found True, expected a int"),
        ({"size": 8}, "size: found 8, expected 16 or more"),
        ({"datasets": {"kinetics": "no/such"}}, "datasets: kinetics: 'no/such' is not a folder that is there"),
        ({"datasets": {"ucf": "."}}, "dataset: 'ucf' is unknown; expected one of"),
        ({"teachers": {"resnext102": ""}}, "teacher: 'resnext102' is unknown; did you mean resnext"),
        ({"teachers": {"resnext101": "no.pth"}}, "teachers: resnext101: 'no.pth' is not a file that is there"),
        ({"notebooks": {"05_train": {}}}, "notebooks: '05_train' is unknown; expected 00_background"),
        ({"notebooks": {"05_train_sampler": {"epoch": 1}}}, "epoch: .* no such parameter; did you mean epochs?"),
        ({"notebooks": {"05_train_sampler": {"epochs": "3"}}}, "epochs: found '3', expected a int"),
        ({"notebooks": {"05_train_sampler": {"lr": 0.0}}}, "lr: found 0.0, expected a number above 0"),
        ({"ablations": {"t": {"taus": 1.0}}}, "05_train_sampler: taus: .* did you mean tau?"),
    ],
)
def test_what_a_profile_cannot_have(changes, message):
    with pytest.raises(ValueError, match=f"profile: .*{message}"):
        check_profile(quick(**changes))


@pytest.mark.parametrize("path", PROFILES, ids=lambda p: p.stem)
def test_every_profile_of_ours_is_one(path, tmp_path, monkeypatch):
    config = yaml.safe_load(path.read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROOT", str(tmp_path / "root"))
    for name in config["datasets"]:
        (tmp_path / entry_of(config, "dataset", name)["root"]).mkdir(parents=True, exist_ok=True)
    check_profile(config)


def test_the_plan_of_the_ablations(tmp_path):
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    config = yaml.safe_load((ROOT / "config" / "ablations.yaml").read_text())
    jobs, found = plan(config, tmp_path)
    assert jobs["05_train_sampler"] == 2 * (1 + len(config["ablations"])), found.stdout + found.stderr


def test_the_tiny_profile_is_the_notebooks_own_defaults():
    config = yaml.safe_load((ROOT / "config" / "tiny.yaml").read_text())
    wildcards = SimpleNamespace(dataset="planted", teacher=next(iter(config["teachers"])), loss="condi_sr", seed="0")
    for notebook in steps(config):
        values = notebook_parameters(config, notebook, wildcards)
        for name in ("figures_out", "data_name", "teacher_name"):  # a folder for each data set
            values.pop(name, None)
        assert values == {k: v for k, v in declared_parameters(notebook).items() if k in values}


def test_stages_add_up_the_jobs_of_a_notebook(tmp_path):
    for i, s in enumerate((1.5, 2.0)):
        (tmp_path / f"seed{i}").mkdir()
        (tmp_path / f"seed{i}" / "05_train_sampler.tsv").write_text(f"s\th:m:s\n{s}\t0:00:01\n")
    assert stages(tmp_path).to_dict("records") == [{"notebook": "05_train_sampler", "jobs": 2, "seconds": 3.5}]


def test_what_a_target_needs_and_what_needs_it():
    config = quick()
    scores = f"{config['out']}/planted/resnext14_small/accuracy_vs_k.parquet"
    assert upstream(config, [scores]) == {
        *("01_dataset", "02_teacher", "03_teacher_labels", "05_train_sampler", "13_context", "06_sampling")
    }
    assert upstream(config, []) == set(STEPS_OF_QUICK) == upstream(config, LAST)
    assert downstream(config, ["05_train_sampler"]) == {
        *("06_sampling", "07_fpr_fnr", "08_flops_and_time", "09_figures", "12_ablations", "13_context", "14_across")
    }
    assert downstream(config, ["08_flops_and_time"]) == {"09_figures", "14_across"}
    assert not downstream(config, ["14_across"]) and "14_across" not in upstream(config, ["09_figures"])


STEPS_OF_QUICK = steps(quick())
LAST = ["09_figures", "12_ablations", "00_background", "14_across"]


def test_notebook_14_needs_every_run_of_the_profile():
    config = quick(datasets={"a": "x", "b": "y"}, teachers={"t": "", "u": ""}, losses=["condi_sr"], seeds=[0, 1])
    _, outputs, inputs, _ = steps(config)["14_across"]
    values = notebook_parameters(config, "14_across", SimpleNamespace())
    assert values["folders"] == [f"{config['out']}/{run}" for run in ("a/t", "a/u", "b/t", "b/u")]
    for folder in values["folders"]:
        for file in ("accuracy_vs_k.parquet", "detection.parquet", "costs.json", "condi_sr/seed1/scores.parquet"):
            assert f"{folder}/{file}" in inputs
    assert f"{config['figures_out']}/across.csv" in outputs and not any("{" in path for path in outputs)


def test_what_is_made_again_takes_all_that_needs_it_along(tmp_path, monkeypatch):
    config = quick(out=str(tmp_path / "runs"), figures_out=str(tmp_path / "figures"))
    wildcards = {"dataset": "planted", "teacher": "resnext14_small", "loss": "st_ent", "seed": 1}
    made = {
        name: [path.format(**wildcards) for path in paths(folder, outputs)]
        for name, (folder, outputs, _, _) in steps(config).items()
    }
    for path in (Path(path) for of_step in made.values() for path in of_step):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.setattr("workflow.steps._of_another_run", lambda path, run: "")
    for changed, notebooks in (
        ("st_ent/seed1/scores.parquet", downstream(config, ["05_train_sampler"])),
        ("labelled_videos.parquet", downstream(config, ["03_teacher_labels"])),
    ):
        monkeypatch.setattr(
            "condi_lib.runs.why_stale", lambda path, *_, changed=changed: path.endswith(changed) * "old"
        )
        expected = {
            path for name in notebooks for path in made[name] if path.endswith((".parquet", ".safetensors", ".json"))
        }
        found = stale_files(config)
        assert {path for path in found if not path.endswith(changed)} == expected
        assert [path for path, why in found.items() if why == "old"] == [
            p for of in made.values() for p in of if p.endswith(changed)
        ]
