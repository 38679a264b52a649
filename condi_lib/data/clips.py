"""Clips for networks to learn from, in memory or read video by video, and their augmentations."""

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset

from condi_lib.data.container import MissingClips, printable
from condi_lib.data.index import note_shown
from condi_lib.data.segment import segments, stored_clips
from condi_lib.data.stream import read_ahead
from condi_lib.data.video import VideoError, check_bad_share
from condi_lib.progress import tqdm


def three_crops(clips):
    """uint8 [B, 3, F, H, W] -> the square crops at both ends and in the middle of the longer side, [B, 3, 3, F, S, S].

    S is the shorter side; axis 1 runs from left to right (from top to bottom where H > W). Square clips give the same
    crop three times.
    """
    *_, height, width = clips.shape
    side, axis = min(height, width), 3 if height > width else 4
    room = max(height, width) - side
    return torch.stack([clips.narrow(axis, start, side) for start in (0, room // 2, room)], 1)


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
    """Whole rows of a video table: item i is (uint8 clips [N, 3, F, H, W] or VideoError, report) of the i-th.

    decoded: a Store. numbers: for each row the clips wanted, ascending; None: all. crops: 3 gives those of three_crops
    of each clip, side by side, [3 N, ...].
    """

    def __init__(self, videos, frames, size, decoded=None, stride=1, numbers=None, crops=1):
        self.segments = segments(videos) if isinstance(videos, pd.DataFrame) else list(videos)
        self.frames, self.size, self.decoded, self.stride, self.numbers = frames, size, decoded, stride, numbers
        self.crops = crops

    def __len__(self):
        return len(self.segments)

    def __getitem__(self, i):
        report, numbers = {}, None if self.numbers is None else self.numbers[i]
        try:
            which = self.frames, self.size, self.decoded, numbers, report, self.stride
            clips = stored_clips(self.segments[i], *which, whole=self.crops > 1)
            return three_crops(clips).flatten(0, 1) if self.crops > 1 else clips, report
        except VideoError as e:
            return e, report

    def in_order(self, workers=0, ahead=6):
        """Yields the items in order; a thread, or `workers` processes, decode ahead of who takes them."""
        if workers:
            return iter(DataLoader(self, batch_size=None, num_workers=workers))
        return read_ahead(self.__getitem__, range(len(self)), ahead)


class ClipDataset(Dataset):
    """Clips for training, a batch at a time: clips uint8 [B, 3, F, H, W], columns, paths (str), bad ({path: reason}).

    videos: the video table, with start_frame and end_frame where its rows are segments; columns: {name: tensor of M
    rows} for the M clips listed in `table` (video, clip). augment: a function of the batch's clips, such as recolour;
    what it draws follows from the first clip's number and from `draw`, numbers that training changes with the epoch.

    All clips are decoded once and held where they take at most `cache_gb`. Else `sources` numbers the video of each
    clip (int64 [M], None before), for an order that takes them nearly one video after the other, and `batches` reads
    each video once, holding up to `buffer` clips (cache_gb again). Clips that cannot be read are left out, and named in
    "bad"; more than a share of max_bad_share of the videos raises VideoError, not counting those that lack only clips
    at their end. A whole video of which decoding showed another n_frames than its index says (as labelling writes it
    into the video table) is decoded in order, so that clips are those that were labelled. decoded: a Store.
    """

    def __init__(
        self,
        videos,
        table,
        columns,
        frames,
        size,
        augment=None,
        cache_gb=4.0,
        max_bad_share=0.05,
        decoded=None,
        stride=1,
    ):
        self.segments, rows = segments(videos), pd.Series(range(len(videos)), videos.video)
        self.rows, self.numbers = table.video.map(rows).to_numpy(np.int64, copy=True), table["clip"].to_numpy(np.int64)
        self.columns, self.frames, self.size, self.stride = columns, frames, size, stride
        self.augment, self.cache, self.bad, self.draw, self.decoded = augment, None, {}, (0, 0), decoded
        self.shorter = set()  # paths of videos that lack clips of the table, but can be read
        for row in np.unique(self.rows) if "n_frames" in videos else ():
            if self.segments[row].start == 0 and self.segments[row].end in (None, -1):
                note_shown(self.segments[row].path, int(videos.n_frames.iloc[row]))
        self.max_bad_share, self.n_videos = max_bad_share, table.video.nunique()
        room = cache_gb * 2**30 / (3 * frames * size * size)
        self.sources, self.buffer = None, int(room)
        if len(table) <= room:
            self._decode_all()
        else:
            self.sources = torch.from_numpy(self.rows)

    def _decode_all(self):
        self.cache = torch.empty(len(self), 3, self.frames, self.size, self.size, dtype=torch.uint8)
        keep = torch.ones(len(self), dtype=torch.bool)
        for row, clips in tqdm(self._by_video(range(len(self))).items(), desc="decoding", unit="video"):
            try:
                read = self._read(row, clips)
                keep[[i for i in clips if i not in read]] = False
                for i, clip in read.items():
                    self.cache[i] = clip
            except VideoError as e:
                keep[clips] = False
                self.note_bad({self.segments[row].path: str(e)})
        if not keep.all():
            self.cache, self.rows, self.numbers = self.cache[keep], self.rows[keep], self.numbers[keep]
            self.columns = {name: column[keep] for name, column in self.columns.items()}

    def _by_video(self, indices):
        """{row of the video table: [clip indices]}, in the order in which the indices come to the videos."""
        found = {}
        for i in indices:
            found.setdefault(int(self.rows[i]), []).append(i)
        return found

    def _read(self, row, indices):
        """{clip index: uint8 [3, F, H, W]} of those of some clip indices of a row that are there."""
        numbers = np.unique(self.numbers[indices]).tolist()
        try:
            clips = stored_clips(self.segments[row], self.frames, self.size, self.decoded, numbers, stride=self.stride)
        except MissingClips as e:
            clips = e.clips
        self._note_shorter(row, numbers[len(clips) :])
        read = dict(zip(numbers, clips, strict=False))
        return {i: read[self.numbers[i]] for i in indices if self.numbers[i] in read}

    def _note_shorter(self, row, numbers):
        """Records that a video lacks the clips `numbers`, which are left out; it is not a bad one for that."""
        if numbers:
            path = self.segments[row].path
            self.shorter.add(path)
            some = ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")
            self.bad[path] = f"{printable(path)}: has no clip {some} of {self.frames} frames; left out"

    def note_bad(self, bad):
        """Records bad videos, {path: reason}; raises VideoError where they are too many."""
        self.bad.update(bad)
        self.shorter -= bad.keys()
        unreadable = [reason for path, reason in self.bad.items() if path not in self.shorter]
        check_bad_share(unreadable, self.n_videos, self.max_bad_share)

    def __len__(self):
        return len(self.rows)

    def __getitems__(self, indices):
        if self.cache is not None:
            return _batch(self, indices, self.cache[torch.as_tensor(indices)])
        read, bad = {}, {}
        for row, clips in self._by_video(indices).items():
            try:
                read |= self._read(row, clips)
            except VideoError as e:
                bad[self.segments[row].path] = str(e)
        return self._gather(indices, read, bad)

    def batches(self, indices, workers=0):
        """Yields the batch of each list of clip indices; a video is read once, for all the lists that it occurs in.

        Those ahead of their turn are held, so the order should take few videos at a time (see EpochSampler). n_decoded
        is then the number of frames that were decoded.
        """
        indices, rows, wanted = self.plan(indices)
        numbers = [self.numbers[clips].tolist() for clips in wanted]
        some = [self.segments[row] for row in rows]
        videos = VideoDataset(some, self.frames, self.size, self.decoded, self.stride, numbers)
        self.n_decoded = 0
        coming, held, read = zip(rows, wanted, videos.in_order(workers, ahead=2), strict=True), {}, set()
        for batch in indices:
            batch, bad = batch.tolist(), {}
            for i in batch:
                while self.rows[i] not in read:
                    row, own, (clips, report) = next(coming)
                    self.n_decoded += report.get("n_decoded", 0)
                    read.add(row)
                    clips = clips.clips if isinstance(clips, MissingClips) else clips
                    if isinstance(clips, VideoError):
                        bad[self.segments[row].path] = str(clips)
                    else:  # copies: a view would hold all clips of its video
                        held |= {j: clip.clone() for j, clip in zip(own.tolist(), clips, strict=False)}
                        self._note_shorter(row, self.numbers[own[len(clips) :]].tolist())
            yield self._gather(batch, {i: held.pop(i) for i in batch if i in held}, bad)

    def plan(self, indices):
        """(the batches, rows of the video table as their clips come to them, each row's clip indices in clip order).

        As arrays: of ten million clips lists would take gigabytes.
        """
        indices = [np.asarray(batch, np.int64) for batch in indices]
        flat = np.concatenate([np.empty(0, np.int64), *indices])
        of_video, rows = pd.factorize(self.rows[flat])
        by_video = flat[np.lexsort((self.numbers[flat], of_video))]
        return indices, rows, np.split(by_video, np.cumsum(np.bincount(of_video))[:-1])

    def _gather(self, indices, read, bad):
        """The batch of those of some clip indices that were read, {index: clip}."""
        good = [i for i in indices if i in read]
        if len(good) == 1 < len(indices):
            good = []  # what remains of a bad video's batch; batch norm cannot do with one clip
        none = torch.empty(0, 3, self.frames, self.size, self.size, dtype=torch.uint8)
        return _batch(self, good, torch.stack([read[i] for i in good]) if good else none, bad, indices[0])


def _batch(dataset, indices, clips, bad=None, first=None):
    """The batch of some clips; what its augmentation draws follows from index `first`, read or not."""
    if dataset.augment and len(clips):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(*dataset.draw, indices[0] if first is None else first))
            clips = dataset.augment(clips)
    index = torch.as_tensor(indices, dtype=torch.long)
    columns = {name: column[index] for name, column in dataset.columns.items()}
    return {
        "clips": clips,
        **columns,
        "paths": [dataset.segments[dataset.rows[i]].path for i in indices],
        "bad": bad or {},
    }
