"""Folders of one's own as they lie on disk: what systems leave, odd names of splits, endings, names not in UTF-8."""

import json
import os

import pandas as pd
import pytest

from condi_lib.data import check_splits, find_videos, probe_videos
from condi_lib.data.splits import split_of
from condi_lib.data.tree import VIDEO_ENDINGS, walk

SPLITS = ("train", "val", "test")


def split_tree(names=SPLITS, classes=("archery", "bowling"), n=2):
    return [f"{split}/{name}/{i}.mp4" for split in names for name in classes for i in range(n)]


def counts(videos):
    return videos.groupby(["split", "class_name"]).size().to_dict()


LEFT_BEHIND = [
    "__MACOSX/train/archery/._0.mp4",
    "__MACOSX/other/0.mp4",
    "train/._archery/0.mp4",
    "train/archery/._0.mp4",
    "train/.DS_Store",
    ".ipynb_checkpoints/archery/0.mp4",
    "@eaDir/archery/0.mp4",
    "train/archery/@eaDir/0.mp4",
    "$RECYCLE.BIN/S-1-5/0.mp4",
    "System Volume Information/0.mp4",
    "test/archery/.0.mp4.swp",
    "Thumbs.db",
    "train/archery/Thumbs.db",
    "desktop.ini",
    "#recycle/archery/0.mp4",
    "RECYCLER/S-1-5-21-1/Dc1.mp4",
    "lost+found/x/0.mp4",
    ".git/archery/0.mp4",
]


def test_what_systems_leave_is_passed_over_and_not_even_named(make_files):
    want = find_videos("folder", make_files(split_tree()))
    found = find_videos("folder", make_files(LEFT_BEHIND))
    pd.testing.assert_frame_equal(found, want)
    assert found.attrs["passed_over"] == [] and found.attrs["classes"] == ["archery", "bowling"]


@pytest.mark.parametrize("name", ["recycled", "RECYCLER", "lost+found", "Temporary Items"])
@pytest.mark.parametrize("tops", [SPLITS, ("",)])
def test_classes_named_like_folders_of_systems_are_classes(make_files, name, tops):
    if tops == ("",) and not name.lower().startswith("recycle"):
        name += " 2"
    files = [f"{top}/{c}/{i}.mp4".lstrip("/") for top in tops for c in (name, "bowling") for i in range(9)]
    found = find_videos("folder", make_files(files))
    assert found.attrs["classes"] == sorted([name, "bowling"]) and len(found) == len(files)


def test_hidden_videos_and_sound_that_may_be_video_are_passed_over_and_named(make_files):
    odd = ["train/archery/...baby one more time.mp4", "train/archery/9.ogg"]
    found = find_videos("folder", make_files([*split_tree(), *odd, "train/archery/._9.mp4", "train/.x/0.mp4"]))
    assert found.attrs["passed_over"] == odd and len(found) == 12


@pytest.mark.parametrize("link, to", [("val", "test"), ("test", "val"), ("train/catch", "train/bowling")])
def test_a_link_to_a_folder_that_is_there_is_noted_and_the_folder_is_read(make_files, link, to):
    files = [name for name in split_tree() if not name.startswith(f"{link}/")]
    root = make_files(files)
    (root / link).symlink_to(root / to)
    found = find_videos("folder", root)
    assert sorted(found.video) == sorted(files)
    assert any(note.startswith(f"{link}/ is {to}/ by a link") for note in found.attrs["notes"])


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_one_file_in_two_splits_by_a_link_is_an_error_and_in_one_split_a_note(make_files, link):
    root = make_files(split_tree())
    link(root / "train/archery/0.mp4", root / "train/archery/again.mp4")
    found = find_videos("folder", root)
    assert "1 videos are the same file as another one: train/archery/again.mp4" in found.attrs["notes"]
    assert found[found.video.str.contains("again|train/archery/0")].source.nunique() == 1 and len(found) == 13
    link(root / "val/archery/0.mp4", root / "test/archery/of val.mp4")
    found = find_videos("folder", root)
    assert "val/archery/0.mp4" not in set(found.video) and len(found) == 13
    assert any("1 videos are listed for val and for test: they count as test" in note for note in found.attrs["notes"])
    link(root / "train/archery/0.mp4", root / "test/archery/leak.mp4")
    with pytest.raises(ValueError, match="split: test/archery/leak.mp4 = train/archery/0.mp4 .* is in test and in tr"):
        find_videos("folder", root)


