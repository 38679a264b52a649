"""Decoding with PyAV, cutting into clips, and clips for networks to learn from."""

import hashlib
import json
import os
import platform
import re
import shutil
from contextlib import suppress
from itertools import islice
from pathlib import Path

import av
import numpy as np
import torch
from av.video.reformatter import VideoReformatter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.utils.data import Dataset
from tqdm import tqdm

MAX_PIXELS = 2**26  # of a frame as coded; more (a damaged or hostile header) is refused


class VideoError(ValueError):
    """A video that cannot be read, or too many of them; the message names the file and the reason."""


_FAULTS = (OSError, IndexError, ValueError, av.error.FFmpegError)


def _video_stream(container):
    if not container.streams.video:
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "no stream"
        raise ValueError(f"has no video stream ({kinds} only)")
    stream = container.streams.video[0]
    if stream.width * stream.height > MAX_PIXELS:
        raise ValueError(f"declares {stream.width} x {stream.height} pixels, more than {MAX_PIXELS:,}")
    return stream


def iter_frames(path, size=112, skip=0, report=None):
    """Yields the frames of a video file from number `skip` on: uint8 arrays [size, size, 3], RGB.

    FFmpeg's scaler (bicubic) brings the short side to `size`; the centre is cropped; rotation metadata is obeyed.
    A file that breaks off after its first frame ends there. `report`, a dict, is filled with n_frames (decoded ones)
    and fault ("" or what could not be decoded). Raises VideoError where there is no frame at all.
    """
    report = {} if report is None else report
    report.update(n_frames=0, fault="")
    try:
        with av.open(str(path)) as container:
            stream = _video_stream(container)
            stream.thread_count = 1  # parallelism is over videos; threads inside forked workers can deadlock
            scaler = VideoReformatter()  # one for all frames, and without threads: ten times faster on small frames
            for packet in container.demux(stream):
                try:
                    decoded = packet.decode()
                except av.error.InvalidDataError as e:  # a damaged packet; those after it may be whole
                    report["fault"] = str(e)
                    continue
                for frame in decoded:
                    report["n_frames"] += 1
                    if report["n_frames"] > skip:
                        yield _scale(frame, size, scaler)
            declared = stream.frames
    except _FAULTS as e:
        report["fault"], declared = str(e), 0
    if not report["n_frames"]:
        raise VideoError(f"{path}: cannot be decoded: {report['fault'] or 'holds no video frame'}")
    if report["n_frames"] < declared and not report["fault"]:
        report["fault"] = f"{report['n_frames']} of {declared} declared frames could be decoded"


def _scale(frame, size, scaler):
    if frame.width * frame.height > MAX_PIXELS:
        raise ValueError(f"a frame has {frame.width} x {frame.height} pixels, more than {MAX_PIXELS:,}")
    scale = size / min(frame.width, frame.height)
    w, h = max(size, round(frame.width * scale)), max(size, round(frame.height * scale))
    rgb = scaler.reformat(frame, w, h, "rgb24", interpolation="BICUBIC", threads=1).to_ndarray()
    top, left = (h - size) // 2, (w - size) // 2
    rgb = rgb[top : top + size, left : left + size]
    return np.rot90(rgb, frame.rotation // 90 % 4) if frame.rotation else rgb


def _to_clip(images, frames):
    """Up to `frames` images uint8 [size, size, 3] -> uint8 [3, frames, size, size], padded by repeating the last."""
    images = images + images[-1:] * (frames - len(images))
    return torch.from_numpy(np.stack(images)).permute(3, 0, 1, 2).contiguous()


def iter_clips(path, frames=16, size=112, drop_last=False, report=None):
    """Yields the clips of a video file one by one, in bounded memory: uint8 tensors [3, frames, size, size], RGB.

    N = ceil(T / F) non-overlapping clips, the last padded by repeating its last frame; drop_last gives N = floor(T / F)
    instead; a video shorter than F is one padded clip all the same. report, errors: see iter_frames.
    """
    decoded = iter_frames(path, size, report=report)
    first = True
    while clip := list(islice(decoded, frames)):
        if len(clip) == frames or first or not drop_last:
            yield _to_clip(clip, frames)
        first = False


def read_clips(path, frames=16, size=112, drop_last=False, report=None):
    """All clips of a video file: uint8 [N, 3, frames, size, size], RGB. See iter_clips; raises VideoError."""
    return torch.stack(list(iter_clips(path, frames, size, drop_last, report)))


def write_atomically(path, write):
    """Calls write(temporary path), then renames: nothing half-written ever stands at `path`.

    Raises OSError, naming the file, where it cannot be written.
    """
    path = Path(path)
    part = path.with_name(f".{platform.node()}.{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(part)
        os.replace(part, path)
    except Exception as e:  # a full disk has another one in each format's library
        try:
            free = f"{shutil.disk_usage(path.parent).free / 2**20:,.1f} MB free there"  # torch.save does not say why
        except OSError:
            free = f"no folder {path.parent}"
        raise OSError(f"{path}: cannot be written: {e} ({free})") from e
    finally:
        with suppress(OSError):
            part.unlink()


def remove_leftovers(folder):
    """Removes what write_atomically of a process of this machine was writing in the folder when it was killed."""
    for file in Path(folder).iterdir():
        found = re.fullmatch(rf"\.{re.escape(platform.node())}\.(\d+)\..+", file.name, re.S)
        if not found:
            continue
        try:
            os.kill(int(found[1]), 0)
        except ProcessLookupError:
            file.unlink(missing_ok=True)
        except OSError:
            pass  # another user's, and alive


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


def read_clip(path, index, frames=16, size=112):
    """Clip number `index` of a video file, from 0: uint8 [3, frames, size, size], as in read_clips. Raises VideoError.

    The video is decoded from its start: what a seek lands on is not known to the frame.
    """
    clip = list(islice(iter_frames(path, size, skip=index * frames), frames))
    if not clip:
        raise VideoError(f"{path}: has no clip {index} of {frames} frames")
    return _to_clip(clip, frames)


def probe(path):
    """(frames, frames per second) of a video file; frames are counted by demuxing where none are declared."""
    try:
        with av.open(str(path)) as container:
            stream = _video_stream(container)
            n = stream.frames or sum(1 for packet in container.demux(stream) if packet.size)
            if not n:
                raise ValueError("holds no video frame")
            return n, float(stream.average_rate or 0)
    except _FAULTS as e:
        raise VideoError(f"{path}: cannot be opened: {e}") from e


def check_bad_share(reasons, n, max_bad_share):
    """Raises VideoError where `reasons`, one for each bad video among n, are more than a share of max_bad_share."""
    if len(reasons) > max_bad_share * n:
        raise VideoError(
            f"{len(reasons)} of {n} videos cannot be read, more than max_bad_share = {max_bad_share:.1%}; first: "
            f"{next(iter(reasons))}"
        )


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
