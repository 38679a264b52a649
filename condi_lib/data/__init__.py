from condi_lib.data.datasets import DATASETS, assign_folds, find_teacher_videos, find_videos, probe_videos
from condi_lib.data.stream import in_batches, read_ahead
from condi_lib.data.video import (
    AUGMENTATIONS,
    ClipDataset,
    VideoDataset,
    VideoError,
    check_bad_share,
    decoded_folder,
    derived_seed,
    iter_clips,
    read_clips,
    remove_leftovers,
    write_atomically,
)

__all__ = [
    "AUGMENTATIONS",
    "DATASETS",
    "ClipDataset",
    "VideoDataset",
    "VideoError",
    "assign_folds",
    "check_bad_share",
    "decoded_folder",
    "derived_seed",
    "find_teacher_videos",
    "find_videos",
    "in_batches",
    "iter_clips",
    "probe_videos",
    "read_ahead",
    "read_clips",
    "remove_leftovers",
    "write_atomically",
]
