"""Nothing stale: each kind of input changed once, what is made again, and what is not."""

import os
import shutil

import pandas as pd
import pytest
import torch
from conftest import numbered_frames, run_notebook, ucf_tree

from condi_lib import runs
from condi_lib.data.identity import file_identity
from condi_lib.data.planted import write_video
from condi_lib.models import build_teacher
from condi_lib.models.own import network_sources
from condi_lib.runs import provenance
from workflow import status

NOTEBOOKS = ("01_dataset", "02_teacher", "03_teacher_labels", "05_train_sampler", "04_oracle")
OF_TEACHER = {"teacher.safetensors", "teacher_history.parquet", "teacher_confidence.parquet", "teacher.json"}
OF_LABELS = {"clips.parquet", "labelled_videos.parquet", "label_shares.parquet", "oracle.parquet"}
OF_STUDENT = {f"condi_sr/seed0/{name}" for name in ("student.safetensors", "scores.parquet", "metrics.json")}
OF_STUDENT |= {"condi_sr/seed0/history.parquet"}
OF_START = {"student_start.safetensors"}
OF_VIDEOS = {"videos.parquet", "teacher_videos.parquet", "missing_videos.parquet", "truth.parquet", "table_1_1.parquet"}
AFTER_TEACHER = OF_TEACHER | OF_LABELS | OF_STUDENT
ALL = OF_VIDEOS | OF_START | AFTER_TEACHER
KEPT = {"teacher.safetensors", "clips.parquet", "student_start.safetensors"}  # and these, made once
KEPT |= {"condi_sr/seed0/student.safetensors", "condi_sr/seed0/scores.parquet"}


class Study:
    """The notebooks up to a student, on a small tree, with these parameters."""

    def __init__(self, folder):
        self.root, self.out = ucf_tree(folder / "ucf"), folder / "runs"
        self.folder = self.out / "ucf101" / "resnext14_small"
        self.weights = folder / "start.pth"
        torch.manual_seed(0)
        torch.save(build_teacher("resnext14_small", 2).state_dict(), self.weights)
        self.own = {name: {} for name in NOTEBOOKS}
        self.own["02_teacher"] = {"teacher_epochs": 1, "teacher_checkpoint": str(self.weights), "batch_size": 12}
        self.own["05_train_sampler"] = {"epochs": 1, "batch_size": 16}

    def run(self, *notebooks, **changes):
        for name in notebooks or NOTEBOOKS:
            self.own[name] |= changes if len(notebooks) == 1 else {}
            run_notebook(name, dataset="ucf101", root=str(self.root), out=str(self.out), **self.own[name])

    def files(self):
        return {p.relative_to(self.folder).as_posix(): p for p in self.folder.rglob("*.*") if p.suffix != ".lock"}

    def stale(self):
        known = {}
        names = {name: path for name, path in self.files().items() if not name.startswith("decoded/")}
        return {name for name, path in names.items() if provenance.why_stale(path, known=known)}

    def written(self):
        return {name: os.stat(path).st_ino for name, path in self.files().items() if name in KEPT}

    def again(self):
        """Runs all, and says which of KEPT were made again."""
        before = self.written()
        self.run()
        assert self.stale() == set()
        return {name for name, inode in self.written().items() if before.get(name) != inode}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    study = Study(tmp_path_factory.mktemp("study"))
    study.run()
    return study


@pytest.fixture
def study(made, tmp_path):
    """A copy of a finished study, as one makes it to another disk: all times are new."""
    copy = Study.__new__(Study)
    vars(copy).update(vars(made))
    copy.own = {name: dict(own) for name, own in made.own.items()}
    shutil.copytree(made.out, tmp_path / "runs", copy_function=shutil.copyfile)
    copy.out = tmp_path / "runs"
    copy.folder = copy.out / "ucf101" / "resnext14_small"
    return copy


def test_a_copied_run_a_commit_and_a_touched_video_make_nothing_again(study, monkeypatch):
    monkeypatch.setattr(provenance, "commit", lambda: "another")
    for video in study.root.rglob("*.avi"):
        os.utime(video)
    os.utime(study.weights)
    assert study.stale() == set() == study.again()
    assert status.main(str(study.out)) == 0


def test_another_schema_makes_all_again(study, monkeypatch):
    monkeypatch.setattr(provenance, "SCHEMA", provenance.SCHEMA + 1)
    assert study.stale() == ALL


def test_another_fold_makes_all_again(study):
    study.run("01_dataset", fold=2)
    assert study.stale() == ALL - OF_VIDEOS | {"teacher_videos.parquet"}
    with pytest.raises(runs.MissingStep, match="teacher.safetensors is stale, because videos.parquet changed"):
        study.run("03_teacher_labels")
    assert study.again() == KEPT
    clips = pd.read_parquet(study.folder / "clips.parquet")
    assert set(clips.video[clips.split == "test"]) == {f"v_{c}_g0{g}_c01" for c in ("Down", "Right") for g in (7, 8)}


