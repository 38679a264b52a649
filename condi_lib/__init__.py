"""Confidence distillation: an expensive teacher need not see every clip of a video.

    from condi_lib import Predictor, build_student, build_teacher, shipped_predictor, train_sampler

    predict = shipped_predictor()           # the embedded benchmark's networks, straight after a clone
    predict("video.mp4", k=3)               # the student scores all clips, the teacher sees the best three

    teacher = build_teacher("resnext101", 400, "resnext-101-kinetics.pth")
    student = build_student(1.0, 400, "student.safetensors")
    predict = Predictor(teacher, student)   # any module from clips [B, 3, F, H, W] to logits is a teacher
    found = predict("video.mp4", k=5, k_student=2)
    found["top5"], found["by_teacher"], found.table()

    predict = train_sampler(teacher, "my_videos", loss="condi_sr")  # folders of classes, which the teacher has not seen

A study goes through the notebooks: videos (01), teacher (02), its labels (03), oracle (04), a student (05), samplers
(06), error rates (07), cost (08), figures (09). Rooms: data, models, losses, labelling, training, sampler, evaluation,
context, figures, predictor, runs, explore.
"""

import importlib

_NAMES = {  # where each name lives; loaded when it is asked for
    "Predictor": "predictor",
    "SAMPLERS": "sampler",
    "build_student": "models",
    "build_teacher": "models",
    "find_videos": "data",
    "load_predictor": "explore",
    "read_clips": "data",
    "shipped_predictor": "predictor",
    "train_sampler": "quick",
}

__all__ = [*_NAMES]


def __getattr__(name):
    if name in _NAMES:
        return getattr(importlib.import_module(f"condi_lib.{_NAMES[name]}"), name)
    if name == "detector":  # of a sampler's scores: its measures are evaluation's
        return importlib.import_module("condi_lib.evaluation.detector")
    raise AttributeError(f"module 'condi_lib' has no attribute {name!r}; it offers {', '.join(__all__)} and its rooms")


def __dir__():
    return sorted([*globals(), *_NAMES])
