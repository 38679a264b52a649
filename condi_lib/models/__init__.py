from condi_lib.models.checkpoints import freeze, load_weights, read_checkpoint
from condi_lib.models.inputs import (
    Input,
    check_input,
    fold_batch_norms,
    for_inference,
    input_of,
    keep_freed_memory,
    memory_advice,
    to_input,
    without_marks,
)
from condi_lib.models.student import MC_PASSES, WIDTHS, AsTeacher, MonteCarloDropout, build_student, drop_class_head
from condi_lib.models.teacher import TEACHER_NAMES, TEACHERS, build_teacher

__all__ = [
    "AsTeacher",
    "MC_PASSES",
    "MonteCarloDropout",
    "TEACHERS",
    "TEACHER_NAMES",
    "WIDTHS",
    "Input",
    "build_student",
    "build_teacher",
    "check_input",
    "drop_class_head",
    "fold_batch_norms",
    "for_inference",
    "freeze",
    "input_of",
    "keep_freed_memory",
    "load_weights",
    "memory_advice",
    "read_checkpoint",
    "to_input",
    "without_marks",
]
