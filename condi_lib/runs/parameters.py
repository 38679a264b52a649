"""The parameters of a notebook, as its own cell declares them, and the values that they cannot have."""

import ast
import difflib
import math
import os
import re
from pathlib import Path

from condi_lib.context import NETWORKS, TERMS
from condi_lib.data import AUGMENTATIONS, DATASETS
from condi_lib.declared import ROOT, declared_parameters
from condi_lib.models import PIXELS, WIDTHS, check_teacher_name
from condi_lib.models.own import is_own
from condi_lib.training import LOSSES

STARTED_IN = Path.cwd()  # before `start` makes ROOT the working folder
CHOICES = {
    "dataset": DATASETS,
    "augment": tuple(AUGMENTATIONS),
    "teacher_pixels": ("", *PIXELS),
    "loss": LOSSES,
    "losses": LOSSES,
    "networks": tuple(NETWORKS),
    "compared": TERMS[2:],
    "student_width": tuple(WIDTHS),
    "labels": ("clips", "in_sample", "out_of_fold"),
    "crops": (1, 3),
    "teacher_videos": ("trimmed", "untrimmed"),
}
LEAST = {  # number: parameters that are no smaller
    0: "checkpoint_min compared_seeds conf_weight distil_weight division_k_student flattened_weight folds fps k "
    "k_student pos_weight rank_weight seed seeds shard split_seed store_gb store_quality student_epochs teacher_epochs "
    "variant_seeds workers",
    1: "accumulate batch_size division_k epochs fold frames ks n_timed part_videos shards stride student_repeats",
    16: "size",
}
AT_LEAST = {name: least for least, names in LEAST.items() for name in names.split()}
ABOVE_0 = ("lr", "teacher_lr", "tau", "budget")
SHARES = ("max_bad_share", "val_share", "train_share", "dropout")
PATHS = ("root", "annotations", "teacher_checkpoint", "student_checkpoint", "video", "class_names")  # that are read
MAY_BE_EMPTY = ("variants", "networks", "compared")
NAMES = ("variant", "variants", "data_name", "teacher_name", "other_teacher")  # of folders
NOT_EMPTY = ("out", "figures_out", "folders", "variants", "other_teacher", "root")
MAY_REPEAT = ("student_repeats",)
SOME_OF = {"variant_seeds": "seeds", "compared_seeds": "seeds"}
AT_MOST = {"k_student": "k", "division_k_student": "division_k"}


class ParameterError(ValueError):
    """A notebook parameter that is unknown or has an impossible value."""


def check_parameters(notebook, scope):
    """The notebook's parameters, {name: value}, from the kernel's globals; raises ParameterError at the first fault.

    Names and types are those of the notebook's own parameters cell; papermill itself only warns of unknown names.
    """
    declared = declared_parameters(notebook)
    injected = [source for source in scope.get("In", []) if source.startswith("# Parameters\n")]  # papermill's cell
    assigned = [node.targets[0].id for s in injected for node in ast.parse(s).body if isinstance(node, ast.Assign)]
    values = check_values(notebook, declared, {name: scope.get(name) for name in (*declared, *assigned)})
    found = found_paths(notebook, values)
    scope.update(found)  # the notebook's own variables mean the same
    return values | found


def found_paths(notebook, values):
    """{parameter: path} of those that are read, as `_found` finds them. Raises ParameterError."""
    if is_own(values["teacher"]) and ".py:" in values["teacher"]:
        file, function = values["teacher"].rsplit(":", 1)
        found = {"teacher": f"{_found(notebook, {'teacher': file}, 'teacher')}:{function}"}
    else:
        found = {}
    found |= {name: _found(notebook, values, name) for name in PATHS if values.get(name) not in (None, "", "shipped")}
    return found


def _found(notebook, values, name):
    """A path that is read, absolute or below ROOT: looked for where the user stands, then at the repository's root.

    Raises ParameterError where neither has it. The folder of a data set may be missing where its tables are enough.
    """
    path = Path(os.path.expanduser(values[name]))
    for place in (STARTED_IN, ROOT):
        if (place / path).exists():
            full = Path(os.path.abspath(place / path))
            return str(full.relative_to(ROOT) if full.is_relative_to(ROOT) else full)
    if name == "root" and (notebook != "01_dataset" or values["dataset"] == "planted"):  # which it writes
        return str(path)
    where = f"neither {STARTED_IN / path} nor {ROOT / path} is there" if not path.is_absolute() else "it is not there"
    raise ParameterError(f"{name}: found {values[name]!r}, but {where}")


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
        _check_type(name, value, declared[name])
        items = value if isinstance(value, list) else [value]
        if isinstance(value, list):
            _check_list(name, value, declared[name])
        for item in items:
            _check_value(name, item)
    values = {**declared, **values}
    for name, other in SOME_OF.items():
        if other in values and (missing := set(values.get(name, ())) - set(values[other])):
            raise ParameterError(f"{name}: found {min(missing)}, expected some of {other}, {values[other]}")
    for name, other in AT_MOST.items():
        if name in values and values[name] > values[other]:
            raise ParameterError(f"{name}: found {values[name]}, expected at most {other}, {values[other]}")
    return values


def _check_type(name, value, default):
    expected = (int, float) if isinstance(default, float) else type(default)
    if not isinstance(value, expected) or (isinstance(value, bool) and not isinstance(default, bool)):
        raise ParameterError(f"{name}: found {value!r}, expected a {type(default).__name__} such as {default!r}")


def _check_list(name, value, default):
    if not value and name not in MAY_BE_EMPTY:
        raise ParameterError(f"{name}: found an empty list, expected one or more, such as {default!r}")
    for item in value:
        _check_type(name, item, default[0] if default else "")
    if len(set(value)) < len(value) and name not in MAY_REPEAT:
        raise ParameterError(f"{name}: found {value!r}, expected each once")
    if name in MAY_REPEAT and len(value) != len(default):
        raise ParameterError(f"{name}: found {len(value)} numbers, expected {len(default)}, such as {default!r}")


def _check_value(name, item):
    if isinstance(item, float) and not math.isfinite(item):
        raise ParameterError(f"{name}: found {item}, expected a finite number")
    if name in NAMES and isinstance(item, str) and (item in (".", "..") or re.search(r"[/\\\0]", item)):
        raise ParameterError(f"{name}: found {item!r}, expected the name of a folder")
    if name in NOT_EMPTY and item == "":
        raise ParameterError(f"{name}: found an empty text, expected a name")
    if name in ("seed", "seeds", "split_seed", "variant_seeds") and item >= 2**32:
        raise ParameterError(f"{name}: found {item}, expected less than 2^32")
    if name == "teacher":
        try:
            check_teacher_name(item)
        except ValueError as e:
            raise ParameterError(e) from e
    if name in CHOICES and item not in CHOICES[name]:
        raise ParameterError(f"{name}: {item!r} is unknown; expected one of {', '.join(map(str, CHOICES[name]))}")
    if name in AT_LEAST and item < AT_LEAST[name]:
        raise ParameterError(f"{name}: found {item}, expected {AT_LEAST[name]} or more")
    if name in SHARES and not 0 <= item <= 1:
        raise ParameterError(f"{name}: found {item}, expected a share in [0, 1]")
    if name in ABOVE_0 and item <= 0:
        raise ParameterError(f"{name}: found {item}, expected a number above 0")
