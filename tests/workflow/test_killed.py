"""The whole workflow, killed three times (SIGKILL to all of its processes), goes on where it was."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from condi_lib.runs import ROOT


def command(folder, *options):
    snakemake = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--directory", str(folder)]
    return [
        *snakemake,
        "--configfile",
        str(folder / "study.yaml"),
        "--cores",
        "2",
        "--until",
        "05_train_sampler",
        *options,
    ]


def start(folder):
    log = (folder / "log").open("a")
    env = os.environ | {"CONDI_TEST_SECRET": "not-to-be-seen"}
    return subprocess.Popen(command(folder), start_new_session=True, stdout=log, stderr=log, env=env)


def make_study(folder, **changes):
    """The tiny profile, all of it below `folder`."""
    for name in ("notebooks", "profiles"):
        (folder / name).symlink_to(ROOT / name)
    config = yaml.safe_load((ROOT / "config" / "tiny.yaml").read_text())
    config |= {"out": str(folder / "runs"), "figures_out": str(folder / "figures")}
    config |= {"datasets": {"planted": str(folder / "data")}, **changes}
    (folder / "study.yaml").write_text(yaml.safe_dump(config))


def wait_for(process, condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)


def kill(process):
    """SIGKILL to snakemake and to all that it started: kernels have process groups of their own."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True).stdout.split()[2:]
    children = {}
    for pid, parent in zip(map(int, listed[::2]), map(int, listed[1::2]), strict=True):
        children.setdefault(parent, []).append(pid)
    tree = [process.pid]
    for pid in tree:
        tree += children.get(pid, [])
    for pid in tree:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_a_killed_workflow_goes_on(tmp_path):
    notebooks = {
        "02_teacher": {"checkpoint_min": 0.0, "teacher_epochs": 6},
        "03_teacher_labels": {"part_videos": 10},
        "05_train_sampler": {"checkpoint_min": 0.0, "epochs": 8},
    }
    make_study(tmp_path, notebooks=notebooks)
    run = tmp_path / "runs" / "planted" / "resnext14_small"
    student, rng = run / "condi_sr" / "seed0", random.Random(0)
    for reached in (".teacher-*.pt", "parts-*/clips_*", "condi_sr/seed0/.student-*.pt"):
        process = start(tmp_path)
        wait_for(process, lambda reached=reached: list(run.glob(reached)))
        time.sleep(rng.uniform(0, 0.5))
        assert process.poll() is None, (tmp_path / "log").read_text()[-3000:]
        kill(process)
        assert not (student / "05_train_sampler.ipynb").exists()  # nothing that looks finished
    assert start(tmp_path).wait() == 0, (tmp_path / "log").read_text()[-3000:]
    made = {name: (student / name).read_bytes() for name in ("student.safetensors", "scores.parquet")}
    again = subprocess.run(command(tmp_path, "-n"), capture_output=True, text=True)
    assert re.search(r"^total +0$", again.stdout, re.M), again.stdout
    for name in made:
        (student / name).unlink()
    assert start(tmp_path).wait() == 0  # unbroken
    assert made == {name: (student / name).read_bytes() for name in made}
    assert not list(tmp_path.glob("runs/**/*.pt")) and not list(run.glob("parts-*"))
    for notebook in tmp_path.glob("runs/**/*.ipynb"):
        text = notebook.read_text()
        assert "not-to-be-seen" not in text and str(Path.home()) + "/" not in text, notebook


def test_two_workflows_at_once(tmp_path):
    """The second is told of the first."""
    make_study(tmp_path)
    first = start(tmp_path)
    try:
        wait_for(first, (tmp_path / "logs").exists)
        second = subprocess.run(command(tmp_path), capture_output=True, text=True)
        assert second.returncode and "runs: snakemake is already running there (process" in second.stderr
    finally:
        kill(first)
