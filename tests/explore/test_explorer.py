"""The explorer's widgets follow each other; no browser is needed for that."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from conftest import read_numbers
from PIL import Image
from small_run import make_run

from condi_lib import explore, runs


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("explorer")
    make_run(root)
    return root


@pytest.fixture
def made(root, tmp_path):
    return explore.Explorer(root / "runs", tmp_path / "figures")


def shown(explorer):
    """Everything that is shown of a video."""
    one = explorer.controls
    return one.strip.view, one.strip.images, one.numbers.value, one.place.value, one.video.value, one.video.options


def test_any_way_to_a_state_shows_the_same(root, made, tmp_path):
    one = made.controls
    one.split.value = "val"
    one.k.value = 4
    one.first.value, one.second.value = "st_ent", "condi_sr"
    one.split.value = "test"
    one.k.value, one.k_student.value = 3, 2
    one.order.value = "longest"
    one.next.click()
    state = {
        name: getattr(one, name).value for name in ("split", "k", "k_student", "first", "second", "order", "video")
    }
    direct = explore.Explorer(root / "runs", tmp_path / "other", **state)
    assert shown(made) == shown(direct) and one.strip.view["n_frames"] > 0


def test_k_belongs_to_the_split(made):
    one = made.controls
    longest = made.study.longest("test")
    one.k.value = longest
    for _ in range(len(one.video.options) - 1):
        one.next.click()
        assert (one.k.value, one.k.max) == (longest, longest)
    one.split.value = "val"
    assert one.k.max == made.study.longest("val") and one.k.value == min(longest, one.k.max)
    one.k_student.value = one.k.value
    one.k.value = 2
    assert (one.k_student.max, one.k_student.value) == (2, 2)


def test_filters_follow_k_and_keep_the_video(made):
    one, study = made.controls, made.study
    one.show.index = 1
    for k in range(1, one.k.max + 1):
        one.k.value = k
        listed = study.pick("test", one.show.value, k)
        before = one.video.value
        assert list(one.video.options) == listed and (not listed or before in listed)
        assert one.place.value == (f"{listed.index(before) + 1} of {len(listed)}" if listed else "")
    one.show.index, one.k.value = 0, 2
    one.video.index = 3
    stays = one.video.value
    one.order.value = "most ambiguous"
    one.k.value = 3
    assert one.video.value == stays
    one.class_name.value = one.class_name.options[1]
    assert set(one.video.options) == set(study.pick("test", k=3, **{"class": one.class_name.value}))
    one.class_name.value, one.group.value = "all", "length: short"
    assert set(one.video.options) == set(study.pick("test", k=3, length="short"))


def test_nothing_stands_where_nothing_is_listed(made):
    one = made.controls
    for k in range(1, one.k.max + 1):
        for show in range(5):
            one.k.value, one.show.index = k, show
            if not one.video.options:
                assert "no video of this kind" in one.said.value
                assert (one.strip.view, one.strip.images, one.numbers.value, one.note.value) == ({}, [], "", "")
                one.show.index = 0
                assert one.strip.view and one.said.value == "" and one.numbers.value
                return
    raise AssertionError("no filter was empty: the test's data do not test it")


def test_two_samplers_side_by_side(made):
    one = made.controls
    one.first.value, one.second.value = "condi_sr", "st_ent"
    view = one.strip.view
    assert view["marked"] == ["condi_sr", "st_ent"] and [c["name"] for c in view["curves"]] == ["condi_sr", "st_ent"]
    assert "ConDi-SR" in one.numbers.value and "ST-Ent" in one.numbers.value
    assert one.show.options[1:3] == ("only ConDi-SR correct", "only ST-Ent correct")
    rows = {row["name"]: row for row in view["rows"]}
    for curve in view["curves"]:
        assert curve["cells"] == rows[curve["name"]]["cells"]


def test_the_strip_shows_the_middle_frame_of_each_clip(made):
    one = made.controls
    for i in range(4):
        one.video.index = i
        images = np.stack([np.asarray(Image.open(io.BytesIO(jpeg))) for jpeg in one.strip.images])
        clips = torch.from_numpy(images).permute(0, 3, 1, 2)[:, :, None]  # (N, 3, 1, H, W)
        assert read_numbers(clips)[:, 0].tolist() == [8 * c + 4 for c in range(len(images))]
        assert len(images) == len(one.strip.view["bars"][0]) == len(one.strip.view["rows"][0]["cells"])


def test_notes_are_kept_and_come_back(root, made, tmp_path):
    one = made.controls
    one.note.value = 'a cut, "sure" of it\u00e9'
    first = one.video.value
    one.next.click()
    assert one.note.value == ""
    one.note.value = "second"
    one.note.value = " "
    file = tmp_path / "figures" / "notes.csv"
    again = explore.Explorer(root / "runs", tmp_path / "figures", video=first)
    assert again.controls.note.value == 'a cut, "sure" of it\u00e9'
    assert file.read_text().splitlines() == [
        "run,split,video,note",
        f'test/folder/resnext14_small,test,{first},"a cut, ""sure"" of it\u00e9"',
    ]


def test_a_view_is_saved_once_and_pyplot_keeps_nothing(made, tmp_path):
    before = plt.get_fignums()
    made.controls.save.click()
    saved = sorted(path.suffix for path in (tmp_path / "figures").iterdir())
    assert saved == [".png", ".svg"] and "saved as" in made.controls.said.value and plt.get_fignums() == before


def test_a_video_that_is_gone_is_said_and_the_rest_is_shown(tmp_path):
    folder = make_run(tmp_path, n_videos=3)
    first, second, *_ = explore.read_study(folder).pick("test")
    (tmp_path / f"{first}.mp4").unlink()
    one = explore.Explorer(tmp_path / "runs", tmp_path / "figures").controls
    assert one.video.value == first and "cannot be decoded" in one.said.value
    assert one.strip.images == [] and one.strip.view["rows"] and "accuracy" in one.numbers.value
    one.save.click()
    assert "saved as" in one.said.value
    one.next.click()
    assert one.video.value == second and one.said.value == "" and one.strip.images


def test_a_run_that_cannot_be_read_leaves_the_one_before(tmp_path):
    make_run(tmp_path, n_videos=2, name="good")
    bad = make_run(tmp_path, n_videos=2, name="bad")
    (bad / "clips.parquet").write_bytes(b"cut off")
    made = explore.Explorer(tmp_path / "runs", tmp_path / "figures", start="good/folder/resnext14_small")
    one = made.controls
    before = shown(made)
    one.run.value = "bad/folder/resnext14_small"
    assert one.run.value == "good/folder/resnext14_small" and "clips.parquet" in one.said.value
    assert shown(made) == before
    one.next.click()
    assert one.video.index == 1


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"k": 99}, "k: found 99, expected 1 to 7"),
        ({"k": 2, "k_student": 3}, "k_student: found 3, expected 0 to 2"),
        (
            {"show": "only dense right"},
            "show: 'only dense right' is not there; expected one of all, only ConDi-SR correct",
        ),
        ({"first": "bce_c"}, "first: 'bce_c' is not there; expected one of dense, oracle"),
        ({"video": "x"}, "video: 'x' is not there"),
        ({"kk": 1}, "kk: the explorer has no such choice; expected one of split"),
    ],
)
def test_what_it_cannot_open_with_is_named(root, tmp_path, choice, message):
    with pytest.raises(ValueError, match=message):
        explore.explorer(root / "runs", tmp_path, **choice)


def test_it_opens_at_a_figures_group(root, tmp_path):
    made = explore.Explorer(root / "runs", tmp_path, show="only dense correct", k=1, group="length: long")
    assert list(made.controls.video.options) == made.study.pick("test", "only dense correct", 1, length="long")


def test_no_finished_run_is_said(tmp_path):
    with pytest.raises(runs.MissingStep, match="holds no finished run"):
        explore.explorer(tmp_path)
