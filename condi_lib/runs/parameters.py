"""The parameters of a notebook, as its own cell declares them, and the values that they cannot have."""

import ast
import difflib
import json
from pathlib import Path

from condi_lib.data import AUGMENTATIONS, DATASETS
from condi_lib.models import TEACHER_NAMES, WIDTHS
from condi_lib.training import LOSSES

ROOT = Path(__file__).resolve().parents[2]
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
    **dict.fromkeys(("epochs", "batch_size", "accumulate", "n_timed", "shards", "part_videos"), 1),
    **dict.fromkeys(("teacher_epochs", "student_epochs"), 0),
    **dict.fromkeys(("seed", "seeds", "variant_seeds", "planted_seed", "division_k_student", "rank_weight"), 0),
    **dict.fromkeys(("workers", "folds", "split_seed", "conf_weight", "pos_weight", "shard", "checkpoint_min"), 0),
    "fold": 1,
    "size": 16,
}
ABOVE_0 = ("lr", "teacher_lr", "tau", "budget")
SHARES = ("max_bad_share", "val_share")


class ParameterError(ValueError):
    """A notebook parameter that is unknown or has an impossible value."""


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
    injected = [source for source in scope.get("In", []) if source.startswith("# Parameters\n")]  # papermill's cell
    assigned = [node.targets[0].id for s in injected for node in ast.parse(s).body if isinstance(node, ast.Assign)]
    return check_values(notebook, declared, {name: scope.get(name) for name in (*declared, *assigned)})


def check_values(notebook, declared, values):
    """declared with these values in it; raises ParameterError for a name, type or value that the notebook cannot have.

    declared: declared_parameters of the notebook; values: {name: value}.
    """
    for name in values:
        if name not in declared:
            close = difflib.get_close_matches(name, declared, 1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise ParameterError(f"{name}: {notebook} has no such parameter; {hint}known: {', '.join(declared)}")
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
    return {**declared, **values}
