"""Files that are whole or not there."""

import os
import platform
import re
import shutil
from contextlib import suppress
from pathlib import Path


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
