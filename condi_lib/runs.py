"""Where a run's files lie, their provenance, atomic writes, and the check of a notebook's parameters.

runs/<profile>/<dataset>/<teacher>/ holds videos.parquet, teacher.safetensors, clips.parquet and the tables of the
study; below it <loss>/seed<k>/ holds student.safetensors, scores.parquet, metrics.json. Every file carries the schema
version and its provenance: notebook, parameters, versions, commit, device.
"""

import ast
import difflib
import json
import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from condi_lib import catalogue
from condi_lib.data import AUGMENTATIONS, DATASETS, write_atomically
from condi_lib.models import TEACHER_NAMES, WIDTHS
from condi_lib.training import LOSSES

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = 1
PACKAGES = ("torchvision", "av", "numpy", "pandas", "scikit-learn", "condi")
CHOICES = {
    "dataset": DATASETS,
    "augment": tuple(AUGMENTATIONS),
    "teacher": TEACHER_NAMES,
    "loss": LOSSES,
    "student_width": tuple(WIDTHS),
    "labels": ("clips", "in_sample", "out_of_fold"),
}
AT_LEAST = {
    **dict.fromkeys(("ks", "division_ks", "division_k", "student_repeats", "frames"), 1),
    **dict.fromkeys(("epochs", "batch_size", "n_timed"), 1),
    **dict.fromkeys(("teacher_epochs", "student_epochs"), 0),
    **dict.fromkeys(("seed", "seeds", "variant_seeds", "planted_seed", "division_k_student", "rank_weight"), 0),
    **dict.fromkeys(("workers", "folds", "split_seed", "conf_weight", "pos_weight"), 0),
    "fold": 1,
    "size": 16,
}
ABOVE_0 = ("lr", "teacher_lr", "tau", "budget")
SHARES = ("max_bad_share", "val_share")


class ParameterError(ValueError):
    """A notebook parameter that is unknown or has an impossible value."""


class MissingStep(FileNotFoundError):
    """A file that an earlier notebook writes is not there, or is another run's."""


def declared_parameters(notebook):
    """{name: default} of the cell tagged "parameters" of notebooks/<notebook>.ipynb."""
    cells = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text())["cells"]
    source = next("".join(c["source"]) for c in cells if "parameters" in c["metadata"].get("tags", []))
    return {node.target.id: ast.literal_eval(node.value) for node in ast.parse(source).body}


def check_parameters(notebook, scope):
    """The notebook's parameters, {name: value}, from the kernel's globals; raises ParameterError at the first fault.

    Names and types are those of the notebook's own parameters cell; papermill itself only warns of unknown names.
    """
    declared = declared_parameters(notebook)
    for source in scope.get("In", []):
        if source.startswith("# Parameters\n"):  # the cell that papermill injects
            for name in (node.targets[0].id for node in ast.parse(source).body if isinstance(node, ast.Assign)):
                if name not in declared:
                    close = difflib.get_close_matches(name, declared, 1)
                    hint = f"did you mean {close[0]}? " if close else ""
                    raise ParameterError(
                        f"{name}: {notebook} has no such parameter; {hint}known: {', '.join(declared)}"
                    )
    values = {name: scope[name] for name in declared}
    for name, value in values.items():
        default = declared[name]
        expected = (int, float) if isinstance(default, float) else type(default)
        if not isinstance(value, expected) or (isinstance(value, bool) and not isinstance(default, bool)):
            raise ParameterError(f"{name}: found {value!r}, expected a {type(default).__name__} such as {default!r}")
        for item in value if isinstance(value, list) else [value]:
            kind = "loss" if name == "losses" else name
            if kind in CHOICES and item not in CHOICES[kind]:
                raise ParameterError(
                    f"{name}: {item!r} is unknown; expected one of {', '.join(map(str, CHOICES[kind]))}"
                )
            if name in AT_LEAST and item < AT_LEAST[name]:
                raise ParameterError(f"{name}: found {item}, expected {AT_LEAST[name]} or more")
            if name in SHARES and not 0 <= item <= 1:
                raise ParameterError(f"{name}: found {item}, expected a share in [0, 1]")
            if name in ABOVE_0 and item <= 0:
                raise ParameterError(f"{name}: found {item}, expected a number above 0")
    return values


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


