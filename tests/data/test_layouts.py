"""Trees and lists as they lie on disk: what systems leave, odd names of splits, encodings, one more level of folder."""

import codecs
import json
import os
import warnings

import pandas as pd
import pytest

from condi_lib.data import assign_folds, check_splits, find_videos, probe_videos
from condi_lib.data.splits import split_of
from condi_lib.data.tree import VIDEO_ENDINGS, walk

SPLITS = ("train", "val", "test")


@pytest.fixture
def make(tmp_path):
    """Makes files: make(names or {name: text}) -> the root. Nothing here is opened as a video."""

    def make(files):
        for name in files:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            content = files[name] if isinstance(files, dict) else ""
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return make


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
    ".git/archery/0.mp4",
]


def test_what_systems_leave_is_passed_over_and_not_even_named(make):
    want = find_videos("folder", make(split_tree()))
    found = find_videos("folder", make(LEFT_BEHIND))
    pd.testing.assert_frame_equal(found, want)
    assert found.attrs["passed_over"] == [] and found.attrs["classes"] == ["archery", "bowling"]


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
def test_what_lies_beside_splits_is_passed_over_and_named(make, more):
    want = find_videos("folder", make(split_tree()))
    found = find_videos("folder", make([more]))
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
def test_clear_names_of_splits(make, names):
    videos = find_videos("folder", make(split_tree(names)))
    assert counts(videos) == {(split, name): 2 for split in SPLITS for name in ("archery", "bowling")}
    split = videos.set_index("video").split
    assert [split[f"{name}/archery/0.mp4"] for name in names] == list(SPLITS)


@pytest.mark.parametrize(
    "name", ["archery", "pretraining tips", "test tube", "valley", "trainer", "contest", "devil", "train test"]
)
def test_names_that_say_no_split(name):
    assert split_of(name) == ""


