"""Kinetics' lists as they lie on disk: headers, spreadsheets, stray files, labels and lines that are none."""

import pandas as pd
import pytest
from test_layouts import KINETICS

from condi_lib.data import find_videos


def test_a_video_listed_twice_for_one_split_is_noted(make_files):
    files = kinetics_files(a=["train", "val"], b=["train", "val"])
    want = find_videos("kinetics", make_files(files))
    files["train.csv"] += files["train.csv"].splitlines()[1] + "\nb,btrain0,1,11,train\na,btrain1,1,11,train\n"
    found = find_videos("kinetics", make_files(files))
    pd.testing.assert_frame_equal(found, want)
    assert (
        "3 lines name a video again, and the first of each counts; 1 videos are of several classes there"
        in (found.attrs["notes"])
    )


def test_a_class_spelled_otherwise_in_kinetics_validation_list_is_the_same(make_files):
    files = kinetics_files(abc=["train", "val"], b=["train", "val"])
    files["val.csv"] = files["val.csv"].replace("abc,", "Abc,")
    videos = find_videos("kinetics", make_files(files))
    assert videos.attrs["classes"] == ["Abc", "b"] and len(videos) == 8
    assert any("Abc = abc" in note for note in videos.attrs["notes"])


def kinetics_files(**labels):
    """Two training and two validation videos of each class; labels: class -> on disk?"""
    rows = [(c, f"{c}{s}{i}", s) for c in labels for s in ("train", "val") for i in range(2)]
    files = {
        f"{s}.csv": KINETICS + "".join(f"{c},{v},1,11,{s}\n" for c, v, of in rows if of == s) for s in ("train", "val")
    }
    return files | {f"v/{v}_000001_000011.mp4": "x" for c, v, s in rows if s in labels[c]}


def test_the_class_list_is_the_published_one_whatever_is_on_disk(make_files):
    videos = find_videos(
        "kinetics", make_files(kinetics_files(a=["train", "val"], b=[], c=["train", "val"], d=["val"]))
    )
    assert videos.attrs["classes"] == list("abcd") and set(zip(videos.class_name, videos.label, strict=True)) == {
        ("a", 0),
        ("c", 2),
        ("d", 3),
    }
    assert videos.attrs["classes_without_videos"] == ["b"]
    assert videos.attrs["classes_without_training_videos"] == ["d"]
    notes = "\n".join(videos.attrs["notes"])
    assert (
        "1 of 4 classes have no video here: b" in notes and "1 classes have no training video, but others: d" in notes
    )


def test_a_kinetics_header_with_blanks_is_read_and_a_list_without_labels_is_named(make_files):
    files = kinetics_files(a=["train", "val"], b=["train", "val"])
    files["train.csv"] = files["train.csv"].replace("label,", " Label , ")
    files["test.csv"] = "youtube_id,time_start,time_end,split\nx,1,2,test\n"
    videos = find_videos("kinetics", make_files(files))
    assert len(videos) == 8 and videos.attrs["missing"] == []
    assert any("test.csv has no labels and is left out" in note for note in videos.attrs["notes"])


@pytest.mark.parametrize("place", ["", "annotations/"])
@pytest.mark.parametrize(
    "stray, text",
    [
        ("durations.csv", "id,seconds\na,1\n"),
        ("class_counts.csv", "label,count\na,3\n"),
        ("broken.csv", "a,b\n1,2,3\n"),
        ("binary.csv", b"\xff\xfe\0"),
        ("empty.csv", ""),
        ("train_sizes.csv", "file,size\na,1\n"),
    ],
)
def test_a_stray_file_beside_or_above_kinetics_lists_is_passed_over_and_named(make_files, place, stray, text):
    files = kinetics_files(a=["train", "val"], b=["train", "val"])
    want = find_videos("kinetics", make_files({place + n if n.endswith("csv") else n: t for n, t in files.items()}))
    found = find_videos("kinetics", make_files({stray: text}))
    pd.testing.assert_frame_equal(found, want)
    assert any(note.startswith("passed over as no list: ") and stray in note for note in found.attrs["notes"])


@pytest.mark.parametrize("name", ["train.csv", "kinetics_train.csv", "k600_val.csv", "kinetics-400-test.csv"])
def test_a_kinetics_list_by_its_name_that_is_none_is_an_error(make_files, name):
    files = kinetics_files(a=["train", "val"], b=["train", "val"]) | {name: "a,x,1,11,train\n"}
    with pytest.raises(ValueError, match=f"{name}: has no column youtube_id, but a, x, 1, 11, train; expected Kin"):
        find_videos("kinetics", make_files(files))


def test_kinetics_lists_that_name_no_video_are_an_error(make_files):
    with pytest.raises(ValueError, match="annotations: .*train.csv name no video with a label"):
        find_videos("kinetics", make_files({"train.csv": KINETICS, "a.mp4": ""}))
    with pytest.raises(ValueError, match="durations.csv: has no column youtube_id, but id, seconds; expected"):
        (make_files({"durations.csv": "id,seconds\n"}) / "train.csv").unlink()
        find_videos("kinetics", make_files({}))


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_kinetics_list_that_a_spreadsheet_saved(make_files, separator):
    files = kinetics_files(a=["train", "val"], b=["train", "val"])
    want = find_videos("kinetics", make_files(files))
    files = {name: text.replace(",", separator) for name, text in files.items() if name.endswith("csv")}
    pd.testing.assert_frame_equal(find_videos("kinetics", make_files(files)), want)


@pytest.mark.parametrize(
    "line, says",
    [
        ("a,x,one,11,train", "x has time_start 'one'; expected seconds"),
        (",x,1,11,train", "x has no label"),
        ("a,x,1,11,holdout", "split: 'holdout' in .*train.csv"),
    ],
)
def test_bad_lines_of_kinetics_are_named(make_files, line, says):
    files = kinetics_files(a=["train", "val"])
    with pytest.raises(ValueError, match=says):
        find_videos("kinetics", make_files(files | {"train.csv": files["train.csv"] + line + "\n"}))
