import json
import re
import tomllib

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from condi_lib import runs
from condi_lib.runs import MissingStep, ParameterError, Run, check_parameters, declared_parameters, parameters

ROOT = runs.ROOT
NOTEBOOKS = sorted(p.stem for p in (ROOT / "notebooks").glob("*.ipynb"))


def scope(notebook, injected="", **changes):
    values = {**declared_parameters(notebook), **changes}
    return {"In": ["", "dataset = 1", injected], **values}


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_the_stored_parameters_pass(notebook):
    found = check_parameters(notebook, scope(notebook))
    assert found == declared_parameters(notebook)


@pytest.mark.parametrize(
    ("notebook", "changes", "message"),
    [
        ("01_dataset", {"dataset": "ucf100"}, "dataset: 'ucf100' is unknown; expected one of planted, ucf101"),
        ("02_teacher", {"teacher": "resnext"}, "teacher: 'resnext' is unknown"),
        ("05_train_sampler", {"loss": "condi"}, "loss: 'condi' is unknown; expected one of st_ent"),
        ("05_train_sampler", {"lr": "1e-3"}, "lr: found '1e-3', expected a float such as 0.003"),
        ("05_train_sampler", {"lr": 0.0}, "lr: found 0.0, expected a number above 0"),
        ("05_train_sampler", {"epochs": 0}, "epochs: found 0, expected 1 or more"),
        ("05_train_sampler", {"epochs": True}, "epochs: found True, expected a int"),
        ("05_train_sampler", {"student_width": 0.3}, "student_width: 0.3 is unknown"),
        ("05_train_sampler", {"tau": 0}, "tau: found 0, expected a number above 0"),
        ("06_sampling", {"ks": [3, 0]}, "ks: found 0, expected 1 or more"),
        ("06_sampling", {"losses": ["st_ent", "x"]}, "losses: 'x' is unknown"),
        ("06_sampling", {"seeds": [-1]}, "seeds: found -1, expected 0 or more"),
        ("06_sampling", {"ks": []}, "ks: found an empty list, expected one or more, such as [1, 2"),
        ("06_sampling", {"ks": ["3"]}, "ks: found '3', expected a int such as 1"),
        ("06_sampling", {"ks": [2.5]}, "ks: found 2.5, expected a int"),
        ("06_sampling", {"ks": [5, 5, 1]}, "ks: found [5, 5, 1], expected each once"),
        ("06_sampling", {"ks": 5}, "ks: found 5, expected a list such as"),
        ("06_sampling", {"seeds": ["0"]}, "seeds: found '0', expected a int"),
        ("06_sampling", {"seeds": [0, 0]}, "seeds: found [0, 0], expected each once"),
        ("06_sampling", {"losses": []}, "losses: found an empty list"),
        ("02_teacher", {"student_repeats": [1, 2]}, "student_repeats: found 2 numbers, expected 3"),
        ("12_ablations", {"variants": [1]}, "variants: found 1, expected a str"),
        ("02_teacher", {"teacher_checkpoint": "no.pth"}, "teacher_checkpoint: found 'no.pth', but neither"),
    ],
)
def test_impossible_values_are_one_clear_error(notebook, changes, message):
    with pytest.raises(ParameterError, match=re.escape(message)):
        check_parameters(notebook, scope(notebook, **changes))


def test_a_path_that_is_read_is_looked_for_where_the_user_stands_then_at_the_root(tmp_path, monkeypatch):
    monkeypatch.setattr(parameters, "STARTED_IN", tmp_path)
    (tmp_path / "here.pth").touch()
    for given, expected in (("here.pth", str(tmp_path / "here.pth")), ("README.md", "README.md")):
        own = scope("02_teacher", teacher_checkpoint=given)
        assert check_parameters("02_teacher", own)["teacher_checkpoint"] == expected == own["teacher_checkpoint"]
    monkeypatch.setenv("HOME", str(tmp_path))
    found = check_parameters("02_teacher", scope("02_teacher", teacher_checkpoint="~/here.pth"))
    assert found["teacher_checkpoint"] == str(tmp_path / "here.pth")
    with pytest.raises(ParameterError, match=f"neither {tmp_path}/my_videos nor {ROOT}/my_videos is there"):
        check_parameters("01_dataset", scope("01_dataset", dataset="folder", root="my_videos"))


def test_a_name_that_papermill_injects_and_the_notebook_lacks_is_an_error():
    injected = '# Parameters\nloss = "st_ent"\nepoch = 3\n'
    with pytest.raises(ParameterError, match="epoch: 05_train_sampler has no such parameter; did you mean epochs"):
        check_parameters("05_train_sampler", scope("05_train_sampler", injected))


