"""A folder of decoded clips: a zip file a video or segment, a JPEG (or the plain bytes) a clip.

Any of its files may be deleted at any time, all of them by `rm -r FOLDER`: what is missing is decoded again.
"""

import hashlib
import io
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from condi_lib.data.files import remove_leftovers, write_atomically
from condi_lib.progress import tqdm

FORMAT = 1  # of the files; other ones are not read
RESERVE = 2**30  # bytes that a disk keeps free
_FAULTS = (OSError, RuntimeError, zipfile.BadZipFile, KeyError, ValueError, TypeError, SyntaxError, EOFError)


class Store:
    """Decoded clips on disk, shared by all processes that name its folder; files are written whole or not at all.

    quality: of JPEG (4:4:4), 1 to 100; 0 keeps the plain bytes. With JPEG every clip that is read has gone through it,
    kept or not, so that pixels follow from the quality alone. Nothing is written beyond limit_gb (GiB, to a video a
    process), nor to a disk with less than 1 GiB free: the clips of further videos are decoded each time.
    """

    def __init__(self, folder, limit_gb=4.0, quality=0):
        if not (isinstance(quality, int) and 0 <= quality <= 100):
            raise ValueError(f"quality: found {quality!r}, expected 0 (exact) or that of JPEG, 1 to 100")
        self.folder, self.limit, self.quality = Path(folder), limit_gb * 2**30, quality
        self.used, self.written, self.full = None, 0, False
        if self.folder.is_dir():
            remove_leftovers(self.folder)

    @property
    def identity(self):
        """What the pixels of its clips follow from beside the video: for the record of what a table was made from."""
        return f"JPEG {self.quality}, 4:4:4" if self.quality else "exact"

    def path(self, segment, frames, size, stride=1, whole=False):
        """The file for the clips of a Segment, another one once the video has changed. Raises OSError."""
        settings = (frames, size, stride, whole, self.quality, FORMAT, *segment[1:])
        key = repr((os.path.abspath(segment.path), *_identity(segment.path), settings))
        return self.folder / f"{hashlib.sha1(key.encode(errors='surrogateescape')).hexdigest()}.zip"

    def read(self, path, numbers=None):
        """(clips uint8 [N, 3, F, H, W], those of `numbers` or all; report), or None where the file is not there or cut.

        Raises IndexError for a number that the video does not have.
        """
        try:
            with zipfile.ZipFile(path) as file:
                about = json.loads(file.read("about.json"))
                numbers = range(about["clips"]) if numbers is None else numbers
                if max(numbers, default=0) < about["clips"]:
                    clips = [self._decode(file.read(f"{n:06d}{self._ending}"), about["shape"]) for n in numbers]
                    return torch.stack(clips), about["report"]
        except _FAULTS:
            return None
        raise IndexError(about["clips"])

    def write(self, path, clips, report):
        """Keeps the clips (uint8 [N, 3, F, H, W]) where there is room, and returns them as they will be read."""
        coded = [self._encode(clip) for clip in clips]
        found = clips
        if self.quality:
            found = torch.stack([self._decode(data, list(clips.shape[1:])) for data in coded])
        if self._has_room(sum(map(len, coded))):
            loss = float(np.square(found.numpy().astype(np.float32) - clips.numpy()).mean()) if self.quality else 0.0
            about = {"clips": len(clips), "shape": list(clips.shape[1:]), "report": report, "mean_squared_error": loss}

            def write(part):
                with zipfile.ZipFile(part, "w") as file:
                    file.writestr("about.json", json.dumps(about))
                    for n, data in enumerate(coded):
                        file.writestr(f"{n:06d}{self._ending}", data)

            try:
                write_atomically(path, write)
            except OSError as e:
                self.full = True
                tqdm.write(f"{e}; decoded clips are kept no longer")
        return found

    def summary(self, sample=100):
        """What it takes and loses: files, gib, and of `sample` files bytes_per_clip, psnr_db (inf: exact)."""
        files = list(self.folder.glob("*.zip")) if self.folder.is_dir() else []
        sizes, clips, errors = [file.stat().st_size for file in files], 0, []
        for file in files[:sample]:
            with zipfile.ZipFile(file) as content:
                about = json.loads(content.read("about.json"))
            clips += about["clips"]
            errors += [about["mean_squared_error"]] * about["clips"]
        error = np.mean(errors) if errors else 0.0
        return {
            "files": len(files),
            "gib": sum(sizes) / 2**30,
            "bytes_per_clip": sum(sizes[:sample]) / max(1, clips),
            "psnr_db": float(10 * np.log10(255**2 / error)) if error else float("inf"),
        }

    @property
    def _ending(self):
        return ".jpg" if self.quality else ".raw"

    def _encode(self, clip):
        rows = clip.permute(1, 2, 3, 0).flatten(0, 1).contiguous()  # (3, F, H, W) -> (F H, W, 3)
        if not self.quality:
            return clip.contiguous().numpy().tobytes()
        data = io.BytesIO()
        Image.fromarray(rows.numpy()).save(data, "JPEG", quality=self.quality, subsampling=0)
        return data.getvalue()

    def _decode(self, data, shape):
        channels, frames, height, width = shape
        if not self.quality:
            return torch.frombuffer(bytearray(data), dtype=torch.uint8).view(shape)
        with Image.open(io.BytesIO(data)) as picture:
            rows = torch.from_numpy(np.array(picture))
        return rows.view(frames, height, width, channels).permute(3, 0, 1, 2)

    def _has_room(self, size):
        """Whether `size` bytes more are within the limit; others write too, so it looks now and then."""
        if self.full:
            return False
        if self.used is None or self.written > self.limit / 50:
            here = os.scandir(self.folder) if self.folder.is_dir() else ()
            self.used, self.written = sum(entry.stat().st_size for entry in here), 0
        at = next(folder for folder in (self.folder, *self.folder.absolute().parents) if folder.is_dir())
        if self.used + self.written + size > self.limit or shutil.disk_usage(at).free < RESERVE + size:
            return False
        self.written += size
        return True


def _identity(path):
    """(time, size) of a file, or of all files of a folder. Raises OSError."""
    found = os.stat(path)
    if not os.path.isdir(path):
        return found.st_mtime_ns, found.st_size
    stats = [entry.stat() for entry in os.scandir(path)]
    return sum(s.st_mtime_ns for s in stats), sum(s.st_size for s in stats)
