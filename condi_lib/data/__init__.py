from condi_lib.data.clips import AUGMENTATIONS, ClipDataset, VideoDataset, derived_seed, three_crops
from condi_lib.data.datasets import (
    DATASETS,
    MIRROR_MATTERS,
    NO_TRUTH,
    find_teacher_videos,
    find_videos,
    frame_truth,
    probe_videos,
)
from condi_lib.data.files import remove_leftovers, write_atomically
from condi_lib.data.index import frame_numbers
from condi_lib.data.rows import RowsOnDisk
from condi_lib.data.segment import Segment, decoded_folder, segments, stored_clips
from condi_lib.data.splits import assign_folds, check_splits
from condi_lib.data.store import Store
from condi_lib.data.stream import in_batches, read_ahead
from condi_lib.data.video import VideoError, check_bad_share, iter_clips, iter_frames, probe, read_clip, read_clips

__all__ = [
    "AUGMENTATIONS",
    "ClipDataset",
    "DATASETS",
    "MIRROR_MATTERS",
    "NO_TRUTH",
    "RowsOnDisk",
    "Segment",
    "Store",
    "VideoDataset",
    "VideoError",
    "assign_folds",
    "check_bad_share",
    "check_splits",
    "decoded_folder",
    "derived_seed",
    "find_teacher_videos",
    "find_videos",
    "frame_numbers",
    "frame_truth",
    "in_batches",
    "iter_clips",
    "iter_frames",
    "probe",
    "probe_videos",
    "read_ahead",
    "read_clip",
    "read_clips",
    "remove_leftovers",
    "segments",
    "stored_clips",
    "three_crops",
    "write_atomically",
]