@dataclass(frozen=True)
class Run:
    """One notebook's view of a run: its folder, its parameters, and reading and writing with provenance."""

    notebook: str
    parameters: dict
    folder: Path  # <out>/<dataset>/<teacher>

    def student_folder(self, loss, seed, variant=""):
        return self.folder / (f"{loss}-{variant}" if variant else loss) / f"seed{seed}"

    def provenance(self):
        return {
            "schema": SCHEMA,
            "notebook": self.notebook,
            "parameters": self.parameters,
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,  # with the build
                **{p: version(p) for p in PACKAGES},
            },
            "commit": _commit(),
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
            "threads": torch.get_num_threads(),
        }

    def is_done(self, *paths):
        """True where all these files stand, written by this notebook with these parameters."""
        for path in paths:
            try:
                found = read_provenance(path)
            except MissingStep:
                return False
            if (found["notebook"], found["parameters"]) != (self.notebook, self.parameters):
                return False
        return True

    def write_table(self, path, table):
        table = table.copy()
        table.attrs = self.provenance()
        write_atomically(path, lambda part: table.to_parquet(part, index=False))

    def write_json(self, path, values):
        write_atomically(
            path, lambda part: part.write_text(json.dumps({**values, "provenance": self.provenance()}, indent=1))
        )

    def write_weights(self, path, network):
        state = {name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}
        write_atomically(path, lambda part: save_file(state, part, {"provenance": json.dumps(self.provenance())}))

    def read_table(self, path, step):
        """A table that notebook `step` wrote. Raises MissingStep if it is not there or is of another run."""
        self.check(path, step)
        table = pd.read_parquet(path)
        table.attrs = {}
        return table

    def read_json(self, path, step):
        """What notebook `step` wrote with write_json, without its provenance. Raises MissingStep."""
        found = json.loads(self.check(path, step).read_text())
        return {name: value for name, value in found.items() if name != "provenance"}

    def read_scores(self, losses, seeds):
        """{loss: [score table of each seed]}. Raises MissingStep for the first that is not there."""
        step = "05_train_sampler"
        return {
            loss: [self.read_table(self.student_folder(loss, s) / "scores.parquet", step) for s in seeds]
            for loss in losses
        }

    def truth(self):
        """The embedded benchmark's truth, a row a frame (video, frame, kind, blend, ...); None for other data sets."""
        if self.parameters["dataset"] != "planted":
            return None
        return pd.read_parquet(Path(self.parameters["root"]) / "untrimmed" / "truth.parquet")

    def check(self, path, step):
        """`path` if notebook `step` wrote it for this data set, frames and size; raises MissingStep otherwise."""
        try:
            found = read_provenance(path)
        except MissingStep:
            raise MissingStep(f"{path} is missing or unreadable: run notebooks/{step}.ipynb first") from None
        for name in ("dataset", "teacher", "frames", "size"):
            mine, theirs = self.parameters.get(name), found["parameters"].get(name)
            if mine != theirs and None not in (mine, theirs):
                raise MissingStep(f"{path} was made with {name} = {theirs!r}, but this notebook has {mine!r}")
        return path


def start(notebook, scope):
    """A notebook's first call, with its name and globals(): checks its parameters and returns its Run.

    Makes the repository's root the working folder, so that relative parameters mean the same under JupyterLab,
    papermill and nbval. Raises ParameterError.
    """
    os.chdir(ROOT)
    parameters = check_parameters(notebook, scope)
    return Run(notebook, parameters, Path(parameters["out"]) / parameters["dataset"] / parameters["teacher"])


def read_provenance(path):
    """The provenance inside a parquet, safetensors or JSON file of a run. Raises MissingStep where there is none."""
    path = Path(path)
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet

            return json.loads(pyarrow.parquet.read_schema(path).metadata[b"PANDAS_ATTRS"])
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                return json.loads(file.metadata()["provenance"])
        return json.loads(path.read_text())["provenance"]
    except Exception as e:  # each format has errors of its own for a file that is missing, cut or foreign
        raise MissingStep(f"{path}: holds no provenance of ours ({type(e).__name__})") from e


def make_figures(run, folder, *names):
    """Makes these figures and tables of the catalogue from the run's tables, and saves them into `folder`.

    Returns the last one, a matplotlib Figure or a table. Raises MissingStep where a table is not there.
    """
    from condi_lib import figures  # here: it loads a plotting library, which the workflow does not need

    for name in names:
        draw, sources = {**catalogue.FIGURES, **catalogue.ABLATIONS}[name]
        steps = [source.split("/") for source in sources]
        tables = [run.read_table(run.folder / f"{table}.parquet", step) for step, table in steps]
        made = getattr(figures, draw)(*tables) if draw else tables[0]
        is_table = isinstance(made, pd.DataFrame)
        save_figure(run, folder, name, *((None, made) if is_table else (made, tables[0] if tables else None)))
    return made


def save_figure(run, folder, name, figure, table):
    """Writes <name>.png, .svg, .csv, .md (the table behind the figure) and .json (provenance) into `folder`.

    figure: a matplotlib Figure, or None for a table alone; table: a DataFrame, or None for a picture alone.
    """
    folder = Path(folder)
    if figure is not None:
        for ext, options in ((".png", {"dpi": 150}), (".svg", {"metadata": {"Date": None}})):
            write_atomically(
                folder / f"{name}{ext}",
                lambda part, e=ext, o=options: figure.savefig(part, format=e[1:], bbox_inches="tight", **o),
            )
    if table is not None:
        table = table.drop(columns="image", errors="ignore")  # pictures inside a table
        options = {"index": False, "float_format": "%.6g", "lineterminator": "\n"}
        write_atomically(folder / f"{name}.csv", lambda part: table.to_csv(part, **options))
        write_atomically(folder / f"{name}.md", lambda part: part.write_text(markdown(table) + "\n"))
    run.write_json(folder / f"{name}.json", {"name": name, "rows": 0 if table is None else len(table)})


def markdown(table, digits=4):
    """A table in Markdown, numbers rounded to `digits` significant ones."""

    def cell(x):
        return f"{x:.{digits}g}" if isinstance(x, float) else str(x)

    head = [" | ".join(map(str, table.columns)), " | ".join("---" for _ in table.columns)]
    rows = [" | ".join(cell(x) for x in row) for row in table.itertuples(index=False)]
    return "\n".join(f"| {line} |" for line in head + rows)
