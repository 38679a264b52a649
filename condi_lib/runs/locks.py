"""One process at a time in a folder."""

import fcntl
import os
import socket
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

from accelerate import Accelerator

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


_held, _wanted = None, []  # of this process: the lock that it has, and (folder, name) of the one it will want


def will_write(folder, name):
    """Says that this process is going to do `name` in the folder: `hold` takes `alone(folder, name)` when it starts to.

    What it held before is let go. In JupyterLab, whose kernels stay when a notebook has run, so it is after each cell.
    """
    let_go()
    _wanted[:] = [(folder, name)]
    if "JPY_SESSION_NAME" in os.environ and "IPython" in sys.modules:
        events = sys.modules["IPython"].get_ipython().events
        if let_go not in events.callbacks["post_execute"]:
            events.register("post_execute", let_go)


def hold():
    """Before work starts and before a file is written: takes the lock that will_write named, until the process ends.

    Raises BusyRun where another process has it.
    """
    global _held
    if _wanted and not _held and Accelerator().is_main_process:
        stack = ExitStack()
        stack.enter_context(alone(*_wanted[0]))
        _held = stack


def let_go():
    """Lets go of the lock that this process holds, where it does."""
    global _held
    if _held:
        _held.close()
    _held = None
