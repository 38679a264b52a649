"""The whole way in one call: label, train, and a Predictor of both networks."""

import os

import numpy as np
import torch

from condi_lib import labelling, training
from condi_lib.data import AUGMENTATIONS, ClipDataset, find_videos, probe_videos
from condi_lib.models import build_student
from condi_lib.predictor import Predictor

NEEDED = ("video", "path", "label")  # of a video table


def train_sampler(
    teacher,
    videos,
    loss="condi_sr",
    frames=16,
    size=112,
    epochs=5,
    student=None,
    class_names=None,
    augment="crop",
    batch_size=32,
    lr=3e-3,
    seed=0,
    workers=0,
    stride=1,
):
    """A Predictor whose student has learnt on which clips of these videos the teacher is right.

    teacher: any module that maps float [B, 3, F, H, W] to logits [B, C]; its `input`, if it has one, says which pixels
    it wants (models.as_input); it runs on the device where it lies. It should not have learnt from these videos: it is
    right too often there. videos: a folder of class folders, in the order of whose names the teacher has its classes,
    or a video table with the columns video, path, label. Of a table with the column split, and of a folder as
    find_videos splits it, those of train are used: how many is printed. student: as build_student gives it, else a
    small untrained one; trained in place. class_names: C names; of a folder they are known. loss, epochs, lr, ...: as
    in notebook 05. Shows progress. Raises ValueError for a teacher that is no module, columns that are missing, an
    unknown loss; VideoError where too many videos cannot be read.
    """
    if not isinstance(teacher, torch.nn.Module):
        raise ValueError(f"teacher: found a {type(teacher).__name__}, expected a torch.nn.Module from clips to logits")
    batch_loss = training.student_batch_loss(loss)
    if isinstance(videos, str | os.PathLike):
        folder, found = videos, find_videos("folder", videos)
        class_names = class_names or found.attrs["classes"]
        videos = found[found.split == "train"]
        print(f"{folder}: learning from the {len(videos)} of {len(found)} videos that are of the split train")
        videos = probe_videos(videos)
    if missing := [name for name in NEEDED if name not in videos]:
        raise ValueError(f"videos: found no column {', '.join(missing)}; expected {', '.join(NEEDED)}, or a folder")
    if "split" not in videos:
        videos = videos.assign(split="train")
    videos = videos[videos.split == "train"].reset_index(drop=True)
    if not len(videos):
        raise ValueError("videos: found none of the split train, expected some to learn from")
    if "n_frames" not in videos:
        videos = probe_videos(videos)
    shape = {"frames": frames, "size": size, "stride": stride}
    clips, videos = labelling.label_clips(teacher, videos, desc="labelling", **shape)
    logits = torch.from_numpy(np.stack(clips.teacher_logits))
    if student is None:
        torch.manual_seed(seed)
        student = build_student(0.25, logits.shape[1])
    columns = training.columns(clips, "label", "correct", "video") | {"teacher_logits": logits}
    data = ClipDataset(videos, clips, columns, **shape, augment=AUGMENTATIONS[augment])
    options = {"batch_size": batch_size, "seed": seed, "workers": workers, "desc": loss, **training.order_of(loss)}
    training.fit(student, data, batch_loss, epochs, lr, **options)
    return Predictor(teacher, student, frames, size, class_names, loss=loss, stride=stride)
