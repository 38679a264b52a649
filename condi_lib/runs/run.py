"""Where a run's files lie, and reading and writing them with their provenance.

runs/<profile>/<data set>/<teacher>/ holds videos.parquet, teacher.safetensors, clips.parquet and the tables of the
study; below it <loss>/seed<k>/ holds student.safetensors, scores.parquet, metrics.json.
"""

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from accelerate import Accelerator
from safetensors.torch import save_file

from condi_lib import evaluation, predictor, sampler
from condi_lib.context import NETWORKS
from condi_lib.data import write_atomically
from condi_lib.data.identity import VOLATILE, TableDigest, file_identity, table_digest, values_digest, weights_digest
from condi_lib.models import metadata_of
from condi_lib.runs.listing import ON_DISK
from condi_lib.runs.locks import hold
from condi_lib.runs.parameters import ROOT, ParameterError
from condi_lib.runs.parts import _in_step
from condi_lib.runs.provenance import (
    BESIDE,
    SCHEMA,
    MissingStep,
    chain,
    circumstances,
    made_with,
    read_provenance,
    why_stale,
)

SHIPPED = {
    "teacher_checkpoint": predictor.SHIPPED / "teacher.safetensors",
    "student_checkpoint": predictor.SHIPPED / "student_start.safetensors",
}


