"""Where a run's files lie, their provenance and atomic writes.

runs/<profile>/<dataset>/<teacher>/ holds videos.parquet, teacher.safetensors, clips.parquet and the tables of the
study; below it <loss>/seed<k>/ holds student.safetensors, scores.parquet, metrics.json. Every file carries the schema
version and its provenance: notebook, parameters, versions, commit, device.
"""

import fcntl
import json
import os
import platform
import shutil
import socket
import subprocess
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pyarrow.parquet
import torch
from accelerate import Accelerator
from safetensors import safe_open
from safetensors.torch import save_file

from condi_lib import catalogue, sampler
from condi_lib.data import VideoError, check_bad_share, remove_leftovers, write_atomically
from condi_lib.labelling import label_clips
from condi_lib.parameters import ROOT, check_parameters
from condi_lib.training import digest

SCHEMA = 1
PACKAGES = ("torchvision", "av", "numpy", "pandas", "scikit-learn", "condi")
HOW = ("workers", "shard", "shards", "checkpoint_min")  # parameters that change nothing in what is made


class MissingStep(FileNotFoundError):
    """A file that an earlier notebook writes is not there, or is another run's."""


class BusyRun(RuntimeError):
    """Another process is making the same files."""


def _commit():
    """The commit of the code, with "+changes" where files that make results differ from it; "unknown" outside git."""

    def git(*args):
        return subprocess.run(
            ["git", "-C", str(ROOT), *args], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "condi_lib", "config", "Snakefile", "workflow")
        return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine():
    """What a benchmark ran with, in a line."""
    cuda = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if cuda else f"CPU ({torch.backends.cpu.get_cpu_capability()})"
    return f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads, commit {_commit()}"


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

    def study_in_parts(self, losses, seeds, split="test"):
        """sampler.read_arrays of some videos of the split after the other: memory holds these, and val."""
        clips_file, step = self.folder / "clips.parquet", "05_train_sampler"
        paths = {loss: [self.student_folder(loss, s) / "scores.parquet" for s in seeds] for loss in losses}
        val = self.read_table(clips_file, "03_teacher_labels", split="val")
        val_arrays = {"": [sampler.clip_arrays(val)]}
        for loss, files in paths.items():
            tables = (next(_in_step([val], self.read_in_parts(file, step))) for file in files)
            val_arrays[loss] = [sampler.clip_arrays(val, table) for table in tables]

        def parts():
            for part in self.read_in_parts(clips_file, "03_teacher_labels"):
                if len(part := part[part.split == split]):
                    yield part

        students = {
            loss: [_in_step(parts(), self.read_in_parts(file, step)) for file in files] for loss, files in paths.items()
        }
        for part in parts():
            found = {"": [sampler.clip_arrays(part)]}
            for loss, tables in students.items():
                found[loss] = [sampler.clip_arrays(part, next(table)) for table in tables]
            yield {loss: list(zip(found[loss], val_arrays[loss], strict=True)) for loss in found}

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
        """The embedded benchmark's truth, a row a frame (video, frame, kind, blend, ...); None for other data sets."""
        if self.parameters["dataset"] != "planted":
            return None
        return pd.read_parquet(Path(self.parameters["root"]) / "untrimmed" / "truth.parquet")

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


def start(notebook, scope):
    """A notebook's first call, with its name and globals(): checks its parameters and returns its Run.

    Makes the repository's root the working folder, so that relative parameters mean the same under JupyterLab,
    papermill and nbval. Raises ParameterError.
    """
    os.chdir(ROOT)
    parameters = check_parameters(notebook, scope)
    return Run(notebook, parameters, Path(parameters["out"]) / parameters["dataset"] / parameters["teacher"])


