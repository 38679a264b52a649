"""One process at a time in a folder."""

import fcntl
import os
import socket
from contextlib import contextmanager
from pathlib import Path

from condi_lib.data import remove_leftovers


class BusyRun(RuntimeError):
    """Another process is making the same files."""


@contextmanager
def alone(folder, name):
    """While it lasts, no other process may do `name` in the folder; raises BusyRun where one does.

    The system lets go of the lock when the process ends, however it ends. What killed processes were writing there is
    removed.
    """
    path = Path(folder) / f".{name}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as e:
        raise OSError(f"{folder}: cannot be written: {e}") from e
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise BusyRun(
                f"{folder}: {name} is already running there ({file.read().strip()}); wait for it, or give this one "
                "another `out`"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        remove_leftovers(folder)
        yield