def test_numbers_may_be_written_as_integers():
    assert check_parameters("05_train_sampler", scope("05_train_sampler", lr=1))["lr"] == 1


@pytest.fixture
def run(tmp_path):
    parameters = {"dataset": "planted", "teacher": "resnext14_small", "frames": 8, "size": 32, "stride": 1}
    return Run("03_teacher_labels", parameters, tmp_path / "planted" / "resnext14_small")


def test_tables_come_back_with_their_provenance(run):
    table = pd.DataFrame({"video": ["a", "b"], "teacher_logits": [np.float32([1, 2]), np.float32([3, 4])]})
    path = run.folder / "clips.parquet"
    run.write_table(path, table)
    found = run.read_table(path, "03_teacher_labels")
    assert np.array_equal(np.stack(found.teacher_logits), [[1, 2], [3, 4]]) and found.video.tolist() == ["a", "b"]
    kept = runs.read_provenance(path)
    assert kept["parameters"] == run.parameters and kept["schema"] == runs.SCHEMA
    assert kept["versions"]["torch"] == torch.__version__
    assert re.fullmatch(r"[0-9a-f]{40}(\+changes)?|unknown", kept["commit"])
    assert str(ROOT) not in json.dumps(kept)


def test_weights_and_json_carry_provenance_too(run):
    run.write_weights(run.folder / "w.safetensors", torch.nn.Linear(2, 3))
    run.write_json(run.folder / "m.json", {"x": 1.0})
    for name in ("w.safetensors", "m.json"):
        assert runs.read_provenance(run.folder / name)["notebook"] == "03_teacher_labels"


def test_a_step_is_done_only_with_the_same_notebook_and_parameters(run):
    path = run.folder / "m.json"
    assert not run.is_done(path)
    run.write_json(path, {})
    assert run.is_done(path)
    assert not Run(run.notebook, {**run.parameters, "seed": 1}, run.folder).is_done(path)
    assert not Run("02_teacher", run.parameters, run.folder).is_done(path)


def test_a_missing_or_broken_file_names_the_notebook_to_run(run):
    path = run.folder / "clips.parquet"
    with pytest.raises(MissingStep, match=r"clips.parquet is missing or unreadable: run notebooks/03_teacher_labels"):
        run.read_table(path, "03_teacher_labels")
    run.write_table(path, pd.DataFrame({"video": ["a"] * 1000}))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(MissingStep, match="missing or unreadable"):
        run.read_table(path, "03_teacher_labels")


def test_a_clip_table_of_another_data_set_is_an_error(run):
    path = run.folder / "clips.parquet"
    Run(run.notebook, {**run.parameters, "dataset": "ucf101"}, run.folder).write_table(path, pd.DataFrame({"a": [1]}))
    with pytest.raises(MissingStep, match="made with dataset = 'ucf101', but this notebook has 'planted'"):
        run.read_table(path, "03_teacher_labels")


def test_a_write_that_fails_leaves_the_old_file_and_no_part(run):
    path = run.folder / "m.json"
    run.write_json(path, {"x": 1})
    with pytest.raises(TypeError):
        run.write_json(path, {"x": object()})
    assert json.loads(path.read_text())["x"] == 1 and len(list(run.folder.iterdir())) == 1


def test_figures_are_saved_with_table_and_provenance(run, tmp_path):
    figure, axis = plt.subplots()
    axis.plot([1, 2])
    table = pd.DataFrame({"k": [1, 2], "accuracy": [0.123456789, 1.0]})
    runs.save_figure(run, tmp_path / "figures", "curve", figure, table)
    plt.close(figure)
    assert sorted(p.name for p in (tmp_path / "figures").iterdir()) == [
        f"curve.{ext}" for ext in ("csv", "json", "md", "png", "svg")
    ]
    assert pd.read_csv(tmp_path / "figures" / "curve.csv").accuracy[0] == 0.123457
    assert (tmp_path / "figures" / "curve.md").read_text().splitlines()[2] == "| 1 | 0.1235 |"


def test_environment_yml_is_pyproject_toml():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = set(project["dependencies"] + project["optional-dependencies"]["dev"])
    lines = re.findall(r"^  - (\S+>=\S+)$", (ROOT / "environment.yml").read_text(), re.M)
    assert {re.sub(r"^pytorch>", "torch>", line) for line in lines} - {"python>=3.11"} == wanted
    assert f"python{project['requires-python']}" in lines


def test_the_lock_pins_every_dependency_and_names_no_host():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = (ROOT / "requirements.lock").read_text()
    for line in project["dependencies"] + project["optional-dependencies"]["dev"]:
        assert re.search(rf"^{re.escape(line.split('>=')[0])}==", lock, re.M), line
    assert "://" not in lock