def label_in_parts(
    run, network, videos, max_bad_share=0.05, part_videos=500, shard=0, shards=1, frames=16, size=112, **options
):
    """labelling.label_clips over many videos, kept as it goes: (files of the clip table, files of the video table).

    Parts of part_videos videos are labelled one by one, those of all processes of an `accelerate launch` side by side,
    and each is written when it is done, so that a killed run goes on at its first missing part. With shards = 1 the
    parts are then joined into clips.parquet and labelled_videos.parquet, which do not depend on processes and shards.
    With more, this call labels part number shard, shard + shards, ... alone, and returns their files; once all shards
    have run, a call with shards = 1 joins them. Memory holds one part. Parts of other weights, videos or parameters are
    not used. Raises ValueError for a shard that is not below shards; else as label_clips.
    """
    if shard >= shards:
        raise ValueError(f"shard: found {shard}, expected 0 to shards - 1 = {shards - 1}")
    state = Accelerator()
    identity = run.made_with(), part_videos, videos[["video", "path", "label", "split"]].values.tolist()
    folder = run.folder / f"parts-{digest(identity, network.state_dict())[:12]}"
    names = [f"{i:06d}.parquet" for i in range(-(-len(videos) // part_videos))]
    mine = range(len(names))[shard::shards]
    reasons = []
    for i in mine[state.process_index :: state.num_processes]:
        files = [folder / f"{kind}_{names[i]}" for kind in ("videos", "clips")]
        if not run.is_done(*files):
            part = videos.iloc[i * part_videos : (i + 1) * part_videos]
            desc = f"labelling, part {i + 1} of {len(names)}"
            clips, seen = label_clips(network, part, frames, size, 1.0, desc, **options)
            for file, table in zip(files, (seen, clips), strict=True):
                write_atomically(file, lambda at, table=table: run._to_parquet(at, table))
        seen = pd.read_parquet(files[0], columns=["ok", "error"])
        reasons += seen.error[~seen.ok].tolist()
        check_bad_share(reasons, len(videos), max_bad_share)
    state.wait_for_everyone()
    parts = {kind: [folder / f"{kind}_{names[i]}" for i in mine] for kind in ("clips", "videos")}
    parts["clips"] = [file for file in parts["clips"] if pyarrow.parquet.read_metadata(file).num_rows]
    if not parts["clips"]:
        raise VideoError(f"videos: none of {len(videos)} could be read; first: {next(iter(reasons), 'no video')}")
    if shards > 1:
        return parts["clips"], parts["videos"]
    joined = {"clips": run.folder / "clips.parquet", "videos": run.folder / "labelled_videos.parquet"}
    table = pd.concat([pd.read_parquet(file) for file in parts["videos"]], ignore_index=True)
    check_bad_share(table.error[~table.ok].tolist(), len(table), max_bad_share)
    run.write_table(joined["videos"], table)
    run._write(joined["clips"], lambda at: join_parts(at, parts["clips"], run.provenance()))
    if state.is_main_process:
        shutil.rmtree(folder)
    return [joined["clips"]], [joined["videos"]]


def _in_step(parts, tables):
    """For each part of a clip table the rows of its videos in a score table, which has them in the same order."""
    held = next(tables)
    for part in parts:
        videos = set(part.video)
        while (inside := held.video.isin(videos)).sum() < len(part) and (more := next(tables, None)) is not None:
            first = int(inside.to_numpy().argmax()) if inside.any() else len(held)  # those before are of other splits
            held = pd.concat([held[first:], more], ignore_index=True)
        yield held[inside]


def join_parts(path, files, provenance):
    """One parquet file of many with the same columns, a row group each."""
    schema = pyarrow.parquet.read_schema(files[0])
    schema = schema.with_metadata({**schema.metadata, b"PANDAS_ATTRS": json.dumps(provenance).encode()})
    with pyarrow.parquet.ParquetWriter(path, schema) as out:
        for file in files:
            out.write_table(pyarrow.parquet.read_table(file).replace_schema_metadata(schema.metadata))


def read_provenance(path):
    """The provenance inside a parquet, safetensors or JSON file of a run. Raises MissingStep where there is none."""
    path = Path(path)
    try:
        if path.suffix == ".parquet":
            return json.loads(pyarrow.parquet.read_schema(path).metadata[b"PANDAS_ATTRS"])
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                return json.loads(file.metadata()["provenance"])
        return json.loads(path.read_text())["provenance"]
    except Exception as e:  # each format has errors of its own for a file that is missing, cut or foreign
        raise MissingStep(f"{path}: holds no provenance of ours ({type(e).__name__})") from e


def make_figures(run, folder, *names):
    """Makes these figures and tables of the catalogue from the run's tables, and saves them into `folder`.

    Returns the last one, a matplotlib Figure or a table. Raises MissingStep where a table is not there.
    """
    from condi_lib import figures  # here: it loads a plotting library, which the workflow does not need

    for name in names:
        draw, sources = {**catalogue.FIGURES, **catalogue.ABLATIONS}[name]
        steps = [source.split("/") for source in sources]
        tables = [run.read_table(run.folder / f"{table}.parquet", step) for step, table in steps]
        made = getattr(figures, draw)(*tables) if draw else tables[0]
        is_table = isinstance(made, pd.DataFrame)
        save_figure(run, folder, name, *((None, made) if is_table else (made, tables[0] if tables else None)))
    return made


def save_figure(run, folder, name, figure, table):
    """Writes <name>.png, .svg, .csv, .md (the table behind the figure) and .json (provenance) into `folder`.

    figure: a matplotlib Figure, or None for a table alone; table: a DataFrame, or None for a picture alone.
    """
    folder = Path(folder)
    if figure is not None:
        for ext, options in ((".png", {"dpi": 150}), (".svg", {"metadata": {"Date": None}})):
            write_atomically(
                folder / f"{name}{ext}",
                lambda part, e=ext, o=options: figure.savefig(part, format=e[1:], bbox_inches="tight", **o),
            )
    if table is not None:
        table = table.drop(columns="image", errors="ignore")  # pictures inside a table
        options = {"index": False, "float_format": "%.6g", "lineterminator": "\n"}
        write_atomically(folder / f"{name}.csv", lambda part: table.to_csv(part, **options))
        write_atomically(folder / f"{name}.md", lambda part: part.write_text(markdown(table) + "\n"))
    run.write_json(folder / f"{name}.json", {"name": name, "rows": 0 if table is None else len(table)})


def markdown(table, digits=4):
    """A table in Markdown, numbers rounded to `digits` significant ones."""

    def cell(x):
        return f"{x:.{digits}g}" if isinstance(x, float) else str(x)

    head = [" | ".join(map(str, table.columns)), " | ".join("---" for _ in table.columns)]
    rows = [" | ".join(cell(x) for x in row) for row in table.itertuples(index=False)]
    return "\n".join(f"| {line} |" for line in head + rows)
