from condi_lib.data.datasets import DATASETS, find_teacher_videos, find_videos, probe_videos
from condi_lib.data.video import ClipDataset, VideoDataset, VideoError, cut_clips, read_clips, recolour

__all__ = [
    "DATASETS",
    "ClipDataset",
    "VideoDataset",
    "VideoError",
    "cut_clips",
    "find_teacher_videos",
    "find_videos",
    "probe_videos",
    "read_clips",
    "recolour",
]
