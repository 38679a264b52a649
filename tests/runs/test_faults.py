"""What goes wrong in days of running: nothing half-written, nothing lost, one clear message."""

import json
import os
import platform
import re
import resource
import subprocess
import sys
from pathlib import Path

import av
import nbformat
import pandas as pd
import pyarrow.parquet
import pytest
import torch
from conftest import make_clips, make_study
from test_parts import make_run

from condi_lib import evaluation, runs, sampler
from condi_lib.data import VideoError, find_videos, iter_clips, planted, probe_videos
from condi_lib.models import build_student, build_teacher
from condi_lib.predictor import Predictor
from condi_lib.runs import ROOT

TESTS = [str(folder) for folder in Path(__file__).resolve().parents[:2]]
STEP = "03_teacher_labels"

FULL = """
import resource, signal, sys
sys.path[:0] = {tests!r}
from pathlib import Path
import pandas as pd, torch
from test_parts import make_run, make_teacher
from condi_lib.runs import save_figure
from condi_lib.data import write_atomically
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))  # as a disk that is full after so many bytes
folder, run = Path(sys.argv[1]), make_run(sys.argv[1])
table = pd.DataFrame({{"x": torch.rand(5000).double().numpy()}})
writers = {{
    "table.parquet": lambda path: run.write_table(path, table),
    "values.json": lambda path: run.write_json(path, {{"x": list(table.x)}}),
    "weights.safetensors": lambda path: run.write_weights(path, make_teacher()),
    "checkpoint.pt": lambda path: write_atomically(path, lambda part: torch.save(make_teacher().state_dict(), part)),
    "table.csv": lambda path: save_figure(run, folder, "table", None, table),
}}
for name, write in writers.items():
    try:
        write(folder / name)
        print(name, "written")
    except OSError as e:
        print(e)
"""


def test_a_full_disk_is_named_and_leaves_nothing_behind(tmp_path):
    script = tmp_path / "full.py"
    script.write_text(FULL.format(tests=TESTS, limit=4096))
    out = tmp_path / "out"
    out.mkdir()
    done = subprocess.run([sys.executable, str(script), str(out)], capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if "/out/" in line]
    names = "table.parquet", "values.json", "weights.safetensors", "checkpoint.pt", "table.csv"
    assert [line.split(": cannot be written: ")[0] for line in lines] == [str(out / n) for n in names], done
    assert not list(out.iterdir())


def test_a_folder_that_cannot_be_written_is_named():
    run = make_run("/proc/none")  # no file can be made there, by root neither
    with pytest.raises(OSError, match="/proc/none/x.parquet: cannot be written"):
        run.write_table(run.folder / "x.parquet", pd.DataFrame({"x": [1]}))
    with pytest.raises(OSError, match="/proc/none: cannot be written"), runs.alone(run.folder, STEP):
        pass


def written(tmp_path):
    run = make_run(tmp_path)
    run.write_table(tmp_path / "clips.parquet", make_clips())
    return run, tmp_path / "clips.parquet"