def test_a_teacher_trained_anew_is_not_taken_for_the_one_before(study):
    study.run("02_teacher", teacher_epochs=2)
    assert study.stale() == OF_LABELS | OF_STUDENT
    assert study.again() == KEPT - {"teacher.safetensors", "student_start.safetensors"}


def test_replaced_weights_are_seen(study, tmp_path, made):
    kept = made.weights.read_bytes()
    try:
        torch.save(build_teacher("resnext14_small", 2).state_dict(), study.weights)
        assert study.stale() == AFTER_TEACHER | OF_START
        with pytest.raises(runs.MissingStep, match="clips.parquet is stale, because .*start.pth changed"):
            study.run("04_oracle")
    finally:
        made.weights.write_bytes(kept)


@pytest.mark.parametrize("change", ["new", "gone", "changed", "list", "classes"])
def test_videos_and_lists_are_looked_at(study, made, tmp_path, change):
    shutil.copytree(made.root, tmp_path / "kept")
    said = r"stale, because .*videos.parquet is stale \(.*(g0\d_c01|class list)"
    some = study.root / "Down" / "v_Down_g03_c01.avi"
    try:
        if change == "changed":  # as long as it was, and of the same time
            time, size = os.stat(some).st_mtime_ns, os.stat(some).st_size
            content = bytearray(some.read_bytes())
            content[size // 2] ^= 255
            some.write_bytes(content)
            os.utime(some, ns=(time, time + 1))
        elif change == "gone":
            some.unlink()
        elif change == "new":
            write_video(study.root / "Down" / "v_Down_g09_c01.avi", numbered_frames(24))
            with open(study.root / "trainlist01.txt", "a") as file:
                file.write("Down/v_Down_g09_c01.avi\n")
        elif change == "list":
            lines = (study.root / "trainlist01.txt").read_text().splitlines(True)
            (study.root / "trainlist01.txt").write_text("".join(lines[1:]))
        else:
            (study.root / "classInd.txt").write_text("1 Down\n2 Right\n3 Up\n")
        assert study.stale() == ALL
        with pytest.raises(runs.MissingStep, match=said):
            study.run("04_oracle")
        if change in ("new", "changed"):
            assert study.again() == KEPT
    finally:
        shutil.rmtree(made.root)
        shutil.copytree(tmp_path / "kept", made.root)


def test_a_students_parameters_make_the_student_again(study):
    assert study.stale() == set()
    before = study.written()
    study.run("05_train_sampler", epochs=2)
    changed = {name for name, inode in study.written().items() if before[name] != inode}
    assert changed == {"condi_sr/seed0/student.safetensors", "condi_sr/seed0/scores.parquet"} and not study.stale()


def test_status_says_what_and_why_and_fails(study, capsys):
    (study.folder / "student_start.safetensors").unlink()
    assert status.main(str(study.out)) == 1
    said = capsys.readouterr().out
    assert "stale, because student_start.safetensors is gone:" in said and "current: " in said


def test_a_figure_says_when_one_of_its_files_changed_and_needs_no_run(study, tmp_path, capsys):
    run = runs.Run("09_figures", {"dataset": "ucf101"}, study.folder)
    table = run.read_table(study.folder / "oracle.parquet", "04_oracle")
    runs.save_figure(run, tmp_path / "figures", "oracle", None, table)
    found = runs.read_provenance(tmp_path / "figures" / "oracle.json")
    assert {"oracle.parquet", "clips.parquet", "teacher.safetensors", "videos.parquet"} <= found["chain"].keys()
    assert status.main(str(tmp_path / "figures")) == 0
    (tmp_path / "figures" / "oracle.csv").write_text("mine")
    assert status.main(str(tmp_path / "figures")) == 1
    assert "stale, because oracle.csv changed" in capsys.readouterr().out
    (tmp_path / "figures" / "oracle.csv").unlink()
    shutil.rmtree(study.out)
    assert status.main(str(tmp_path / "figures")) == 1
    assert "stale, because oracle.csv is gone" in capsys.readouterr().out


def test_what_a_network_of_ones_own_imports_counts(tmp_path):
    (tmp_path / "net.py").write_text("import os\nfrom helper import SIGN\nfrom deep import more\n")
    (tmp_path / "helper.py").write_text("SIGN = 1\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "__init__.py").write_text("")
    (tmp_path / "deep" / "more.py").write_text("import helper\n")
    found = {path.relative_to(tmp_path).as_posix() for path in network_sources(f"{tmp_path}/net.py:build")}
    assert {"net.py", "helper.py", "deep/__init__.py"} <= found


def test_pictures_that_change_places_are_another_folder(tmp_path):
    for i in range(200):
        (tmp_path / f"{i}.png").write_bytes(bytes([i]) * (100 + i))
    before = file_identity(tmp_path)
    assert file_identity(tmp_path, before) == before
    for a, b in (("7.png", "x"), ("9.png", "7.png"), ("x", "9.png")):
        (tmp_path / a).rename(tmp_path / b)
    assert file_identity(tmp_path, before)["digest"] != before["digest"]


def test_weights_alone_can_be_copied_without_the_list_of_their_videos(study):
    (study.folder / "teacher_videos.parquet").unlink()
    assert study.stale() == set()
