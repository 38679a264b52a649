"""Decoding with PyAV, and cutting into clips."""

import av
import numpy as np
import torch
from av.video.reformatter import VideoReformatter
from torch.utils.data import Dataset
from tqdm import tqdm


class VideoError(ValueError):
    """A video that cannot be read; the message names the file and the reason."""


def read_frames(path, size=112):
    """All frames of a video: uint8 [T, 3, size, size], RGB.

    FFmpeg's scaler (bicubic) brings the short side to `size`; the centre is cropped. Raises VideoError.
    """
    frames = []
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_count = 1  # parallelism is over videos; threads inside forked workers can deadlock
            scaler = VideoReformatter()  # one for all frames, and without threads: ten times faster on small frames
            for frame in container.decode(stream):
                scale = size / min(frame.width, frame.height)
                w, h = max(size, round(frame.width * scale)), max(size, round(frame.height * scale))
                rgb = scaler.reformat(frame, w, h, "rgb24", interpolation="BICUBIC", threads=1).to_ndarray()
                top, left = (h - size) // 2, (w - size) // 2
                frames.append(rgb[top : top + size, left : left + size])
    except (OSError, IndexError, av.error.FFmpegError) as e:
        raise VideoError(f"{path}: cannot be decoded: {e}") from e
    if not frames:
        raise VideoError(f"{path}: holds no video frame")
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous()  # (T, 3, size, size)


def cut_clips(video, frames=16, drop_last=False):
    """[T, 3, H, W] -> [N, 3, F, H, W]: N = ceil(T / F) non-overlapping clips, the last padded by its last frame.

    drop_last gives N = floor(T / F) instead; a video shorter than F is one padded clip all the same.
    """
    n_frames = len(video)
    whole = n_frames // frames
    if drop_last and whole:
        video = video[: whole * frames]
    elif n_frames % frames:
        pad = video[-1:].expand(frames - n_frames % frames, *video.shape[1:])
        video = torch.cat((video, pad))
    return video.unflatten(0, (-1, frames)).transpose(1, 2).contiguous()


def read_clips(path, frames=16, size=112, drop_last=False):
    """The clips of a video file: uint8 [N, 3, frames, size, size], RGB. See cut_clips for N; raises VideoError."""
    return cut_clips(read_frames(path, size), frames, drop_last)


def probe(path):
    """(frames, frames per second) of a video file; frames are counted by demuxing where none are declared."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            n = stream.frames or sum(1 for packet in container.demux(stream) if packet.size)
            return n, float(stream.average_rate or 0)
    except (OSError, IndexError, av.error.FFmpegError) as e:
        raise VideoError(f"{path}: cannot be opened: {e}") from e


def recolour(clips):
    """Training augmentation: permutes the colour channels of each clip at random and inverts half of the clips.

    uint8 [B, 3, F, H, W] -> the same; all frames of a clip are changed in the same way, and its motion is left alone.
    """
    order = torch.rand(len(clips), 3).argsort(1)
    clips = clips[torch.arange(len(clips))[:, None], order]
    invert = torch.rand(len(clips), 1, 1, 1, 1) < 0.5
    return torch.where(invert, 255 - clips, clips)


class VideoDataset(Dataset):
    """Whole videos: item i is (row of the video table, uint8 clips [N, 3, F, H, W]), or (row, VideoError)."""

    def __init__(self, videos, frames, size):
        self.rows = list(videos.itertuples(index=False))
        self.frames, self.size = frames, size

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        try:
            return self.rows[i], read_clips(self.rows[i].path, self.frames, self.size)
        except VideoError as e:
            return self.rows[i], e


class ClipDataset(Dataset):
    """Clips for training, fetched a batch at a time: {"clips": uint8 [B, 3, F, H, W], **columns}.

    videos: the video table; columns: {name: tensor of M rows} for the M clips listed in `table` (video, clip).
    augment: a function of the batch's clips, such as recolour. All clips are decoded once and held where they take at
    most `cache_gb`; else each is decoded when it is asked for.
    """

    def __init__(self, videos, table, columns, frames, size, augment=None, cache_gb=4.0):
        paths = videos.set_index("video").path
        self.where = list(zip(table.video.map(paths), table["clip"], strict=True))
        self.columns, self.frames, self.size = columns, frames, size
        self.augment, self.cache = augment, None
        if len(table) * 3 * frames * size * size <= cache_gb * 2**30:
            self.cache = torch.empty(len(table), 3, frames, size, size, dtype=torch.uint8)
            rows = table.reset_index(drop=True).groupby("video", sort=False)
            for video, part in tqdm(rows, desc="decoding", unit="video"):
                self.cache[list(part.index)] = read_clips(paths[video], frames, size)[list(part["clip"])]

    def __len__(self):
        return len(self.where)

    def __getitems__(self, indices):
        index = torch.as_tensor(indices)
        if self.cache is not None:
            clips = self.cache[index]
        else:
            clips = torch.stack([read_clips(p, self.frames, self.size)[c] for p, c in (self.where[i] for i in indices)])
        if self.augment:
            clips = self.augment(clips)
        return {"clips": clips, **{name: column[index] for name, column in self.columns.items()}}
