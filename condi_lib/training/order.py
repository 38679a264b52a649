"""The order of clips in an epoch, and what each process sees of it."""

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Sampler


class EpochSampler(Sampler):
    """A seeded order of n clips for each epoch.

    correct (bool [n]): the larger of its two classes is downsampled, so that both have as many clips. video (int [n]):
    clips come in pairs of one video, for losses that compare them; a video's odd clip sits the epoch out. source (int
    [n]), the file of each clip: the clips of few files are mixed at a time, so that each file is read once while at
    most `buffer` clips, beside one file's, wait for their turn. Raises ValueError where there is nothing to balance or
    to pair.
    """

    def __init__(self, n, seed, correct=None, video=None, source=None, buffer=0):
        self.n, self.seed, self.epoch, self.correct, self.video = n, seed, 0, correct, video
        self.source, self.buffer = source, buffer
        if correct is not None and not self._smaller():
            raise ValueError("correct: the teacher is right on all clips or on none; bce_c has nothing to learn")
        if video is not None and not len(self):
            raise ValueError("video: no video has two clips; a ranking loss has nothing to compare")

    def _smaller(self):
        return min(int(self.correct.sum()), int((~self.correct).sum()))

    def __len__(self):
        if self.video is not None:
            return 2 * int((self.video.unique(return_counts=True)[1] // 2).sum())
        return self.n if self.correct is None else 2 * self._smaller()

    def __iter__(self):
        return iter(self.clips().tolist())

    def clips(self):
        """The epoch's clips in order, int64 [len(self)]."""
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(self.n)
        if self.correct is not None:
            right = self.correct.numpy()[order]
            order = rng.permutation(np.r_[order[right][: self._smaller()], order[~right][: self._smaller()]])
        if self.video is not None:
            groups = pd.Series(order).groupby(self.video.numpy()[order])
            order = np.concatenate([clips[: len(clips) // 2 * 2] for _, clips in groups]).reshape(-1, 2)
            order = rng.permutation(order).reshape(-1)
        if self.source is not None:
            order = self._mixed(order.reshape(-1, 1 if self.video is None else 2), rng).reshape(-1)
        return order

    def _mixed(self, units, rng):
        """Clips or pairs [U, 1 or 2], file after file at random, each then moved back by up to a buffer's length."""
        source = self.source.numpy()[units[:, 0]]
        units = units[rng.permutation(source.max() + 1)[source].argsort(kind="stable")]
        length = max(1, self.buffer // units.shape[1])
        return units[(np.arange(len(units)) + length * rng.random(len(units))).argsort()]


class Parts(Sampler):
    """What one process sees of the batches of an EpochSampler's epoch, from step `start` on: lists of clip numbers.

    A batch of batch_size clips, whatever the number of processes, is cut into one part a process and pass; pairs stay
    together. A last batch with less than two clips a part is left out. Raises ValueError where none remains, and for
    pairs in batches of an odd size.
    """

    def __init__(self, order, batch_size, accumulate, n_processes=1, process=0):
        self.order, self.batch_size, self.accumulate, self.start = order, batch_size, accumulate, 0
        self.n_parts, self.first = n_processes * accumulate, process * accumulate
        self.unit = 1 if order.video is None else 2
        if batch_size % self.unit:
            raise ValueError(
                f"batch_size: found {batch_size}, expected an even number: clips come in pairs of one video"
            )
        if not len(self):
            raise ValueError(
                f"batch_size: found {batch_size}; {len(order)} clips give less than two to each of {self.n_parts} parts"
            )

    def __len__(self):
        whole, rest = divmod(len(self.order), self.batch_size)
        least = 2 * self.n_parts  # batch norms learn nothing from one clip, and torch refuses to try
        return (whole if self.batch_size >= least else 0) + (rest >= least)

    def __iter__(self):
        clips = self.order.clips()
        for step in range(self.start, len(self)):
            batch = clips[step * self.batch_size : (step + 1) * self.batch_size]
            cuts = np.linspace(0, len(batch) // self.unit, self.n_parts + 1).astype(int) * self.unit
            cuts[-1] = len(batch)
            for i in range(self.first, self.first + self.accumulate):
                yield batch[cuts[i] : cuts[i + 1]].tolist()


def clip_rows(videos, frames, stride=1):
    """A row for each clip of the readable videos of a video table, with its number in the column clip."""
    videos = videos[videos.ok]
    table = videos.loc[videos.index.repeat(np.ceil(videos.n_frames / (frames * stride)).astype(int))]
    return table.assign(clip=table.groupby("video").cumcount())


def columns(table, *names):
    """The columns of a clip table as tensors, {name: [M, ...]}, for ClipDataset; videos as numbers, int64 [M]."""
    found = {}
    for name in names:
        values = pd.factorize(table[name])[0] if name == "video" else table[name].to_numpy()
        found[name] = torch.from_numpy(np.stack(values) if values.dtype == object else values.copy())
    return found