@pytest.mark.parametrize("keep", [0, 4, 0.5, 0.999])
def test_a_cut_clip_table_says_which_notebook_to_run(tmp_path, keep):
    run, path = written(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(runs.MissingStep, match="clips.parquet is missing or unreadable: run notebooks/03"):
        run.read_table(path, STEP)
    assert not run.is_done(path)


def test_a_clip_table_with_a_damaged_middle_is_an_error(tmp_path):
    run, path = written(tmp_path)
    whole = bytearray(path.read_bytes())
    whole[8:200] = b"\0" * 192  # the footer is whole
    path.write_bytes(whole)
    with pytest.raises(runs.MissingStep, match=r"clips.parquet cannot be read (?s:.*): run notebooks/03"):
        run.read_table(path, STEP)


def test_a_table_of_another_schema_or_data_set_is_not_read(tmp_path):
    run, path = written(tmp_path)
    table = pyarrow.parquet.read_table(path)
    kept = runs.read_provenance(path)
    for change, message in (
        ({"schema": 0}, "has schema 0, expected 2"),
        ({"parameters": {**kept["parameters"], "dataset": "ucf101"}}, "was made with dataset = 'ucf101', but"),
        ({"parameters": {**kept["parameters"], "frames": 16}}, "was made with frames = 16, but"),
    ):
        with pyarrow.parquet.ParquetWriter(path, table.schema) as out:
            out.write_table(table)
            out.add_key_value_metadata({"provenance": json.dumps({**kept, **change})})
        with pytest.raises(runs.MissingStep, match=message):
            run.read_table(path, STEP)


HOLDS = """
import sys, time
sys.path[:0] = {tests!r}
from condi_lib.runs import alone
with alone(sys.argv[1], "03_teacher_labels"):
    print("has it", flush=True)
    time.sleep(60)
"""


def test_a_second_run_into_the_same_folder_is_told_of_the_first(tmp_path):
    command = [sys.executable, "-c", HOLDS.format(tests=TESTS), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "has it\n"
        message = f"{STEP} is already running there .process {first.pid} on .*another `out`"
        with pytest.raises(runs.BusyRun, match=message), runs.alone(tmp_path, STEP):
            pass
        first.kill()
        first.wait()
    with runs.alone(tmp_path, STEP):  # the lock died with its holder
        pass


def test_a_split_without_clips_is_an_error(tmp_path):
    clips, scores = make_study()
    with pytest.raises(ValueError, match="clip table: found no clip"):
        sampler.read_arrays(clips[clips.split == "val"], scores)


def test_k_of_zero_is_an_error_and_k_above_n_takes_all():
    clips = make_clips(n_videos=3, longest=1)  # videos of one clip
    with pytest.raises(ValueError, match="k: found 0, expected a number of clips >= 1"):
        evaluation.accuracy_vs_k(clips, sampler.clip_arrays(clips).mask * 1.0, [0])
    found = evaluation.accuracy_vs_k(clips, sampler.clip_arrays(clips).mask * 1.0, [1, 50])
    assert found.n_clips.tolist() == [1, 1] and found.gain.tolist() == [0, 0]


def test_a_folder_without_videos_is_no_class(tmp_path):
    frames, *_ = planted.draw_video(planted.World(), "test", 0)
    for name in ("train/a", "train/c", "test/a", "test/c"):
        (tmp_path / name).mkdir(parents=True)
        planted.write_video(tmp_path / name / "v.mp4", frames[:8])
    (tmp_path / "train" / "b").mkdir()
    found = find_videos("folder", tmp_path)
    assert found.set_index("class_name").label.to_dict() == {"a": 0, "c": 1}
    assert "folders without a video are no classes: train/b" in found.attrs["notes"]


def test_weights_of_other_classes_are_an_error_where_nothing_is_trained(tmp_path):
    torch.save(build_teacher("resnext14_small", 5).state_dict(), tmp_path / "w.pt")
    with pytest.raises(ValueError, match="w.pt does not fit"):
        build_teacher("resnext14_small", 4, tmp_path / "w.pt", new_head=False)


@pytest.mark.parametrize("container", ["y4m", "avi"])
def test_a_hostile_size_is_refused_before_it_is_allocated(tmp_path, container):
    """Headers that declare 100,000 x 100,000 pixels."""
    path = tmp_path / f"huge.{container}"
    if container == "y4m":
        path.write_bytes(b"YUV4MPEG2 W100000 H100000 F25:1 Ip C420jpeg\nFRAME\n" + b"\0" * 1000)
    else:
        with av.open(str(path), "w") as out:
            stream = out.add_stream("rawvideo", rate=25)
            stream.width = stream.height = 32
            stream.pix_fmt = "yuv420p"
            out.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        data = path.read_bytes()
        at = data.index(b"strf") + 12  # BITMAPINFOHEADER: size, then width and height
        assert data[at : at + 8] == (32).to_bytes(4, "little") * 2
        path.write_bytes(data[:at] + (100_000).to_bytes(4, "little") * 2 + data[at + 8 :])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(VideoError, match=f"huge.{container}: cannot be decoded"):
        next(iter_clips(path))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


@pytest.mark.parametrize(
    "code, message",
    [
        ("import os; os.kill(os.getpid(), 9)", "its kernel died: killed, or the memory did not suffice"),
        ("raise ValueError('what and why')", "ValueError: what and why"),
    ],
)
def test_a_notebook_that_fails_leaves_what_ran_and_nothing_finished(tmp_path, code, message):
    cells = [nbformat.v4.new_code_cell("print('before')"), nbformat.v4.new_code_cell(code)]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": ""}})
    nbformat.write(notebook, tmp_path / "some.ipynb")
    (tmp_path / "logs").mkdir()
    paths = [str(tmp_path / name) for name in ("some.ipynb", "done.ipynb", "logs/some.log")]
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom workflow.notebook import main; main(*{paths}, {{}}, 1)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1 and f"some: {message}" in done.stderr and "logs/some.ipynb" in done.stderr
    assert not (tmp_path / "done.ipynb").exists()
    assert "before" in (tmp_path / "logs" / "some.ipynb").read_text()


NAMES = ['it\'s "quoted"', "$(touch ran)", "`touch ran`; touch ran", "-rf", "two\nlines", "ünï 🎬", "a%20b#c?d", "{x}"]


def test_names_of_files_are_names_and_nothing_else(tmp_path, monkeypatch):
    """From the folder to the clip table, the score table and the predictor."""
    monkeypatch.chdir(tmp_path)
    frames, *_ = planted.draw_video(planted.World(), "test", 0)
    for split in ("train", "val", "test"):
        for i, name in enumerate(NAMES):
            folder = tmp_path / "root" / split / NAMES[i % 2 + 1]
            folder.mkdir(parents=True, exist_ok=True)
            planted.write_video(tmp_path / "v.mp4", frames[:9])
            (tmp_path / "v.mp4").rename(folder / f"{name}.mp4")
    videos = probe_videos(find_videos("folder", "root"))
    assert videos.ok.all() and len(videos) == 3 * len(NAMES) and videos.class_name.nunique() == 2
    run = make_run(tmp_path / "runs")
    runs.label_in_parts(run, build_teacher("resnext14_small", 2), videos, frames=8, size=32)
    clips = run.read_table(run.folder / "clips.parquet", STEP)
    assert set(clips.video) == set(videos.video)
    predict = Predictor(build_teacher("resnext14_small", 2), build_student(0.25, 2), 8, 32)
    for path in videos.path:
        assert len(predict(path, k=1)["score"]) == 2
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_is_a_value_whatever_it_holds(tmp_path, name):
    """papermill writes it as Python, and the run's folder is named after it."""
    from papermill.translators import PythonTranslator

    scope = {}
    exec(PythonTranslator.codify({"out": name}), scope)  # noqa: S102
    assert scope["out"] == name
    run = runs.Run(STEP, {"out": name}, tmp_path / name)
    run.write_json(run.folder / "x.json", {"x": 1})
    assert run.read_json(run.folder / "x.json", STEP) == {"x": 1}


def test_no_shell_is_started_and_no_pickle_loaded_anywhere():
    for path in [*ROOT.glob("condi_lib/**/*.py"), *ROOT.glob("workflow/*.py"), ROOT / "Snakefile"]:
        text = path.read_text()
        assert not re.search(r"shell\s*=|os\.system|os\.popen|^\s+shell:", text, re.M), path
        assert not re.search(r"pickle\.load|read_pickle|torch\.load\((?!.*weights_only=True)", text), path


def test_what_a_killed_process_was_writing_is_removed(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for pid in (gone.pid, os.getpid()):
        (tmp_path / f".{platform.node()}.{pid}.weights.safetensors").touch()
    (tmp_path / f".elsewhere.{gone.pid}.weights.safetensors").touch()  # of another machine: not known to be dead
    with runs.alone(tmp_path, STEP):
        pass
    assert (tmp_path / f".{platform.node()}.{os.getpid()}.weights.safetensors").exists()
    assert not (tmp_path / f".{platform.node()}.{gone.pid}.weights.safetensors").exists()
    assert (tmp_path / f".elsewhere.{gone.pid}.weights.safetensors").exists()
