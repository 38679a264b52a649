from condi_lib.explore.explorer import Explorer, explorer
from condi_lib.explore.load import example_video, load_predictor
from condi_lib.explore.notes import Notes
from condi_lib.explore.own_video import cost_table, dense_predictor, known_classes, top5_table, uploader, view_of
from condi_lib.explore.strip import Strip
from condi_lib.explore.study import ORDERS, Study, filters, find_runs, read_study, runs_to_open
from condi_lib.explore.upload import Upload
from condi_lib.explore.view import Frames, answers, chosen_table, clip_table, keep_frames, read_frames, strip_view

__all__ = [
    "Explorer",
    "Frames",
    "Notes",
    "ORDERS",
    "Strip",
    "Study",
    "Upload",
    "answers",
    "chosen_table",
    "clip_table",
    "cost_table",
    "dense_predictor",
    "example_video",
    "explorer",
    "filters",
    "find_runs",
    "keep_frames",
    "known_classes",
    "load_predictor",
    "read_frames",
    "read_study",
    "runs_to_open",
    "strip_view",
    "top5_table",
    "uploader",
    "view_of",
]
