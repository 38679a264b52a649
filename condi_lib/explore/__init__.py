from condi_lib.explore.explorer import explorer
from condi_lib.explore.own_video import cost_table, dense_predictor, top5_table, uploader, view_of
from condi_lib.explore.study import (
    FILTERS,
    Study,
    chosen_table,
    clip_table,
    find_runs,
    load_predictor,
    middle_frames,
    read_study,
)

__all__ = [
    "FILTERS",
    "Study",
    "chosen_table",
    "clip_table",
    "cost_table",
    "dense_predictor",
    "explorer",
    "find_runs",
    "load_predictor",
    "middle_frames",
    "read_study",
    "top5_table",
    "uploader",
    "view_of",
]
