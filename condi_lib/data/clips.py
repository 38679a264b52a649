"""Clips for networks to learn from, augmentations, and videos kept decoded."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.utils.data import Dataset
from tqdm import tqdm

from condi_lib.data.files import write_atomically
from condi_lib.data.video import VideoError, check_bad_share, read_clip, read_clips


def cached_clips(path, frames, size, folder, report=None):
    """read_clips through a folder of decoded videos, filled as it is used; None for the folder decodes each time.

    A file changed since (in time or size) is decoded anew, and so is one whose copy cannot be read.
    """
    if folder is None:
        return read_clips(path, frames, size, report=report)
    report = {} if report is None else report
    try:
        found = os.stat(path)
    except OSError as e:
        raise VideoError(f"{path}: cannot be decoded: {e}") from e
    key = f"{os.path.abspath(path)} {found.st_mtime_ns} {found.st_size} {frames} {size}"
    copy = Path(folder) / f"{hashlib.sha1(key.encode()).hexdigest()}.safetensors"
    try:
        with safe_open(copy, "pt") as file:
            report.update(json.loads(file.metadata()["report"]))
            return file.get_tensor("clips")
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        pass  # not there, or cut
    clips = read_clips(path, frames, size, report=report)
    write_atomically(copy, lambda part: save_file({"clips": clips}, part, {"report": json.dumps(report)}))
    return clips


def decoded_folder(folder, videos, frames, size, limit_gb=4.0):
    """`folder` if all clips of the video table take at most limit_gb decoded, else None: for cached_clips."""
    n_clips = np.ceil(videos.n_frames / frames).sum()
    return folder if n_clips * 3 * frames * size * size <= limit_gb * 2**30 else None


def derived_seed(*numbers):
    """A seed for torch from non-negative integers, such as (seed, epoch, step)."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def recolour(clips):
    """Training augmentation: permutes the colour channels of each clip at random and inverts half of the clips.

    uint8 [B, 3, F, H, W] -> the same; all frames of a clip are changed in the same way, and its motion is left alone.
    """
    order = torch.rand(len(clips), 3).argsort(1)
    clips = clips[torch.arange(len(clips))[:, None], order]
    invert = torch.rand(len(clips), 1, 1, 1, 1) < 0.5
    return torch.where(invert, 255 - clips, clips)


def crop(clips, flip=0.0):
    """Training augmentation: a random part (half to all) of the picture, scaled back; mirrored at random if `flip`.

    uint8 [B, 3, F, H, W] -> the same; all frames of a clip are changed in the same way.
    """
    from torchvision.transforms import v2  # here: it takes 160 MB and a second, and only training crops

    size = clips.shape[-2:]
    change = v2.Compose([v2.RandomResizedCrop(size, scale=(0.5, 1.0), antialias=True), v2.RandomHorizontalFlip(flip)])
    return torch.stack([change(clip) for clip in clips])


def crop_flip(clips):
    """`crop`, and half of the clips mirrored: for classes that do not tell left from right."""
    return crop(clips, 0.5)


AUGMENTATIONS = {"none": None, "recolour": recolour, "crop": crop, "crop_flip": crop_flip}


class VideoDataset(Dataset):
    """Whole videos: item i is (uint8 clips [N, 3, F, H, W] or VideoError, report) of the i-th path.

    decoded: a folder for cached_clips.
    """

    def __init__(self, paths, frames, size, decoded=None):
        self.paths, self.frames, self.size, self.decoded = list(paths), frames, size, decoded

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, i):
        report = {}
        try:
            return cached_clips(self.paths[i], self.frames, self.size, self.decoded, report), report
        except VideoError as e:
            return e, report


class ClipDataset(Dataset):
    """Clips for training, a batch at a time: clips uint8 [B, 3, F, H, W], columns, paths (str), bad ({path: reason}).

    videos: the video table; columns: {name: tensor of M rows} for the M clips listed in `table` (video, clip).
    augment: a function of the batch's clips, such as recolour; what it draws follows from the first clip's number and
    from `draw`, numbers that training changes with the epoch. All clips are decoded once and held where they take at
    most `cache_gb`; else each is decoded when it is asked for. Clips that cannot be read are left out, and named in
    "bad"; more than a share of max_bad_share of the videos raises VideoError. decoded: a folder for cached_clips.
    """

    def __init__(
        self, videos, table, columns, frames, size, augment=None, cache_gb=4.0, max_bad_share=0.05, decoded=None
    ):
        paths = videos.set_index("video").path
        self.where = list(zip(table.video.map(paths), table["clip"], strict=True))
        self.columns, self.frames, self.size = columns, frames, size
        self.augment, self.cache, self.bad, self.draw = augment, None, {}, (0, 0)
        self.max_bad_share, self.n_videos = max_bad_share, table.video.nunique()
        if len(table) * 3 * frames * size * size <= cache_gb * 2**30:
            self._decode_all(table.reset_index(drop=True), paths, decoded)

    def _decode_all(self, table, paths, decoded):
        self.cache = torch.empty(len(table), 3, self.frames, self.size, self.size, dtype=torch.uint8)
        keep = torch.ones(len(table), dtype=torch.bool)
        for video, part in tqdm(table.groupby("video", sort=False), desc="decoding", unit="video"):
            rows = list(part.index)
            try:
                clips = cached_clips(paths[video], self.frames, self.size, decoded)
                if part["clip"].max() >= len(clips):
                    raise VideoError(f"{paths[video]}: has no clip {part['clip'].max()} of {self.frames} frames")
                self.cache[rows] = clips[list(part["clip"])]
            except VideoError as e:
                keep[rows] = False
                self.note_bad({paths[video]: str(e)})
        if not keep.all():
            self.cache, self.where = self.cache[keep], [w for w, k in zip(self.where, keep, strict=True) if k]
            self.columns = {name: column[keep] for name, column in self.columns.items()}

    def note_bad(self, bad):
        """Records bad videos, {path: reason}; raises VideoError where they are too many."""
        self.bad.update(bad)
        check_bad_share(self.bad.values(), self.n_videos, self.max_bad_share)

    def __len__(self):
        return len(self.where)

    def __getitems__(self, indices):
        index, bad = torch.as_tensor(indices), {}
        if self.cache is not None:
            clips = self.cache[index]
        else:
            read, good = [], []
            for i in indices:
                path, clip = self.where[i]
                try:
                    read.append(read_clip(path, clip, self.frames, self.size))
                    good.append(i)
                except VideoError as e:
                    bad[path] = str(e)
            index = torch.tensor(good, dtype=torch.long)
            clips = (
                torch.stack(read) if read else torch.empty(0, 3, self.frames, self.size, self.size, dtype=torch.uint8)
            )
        if self.augment and len(clips):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(derived_seed(*self.draw, indices[0]))
                clips = self.augment(clips)
        columns = {name: column[index] for name, column in self.columns.items()}
        return {"clips": clips, **columns, "paths": [self.where[i][0] for i in index.tolist()], "bad": bad}
