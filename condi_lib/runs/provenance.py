"""What a file of a run was made with."""

import json
import subprocess
from pathlib import Path

import pyarrow.parquet
import torch
from safetensors import safe_open

from condi_lib.runs.parameters import ROOT

SCHEMA = 1
PACKAGES = ("torchvision", "av", "numpy", "pandas", "scikit-learn", "condi")
HOW = ("workers", "shard", "shards", "checkpoint_min")  # parameters that change nothing in what is made


class MissingStep(FileNotFoundError):
    """A file that an earlier notebook writes is not there, or is another run's."""


def _commit():
    """The commit of the code, with "+changes" where files that make results differ from it; "unknown" outside git."""

    def git(*args):
        return subprocess.run(
            ["git", "-C", str(ROOT), *args], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "condi_lib", "config", "Snakefile", "workflow")
        return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine():
    """What a benchmark ran with, in a line."""
    cuda = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if cuda else f"CPU ({torch.backends.cpu.get_cpu_capability()})"
    return f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads, commit {_commit()}"


def read_provenance(path):
    """The provenance inside a parquet, safetensors or JSON file of a run. Raises MissingStep where there is none."""
    path = Path(path)
    try:
        if path.suffix == ".parquet":
            return json.loads(pyarrow.parquet.read_schema(path).metadata[b"PANDAS_ATTRS"])
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                return json.loads(file.metadata()["provenance"])
        return json.loads(path.read_text())["provenance"]
    except Exception as e:  # each format has errors of its own for a file that is missing, cut or foreign
        raise MissingStep(f"{path}: holds no provenance of ours ({type(e).__name__})") from e
