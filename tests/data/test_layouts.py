"""Published lists as they lie on disk: encodings, deeper folders, other endings, frames, what is unknown or empty."""

import codecs
import json
import os

import pandas as pd
import pytest

from condi_lib.data import find_videos, probe_videos

SPLITS = ("train", "val", "test")


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
def test_lists_in_any_encoding(make_files, dataset, how):
    lists, videos = published(dataset)
    want = find_videos(dataset, make_files(lists | dict.fromkeys(videos, "")))
    assert len(want) == 12 and want.attrs["missing"] == [] and len(want.attrs["classes"]) == 2
    assert (want.split == "test").sum() in (4, 6) and set(want.split) == set(SPLITS)
    found = find_videos(dataset, make_files({name: ENCODINGS[how](text) for name, text in lists.items()}))
    pd.testing.assert_frame_equal(found, want)
    assert found.attrs == want.attrs


def test_latin_1_names_in_a_list(make_files):
    files = {f"{c}/{i}_{c}_0.avi": "x" for c in ("café", "clap") for i in range(4)}
    for c in ("café", "clap"):
        files[f"{c}_test_split1.txt"] = "".join(f"{i}_{c}_0.avi {1 + i % 2}\n" for i in range(4)).encode("latin-1")
    videos = find_videos("hmdb51", make_files(files))
    assert len(videos) == 8 and videos.attrs["classes"] == ["café", "clap"]


@pytest.mark.parametrize("around", ["UCF-101/", "UCF101/UCF-101/", "UCF-101/part 1/"])
def test_ucf101_one_or_two_folders_deeper_or_as_other_files(make_files, around):
    files = ucf_files(around=around)
    want = find_videos("ucf101", make_files(files))
    assert len(want) == 8 and want.attrs["missing"] == []
    for name in list(files):
        if name.endswith(".avi"):  # encoded again
            (make_files({}) / name).rename((make_files({}) / name).with_suffix(".mp4"))
    found = find_videos("ucf101", make_files({}))
    assert list(found.video) == list(want.video) and found.path.str.endswith(".mp4").all()


def test_ucf101_as_folders_of_frames(make_files):
    files = ucf_files()
    frames = {f"{n[:-4]}/img_{i:05d}.jpg": "x" for n in files if n.endswith(".avi") for i in (1, 2, 3)}
    frames |= {f"{n[:-4]}/flow_x_{i:05d}.jpg": "x" for n in files if n.endswith(".avi") for i in (1, 2)}
    videos = find_videos("ucf101", make_files({n: c for n, c in files.items() if n.endswith(".txt")} | frames))
    assert len(videos) == 8 and videos.path.map(os.path.isdir).all()
    assert (probe_videos(videos).n_frames == 3).all() and (probe_videos(videos).fps == 25).all()


@pytest.mark.parametrize("where", ["hmdb51_org/{c}/{f}", "{c}/{c}/{f}", "hmdb51_org/{c}.rar/{c}/{f}"])
def test_hmdb51_a_folder_per_rar(make_files, where):
    files = {}
    for c in ("catch", "clap"):
        names = [f"film{i}_{c}_0.avi" for i in range(6)]
        files |= {where.format(c=c, f=f): "x" for f in names}
        files[f"splits/{c}_test_split1.txt"] = "".join(f"{f} {1 + i % 2} \n" for i, f in enumerate(names))
    videos = find_videos("hmdb51", make_files(files))
    assert len(videos) == 12 and videos.attrs["missing"] == [] and set(videos.class_name) == {"catch", "clap"}


def test_a_stray_copy_of_one_of_hmdb51s_lists_is_left_out_and_named(make_files):
    lists, videos = published("hmdb51")
    files = {f"splits/{name}": text for name, text in lists.items()} | dict.fromkeys(videos, "")
    want = find_videos("hmdb51", make_files(files))
    found = find_videos("hmdb51", make_files({"clap_test_split1.txt": lists["clap_test_split1.txt"]}))
    pd.testing.assert_frame_equal(found, want)
    assert any("left out" in note and "clap_test_split1.txt" in note for note in found.attrs["notes"])


def test_names_of_lists_in_any_letter_case_and_paths_with_backslashes(make_files):
    files = {n.replace("list01", "LIST01"): t.replace("/", "\\") for n, t in ucf_files().items()}
    assert len(find_videos("ucf101", make_files({n.replace("classInd", "ClassInd"): t for n, t in files.items()}))) == 8


def test_accents_composed_otherwise_are_the_same_name(make_files):
    files = ucf_files(("Caf\u00e9", "Bowling"))
    decomposed = {n.replace("\u00e9", "e\u0301") if n.endswith("avi") else n: c for n, c in files.items()}
    assert len(find_videos("ucf101", make_files(decomposed))) == 8


