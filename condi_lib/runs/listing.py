"""The videos of a study: found on disk, opened once each, and looked at again where they changed."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet

from condi_lib.data import (
    NO_TRUTH,
    check_bad_share,
    check_splits,
    find_teacher_videos,
    find_videos,
    frame_truth,
    planted,
    probe_videos,
)
from condi_lib.data.identity import file_identity, values_digest
from condi_lib.data.segment import WHOLE
from condi_lib.declared import ROOT, declared_parameters
from condi_lib.runs.locks import alone, hold

ON_DISK = "videos on disk"  # what a table of videos was made from, in its provenance
SEEN = ["path", "size", "mtime_ns", "digest"]  # its columns that say which files these are
OPENED = ["n_frames", "fps", "ok", "error"]  # those that opening the file fills in
ROW = ["video", "path", *WHOLE]


def _found(parameters):
    """The study's videos as they lie on disk now, not opened. parameters: of notebook 01."""
    names = ("dataset", "root", "fold", "annotations", "val_share", "split_seed", "fps", "word", "turn", "frames")
    return find_videos(*(parameters[name] for name in names), train_share=parameters["train_share"])


def _identified(videos, known=None):
    """videos with the columns size, mtime_ns and digest of the files behind them (0, 0 and "" where there is none).

    known: a table that has them already, for those that are as they were.
    """
    seen = {} if known is None else known.drop_duplicates("path").set_index("path")[SEEN[1:]].to_dict("index")
    rows = {}
    for path in videos.path.unique():
        was = seen.get(path)
        try:
            now = file_identity(path, was and {"size": was["size"], "time": was["mtime_ns"], "digest": was["digest"]})
            rows[path] = (now["size"], now["time"], now["digest"])
        except OSError:
            rows[path] = (0, 0, "")
    columns = pd.DataFrame([rows[path] for path in videos.path], columns=SEEN[1:], index=videos.index)
    return videos.assign(**{name: columns[name] for name in SEEN[1:]})


def write_planted(run):
    """Writes the embedded benchmark that the run's world, size and frames describe, where it is not there."""
    p = run.parameters
    root = Path(p["root"])
    if Path(p["world"]).is_file():
        run.uses(p["world"])
    world = planted.world_of(p["world"], p["world_changes"], p["size"], p["frames"])
    with alone(root.parent, f"{root.name} is being written"):
        planted.write(root, world)


def list_videos(run):
    """Finds the data set's videos, opens those that are new or changed, and writes videos.parquet; returns the table.

    Its .attrs hold what find_videos says beside: the classes, what the lists name and the disk lacks. Raises what
    find_videos and probe_videos raise.
    """
    path, p = run.folder / "videos.parquet", run.parameters
    hold()
    if p["dataset"] == "planted":
        write_planted(run)
    found = _found(p)
    kept = run.read_own(path, fps=p["fps"])
    listed = _identified(found, kept)
    same = pd.Series(False, listed.index)
    if kept is not None:
        key = [*(name for name in ROW if name in listed), "digest"]
        same = (listed.digest != "") & listed.set_index(key).index.isin(kept.set_index(key).index)
        old = listed[same].drop(columns=OPENED, errors="ignore").merge(kept[["video", *OPENED]], "left", "video")
    videos = listed if same.all() else probe_videos(listed[~same], 1.0)
    if same.any():
        old = old.set_axis(listed.index[same])
        videos = old if same.all() else pd.concat([old, videos]).sort_index()
    videos = videos.drop(columns="n_listed", errors="ignore")
    check_bad_share(videos.error[~videos.ok], len(videos), p["max_bad_share"])
    missing = values_digest(found.attrs["missing"])
    if not run.stands(path, videos, classes=found.attrs["classes"], missing=missing):
        run.write_table(path, videos, [ON_DISK], classes=found.attrs["classes"], missing=missing)
    run.note(path)
    check_splits(videos[videos.ok], why=found.attrs["notes"])
    videos.attrs = found.attrs
    return videos


def write_truth(run, videos):
    """Writes truth.parquet: what each frame shows (see data.frame_truth), of a data set where it is known, else no row.

    videos: of list_videos. Returns the table, None where it is not known.
    """
    p = run.parameters
    found = frame_truth(p["dataset"], p["root"], videos, p["word"], p["annotations"])
    run.write_table(run.folder / "truth.parquet", NO_TRUTH if found is None else found)
    return found


def list_teacher_videos(run, videos):
    """The videos that the teacher learns from, given the study's; writes teacher_videos.parquet, returns the table."""
    p = run.parameters
    if p["dataset"] == "planted" and p["teacher_videos"] == "trimmed":
        for name in ("classInd.txt", "trainlist01.txt", "vallist01.txt"):
            run.uses(ROOT / p["root"] / "trimmed" / name)
    found = _identified(find_teacher_videos(p["dataset"], p["root"], videos, p["teacher_videos"]))
    path = run.folder / "teacher_videos.parquet"
    if not run.stands(path, found):
        run.write_table(path, found, [ON_DISK])
    run.note(path)
    return found


def changed(path, provenance):
    """What is no longer so of the videos of a table (videos.parquet, teacher_videos.parquet), in words; "" for nothing.

    provenance: what the table says of itself. Where the data set's folder is not there, nothing has changed that could
    be known.
    """
    parameters = declared_parameters("01_dataset") | provenance["parameters"]  # those that came later at their defaults
    if not (ROOT / parameters["root"]).is_dir():
        return ""
    known = pyarrow.parquet.read_table(path).to_pandas()
    if Path(path).name == "videos.parquet":
        try:
            found = _found(parameters)
        except ValueError as e:
            return f"the data set can no longer be listed ({e})"
        if found.attrs["classes"] != provenance["classes"]:
            return "the class list changed"
        listed = [name for name in found if name in known and name not in (*SEEN[1:], *OPENED)]
        one, other = (t[listed].astype(str).agg("\0".join, axis=1) for t in (known, found))
        names = {*known.video[~one.isin(set(other))], *found.video[~other.isin(set(one))]}
        if names:
            what = [n for n, t in (("new", known), ("gone", found)) if min(names) not in set(t.video)]
            return f"video {min(names)} is {what[0] if what else 'listed otherwise'}"
        if values_digest(found.attrs["missing"]) != provenance["missing"]:
            return "the list of videos changed"
    elif parameters["dataset"] == "planted" and parameters["teacher_videos"] == "trimmed":
        here = set(map(str, (Path(parameters["root"]) / "trimmed").rglob("*.mp4")))
        if extra := here ^ set(known.path):
            return f"the teacher's video {min(extra)} is new or gone"
    now = _identified(known, known)
    differs = now.video[now.digest != known.digest]
    return f"video {differs.iloc[0]} changed" if len(differs) else ""
