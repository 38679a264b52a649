from condi_lib.models.checkpoints import Weights, metadata_of, read_checkpoint
from condi_lib.models.features import WithFeatures
from condi_lib.models.inference import (
    fold_batch_norms,
    for_inference,
    give_back_freed_memory,
    keep_freed_memory,
    memory_advice,
    without_marks,
)
from condi_lib.models.inputs import (
    PIXELS,
    Input,
    as_input,
    check_input,
    device_of,
    input_of,
    mean_over_crops,
    other_stride,
    to_input,
)
from condi_lib.models.own import network_source
from condi_lib.models.seen import check_pixels
from condi_lib.models.student import MC_PASSES, WIDTHS, AsTeacher, MonteCarloDropout, build_student, drop_class_head
from condi_lib.models.teacher import TEACHER_NAMES, TEACHERS, build_teacher, check_teacher_name
from condi_lib.models.weights import freeze, load_weights

__all__ = [
    "AsTeacher",
    "Input",
    "MC_PASSES",
    "MonteCarloDropout",
    "PIXELS",
    "TEACHERS",
    "TEACHER_NAMES",
    "WIDTHS",
    "Weights",
    "WithFeatures",
    "as_input",
    "build_student",
    "build_teacher",
    "check_input",
    "check_pixels",
    "check_teacher_name",
    "device_of",
    "drop_class_head",
    "fold_batch_norms",
    "for_inference",
    "freeze",
    "input_of",
    "give_back_freed_memory",
    "keep_freed_memory",
    "load_weights",
    "mean_over_crops",
    "other_stride",
    "memory_advice",
    "metadata_of",
    "network_source",
    "read_checkpoint",
    "to_input",
    "without_marks",
]