def test_a_copy_beside_is_said_and_the_listed_path_is_taken(make_files):
    files = ucf_files()
    make_files({f"small/{n}": c for n, c in files.items() if n.endswith("avi")})
    videos = find_videos("ucf101", make_files(files))
    assert not videos.path.str.contains("small").any() and len(videos) == 8


SAME_NAMES = {
    "ucf101": {
        "classInd.txt": "1 A\n2 B\n",
        "trainlist01.txt": "".join(f"{c}/{i:04d}.avi {n}\n" for n, c in ((1, "A"), (2, "B")) for i in range(4)),
        "testlist01.txt": "".join(f"{c}/{i:04d}.avi\n" for c in "AB" for i in range(4, 6)),
    },
    "hmdb51": {f"{c}_test_split1.txt": "".join(f"{i:04d}.avi {1 + (i > 3)}\n" for i in range(6)) for c in ("A", "B")},
}


@pytest.mark.parametrize("dataset", SAME_NAMES)
@pytest.mark.parametrize("around, end", [("", "avi"), ("deeper/all/", "mp4")])
def test_files_of_one_name_in_two_classes_are_two_videos(make_files, dataset, around, end):
    videos = {f"{around}{c}/{i:04d}.{end}": "" for c in "AB" for i in range(6)}
    root = make_files(SAME_NAMES[dataset] | videos)
    found = find_videos(dataset, root)
    assert list(found.video) == sorted(f"{c}/{i:04d}" for c in "AB" for i in range(6))
    assert (found.path == f"{root}/{around}" + found.video + f".{end}").all()
    assert (found.class_name == found.video.str[0]).all() and (found.source == found.video).all()
    assert found.groupby("class_name").split.value_counts()[:, "test"].to_dict() == {"A": 2, "B": 2}
    assert any("files of one name are listed" in note for note in found.attrs["notes"])
    (root / f"{around}B/0003.{end}").unlink()
    found = find_videos(dataset, root)
    assert found.attrs["missing"] == ["B/0003"] and found.path.is_unique  # never the other class's file


def test_files_of_one_name_and_two_endings_are_two_videos(make_files):
    files = ucf_files() | {"Archery/v_Archery_g03_c01.mp4": ""}
    files["trainlist01.txt"] += "Archery/v_Archery_g03_c01.mp4 1\n"
    found = find_videos("ucf101", make_files(files))
    assert len(found) == 9 and found.path.is_unique and found.attrs["missing"] == []


def copy_in_lists(dataset, lists):
    """The lists of published(dataset), with a training video named for testing or validation, too; its name."""
    if dataset == "ucf101":
        lists["testlist01.txt"] += lists["trainlist01.txt"].splitlines()[0].rsplit(None, 1)[0] + "\n"
        return "v_catch_g03_c01"
    if dataset == "kinetics":
        lists["val.csv"] += lists["train.csv"].splitlines()[1].replace(",train", ",val") + "\n"
        return "catchtrain0_000001_000011"
    lists["jester-v1-validation.csv"] += lists["jester-v1-train.csv"].splitlines()[0] + "\n"
    return "1"


@pytest.mark.parametrize("dataset", ["ucf101", "kinetics", "jester"])
def test_a_video_that_lists_name_for_two_splits_is_an_error(make_files, dataset):
    lists, videos = published(dataset)
    name = copy_in_lists(dataset, lists)
    with pytest.raises(ValueError, match=rf"split: {name} is in (test|train) and in (train|val) \(1 such\)"):
        find_videos(dataset, make_files(lists | dict.fromkeys(videos, "")))


def test_a_link_in_another_split_is_an_error_in_published_layouts(make_files):
    root = make_files(ucf_files())
    copy = root / "Bowling/v_Bowling_g01_c01.avi"
    copy.unlink()
    copy.symlink_to(root / "Bowling/v_Bowling_g03_c01.avi")
    with pytest.raises(ValueError, match="split: v_Bowling_g01_c01 = v_Bowling_g03_c01 is in test and in train"):
        find_videos("ucf101", root)


def test_a_name_in_training_and_in_validation_of_moments_is_two_videos(make_files):
    lists, videos = published("mit")
    lists["validationSet.csv"] = lists["trainingSet.csv"]
    trained = [name for name in videos if name.startswith("training/")]
    there = [*trained, *(name.replace("training/", "validation/") for name in trained)]
    found = find_videos("mit", make_files(lists | dict.fromkeys(there, "")))
    assert len(found) == 12 and found.path.is_unique and (found.split == "test").sum() == 6
    assert (found.path.str.contains("/validation/") == (found.split == "test")).all()