def test_links_to_one_file_stay_on_one_side_where_no_split_is_given(make_files):
    root = make_files([f"{c}/{i}.mp4" for c in "ab" for i in range(10)])
    for i in range(10):
        os.symlink(root / f"a/{i}.mp4", root / f"a/{i} again.mp4")
    found = find_videos("folder", root)
    assert (found.groupby("source").split.nunique() == 1).all() and found.source.nunique() == 20


def test_a_link_to_a_folder_elsewhere_is_read(make_files, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    root = make_files(split_tree())
    (root / "train/archery").rename(elsewhere / "archery")
    (root / "train/archery").symlink_to(elsewhere / "archery")
    assert sorted(find_videos("folder", root).video) == sorted(split_tree())


@pytest.mark.parametrize(
    "more",
    [
        "intro.mp4",
        "unlabelled/0.mp4",
        "raw/2024/0.mp4",
        "train/intro.mp4",
        "thumbnails/0001.jpg",
        "backup/train/archery/0.mp4",
    ],
)
def test_what_lies_beside_splits_is_passed_over_and_named(make_files, more):
    want = find_videos("folder", make_files(split_tree()))
    found = find_videos("folder", make_files([more]))
    pd.testing.assert_frame_equal(found, want)
    named = os.path.dirname(more) if more.endswith("jpg") else more
    assert named in found.attrs["passed_over"] and any(named in note for note in found.attrs["notes"])


@pytest.mark.parametrize(
    "names",
    [
        ("train_256", "val_256", "test_256"),
        ("Training Set", "Validation Set", "Testing-Set"),
        ("train", "dev", "test"),
        ("train", "valid", "eval"),
        ("train", "eval", "test"),
        ("trainset", "valset", "testset"),
        ("01_train", "02_val", "03_test"),
        ("train_videos_320x240", "val_videos_320x240", "test_videos_320x240"),
        ("gestures_train", "gestures_val", "gestures_test"),
        ("TRAIN", "VAL", "TEST"),
        ("train_frames", "development", "evaluation"),
    ],
)
def test_clear_names_of_splits(make_files, names):
    videos = find_videos("folder", make_files(split_tree(names)))
    assert counts(videos) == {(split, name): 2 for split in SPLITS for name in ("archery", "bowling")}
    split = videos.set_index("video").split
    assert [split[f"{name}/archery/0.mp4"] for name in names] == list(SPLITS)


@pytest.mark.parametrize(
    "name", ["archery", "pretraining tips", "test tube", "valley", "trainer", "contest", "devil", "train test"]
)
def test_names_that_say_no_split(name):
    assert split_of(name) == ""


def test_actions_named_like_splits_stay_classes(make_files):
    videos = find_videos(
        "folder", make_files([f"{name}/{i}.mp4" for name in ("training", "running", "test drive") for i in range(9)])
    )
    assert videos.attrs["classes"] == ["running", "test drive", "training"]


@pytest.mark.parametrize(
    "more, says",
    [
        (split_tree(["holdout"]), "holdout/ in .* says no split.*found bowl|holdout/ in .* says no split"),
        (split_tree(["train_256"]), "are one video of the same split twice"),
        (split_tree(["old_train"]), "old_train/ in .* says no split"),
        (["test/.keep"], "split: test/ in .* holds no video; expected videos in test/<class>/"),
    ],
)
def test_unclear_trees_are_errors_that_list_what_was_found(make_files, more, says):
    make_files(split_tree(("train", "val") if ".keep" in more[0] else SPLITS))
    with pytest.raises(ValueError, match=says) as e:
        find_videos("folder", make_files(more))
    assert ".keep" in more[0] or all(f"{name}/" in str(e.value) for name in ("train",))


@pytest.mark.parametrize(
    "names",
    [
        *(("TrainA", "TestA"), ("xtrain", "xtest"), ("traindata", "testdata"), ("tr", "te"), ("split1", "split2")),
        *(("fold1", "fold2", "fold3"), ("seen", "unseen"), ("source", "target")),
        tuple(f"fold_{i}" for i in range(10)),
    ],
)
@pytest.mark.parametrize("around", ["", "all/"])
@pytest.mark.parametrize("classes", [("archery", "bowling"), ("0", "1", "2"), ("Archery", "b 1", "b 2")])
def test_top_folders_with_the_same_inner_folders_are_splits_that_are_not_understood(make_files, names, around, classes):
    root = make_files([around + file for file in split_tree(names, classes)])
    with pytest.raises(ValueError, match="hold folders of the same names.* known; expected .* testing") as e:
        find_videos("folder", root)
    assert all(f"{name}/ (" in str(e.value) for name in names)


@pytest.mark.parametrize(
    "inner, n",
    [
        (("camera 1", "camera 2", "camera 3"), 2),
        (("front", "side"), 6),
        (("v01", "v02", "v03", "v04", "v05"), 3),
    ],
)
def test_folders_below_classes_are_no_classes(make_files, inner, n):
    classes = ("archery", "bowling", "catch", "dive", "eat", "fall")[:n]
    videos = find_videos("folder", make_files([f"{c}/{i}/{k}.mp4" for c in classes for i in inner for k in range(3)]))
    assert videos.attrs["classes"] == list(classes) and len(videos) == n * len(inner) * 3
    assert any("taken for the classes, not for splits" in note for note in videos.attrs["notes"])


@pytest.mark.parametrize("around", ["train/videos", "val/Videos", "test/a b"])
def test_a_folder_more_in_one_of_the_splits(make_files, around):
    split = around.split("/")[0]
    files = [name.replace(f"{split}/", f"{around}/") for name in split_tree()]
    want = {(s, c): 2 for s in SPLITS for c in ("archery", "bowling")}
    assert counts(find_videos("folder", make_files(files))) == want


@pytest.mark.parametrize(
    "name, other",
    [("Riding Horse", "riding_horse"), ("caf\u00e9", "cafe\u0301"), ("archery", "ARCHERY"), ("a_b", "a  b")],
)
def test_a_class_spelled_otherwise_in_another_split_is_the_same(make_files, name, other):
    files = [*split_tree(("train", "val"), (name, "bowling")), *split_tree(("test",), (other, "bowling"))]
    found = find_videos("folder", make_files(files))
    assert found.attrs["classes"] == sorted([name, "bowling"]) and sorted(found.video) == sorted(files)
    assert counts(found) == {(s, c): 2 for s in SPLITS for c in (name, "bowling")}
    assert f"1 classes are spelled in several ways, and each is one class: {name} = {other}" in found.attrs["notes"]
    assert found.attrs["classes_without_training_videos"] == []


def test_a_single_class_with_folders_in_one_split_stays_one(make_files):
    files = [*split_tree(("train", "val")), "test/archery/camera 1/0.mp4", "test/archery/camera 2/0.mp4"]
    assert find_videos("folder", make_files(files)).attrs["classes"] == ["archery", "bowling"]


def test_one_split_with_other_folders_is_unclear(make_files):
    with pytest.raises(ValueError, match=r"root: archery/ in .* says no split.*train/ \(4 videos\)"):
        find_videos("folder", make_files([*split_tree(["train"]), "archery/0.mp4"]))


def test_splits_whose_videos_lie_in_no_class_are_an_error(make_files):
    with pytest.raises(ValueError, match="have no folder for each class"):
        find_videos("folder", make_files([f"{split}/{i}.mp4" for split in SPLITS for i in range(3)]))


def test_an_unlabelled_test_folder_beside_labelled_splits(make_files):
    videos = find_videos("folder", make_files([*split_tree(("train", "val")), "test/0.mp4", "test/1.mp4"]))
    assert counts(videos)["test", "archery"] == 2 and "val" not in counts(videos)
    assert videos.attrs["passed_over"] == ["test/0.mp4", "test/1.mp4"]


@pytest.mark.parametrize("around", ["data/", "a/b/"])
def test_a_folder_more_around_splits_or_classes(make_files, around):
    root = make_files([around + name for name in split_tree()])
    assert counts(find_videos("folder", root)) == {(s, c): 2 for s in SPLITS for c in ("archery", "bowling")}


@pytest.mark.parametrize("inner", ["{split}/{split}/", "{split}/videos/", "all/{split}/{split}_256/"])
def test_a_folder_more_in_each_split(make_files, inner):
    files = [inner.format(split=s) + f"{c}/{i}.mp4" for s in SPLITS for c in ("archery", "bowling") for i in range(2)]
    assert counts(find_videos("folder", make_files(files))) == {
        (s, c): 2 for s in SPLITS for c in ("archery", "bowling")
    }


def test_a_folder_more_around_classes_and_a_folder_below(make_files):
    videos = find_videos("folder", make_files([f"all/{c}/camera {i % 2}/{i}.avi" for c in "ab" for i in range(10)]))
    assert videos.attrs["classes"] == ["a", "b"] and len(videos) == 20


def test_splits_below_classes(make_files):
    videos = find_videos(
        "folder", make_files([f"{c}/{s}/{i}.avi" for c in "ab" for s in ("Train", "Test") for i in range(9)])
    )
    assert videos.attrs["classes"] == ["a", "b"] and set(videos.split) == set(SPLITS)
    with pytest.raises(ValueError, match="folders in .* hold Test, Train, but"):
        find_videos("folder", make_files([f"fold1/{s}/a/{i}.avi" for s in ("Train", "Test") for i in range(9)]))


def test_every_ending_of_a_video_counts_and_others_are_named(make_files):
    files = [
        f"{s}/{c}/{i}{e.upper() if i else e}" for s in SPLITS for c in "ab" for i, e in enumerate(sorted(VIDEO_ENDINGS))
    ]
    root = make_files([*files, "train/a/x.part", "train/c/film.xyz", "train/a/notes.txt", "train/a/0.srt"])
    found = find_videos("folder", root)
    assert set(found.video) == set(files)
    assert found.attrs["passed_over"] == ["train/a/x.part", "train/c/film.xyz"]
    assert "folders without a video are no classes: train/c" in found.attrs["notes"]


def test_a_pictures_file_beside_a_video_of_its_name_is_its_thumbnail(make_files):
    root = make_files(["a/one.webm", "a/one.webp", "a/two.gif"])
    assert walk(root).files == ["a/one.webm", "a/two.gif"] and walk(root).passed_over == ["a/one.webp"]


def test_names_that_are_not_utf8_are_bad_rows_and_tables_can_be_written(make_files, tmp_path):
    make_files(split_tree())
    for name in (
        b"train/archery/caf\xe9.mp4",
        b"train/\xe9t\xe9/0.mp4",
        b"test/bowling/\xff\xfe.avi",
        b"odd\xff/0.mp4",
    ):
        path = os.path.join(os.fsencode(tmp_path), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "wb").close()
    found = find_videos("folder", tmp_path)
    bad = found[found.error != ""]
    assert sorted(bad.video) == [r"test/bowling/\xff\xfe.avi", r"train/\xe9t\xe9/0.mp4", r"train/archery/caf\xe9.mp4"]
    assert len(found) == 15 and found.attrs["passed_over"] == [r"odd\xff/0.mp4"]
    probed = probe_videos(found)
    assert probed.error[probed.video.isin(bad.video)].str.contains("not UTF-8").all()
    probed.to_parquet(tmp_path / "videos.parquet")
    json.dumps(found.attrs)


@pytest.mark.parametrize(
    "names", [("preview.mp4",), ("video.avi", "zz.mkv"), ("v_001.jpg.mp4", "a.mp4", "m.mp4", "z.mp4")]
)
@pytest.mark.parametrize("first", [True, False])
def test_videos_beside_many_numbered_stills_are_found_in_any_order_of_the_folder(make_files, monkeypatch, names, first):
    stills = [f"a/still_{i:03d}.jpg" for i in range(100)]
    root, scandir = make_files([*stills, *(f"a/{name}" for name in names), "b/1.mp4"]), os.scandir

    class InOrder(list):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    def in_order(path):
        return InOrder(sorted(scandir(path), key=lambda entry: entry.name.endswith("jpg"), reverse=not first))

    monkeypatch.setattr(os, "scandir", in_order)
    tree = walk(root)
    assert tree.videos == sorted([*(f"a/{name}" for name in names), "b/1.mp4"]) and tree.passed_over == ["a/*.jpg"]


def test_flow_beside_frames_is_no_video_of_its_own(make_files):
    files = [f"{c}/v{i}/{kind}/{n}.png" for c in "ab" for i in range(2) for kind in ("rgb", "flow") for n in (1, 2)]
    tree = walk(make_files([*files, "a/flow/1.jpg"]))
    assert tree.folders == ["a/flow", *(f"{c}/v{i}/rgb" for c in "ab" for i in range(2))]


def test_a_pipe_is_no_video_and_a_folder_that_cannot_be_read_is_named(make_files):
    root = make_files(split_tree())
    os.mkfifo(root / "train/archery/pipe.mp4")
    found = find_videos("folder", root)
    assert found.attrs["passed_over"] == ["train/archery/pipe.mp4"] and len(found) == 12


def test_empty_splits_are_named_with_what_would_help(make_files):
    with pytest.raises(
        ValueError, match=r"split: test has no video \(found 2 train, 0 val, 0 test\); expected test videos"
    ):
        find_videos("folder", make_files(["archery/0.mp4", "bowling/0.mp4"]))
    videos = find_videos("folder", make_files(["x/train/a/0.mp4", "x/test/a/0.mp4"]) / "x")
    with pytest.raises(ValueError, match="split: val has no video .*expected a validation split, or a class with two"):
        check_splits(videos)
