"""train_sampler: the whole way in one call."""

import numpy as np
import pandas as pd
import pytest
import torch

from condi_lib import train_sampler
from condi_lib.data import find_videos, planted
from condi_lib.data.planted import write_video
from condi_lib.labelling import label_clips
from condi_lib.models import build_student, build_teacher
from condi_lib.predictor import SHIPPED

CLASSES = list(planted.CLASSES)
OPTIONS = {"frames": 8, "size": 32, "epochs": 1, "augment": "none"}


def shipped():
    teacher = build_teacher("resnext14_small", 10, SHIPPED / "teacher.safetensors", new_head=False)
    return teacher, build_student(0.25, 10, SHIPPED / "student_start.safetensors", new_head=False, repeats=(1, 2, 1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("classes")
    for i in range(30):
        frames, _, label = planted.draw_video(planted.World(), "train", i)
        (root / CLASSES[label]).mkdir(exist_ok=True)
        write_video(root / CLASSES[label] / f"v{i}.mp4", frames[:48])
    return root


def table_of(folder):
    rows = [(p.stem, str(p), CLASSES.index(p.parent.name)) for p in sorted(folder.rglob("*.mp4"))]
    return pd.DataFrame(rows, columns=["video", "path", "label"])


@pytest.mark.parametrize("loss", ["condi_sr", "bce_c"])
def test_a_folder_and_a_teacher_make_a_predictor(folder, loss):
    teacher, student = shipped()
    before = [p.clone() for p in student.parameters()]
    predict = train_sampler(teacher, table_of(folder), loss, student=student, class_names=CLASSES, **OPTIONS)
    assert predict.loss == loss and any(
        not torch.equal(a, b) for a, b in zip(before, student.parameters(), strict=True)
    )
    video = next(folder.rglob("*.mp4"))
    found = predict(video, k=2)
    assert sum(found["by_teacher"]) == 2 and {name for name, _ in found["top5"]} <= set(CLASSES)
    assert len(repr(found)) < 200


def test_it_learns_what_the_teachers_labels_say(folder):
    """A student trained long on few clips ranks those higher on which the teacher is right."""
    teacher, student = shipped()
    options = OPTIONS | {"epochs": 25, "batch_size": 16}
    predict = train_sampler(teacher, table_of(folder), "bce_c", student=student, **options)
    table = table_of(folder).assign(split="train")
    clips, _ = label_clips(teacher, table, 8, 32)
    score = np.concatenate([predict(path, k=1)["score"] for path in table.path])
    assert 0.2 < clips.correct.mean() < 0.95
    assert score[clips.correct].mean() > score[~clips.correct].mean() + 1


def test_class_folders_are_their_own_classes(folder, capsys):
    here = sorted(p.name for p in folder.iterdir())
    teacher = build_teacher("resnext14_small", len(here))
    predict = train_sampler(
        teacher, folder, "st_ent", student=build_student(0.25, len(here), repeats=(1, 2, 1)), **OPTIONS
    )
    assert list(predict.class_names) == here
    n, n_train = len(find_videos("folder", folder)), (find_videos("folder", folder).split == "train").sum()
    assert f"the {n_train} of {n} videos" in capsys.readouterr().out and 0 < n_train < n


def test_what_cannot_be_is_said_in_one_line(folder):
    teacher, _ = shipped()
    with pytest.raises(ValueError, match="teacher: found a function, expected a torch.nn.Module"):
        train_sampler(lambda x: x, folder)
    with pytest.raises(ValueError, match="loss: 'condi' is unknown; expected one of st_ent"):
        train_sampler(teacher, folder, "condi")
    with pytest.raises(ValueError, match="videos: found no column label; expected video, path, label"):
        train_sampler(teacher, table_of(folder).drop(columns="label"))
    with pytest.raises(ValueError, match="videos: found none of the split train"):
        train_sampler(teacher, table_of(folder).assign(split="test"))
    with pytest.raises(ValueError, match="label: .* has 9, expected 0 to 3"):
        train_sampler(build_teacher("resnext14_small", 4), table_of(folder).assign(label=9), **OPTIONS)
