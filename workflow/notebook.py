"""Snakemake's script for every rule: one notebook through papermill, with its progress on the console.

The notebook runs as a file in the log folder and is moved to its output when it has succeeded: one that failed stays
readable there and never counts as done.
"""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path


class Progress:
    """Where papermill writes what the kernel prints: all of it to the log, the latest line at times to the console."""

    def __init__(self, log, console, label, every_sec=15):
        self.log, self.console, self.label, self.every_sec = log, console, label, every_sec
        self.shown = time.monotonic()

    def write(self, text):
        self.log.write(text)
        self.log.flush()
        lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
        if lines and time.monotonic() - self.shown > self.every_sec:
            self.shown = time.monotonic()
            print(f"  {self.label}: {lines[-1]}", file=self.console, flush=True)

    def flush(self):
        self.log.flush()


def main(notebook, output, log_path, parameters, threads):
    import papermill
    from nbclient.exceptions import DeadKernelError

    running = Path(log_path).with_suffix(".ipynb")
    label = " ".join([Path(notebook).stem, *(str(parameters[p]) for p in ("loss", "seed") if p in parameters)])
    with tempfile.TemporaryDirectory() as ipython, open(log_path, "w") as log:
        # a profile of its own for each kernel, since several start at once; a line of progress at times, not a flood
        os.environ |= {"IPYTHONDIR": ipython, "OMP_NUM_THREADS": str(threads), "TQDM_MININTERVAL": "5"}
        console = os.fdopen(os.dup(2), "w")
        os.dup2(log.fileno(), 2)  # what the kernel's process itself has to say
        progress = Progress(log, console, label)
        try:
            papermill.execute_notebook(
                notebook, running, parameters, progress_bar=False, stdout_file=log, stderr_file=progress
            )
        except (papermill.exceptions.PapermillExecutionError, DeadKernelError) as e:
            log.write(str(e))
            reason = "its kernel died: killed, or the memory did not suffice"
            if not isinstance(e, DeadKernelError):
                reason = f"{e.ename}: {e.evalue}"
            print(f"{label}: {reason}\n  notebook as far as it ran: {running}", file=console, flush=True)
            sys.exit(1)
    shutil.move(running, output)


if "snakemake" in globals():
    job = globals()["snakemake"]
    main(job.input.nb, job.output.nb, job.log[0], job.params.values, job.threads)
