"""A folder of numbered pictures as a video."""

import re
from pathlib import Path

from condi_lib.data.tree import PICTURE_ENDINGS


def list_pictures(folder):
    """The paths of a folder's pictures by their numbers, the last digits of their names; none is opened.

    Raises OSError where the folder cannot be listed, ValueError where it holds no pictures, or has gaps or doubles.
    """
    found = []
    for path in Path(folder).iterdir():
        if path.suffix.lower() in PICTURE_ENDINGS and not path.name.startswith((".", "flow")):
            if (number := re.search(r"(\d+)\D*$", path.stem)) is None:
                raise ValueError(f"holds a picture without a number, {path.name!r}")
            found.append((int(number[1]), path))
    if not found:
        raise ValueError("is a folder without numbered pictures (JPEG or PNG)")
    found.sort()
    for (a, first), (b, second) in zip(found, found[1:], strict=False):
        if a == b:
            raise ValueError(f"holds number {a} twice ({first.name}, {second.name})")
        if b != a + 1:
            raise ValueError(f"lacks the picture of number {a + 1}" + (f" to {b - 1}" if b > a + 2 else ""))
    return [path for _, path in found]