def test_actions_named_like_splits_stay_classes(make):
    videos = find_videos(
        "folder", make([f"{name}/{i}.mp4" for name in ("training", "running", "test drive") for i in range(9)])
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
def test_unclear_trees_are_errors_that_list_what_was_found(make, more, says):
    make(split_tree(("train", "val") if ".keep" in more[0] else SPLITS))
    with pytest.raises(ValueError, match=says) as e:
        find_videos("folder", make(more))
    assert ".keep" in more[0] or all(f"{name}/" in str(e.value) for name in ("train",))


def test_one_split_with_other_folders_is_unclear(make):
    with pytest.raises(ValueError, match=r"root: archery/ in .* says no split.*train/ \(4 videos\)"):
        find_videos("folder", make([*split_tree(["train"]), "archery/0.mp4"]))


def test_splits_whose_videos_lie_in_no_class_are_an_error(make):
    with pytest.raises(ValueError, match="have no folder for each class"):
        find_videos("folder", make([f"{split}/{i}.mp4" for split in SPLITS for i in range(3)]))


def test_an_unlabelled_test_folder_beside_labelled_splits(make):
    videos = find_videos("folder", make([*split_tree(("train", "val")), "test/0.mp4", "test/1.mp4"]))
    assert counts(videos)["test", "archery"] == 2 and "val" not in counts(videos)
    assert videos.attrs["passed_over"] == ["test/0.mp4", "test/1.mp4"]


@pytest.mark.parametrize("around", ["data/", "a/b/"])
def test_a_folder_more_around_splits_or_classes(make, around):
    root = make([around + name for name in split_tree()])
    assert counts(find_videos("folder", root)) == {(s, c): 2 for s in SPLITS for c in ("archery", "bowling")}


def test_a_folder_more_around_classes_and_a_folder_below(make):
    videos = find_videos("folder", make([f"all/{c}/camera {i % 2}/{i}.avi" for c in "ab" for i in range(10)]))
    assert videos.attrs["classes"] == ["a", "b"] and len(videos) == 20


def test_splits_below_classes(make):
    videos = find_videos(
        "folder", make([f"{c}/{s}/{i}.avi" for c in "ab" for s in ("Train", "Test") for i in range(9)])
    )
    assert videos.attrs["classes"] == ["a", "b"] and set(videos.split) == set(SPLITS)
    with pytest.raises(ValueError, match="folders in .* hold Test, Train, but"):
        find_videos("folder", make([f"fold1/{s}/a/{i}.avi" for s in ("Train", "Test") for i in range(9)]))


def test_every_ending_of_a_video_counts_and_others_are_named(make):
    files = [
        f"{s}/{c}/{i}{e.upper() if i else e}" for s in SPLITS for c in "ab" for i, e in enumerate(sorted(VIDEO_ENDINGS))
    ]
    root = make([*files, "train/a/x.part", "train/c/film.xyz", "train/a/notes.txt", "train/a/0.srt"])
    found = find_videos("folder", root)
    assert set(found.video) == set(files)
    assert found.attrs["passed_over"] == ["train/a/x.part", "train/c/film.xyz"]
    assert "folders without a video are no classes: train/c" in found.attrs["notes"]


def test_a_pictures_file_beside_a_video_of_its_name_is_its_thumbnail(make):
    root = make(["a/one.webm", "a/one.webp", "a/two.gif"])
    assert walk(root).files == ["a/one.webm", "a/two.gif"] and walk(root).passed_over == ["a/one.webp"]


def test_names_that_are_not_utf8_are_bad_rows_and_tables_can_be_written(make, tmp_path):
    make(split_tree())
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


def test_a_pipe_is_no_video_and_a_folder_that_cannot_be_read_is_named(make):
    root = make(split_tree())
    os.mkfifo(root / "train/archery/pipe.mp4")
    found = find_videos("folder", root)
    assert found.attrs["passed_over"] == ["train/archery/pipe.mp4"] and len(found) == 12


def ucf_files(classes=("Archery", "Bowling"), groups=4, around=""):
    names = {c: [f"{c}/v_{c}_g{g:02d}_c01.avi" for g in range(1, groups + 1)] for c in classes}
    files = {around + name: "x" for c in classes for name in names[c]}
    files["classInd.txt"] = "".join(f"{i} {c}\n" for i, c in enumerate(classes, 1))
    files["testlist01.txt"] = "".join(f"{n}\n" for c in classes for n in names[c][:2])
    files["trainlist01.txt"] = "".join(f"{n} {i}\n" for i, c in enumerate(classes, 1) for n in names[c][2:])
    return files


ENCODINGS = {
    "utf-8 with a mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "utf-16 of PowerShell": lambda text: text.encode("utf-16"),
    "utf-16, other order": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "utf-16 without a mark": lambda text: text.encode("utf-16-le"),
    "old Mac": lambda text: text.replace("\n", "\r").encode(),
    "CRLF and a mark": lambda text: codecs.BOM_UTF8 + text.replace("\n", "\r\n").encode(),
    "blank lines": lambda text: text.replace("\n", " \n\n").encode(),
}


KINETICS = "label,youtube_id,time_start,time_end,split\n"


def published(dataset):
    """(lists, videos) of a small tree: three training and three test videos of two classes."""
    several = [(c, s, i) for s in ("train", "val") for c in ("catch", "clap") for i in range(3)]
    of = {split: [(c, i) for c, s, i in several if s == split] for split in ("train", "val")}
    if dataset == "ucf101":
        files = ucf_files(("catch", "clap"), 6)
        return {n: t for n, t in files.items() if n.endswith("txt")}, [n for n in files if n.endswith("avi")]
    if dataset == "hmdb51":
        lists = {
            f"{c}_test_split1.txt": "".join(f"{s}{i}_{c}_0.avi {1 + (s == 'val')} \n" for n, s, i in several if n == c)
            for c in ("catch", "clap")
        }
        return lists, [f"{c}/{s}{i}_{c}_0.avi" for c, s, i in several]
    if dataset == "kinetics":
        lists = {f"{s}.csv": KINETICS + "".join(f"{c},{c}{s}{i},1,11,{s}\n" for c, i in of[s]) for s in of}
        return lists, [f"{c}{s}{i}_000001_000011.mp4" for c, s, i in several]
    if dataset == "mit":
        folders = {"train": "training", "val": "validation"}
        lists = {f"{folders[s]}Set.csv": "".join(f"{c}/{s}{i}_1.mp4,{c},3,0\n" for c, i in of[s]) for s in of}
        videos = [f"{folders[s]}/{c}/{s}{i}_1.mp4" for c, s, i in several]
        return lists | {"moments_categories.txt": "clap,1\ncatch,0\n"}, videos
    if dataset == "activitynet":
        subsets = {"train": "training", "val": "validation"}
        database = {
            f"{c}{s}{i}": {"subset": subsets[s], "annotations": [{"segment": [0, 1], "label": c}]}
            for c, s, i in several
        }
        lists = {"activity_net.v1-3.min.json": json.dumps({"database": database}, indent=1)}
        return lists, [f"v_{c}{s}{i}.mp4" for c, s, i in several]
    numbers = {video: n for n, video in enumerate(several, 1)}
    long = {"train": "train", "val": "validation"}
    if dataset == "jester":
        lists = {f"jester-v1-{long[s]}.csv": "".join(f"{numbers[c, s, i]};{c}\n" for c, i in of[s]) for s in of}
        return lists | {"jester-v1-labels.csv": "clap\ncatch\n"}, [
            f"20bn-jester-v1/{n}/00001.jpg" for n in numbers.values()
        ]
    start = "something-something-v2-"
    lists = {
        f"{start}{long[s]}.json": json.dumps(
            [{"id": str(numbers[c, s, i]), "label": "a", "template": f"{c} [something]"} for c, i in of[s]], indent=1
        )
        for s in of
    }
    labels = {f"{start}labels.json": '{"clap something":"0",\n"catch something":"1"}'}
    return lists | labels, [f"20bn-something-something-v2/{n}.webm" for n in numbers.values()]


@pytest.mark.parametrize("how", ENCODINGS)
@pytest.mark.parametrize("dataset", ["ucf101", "hmdb51", "kinetics", "mit", "activitynet", "jester", "ssv2"])
def test_lists_in_any_encoding(make, dataset, how):
    lists, videos = published(dataset)
    want = find_videos(dataset, make(lists | dict.fromkeys(videos, "")))
    assert len(want) == 12 and want.attrs["missing"] == [] and len(want.attrs["classes"]) == 2
    assert (want.split == "test").sum() in (4, 6) and set(want.split) == set(SPLITS)
    found = find_videos(dataset, make({name: ENCODINGS[how](text) for name, text in lists.items()}))
    pd.testing.assert_frame_equal(found, want)
    assert found.attrs == want.attrs


def test_latin_1_names_in_a_list(make):
    files = {f"{c}/{i}_{c}_0.avi": "x" for c in ("café", "clap") for i in range(4)}
    for c in ("café", "clap"):
        files[f"{c}_test_split1.txt"] = "".join(f"{i}_{c}_0.avi {1 + i % 2}\n" for i in range(4)).encode("latin-1")
    videos = find_videos("hmdb51", make(files))
    assert len(videos) == 8 and videos.attrs["classes"] == ["café", "clap"]


@pytest.mark.parametrize("around", ["UCF-101/", "UCF101/UCF-101/", "UCF-101/part 1/"])
def test_ucf101_one_or_two_folders_deeper_or_as_other_files(make, around):
    files = ucf_files(around=around)
    want = find_videos("ucf101", make(files))
    assert len(want) == 8 and want.attrs["missing"] == []
    for name in list(files):
        if name.endswith(".avi"):  # encoded again
            (make({}) / name).rename((make({}) / name).with_suffix(".mp4"))
    found = find_videos("ucf101", make({}))
    assert list(found.video) == list(want.video) and found.path.str.endswith(".mp4").all()


def test_ucf101_as_folders_of_frames(make):
    files = ucf_files()
    frames = {f"{n[:-4]}/img_{i:05d}.jpg": "x" for n in files if n.endswith(".avi") for i in (1, 2, 3)}
    frames |= {f"{n[:-4]}/flow_x_{i:05d}.jpg": "x" for n in files if n.endswith(".avi") for i in (1, 2)}
    videos = find_videos("ucf101", make({n: c for n, c in files.items() if n.endswith(".txt")} | frames))
    assert len(videos) == 8 and videos.path.map(os.path.isdir).all()
    assert (probe_videos(videos).n_frames == 3).all() and (probe_videos(videos).fps == 25).all()


@pytest.mark.parametrize("where", ["hmdb51_org/{c}/{f}", "{c}/{c}/{f}", "hmdb51_org/{c}.rar/{c}/{f}"])
def test_hmdb51_a_folder_per_rar(make, where):
    files = {}
    for c in ("catch", "clap"):
        names = [f"film{i}_{c}_0.avi" for i in range(6)]
        files |= {where.format(c=c, f=f): "x" for f in names}
        files[f"splits/{c}_test_split1.txt"] = "".join(f"{f} {1 + i % 2} \n" for i, f in enumerate(names))
    videos = find_videos("hmdb51", make(files))
    assert len(videos) == 12 and videos.attrs["missing"] == [] and set(videos.class_name) == {"catch", "clap"}


def test_accents_composed_otherwise_are_the_same_name(make):
    files = ucf_files(("Caf\u00e9", "Bowling"))
    decomposed = {n.replace("\u00e9", "e\u0301") if n.endswith("avi") else n: c for n, c in files.items()}
    assert len(find_videos("ucf101", make(decomposed))) == 8


def test_a_copy_beside_is_said_and_the_listed_path_is_taken(make):
    files = ucf_files()
    make({f"small/{n}": c for n, c in files.items() if n.endswith("avi")})
    videos = find_videos("ucf101", make(files))
    assert not videos.path.str.contains("small").any() and len(videos) == 8


def kinetics_files(**labels):
    """Two training and two validation videos of each class; labels: class -> on disk?"""
    rows = [(c, f"{c}{s}{i}", s) for c in labels for s in ("train", "val") for i in range(2)]
    files = {
        f"{s}.csv": KINETICS + "".join(f"{c},{v},1,11,{s}\n" for c, v, of in rows if of == s) for s in ("train", "val")
    }
    return files | {f"v/{v}_000001_000011.mp4": "x" for c, v, s in rows if s in labels[c]}


def test_the_class_list_is_the_published_one_whatever_is_on_disk(make):
    videos = find_videos("kinetics", make(kinetics_files(a=["train", "val"], b=[], c=["train", "val"], d=["val"])))
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


def test_a_kinetics_header_with_blanks_is_read_and_a_list_without_labels_is_named(make):
    files = kinetics_files(a=["train", "val"], b=["train", "val"])
    files["train.csv"] = files["train.csv"].replace("label,", " Label , ")
    files["test.csv"] = "youtube_id,time_start,time_end,split\nx,1,2,test\n"
    videos = find_videos("kinetics", make(files))
    assert len(videos) == 8 and videos.attrs["missing"] == []
    assert any("test.csv has no labels and is left out" in note for note in videos.attrs["notes"])


@pytest.mark.parametrize(
    "line, says",
    [
        ("a,x,one,11,train", "x has time_start 'one'; expected seconds"),
        (",x,1,11,train", "x has no label"),
        ("a,x,1,11,holdout", "split: 'holdout' in .*train.csv"),
    ],
)
def test_bad_lines_of_kinetics_are_named(make, line, says):
    files = kinetics_files(a=["train", "val"])
    with pytest.raises(ValueError, match=says):
        find_videos("kinetics", make(files | {"train.csv": files["train.csv"] + line + "\n"}))


def test_labels_outside_the_class_list_are_errors_that_name_file_and_label(make, tmp_path):
    with pytest.raises(
        ValueError, match=r"trainingSet.csv: has class 'zipping', which is not among the 1 of .*categories.txt"
    ):
        find_videos(
            "mit", make({"moments_categories.txt": "asking,0\n", "trainingSet.csv": "zipping/a_1.mp4,zipping,3,1\n"})
        )
    files = ucf_files()
    with pytest.raises(ValueError, match=r"trainlist01.txt, line 1: Archery has number 3, but 1 in .*classInd.txt"):
        find_videos("ucf101", make(files | {"trainlist01.txt": files["trainlist01.txt"].replace("avi 1", "avi 3")}))
    with pytest.raises(
        ValueError, match=r"catch_test_split1.txt, line 1: found 'a.avi 3', expected a file and 0, 1 or 2"
    ):
        find_videos("hmdb51", make({"catch_test_split1.txt": "a.avi 3\n"}))
    labels = {"jester-v1-labels.csv": "Swiping Left\n", "jester-v1-train.csv": "1;Swiping Down\n"}
    with pytest.raises(ValueError, match=r"jester-v1-train.csv, line 1: has class 'Swiping Down'"):
        find_videos("jester", make(labels))


def test_empty_splits_are_named_with_what_would_help(make):
    with pytest.raises(
        ValueError, match=r"split: test has no video \(found 2 train, 0 val, 0 test\); expected test videos"
    ):
        find_videos("folder", make(["archery/0.mp4", "bowling/0.mp4"]))
    videos = find_videos("folder", make(["x/train/a/0.mp4", "x/test/a/0.mp4"]) / "x")
    with pytest.raises(ValueError, match="split: val has no video .*expected a validation split, or a class with two"):
        check_splits(videos)


def test_lists_that_are_there_but_name_nothing_are_named(make):
    files = ucf_files()
    with pytest.raises(ValueError, match=r"split: test has no video.*testlist01.txt names no video"):
        find_videos("ucf101", make(files | {"testlist01.txt": "\n\n"}))
    files = {f"{c}/{i}_{c}_0.avi": "x" for c in ("catch", "clap") for i in range(4)}
    files |= {
        f"{c}_test_split1.txt": "".join(f"{i}_{c}_0.avi {1 + i % 2}\n" for i in range(4)) for c in ("catch", "clap")
    }
    videos = find_videos("hmdb51", make(files | {"wave_test_split1.txt": "x.avi 0\n"}))
    assert videos.attrs["classes"] == ["catch", "clap", "wave"] and videos.attrs["classes_without_videos"] == ["wave"]
    assert any("wave_test_split1.txt names no video" in note for note in videos.attrs["notes"])


def test_folds_group_by_source_and_a_lists_own_are_taken(make):
    videos = pd.DataFrame({"label": [0, 1] * 20, "source": [f"{i // 4}{i % 2}" for i in range(40)], "fold": -1})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folds = assign_folds(videos, 4)
    assert (videos.assign(f=folds).groupby("source").f.nunique() == 1).all() and set(folds) == set(range(4))
    own = videos.assign(fold=[7, 3, 3, 7] * 10)
    assert list(assign_folds(own, 2)) == [1, 0, 0, 1] * 10
    with pytest.raises(ValueError, match="folds: found 3, expected 2, the folds that the list gives"):
        assign_folds(own, 3)
    with pytest.raises(ValueError, match="folds: found 11, expected at most 10"):
        assign_folds(videos, 11)