@dataclass(frozen=True)
class Run:
    """One notebook's view of a run: its folder, its parameters, and reading and writing with provenance."""

    notebook: str
    parameters: dict
    folder: Path  # <out>/<data set>/<teacher>
    inputs: dict = field(default_factory=dict)  # what was read of other notebooks' and foreign files: {name: digest}
    known: dict = field(default_factory=dict)  # of why_stale, until something is written

    def student_folder(self, loss, seed, variant=""):
        return self.folder / (f"{loss}-{variant}" if variant else loss) / f"seed{seed}"

    def made_with(self):
        """The parameters that what is made depends on."""
        return made_with(self.parameters)

    def fresh(self):
        """The same run, with nothing read yet."""
        return replace(self, inputs={}, known={})

    def _place(self, path):
        """Where a file lies, as its provenance says it: below the run's folder ("at"), or beside it ("run")."""
        path, folder = Path(os.path.abspath(path)), Path(os.path.abspath(self.folder))
        if path.is_relative_to(folder):
            return {"at": path.relative_to(folder).as_posix()}
        return {"run": os.path.relpath(folder, ROOT) if folder.is_relative_to(ROOT) else str(folder)}

    def provenance(self, path, digest, made_from=(), **facts):
        """What is written into the file at `path`, whose content has this digest.

        It was made from all that was read of other notebooks so far, and from `made_from`: own files, or "videos on
        disk". facts: said beside.
        """
        own = {name: True if name == ON_DISK else read_provenance(name)["digest"] for name in made_from}
        own = {name if name == ON_DISK else self.name_of(name): digest for name, digest in own.items()}
        return {
            "schema": SCHEMA,
            "notebook": self.notebook,
            "parameters": self.made_with(),
            "digest": digest,
            "made_from": {**self.inputs, **own},
            **self._place(path),
            **facts,
            **circumstances(),
        }

    def name_of(self, path):
        """A file of this or a neighbouring run, as provenance names it."""
        return Path(os.path.relpath(path, self.folder)).as_posix()

    def is_done(self, *paths):
        """True where all these files stand: written by this notebook with these parameters, from what is there now."""
        return not any(why_stale(path, self.notebook, self.made_with(), self.known) for path in paths)

    def checkpoint(self, path):
        """Where training.fit keeps the checkpoint of the weights that will stand at `path`."""
        key = values_digest([self.notebook, self.made_with(), self.inputs])[:12]
        return Path(path).with_name(f".{Path(path).stem}-{key}.pt")

    def _write(self, path, write):
        """Of several processes (accelerate launch) one writes, and the others wait until it has."""
        for key in [
            key for key in self.known if not key.startswith(ON_DISK)
        ]:  # what lies on disk takes long to look at
            del self.known[key]
        hold()
        if Accelerator().is_main_process:
            write_atomically(path, write)
        Accelerator().wait_for_everyone()

    def write_table(self, path, table, made_from=(), **facts):
        """Writes a table; its provenance is that of `provenance`."""
        self._write(path, lambda part: self._to_parquet(part, path, [table], made_from, **facts))

    def _to_parquet(self, part, path, tables, made_from=(), **facts):
        """One parquet file of tables (of pandas or arrow) in turn, in groups of 10,000 rows for read_in_parts."""
        digest, out = TableDigest(), None
        for table in tables:
            arrow = table if isinstance(table, pa.Table) else pa.Table.from_pandas(table, preserve_index=False)
            arrow = arrow.replace_schema_metadata()
            out = out or pyarrow.parquet.ParquetWriter(part, arrow.schema)
            arrow = arrow.cast(out.schema)
            digest.update(arrow.drop_columns([VOLATILE]) if VOLATILE in arrow.column_names else arrow)
            out.write_table(arrow, row_group_size=10_000)
        with out:
            record = self.provenance(path, digest.hexdigest(), made_from, **facts)
            out.add_key_value_metadata({"provenance": json.dumps(record)})

    def write_json(self, path, values, made_from=(), with_chain=False, **facts):
        """Writes values; with_chain: also the provenance of all that they were made from (for figures)."""
        record = self.provenance(path, values_digest(values), made_from, **facts)
        if with_chain:
            record["chain"] = chain(path, record)
        text = json.dumps({**values, "provenance": record}, indent=1)
        self._write(path, lambda part: part.write_text(text))

    def write_weights(self, path, network, made_from=(), **facts):
        """Writes the weights, and removes the checkpoint of their training."""
        state = {
            name: tensor.cpu().contiguous().clone() for name, tensor in network.state_dict().items()
        }  # tied ones too
        record = self.provenance(path, weights_digest(state), made_from, **facts)
        self._write(path, lambda part: save_file(state, part, metadata_of(network, provenance=record)))
        if Accelerator().is_main_process:
            self.checkpoint(path).unlink(missing_ok=True)

    def uses(self, path):
        """`path`, a file that others made (weights, a list), noted as something that this notebook reads."""
        path = Path(os.path.expanduser(path))
        name = os.path.relpath(path, ROOT) if path.resolve().is_relative_to(ROOT) else str(path)
        self.inputs[f"file:{name}"] = file_identity(path)
        return path

    def weights(self, name):
        """The file that the parameter `name` (teacher_checkpoint, student_checkpoint) stands for, noted as read; or "".

        "shipped" are the embedded benchmark's own weights, and none for other data. Raises ParameterError where a
        teacher is to be taken as it is and there are no weights.
        """
        value = self.parameters[name]
        if value == "shipped":
            value = SHIPPED[name] if self.parameters["dataset"] == "planted" else ""
        if not value and name == "teacher_checkpoint" and not self.parameters["teacher_epochs"]:
            raise ParameterError(
                "teacher_epochs: found 0 without teacher_checkpoint, expected weights or epochs to train"
            )
        return self.uses(value) if value else ""

    def note(self, path):
        """Notes a file that this notebook wrote as one that what follows is made from, looked at where it is there."""
        self.inputs[BESIDE + self.name_of(path)] = read_provenance(path)["digest"]

    def stands(self, path, table, **facts):
        """True where the file at `path` holds this very table and says these facts, written with these parameters."""
        try:
            found = read_provenance(path)
            old = pyarrow.parquet.read_table(path, columns=[VOLATILE])[VOLATILE].to_pylist()
        except (MissingStep, OSError, pa.ArrowException):
            return False
        own = (found.get("schema"), found.get("notebook"), found.get("parameters"), found.get("digest"))
        new = table_digest(table.drop(columns=VOLATILE))
        same = own == (SCHEMA, self.notebook, self.made_with(), new) and old == table[VOLATILE].tolist()
        foreign = {name: was for name, was in self.inputs.items() if name.startswith("file:")}
        return same and facts.items() <= found.items() and foreign.items() <= found["made_from"].items()

    def read_own(self, path, **parameters):
        """A table that this notebook wrote before with these parameters; None where there is none of this schema."""
        try:
            found = read_provenance(path)
            if found["schema"] == SCHEMA and parameters.items() <= found["parameters"].items():
                return pd.read_parquet(path)
        except (MissingStep, KeyError, OSError, pa.ArrowException):
            pass
        return None

    def classes(self):
        """The class list that is stored with the video table, in the order of labels."""
        return read_provenance(self.check(self.folder / "videos.parquet", "01_dataset"))["classes"]

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
        table.attrs = {"file": str(path)}  # for what finds a fault in it
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
        clips_file = self.folder / "clips.parquet"
        steps = {loss: _step_of(loss) for loss in losses}
        paths = {loss: [self.student_folder(loss, s) / "scores.parquet" for s in seeds] for loss in losses}
        shape = self.parameters["frames"], self.parameters["stride"]
        val = evaluation.with_truth(self.read_table(clips_file, "03_teacher_labels", split="val"), truth, *shape)
        train = self.read_table(clips_file, "03_teacher_labels", ["video", "clip", "label", "correct"], "train")
        train = sampler.train_arrays(train)
        val_arrays = {"": [_of_itself(sampler.clip_arrays(val), train) if len(val) else None]}
        for loss, files in paths.items():
            tables = (next(_in_step([val], self.read_in_parts(file, steps[loss]))) for file in files if len(val))
            scored = [_of_itself(sampler.with_scores(val_arrays[""][0], table), train) for table in tables]
            val_arrays[loss] = scored or [None] * len(files)

        def parts():
            groups = self.read_in_parts(clips_file, "03_teacher_labels")
            for part in whole_videos(some for group in groups if len(some := group[group.split == split])):
                yield evaluation.with_truth(part, truth, *shape)

        students = {
            loss: [_in_step(parts(), self.read_in_parts(file, steps[loss])) for file in files]
            for loss, files in paths.items()
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
        return {
            loss: [self.read_table(self.student_folder(loss, s) / "scores.parquet", _step_of(loss)) for s in seeds]
            for loss in losses
        }

    def truth(self):
        """What each frame shows, as notebook 01 wrote it (data.frame_truth); None where that is not known."""
        table = self.read_table(self.folder / "truth.parquet", "01_dataset")
        return table if len(table) else None

    def check(self, path, step):
        """`path`, noted as read, if notebook `step` wrote it for this data set and these clips and it still stands.

        Raises MissingStep otherwise, which names what is to be run.
        """
        try:
            found = read_provenance(path)
        except MissingStep:
            raise MissingStep(f"{path} is missing or unreadable: run notebooks/{step}.ipynb first") from None
        if found.get("schema") != SCHEMA:
            raise MissingStep(
                f"{path} has schema {found.get('schema')!r}, expected {SCHEMA}: run notebooks/{step}.ipynb again"
            )
        for name in ("dataset", "teacher", "frames", "size", "stride", "crops", "store_quality"):
            mine, theirs = self.parameters.get(name), found["parameters"].get(name)
            if name == "teacher" and not Path(path).is_relative_to(self.folder):
                continue  # a neighbouring run's
            if mine != theirs and None not in (mine, theirs):
                raise MissingStep(f"{path} was made with {name} = {theirs!r}, but this notebook has {mine!r}")
        if reason := why_stale(path, known=self.known):
            raise MissingStep(f"{path} is stale, because {reason}: run notebooks/{step}.ipynb again")
        if step != self.notebook:
            self.inputs[self.name_of(path)] = found["digest"]
        return path


def whole_videos(tables):
    """Clip tables cut at the borders of videos, of consecutive ones that cut videos in two, none of them empty."""
    held = None
    for table in tables:
        if held is not None:
            cut = (table.video == held.video.iloc[-1]).to_numpy()
            if cut.any():
                held = pd.concat([held, table[cut]])
            if cut.all():
                continue
            yield held
            table = table[~cut]
        held = table
    if held is not None:
        yield held


def _step_of(loss):
    """The notebook that writes the score tables of a loss, or of a network over whole videos."""
    return "13_context" if loss in NETWORKS else "05_train_sampler"


def _of_itself(val, train):
    """val as with_splits wants it for each part, so that what is computed of it is computed once."""
    return sampler.with_splits(val, replace(val, val=None), train).val
