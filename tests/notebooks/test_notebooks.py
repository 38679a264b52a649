"""The notebooks as files, and what a user sees who gives them a bad parameter or runs them out of order."""

import json
import subprocess
import sys

import pytest

from condi_lib.data import DATASETS
from condi_lib.runs import ROOT, declared_parameters
from condi_lib.sampler import SAMPLERS

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def papermill(notebook, output, *args):
    command = [
        sys.executable,
        "-m",
        "papermill",
        "--no-progress-bar",
        f"notebooks/{notebook}.ipynb",
        str(output),
        *args,
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_are_committed_as_run_and_clean(path):
    if path.stem.startswith("15") and not (ROOT / "figures" / "pays" / "across.csv").is_file():
        pytest.skip("stored without outputs until make reproduce PROFILE=pays has run")
    cells = json.loads(path.read_text())["cells"]
    code = [c for c in cells if c["cell_type"] == "code"]
    assert [c["execution_count"] for c in code] == list(range(1, len(code) + 1))
    assert sum("parameters" in c["metadata"].get("tags", []) for c in code) == 1
    assert any("".join(c["source"]).startswith("# NBVAL_CHECK_OUTPUT") for c in code)
    assert len(code) <= 16
    for output in (o for c in code for o in c["outputs"]):
        assert output["output_type"] != "error" and output.get("name") != "stderr"
        assert str(ROOT) not in json.dumps(output)


def test_a_parameter_means_the_same_in_all_notebooks():
    helps = {}
    for path in NOTEBOOKS:
        cells = json.loads(path.read_text())["cells"]
        source = next("".join(c["source"]) for c in cells if "parameters" in c["metadata"].get("tags", []))
        for line in source.splitlines():
            name, kind = line.split(":")[0], line.split(":")[1].split("=")[0].strip()
            assert "  # " in line, f"{path.stem}: {name} has no help"
            assert helps.setdefault(name, kind) == kind
            if name == "dataset":
                assert line.split("  # ")[1] == ", ".join(DATASETS)
        assert {"dataset", "root", "teacher", "frames", "size", "out"} <= declared_parameters(path.stem).keys()


@pytest.mark.parametrize(
    ("notebook", "args", "message"),
    [
        ("05_train_sampler", ["-p", "loss", "condi"], "ParameterError: loss: 'condi' is unknown"),
        ("05_train_sampler", ["-p", "epoch", "3"], "ParameterError: epoch: 05_train_sampler has no such parameter"),
        ("04_oracle", ["-y", "{ks: [0]}"], "ParameterError: ks: found 0, expected 1 or more"),
        (
            "01_dataset",
            ["-p", "dataset", "ucf101", "-p", "root", "nowhere"],
            "ParameterError: root: found 'nowhere', but neither",
        ),
        ("04_oracle", [], "clips.parquet is missing or unreadable: run notebooks/03_teacher_labels.ipynb first"),
    ],
)
def test_bad_input_ends_in_one_clear_line(tmp_path, notebook, args, message):
    found = papermill(notebook, tmp_path / "out.ipynb", "-p", "out", str(tmp_path / "runs"), *args)
    assert found.returncode == 1
    assert message in found.stderr.strip().splitlines()[-1]
    assert not (tmp_path / "runs").exists()  # nothing was written before the check


def test_altering_an_exact_output_makes_nbval_fail(tmp_path):
    """The planted fault: one number of a checked output is changed; nbval must notice, and only then."""
    source = json.dumps(
        {
            "cells": [
                {"cell_type": "code", "execution_count": 1, "id": "a", "metadata": {}, "source": text, "outputs": out}
                for text, out in [
                    (
                        "# NBVAL_CHECK_OUTPUT\nfrom condi_lib.sampler import SAMPLERS\nprint(len(SAMPLERS))",
                        [{"output_type": "stream", "name": "stdout", "text": f"{len(SAMPLERS)}\n"}],
                    )
                ]
            ],
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )
    codes = {}
    for name, text in (("good", source), ("altered", source.replace(f'"{len(SAMPLERS)}\\n"', '"7\\n"'))):
        path = tmp_path / f"{name}.ipynb"
        path.write_text(text)
        command = [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env", str(path)]
        codes[name] = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert codes["good"].returncode == 0, codes["good"].stdout
    assert codes["altered"].returncode == 1 and "mismatch" in codes["altered"].stdout.lower()
