"""Where a run's files lie, their provenance and atomic writes.

runs/<profile>/<dataset>/<teacher>/ holds videos.parquet, teacher.safetensors, clips.parquet and the tables of the
study; below it <loss>/seed<k>/ holds student.safetensors, scores.parquet, metrics.json. Every file carries the schema
version and its provenance: notebook, parameters, versions, commit, device.
"""

import json
import os
import platform
from contextlib import nullcontext
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pyarrow.parquet
import torch
from accelerate import Accelerator
from safetensors.torch import save_file

from condi_lib import evaluation, sampler
from condi_lib.data import write_atomically
from condi_lib.runs.locks import alone
from condi_lib.runs.parameters import ROOT, check_parameters
from condi_lib.runs.parts import _in_step
from condi_lib.runs.provenance import HOW, PACKAGES, SCHEMA, MissingStep, _commit, read_provenance
from condi_lib.training import digest


@dataclass(frozen=True)
class Run:
    """One notebook's view of a run: its folder, its parameters, and reading and writing with provenance."""

    notebook: str
    parameters: dict
    folder: Path  # <out>/<dataset>/<teacher>

    def student_folder(self, loss, seed, variant=""):
        return self.folder / (f"{loss}-{variant}" if variant else loss) / f"seed{seed}"

    def made_with(self):
        """The parameters that what is made depends on."""
        return {name: value for name, value in self.parameters.items() if name not in HOW}

    def provenance(self):
        return {
            "schema": SCHEMA,
            "notebook": self.notebook,
            "parameters": self.made_with(),
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,  # with the build
                **{p: version(p) for p in PACKAGES},
            },
            "commit": _commit(),
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
            "threads": torch.get_num_threads(),
        }

    def is_done(self, *paths):
        """True where all these files stand, written by this notebook with these parameters."""
        for path in paths:
            try:
                found = read_provenance(path)
            except MissingStep:
                return False
            if (found["notebook"], found["parameters"]) != (self.notebook, self.made_with()):
                return False
        return True

    def alone(self, folder):
        """A context in which this notebook of no other process works in the folder; raises BusyRun where one does."""
        return alone(folder, self.notebook) if Accelerator().is_main_process else nullcontext()

    def checkpoint(self, path):
        """Where training.fit keeps the checkpoint of the weights that will stand at `path`."""
        key = digest((self.notebook, self.made_with()))[:12]
        return Path(path).with_name(f".{Path(path).stem}-{key}.pt")

    def _write(self, path, write):
        """Of several processes (accelerate launch) one writes, and the others wait until it has."""
        if Accelerator().is_main_process:
            write_atomically(path, write)
        Accelerator().wait_for_everyone()

    def write_table(self, path, table):
        self._write(path, lambda part: self._to_parquet(part, table))

    def _to_parquet(self, part, table):
        table = table.copy(deep=False)
        table.attrs = self.provenance()
        table.to_parquet(part, index=False, row_group_size=10_000)  # for read_in_parts

    def write_json(self, path, values):
        text = json.dumps({**values, "provenance": self.provenance()}, indent=1)
        self._write(path, lambda part: part.write_text(text))

    def write_weights(self, path, network):
        """Writes the weights, and removes the checkpoint of their training."""
        state = {name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}
        self._write(path, lambda part: save_file(state, part, {"provenance": json.dumps(self.provenance())}))
        if Accelerator().is_main_process:
            self.checkpoint(path).unlink(missing_ok=True)

    def read_table(self, path, step, columns=None, split=None):
        """A table that notebook `step` wrote (some columns; one split or several). Raises MissingStep.

        MissingStep: it is not there, cannot be read or is of another run.
        """
        self.check(path, step)
        splits = [split] if isinstance(split, str) else split
        try:
            table = pd.read_parquet(path, columns=columns, filters=[("split", "in", splits)] if splits else None)
        except (OSError, pyarrow.ArrowException) as e:
            raise MissingStep(f"{path} cannot be read ({e}): run notebooks/{step}.ipynb again") from e
        table.attrs = {}
        return table

    def read_in_parts(self, path, step, columns=None):
        """The same table, some thousand rows at a time: for tables that memory does not hold."""
        with pyarrow.parquet.ParquetFile(self.check(path, step)) as file:
            for i in range(file.num_row_groups):
                yield file.read_row_group(i, columns).to_pandas()

    def study_in_parts(self, losses, seeds, split="test", truth=None):
        """sampler.read_arrays of some videos of the split after the other: memory holds these, and val.

        truth: of self.truth(), for the samplers that need it.
        """
        clips_file, step = self.folder / "clips.parquet", "05_train_sampler"
        paths = {loss: [self.student_folder(loss, s) / "scores.parquet" for s in seeds] for loss in losses}
        frames = self.parameters["frames"]
        val = evaluation.with_truth(self.read_table(clips_file, "03_teacher_labels", split="val"), truth, frames)
        train = self.read_table(clips_file, "03_teacher_labels", ["video", "clip", "label", "correct"], "train")
        train = sampler.train_arrays(train)
        val_arrays = {"": [_of_itself(sampler.clip_arrays(val), train) if len(val) else None]}
        for loss, files in paths.items():
            tables = (next(_in_step([val], self.read_in_parts(file, step))) for file in files if len(val))
            scored = [_of_itself(sampler.with_scores(val_arrays[""][0], table), train) for table in tables]
            val_arrays[loss] = scored or [None] * len(files)

        def parts():
            for part in self.read_in_parts(clips_file, "03_teacher_labels"):
                if len(part := part[part.split == split]):
                    yield evaluation.with_truth(part, truth, frames)

        students = {
            loss: [_in_step(parts(), self.read_in_parts(file, step)) for file in files] for loss, files in paths.items()
        }
        for part in parts():
            found = {"": [sampler.clip_arrays(part)]}
            for loss, tables in students.items():
                found[loss] = [sampler.with_scores(found[""][0], next(table)) for table in tables]
            yield {
                loss: [sampler.with_splits(*both, train) for both in zip(found[loss], val_arrays[loss], strict=True)]
                for loss in found
            }

    def read_json(self, path, step):
        """What notebook `step` wrote with write_json, without its provenance. Raises MissingStep."""
        found = json.loads(self.check(path, step).read_text())
        return {name: value for name, value in found.items() if name != "provenance"}

    def read_scores(self, losses, seeds):
        """{loss: [score table of each seed]}. Raises MissingStep for the first that is not there."""
        step = "05_train_sampler"
        return {
            loss: [self.read_table(self.student_folder(loss, s) / "scores.parquet", step) for s in seeds]
            for loss in losses
        }

    def truth(self):
        """The embedded benchmark's truth, a row a frame (video, frame, shows, kind, blend, ...); None for others."""
        if self.parameters["dataset"] != "planted":
            return None
        truth = pd.read_parquet(Path(self.parameters["root"]) / "untrimmed" / "truth.parquet")
        return truth.assign(shows=truth.kind == "clean")

    def check(self, path, step):
        """`path` if notebook `step` wrote it for this data set, frames and size; raises MissingStep otherwise."""
        try:
            found = read_provenance(path)
        except MissingStep:
            raise MissingStep(f"{path} is missing or unreadable: run notebooks/{step}.ipynb first") from None
        if found.get("schema") != SCHEMA:
            raise MissingStep(
                f"{path} has schema {found.get('schema')!r}, expected {SCHEMA}: run notebooks/{step}.ipynb again"
            )
        for name in ("dataset", "teacher", "frames", "size"):
            mine, theirs = self.parameters.get(name), found["parameters"].get(name)
            if mine != theirs and None not in (mine, theirs):
                raise MissingStep(f"{path} was made with {name} = {theirs!r}, but this notebook has {mine!r}")
        return path


def _of_itself(val, train):
    """val as with_splits wants it for each part, so that what is computed of it is computed once."""
    return sampler.with_splits(val, replace(val, val=None), train).val


def start(notebook, scope):
    """A notebook's first call, with its name and globals(): checks its parameters and returns its Run.

    Makes the repository's root the working folder, so that relative parameters mean the same under JupyterLab,
    papermill and nbval. Raises ParameterError.
    """
    os.chdir(ROOT)
    parameters = check_parameters(notebook, scope)
    return Run(notebook, parameters, Path(parameters["out"]) / parameters["dataset"] / parameters["teacher"])
