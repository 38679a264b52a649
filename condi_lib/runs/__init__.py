from condi_lib.runs.begin import start
from condi_lib.runs.listing import list_teacher_videos, list_videos, write_truth
from condi_lib.runs.locks import BusyRun, alone
from condi_lib.runs.many import finished, groups_of, read_across, read_fold
from condi_lib.runs.parameters import ROOT, ParameterError, check_parameters, check_values, declared_parameters
from condi_lib.runs.parts import label_in_parts
from condi_lib.runs.provenance import SCHEMA, MissingStep, machine, read_provenance, why_stale
from condi_lib.runs.run import Run
from condi_lib.runs.shown import make_figures, markdown, read_shown, save_figure
from condi_lib.runs.size import needed_memory, say_size
from condi_lib.runs.stages import (
    arrays_with_features,
    context_on_val,
    features,
    few_clips,
    label,
    label_own_videos,
    score,
    stretches,
    teacher_logits,
    train,
    train_context,
)

__all__ = [
    "BusyRun",
    "MissingStep",
    "ParameterError",
    "ROOT",
    "Run",
    "SCHEMA",
    "alone",
    "arrays_with_features",
    "check_parameters",
    "check_values",
    "context_on_val",
    "declared_parameters",
    "features",
    "few_clips",
    "finished",
    "groups_of",
    "label",
    "label_in_parts",
    "label_own_videos",
    "list_teacher_videos",
    "list_videos",
    "machine",
    "make_figures",
    "markdown",
    "needed_memory",
    "read_across",
    "read_fold",
    "read_provenance",
    "read_shown",
    "save_figure",
    "say_size",
    "score",
    "start",
    "stretches",
    "teacher_logits",
    "train",
    "train_context",
    "why_stale",
    "write_truth",
]
