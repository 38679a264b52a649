"""What a file of a run was made from, and whether all of it still holds.

Every file carries, inside, its provenance: the notebook and its parameters, the digest of its own content, and that of
everything that it was made from, taken when that was written. Whether it still stands follows from these alone:
commit, versions and machine are recorded, and compared with nothing.
"""

import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import pyarrow.parquet
import torch
from safetensors import safe_open

from condi_lib.data.identity import file_identity
from condi_lib.runs import listing
from condi_lib.runs.parameters import ROOT

SCHEMA = 2
PACKAGES = ("torchvision", "av", "numpy", "pandas", "scikit-learn", "condi")
# Parameters that change nothing in what is made
HOW = ("workers", "shard", "shards", "part_videos", "checkpoint_min", "store_gb")
BESIDE = "beside: "  # marks what a file's own notebook wrote before it, which a copy of the file alone may lack
HOW += ("out", "figures_out", "data_name", "teacher_name")  # where it lies


def made_with(parameters):
    """Those of a notebook's parameters that what it makes depends on."""
    return {name: value for name, value in parameters.items() if name not in HOW}


class MissingStep(FileNotFoundError):
    """A file that an earlier notebook writes is not there, is another run's, or no longer stands."""


def commit():
    """The commit of the code, with "+changes" where files that make results differ from it; "unknown" outside git."""

    def git(*args):
        return subprocess.run(
            ["git", "--no-optional-locks", "-C", str(ROOT), *args], capture_output=True, text=True, check=True
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
    return f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads, commit {commit()}"


def circumstances():
    """What is recorded of how a file was made, and compared with nothing: versions, commit, machine."""
    return {
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,  # with the build
            **{p: version(p) for p in PACKAGES},
        },
        "commit": commit(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
    }


def read_provenance(path):
    """The provenance inside a parquet, safetensors or JSON file of a run. Raises MissingStep where there is none."""
    path = Path(path)
    try:
        if path.suffix == ".parquet":
            return json.loads(pyarrow.parquet.read_metadata(path).metadata[b"provenance"])
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                return json.loads(file.metadata()["about"])["provenance"]
        return json.loads(path.read_text())["provenance"]
    except Exception as e:  # each format has errors of its own for a file that is missing, cut or foreign
        raise MissingStep(f"{path}: holds no provenance of ours ({type(e).__name__})") from e


def folder_of(path, found):
    """The folder of the run that a file belongs to, by what its provenance `found` says of its place."""
    if "run" in found:  # a figure, which lies elsewhere
        return ROOT / found["run"]
    return Path(os.path.abspath(path)).parents[found["at"].count("/")]


def why_stale(path, notebook=None, parameters=None, known=None):
    """Why a file of a run no longer stands, in words, or "" where it does.

    It stands while the schema is ours, it was made by `notebook` with `parameters` (where given, those that count), and
    all that it was made from is as it was: other files of the run by the digests inside them, and these in turn;
    foreign files and videos by their content; the list of videos by what lies on disk. What cannot be looked at
    because the data or the run itself is not on this machine counts as it was. known: {path: reason}, found before.
    """
    known = {} if known is None else known
    key = os.path.abspath(path)
    if key not in known:
        try:
            found = read_provenance(path)
        except MissingStep:
            known[key] = "it is missing or unreadable"
        else:
            known[key] = _why(path, found, known)
    if known[key] or notebook is None:
        return known[key]
    found = read_provenance(path)
    if found["notebook"] != notebook:
        return f"{found['notebook']} made it"
    return _difference(found["parameters"], parameters)


def _difference(old, new):
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            return f"{name} was {old.get(name)!r} and is {new.get(name)!r}"
    return ""


def _why(path, found, known):
    if found.get("schema") != SCHEMA:
        return f"it has schema {found.get('schema')!r}, expected {SCHEMA}"
    folder = folder_of(path, found)
    for name, digest in found.get("files", {}).items():  # of a figure: its pictures and tables
        beside = Path(path).with_name(name)
        if not beside.is_file() or file_identity(beside)["digest"] != digest:
            return f"{name} changed" if beside.is_file() else f"{name} is gone"
    if "run" in found and not folder.is_dir():
        return ""
    for name, was in found["made_from"].items():
        if name.startswith("file:"):
            reason = _why_foreign(name.removeprefix("file:"), was)
        elif name == listing.ON_DISK:
            key = f"{name} {os.path.abspath(path)} {found['digest']}"
            if key not in known:
                known[key] = listing.changed(path, found)
            reason = known[key]
        elif name.startswith(BESIDE) and not (folder / name.removeprefix(BESIDE)).exists():
            reason = ""
        else:
            name = name.removeprefix(BESIDE)
            reason = _why_own(folder / name, name, was, known)
        if reason:
            return reason
    return ""


def _why_foreign(path, was):
    try:
        return "" if file_identity(ROOT / path, was)["digest"] == was["digest"] else f"{path} changed"
    except OSError:
        return f"{path} is gone"


def _why_own(path, name, was, known):
    if reason := why_stale(path, known=known):
        return f"{name} is stale ({reason})" if path.exists() else f"{name} is gone"
    return "" if read_provenance(path)["digest"] == was else f"{name} changed"


def chain(path, found=None, out=None):
    """{file: its provenance} of all that a file was made from, back to the list of videos and the weights."""
    found, out = found or read_provenance(path), {} if out is None else out
    folder = folder_of(path, found)
    for name in found["made_from"]:
        name = name.removeprefix(BESIDE)
        if name in out or name.startswith("file:") or name == listing.ON_DISK or not (folder / name).exists():
            continue  # many files share their ancestors: each is read once
        own = read_provenance(folder / name)
        out[name] = {k: v for k, v in own.items() if k not in ("versions", "history", "schema", "at")}
        chain(folder / name, own, out)
    return out
