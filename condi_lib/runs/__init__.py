from condi_lib.runs.locks import BusyRun, alone
from condi_lib.runs.parameters import (
    ABOVE_0,
    AT_LEAST,
    CHOICES,
    ROOT,
    SHARES,
    ParameterError,
    check_parameters,
    check_values,
    declared_parameters,
)
from condi_lib.runs.parts import join_parts, label_in_parts
from condi_lib.runs.provenance import HOW, PACKAGES, SCHEMA, MissingStep, machine, read_provenance
from condi_lib.runs.run import Run, start
from condi_lib.runs.shown import make_figures, markdown, save_figure

__all__ = [
    "ABOVE_0",
    "AT_LEAST",
    "BusyRun",
    "CHOICES",
    "HOW",
    "MissingStep",
    "PACKAGES",
    "ParameterError",
    "ROOT",
    "Run",
    "SCHEMA",
    "SHARES",
    "alone",
    "check_parameters",
    "check_values",
    "declared_parameters",
    "join_parts",
    "label_in_parts",
    "machine",
    "make_figures",
    "markdown",
    "read_provenance",
    "save_figure",
    "start",
]