@pytest.mark.parametrize("place", ["", "annotations/"])
@pytest.mark.parametrize("text", ["{}", "{not json", "[1]", '{"database": 3}'])
def test_a_stray_json_beside_or_above_activitynets_is_passed_over_and_named(make_files, place, text):
    lists, videos = published("activitynet")
    want = find_videos("activitynet", make_files({place + n: t for n, t in lists.items()} | dict.fromkeys(videos, "")))
    found = find_videos("activitynet", make_files({"a.json": text}))
    pd.testing.assert_frame_equal(found, want)
    assert any(note.startswith("passed over as no list: ") and "a.json" in note for note in found.attrs["notes"])


@pytest.mark.parametrize(
    "entry",
    [
        {"annotations": [{"segment": [0, 1], "label": "a"}]},
        {"subset": "training", "annotations": [{"label": "a"}]},
        {"subset": "training", "annotations": [{"segment": [0, "x"], "label": "a"}]},
        {"subset": "training", "annotations": [{"segment": [0, 1, 2], "label": "a"}]},
        {"subset": "training", "annotations": [3]},
        [],
    ],
)
def test_an_entry_of_activitynet_that_says_nothing_is_an_error_that_shows_it(make_files, entry):
    lists, _ = published("activitynet")
    database = {"x1": entry} | json.loads(lists["activity_net.v1-3.min.json"])["database"]
    with pytest.raises(ValueError, match=r"activity_net.json: x1 is .*; expected subset and annotations"):
        find_videos("activitynet", make_files({"activity_net.json": json.dumps({"database": database})}))


def test_a_training_video_of_activitynet_without_annotations_is_noted(make_files):
    lists, videos = published("activitynet")
    database = {"x1": {"subset": "training"}, "x2": {"subset": "testing", "annotations": []}}
    database |= json.loads(lists["activity_net.v1-3.min.json"])["database"]
    files = {"activity_net.json": json.dumps({"database": database})} | dict.fromkeys(videos, "")
    found = find_videos("activitynet", make_files(files))
    assert len(found) == 12 and any(
        "1 videos of training or validation have no annotation" in note and note.endswith(": x1")
        for note in found.attrs["notes"]
    )


def test_labels_outside_the_class_list_are_errors_that_name_file_and_label(make_files, tmp_path):
    with pytest.raises(
        ValueError, match=r"trainingSet.csv: has class 'zipping', which is not among the 1 of .*categories.txt"
    ):
        find_videos(
            "mit",
            make_files({"moments_categories.txt": "asking,0\n", "trainingSet.csv": "zipping/a_1.mp4,zipping,3,1\n"}),
        )
    files = ucf_files()
    odd = files | {"trainlist01.txt": files["trainlist01.txt"].replace("avi 1", "avi 3")}  # the folder is what counts
    notes = find_videos("ucf101", make_files(odd)).attrs["notes"]
    assert any("trainlist01.txt, line 1: Archery has number 3, but 1 in classInd.txt" in note for note in notes)
    with pytest.raises(
        ValueError, match=r"catch_test_split1.txt, line 1: found 'a.avi 3', expected a file and 0, 1 or 2"
    ):
        find_videos("hmdb51", make_files({"catch_test_split1.txt": "a.avi 3\n"}))
    labels = {"jester-v1-labels.csv": "Swiping Left\n", "jester-v1-train.csv": "1;Swiping Down\n"}
    with pytest.raises(ValueError, match=r"jester-v1-train.csv, line 1: has class 'Swiping Down'"):
        find_videos("jester", make_files(labels))


def test_lists_that_are_there_but_name_nothing_are_named(make_files):
    files = ucf_files()
    with pytest.raises(ValueError, match=r"split: test has no video.*testlist01.txt names no video"):
        find_videos("ucf101", make_files(files | {"testlist01.txt": "\n\n"}))
    files = {f"{c}/{i}_{c}_0.avi": "x" for c in ("catch", "clap") for i in range(4)}
    files |= {
        f"{c}_test_split1.txt": "".join(f"{i}_{c}_0.avi {1 + i % 2}\n" for i in range(4)) for c in ("catch", "clap")
    }
    videos = find_videos("hmdb51", make_files(files | {"wave_test_split1.txt": "x.avi 0\n"}))
    assert videos.attrs["classes"] == ["catch", "clap", "wave"] and videos.attrs["classes_without_videos"] == ["wave"]
    assert any("wave_test_split1.txt names no video" in note for note in videos.attrs["notes"])
