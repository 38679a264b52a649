"""A folder of numbered pictures as a video."""

import re
from itertools import groupby
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageOps

from condi_lib.data.container import MAX_PIXELS
from condi_lib.data.tree import PICTURE_ENDINGS


def list_pictures(folder):
    """The paths of a folder's pictures by their numbers, the last digits of their names; none is opened.

    Raises OSError where the folder cannot be listed, ValueError where it holds no pictures, several series of them, or
    one with gaps or doubles.
    """
    # optical flow may lie beside the frames
    names = (p for p in Path(folder).iterdir() if not p.name.lower().startswith((".", "flow")))
    found = []
    for path in names:
        if path.suffix.lower() in PICTURE_ENDINGS:
            parts = re.fullmatch(r"(.*?)(\d+)(\D*)", path.stem, re.S)
            if parts is None:
                raise ValueError(f"holds a picture without a number, {path.name!r}")
            found.append(((parts[1], parts[3]), int(parts[2]), path))
    if not found:
        raise ValueError("is a folder without numbered pictures (JPEG or PNG)")
    found.sort()
    series = [f"{before}*{after}" for (before, after), _ in groupby(found, lambda one: one[0])]
    if len(series) > 1:
        raise ValueError(f"holds {len(series)} series of pictures ({', '.join(series[:5])}); expected one")
    for (_, a, first), (_, b, second) in zip(found, found[1:], strict=False):
        if a == b:
            raise ValueError(f"holds number {a} twice ({first.name}, {second.name})")
        if b != a + 1:
            raise ValueError(f"lacks the picture of number {a + 1}" + (f" to {b - 1}" if b > a + 2 else ""))
    return [path for *_, path in found]


def read_picture(path):
    """(frame, (width, height) in pixels) of a picture: a PyAV frame, RGB, upright. Raises OSError or ValueError."""
    with Image.open(path) as picture:
        size = picture.size
        if size[0] * size[1] > MAX_PIXELS:
            raise ValueError(f"{path.name} declares {size[0]} x {size[1]} pixels, more than {MAX_PIXELS:,}")
        try:
            upright = ImageOps.exif_transpose(picture)
            if upright.mode.startswith("I"):  # 16 bits a pixel, which convert would cut off at 255
                upright = Image.fromarray((np.asarray(upright) // 257).astype(np.uint8))
            upright = upright.convert("RGB")
        except SyntaxError as e:  # Pillow's word for some damage
            raise ValueError(str(e)) from e
        return av.VideoFrame.from_ndarray(np.asarray(upright), format="rgb24"), size
