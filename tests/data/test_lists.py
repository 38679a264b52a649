"""List files in the forms of others (MMAction2, TSN, SlowFast, VideoMAE, Hugging Face), and with named columns."""

import json
import os

import pandas as pd
import pytest
from conftest import numbered_frames

from condi_lib.data import VideoError, find_teacher_videos, find_videos, probe_videos
from condi_lib.data.lists import read_classes
from condi_lib.data.planted import write_video

CLASSES = ("archery", "bowling")
SPLITS = ("train", "val", "test")
# (path, label, split) of a small data set; one name holds a blank, a comma and a number
VIDEOS = [(f"{c}/{s} {i}, 2.mp4", c, s) for s in SPLITS for c in CLASSES for i in range(3)]
NUMBER = {name: i for i, name in enumerate(CLASSES)}


def videos_at(place="{path}", some=VIDEOS):
    return {place.format(path=path, split=split): "" for path, _, split in some}


def frames_at(place="{path}", n=5, name="img_{:05d}.jpg"):
    stems = [(path[:-4], split) for path, _, split in VIDEOS]
    return {f"{place.format(path=p, split=s)}/{name.format(i)}": "" for p, s in stems for i in range(1, n + 1)}


def lines(form, split=None, **more):
    return "".join(
        form.format(path=path, stem=path[:-4], n=NUMBER[label], label=label, split=s, **more) + "\n"
        for path, label, s in VIDEOS
        if split in (None, s)
    )


def per_split(form, name="{}.txt", header=""):
    return {name.format(split): header + lines(form, split) for split in SPLITS}


def check(videos, classes=("0", "1")):
    """The small data set as it is, whatever form its lists have."""
    assert (videos.error == "").all() and videos.attrs["classes"] == list(classes) and videos.video.is_unique
    want = {(os.path.splitext(path)[0], NUMBER[label], split) for path, label, split in VIDEOS}
    below = [os.path.splitext(path.split("/")[-2] + "/" + path.split("/")[-1])[0] for path in videos.path]
    assert set(zip(below, videos.label, videos.split, strict=True)) == want
    assert videos.path.map(os.path.exists).all()


PLAIN = {
    "MMAction2, SlowFast, VideoMAE: blanks": "{path} {n}",
    "SlowFast: commas": "{path},{n}",
    "tabs": "{path}\t{n}",
    "semicolons and blanks": "{path} ; {n}",
    "quoted": '"{path}",{n}',
    "with a count": "{path} 100 {n}",
    "a count and commas": "{path},100,{n}",
    "Windows": ".\\{path}\t{n}",
    "remarks": "# of somebody\n{path} {n}",
}


@pytest.mark.parametrize("form", PLAIN.values(), ids=PLAIN)
@pytest.mark.parametrize("ending", ["txt", "csv", "list"])
def test_plain_lines(make_files, form, ending):
    root = make_files(videos_at() | per_split(form, "{}." + ending))
    check(find_videos("list", root))


@pytest.mark.parametrize("form", ["{path} {label}", "{path},{label}", "{path}\t{label}"])
def test_labels_as_names(make_files, form):
    check(find_videos("list", make_files(videos_at() | per_split(form))), CLASSES)


@pytest.mark.parametrize(
    "name, text",
    [
        ("classes.txt", "archery\nbowling\n"),
        ("classInd.txt", "0 archery\n1 bowling\n"),
        ("class_names.csv", "id,name\n0,archery\n1,bowling\n"),
        ("labels.csv", "archery,0\nbowling,1\n"),
        ("label_map_mine.txt", "archery\nbowling\n"),
        ("class_index.json", '{"archery": 0, "bowling": 1}'),
        ("labels.json", '{"0": "archery", "1": "bowling"}'),
        ("labels.json", '["archery", "bowling"]'),
        ("categories.txt", "bowling,1\narchery,0\n"),
    ],
)
@pytest.mark.parametrize("form", ["{path} {n}", "{path} {label}"])
def test_a_class_file(make_files, name, text, form):
    check(find_videos("list", make_files(videos_at() | per_split(form) | {name: text})), CLASSES)


@pytest.mark.parametrize("text", ["archery\nbowling\n", "1 archery\n2 bowling\n", None])
def test_labels_from_one(make_files, text):
    files = {n: t.replace(" 1\n", " 2\n").replace(" 0\n", " 1\n") for n, t in per_split("{path} {n}").items()}
    root = make_files(videos_at() | files | ({"classInd.txt": text} if text else {}))
    check(find_videos("list", root), CLASSES if text else ("1", "2"))


def test_numbers_from_zero_beside_a_class_file_that_counts_from_one(make_files):
    """UCF-101's classInd.txt beside MMAction2's lists."""
    check(
        find_videos(
            "list", make_files(videos_at() | per_split("{path} {n}") | {"classInd.txt": "1 archery\n2 bowling\n"})
        ),
        CLASSES,
    )


@pytest.mark.parametrize("class_file", [True, False])
def test_class_names_spelled_otherwise_in_another_list_are_the_same(make_files, class_file):
    names = {"train": ("Riding Horse", "caf\u00e9"), "test": ("riding_horse", "Cafe\u0301")}
    files = {f"v/{split}{k}{i}.mp4": "" for split in names for k in (0, 1) for i in range(3 if split == "train" else 2)}
    for split, of in names.items():
        rows = [f"{f},{of[int(f[-6])]}\n" for f in files if f"/{split}" in f]
        files |= {f"{split}.csv": "path,label\n" + "".join(rows)}
    files |= {"classes.txt": "caf\u00e9\nRiding Horse\n"} if class_file else {}
    videos = find_videos("list", make_files(files))
    assert videos.attrs["classes"] == sorted(names["train"], reverse=class_file)
    assert (videos.error == "").all() and len(videos) == 10
    assert (videos.class_name == videos.video.str[-6].map({"0": "Riding Horse", "1": "caf\u00e9"})).all()


def test_a_class_file_of_more_classes_than_are_listed(make_files):
    videos = find_videos(
        "list", make_files(videos_at() | per_split("{path} {n}") | {"classes.txt": "archery\nbowling\nclimbing\n"})
    )
    assert videos.attrs["classes"][-1] == "climbing" and videos.attrs["classes_without_videos"] == ["climbing"]


@pytest.mark.parametrize(
    "header, form",
    [
        ("path,label,split", '"{path}",{n},{split}'),
        ("video_path;class;subset", "{path};{n};{split}"),
        ("clip_name\tclip_path\tlabel\tsplit", "x\t/{path}\t{n}\t{split}"),
        ("path,label,split", "{path},{n},{split}"),
        ("label,PATH , Split", '{n},"{path}",{split}'),
    ],
)
def test_named_columns_with_a_split(make_files, header, form):
    check(find_videos("list", make_files(videos_at() | {"all.csv": f"{header}\n{lines(form)}"})))


def test_class_names_beside_numbers_are_the_class_list(make_files):
    root = make_files(
        videos_at() | {"all.csv": "path,label,class_name,split\n" + lines('"{path}",{n},{label},{split}')}
    )
    check(find_videos("list", root), CLASSES)
    text = (root / "all.csv").read_text().replace("0,archery", "1,archery", 1)
    with pytest.raises(ValueError, match="label: 1 and .* do not belong together in all rows"):
        find_videos("list", make_files({"all.csv": text}))


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_hugging_face_metadata_in_each_splits_folder(make_files, ending):
    files = videos_at("{split}/{path}")
    for split in SPLITS:
        rows = [{"file_name": path, "label": label, "length": 7} for path, label, s in VIDEOS if s == split]
        table = pd.DataFrame(rows)
        text = table.to_csv(index=False) if ending == "csv" else "".join(json.dumps(row) + "\n" for row in rows)
        files[f"{split}/metadata.{ending}"] = text
    check(find_videos("list", make_files(files)), CLASSES)


def test_one_metadata_file_above_folders_of_splits(make_files):
    files = videos_at("data/{split}/{path}") | {
        "data/metadata.csv": "file_name,label\n" + lines('"{split}/{path}",{n}')
    }
    check(find_videos("list", make_files(files)))


def test_hugging_face_metadata_without_a_label_says_its_columns(make_files):
    with pytest.raises(ValueError, match="metadata.csv: has columns file_name, text; expected path"):
        find_videos("list", make_files({"train/metadata.csv": "file_name,text\na.mp4,hello\n", "train/a.mp4": ""}))


def test_mmaction2s_lists_of_three_splits_and_two_kinds(make_files):
    """ucf101_{train,val}_split_{1,2,3}_{rawframes,videos}.txt, all in one folder, the videos in another."""
    files = videos_at("videos/{path}")
    for split in ("train", "val"):
        for fold in (1, 2, 3):
            wanted = [v for v in VIDEOS if v[2] == split]
            wanted = wanted[fold - 1 :] + (wanted[: fold - 1] if fold < 3 else [])
            files[f"ucf101_{split}_split_{fold}_videos.txt"] = "".join(f"{p} {NUMBER[c]}\n" for p, c, _ in wanted)
            files[f"ucf101_{split}_split_{fold}_rawframes.txt"] = "".join(
                f"{p[:-4]} 9 {NUMBER[c]}\n" for p, c, _ in wanted
            )
    root = make_files(files)
    videos = find_videos("list", root, fold=1)
    assert len(videos) == 12 and (videos.error == "").all() and (videos.split == "test").sum() == 6
    assert len(find_videos("list", root, fold=3)) == 8
    with pytest.raises(ValueError, match="fold: found 4, but .* has lists of 1, 2, 3"):
        find_videos("list", root, fold=4)
    assert sum("rawframes" in note for note in videos.attrs["notes"]) == 1


@pytest.mark.parametrize("form", ["{stem} 5 {n}", "{stem},5,{n}", "{stem} 6 {n}", "{stem} 4 {n}", "{stem} {n}"])
@pytest.mark.parametrize("name", ["img_{:05d}.jpg", "{}.png", "image_{:04d}.JPEG"])
def test_lists_of_frame_folders(make_files, form, name):
    videos = find_videos("list", make_files(frames_at("rawframes/{path}", name=name) | per_split(form)), fps=12.5)
    check(videos)
    probed = probe_videos(videos)
    assert probed.ok.all() and (probed.n_frames == 5).all() and (probed.fps == 12.5).all()


def test_an_offset_before_the_count_is_a_segment(make_files):
    videos = probe_videos(find_videos("list", make_files(frames_at(n=9) | per_split("{stem} 2 5 {n}"))))
    assert set(zip(videos.start_frame, videos.end_frame, videos.n_frames, strict=True)) == {(2, 7, 5)}


def test_paths_of_another_machine_and_another_ending(make_files):
    root = make_files(videos_at("clips/{path}") | per_split("/home/someone/data/k400/{path} {n}"))
    videos = find_videos("list", root)
    check(videos)
    assert any("without their first 4 folders" in note for note in videos.attrs["notes"])
    check(find_videos("list", make_files(per_split("{stem}.webm {n}"))))
    root = make_files(
        {f"{split}.txt": "" for split in SPLITS} | {"one.txt": lines("C:\\data\\{path},{n}").replace("/", "\\")}
    )
    for split in SPLITS:
        (root / f"{split}.txt").unlink()
    assert len(find_videos("list", root)) == 18
    (root / "one.txt").unlink()
    check(find_videos("list", make_files(per_split("{stem} {n}"))))
    check(find_videos("list", make_files(per_split("{stem} {n}", header="path label\n"))))


def test_lists_in_a_folder_apart_and_a_single_list(make_files, tmp_path):
    make_files(videos_at("data/{path}") | {f"lists/{n}": t for n, t in per_split("{path} {n}").items()})
    check(find_videos("list", tmp_path / "data", annotations=str(tmp_path / "lists")))
    make_files({"one.txt": lines("{path} {n}")})
    videos = find_videos("list", tmp_path / "data", annotations=str(tmp_path / "one.txt"))
    assert len(videos) == 18 and set(videos.split) == set(SPLITS)
    assert "no split is given: a fifth of each class is test" in videos.attrs["notes"]


def test_the_same_list_for_val_and_test_is_test(make_files):
    """SlowFast wants all three files, and published data sets have two."""
    files = per_split("{path} {n}")
    files["test.txt"] = files["val.txt"]
    videos = find_videos("list", make_files(videos_at() | files))
    assert videos.split.value_counts().to_dict() == {"test": 6, "train": 4, "val": 2}
    assert any("6 videos are listed for val and for test" in note for note in videos.attrs["notes"])


def test_a_video_of_train_in_test_is_an_error(make_files):
    files = per_split("{path} {n}")
    files["test.txt"] += files["train.txt"].splitlines()[0]
    with pytest.raises(ValueError, match=r"split: archery/train 0, 2.mp4 is in test and in train \(1 such\)"):
        find_videos("list", make_files(videos_at() | files))


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_link_of_train_in_test_is_an_error(make_files, link):
    root = make_files({"train.txt": "a/0.mp4 0\na/1.mp4 1\n", "test.txt": "a/2.mp4 0\na/3.mp4 1\n", "a/0.mp4": ""})
    make_files(["a/1.mp4", "a/2.mp4"])
    link(root / "a/0.mp4", root / "a/3.mp4")
    with pytest.raises(ValueError, match="split: a/0.mp4 = a/3.mp4 is in test and in train"):
        find_videos("list", root)


@pytest.fixture
def real(tmp_path):
    """Six videos of 9 frames in a and b, and a list with columns; real(rows) -> the root."""

    def real(text):
        for name in "ab":
            (tmp_path / name).mkdir(exist_ok=True)
            for i in range(3):
                write_video(tmp_path / name / f"{i}.mp4", numbered_frames(9))
        (tmp_path / "all.csv").write_text(text)
        return tmp_path

    return real


def test_bad_rows_are_counted_and_named_like_bad_videos(real):
    header = "path,label,split,start_frame,end_frame\n"
    good = "".join(f"{c}/{i}.mp4,{c},{s},,\n" for c in "ab" for i, s in enumerate(SPLITS))
    bad = {
        "a/gone.mp4,a,train,,": "is not on disk",
        "a/1.mp4,,train,1,2": "has label '', which is none of the 2 classes",
        "a/0.mp4,a,train,5,12": "has 9 frames; found start_frame 5, end_frame 12",
        "a/0.mp4,a,train,9,": "has 9 frames; found start_frame 9, end_frame -1",
        "a/0.mp4,a,train,5,5": "has no frames in its segment, 5 to 5",
        "a/0.mp4,a,train,x,5": "start_frame is no number: x",
    }
    root = real(header + good + "".join(f"{line}\n" for line in bad))
    videos = probe_videos(find_videos("list", root))
    assert len(videos) == 12 and videos.ok.sum() == 6
    for line, says in bad.items():
        assert videos.error.str.contains(says, regex=False).sum() == 1, (line, says)
    with pytest.raises(VideoError, match="6 of 12 videos cannot be read, more than max_bad_share = 5.0%; first: "):
        probe_videos(find_videos("list", root), 0.05)


def test_an_unknown_label_beside_a_class_file_and_a_line_that_says_nothing(make_files):
    files = videos_at() | per_split("{path} {n}") | {"classes.txt": "archery\nbowling\n", "more.mp4": ""}
    files["train.txt"] += "more.mp4 7\nnothing\n"
    videos = find_videos("list", make_files(files))
    bad = videos[videos.error != ""]
    assert set(bad.error) == {"has label '7', which is none of the 2 classes", "is no path and label: 'nothing'"}
    assert (bad.label == -1).all() and (videos.label[videos.error == ""] >= 0).all()


def test_segments_of_one_video_stay_together(real):
    header = "path,label,start_frame,end_frame\n"
    text = "".join(f"{c}/{i}.mp4,{c},{a},{a + 3}\n" for c in "ab" for i in range(3) for a in (0, 3, 6))
    videos = probe_videos(find_videos("list", real(header + text), val_share=0.3))
    assert len(videos) == 18 and videos.video.is_unique and "a/0.mp4#3-6" in set(videos.video)
    assert (videos.groupby("source").split.nunique() == 1).all() and (videos.groupby("source").size() == 3).all()
    assert (videos.n_frames == 3).all()


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_a_share_of_the_training_videos_is_drawn_class_by_class_and_the_others_stay(make_files, share):
    root = make_files([f"{split}/{c}/{i}.mp4" for split in ("train", "val", "test") for c in "ab" for i in range(8)])
    every, some = find_videos("folder", root), find_videos("folder", root, train_share=share)
    assert some.groupby(["split", "label"]).size().loc["train"].tolist() == [8 * share] * 2
    assert set(some.video) < set(every.video) and some.video.is_monotonic_increasing
    others = [t[t.split != "train"].reset_index(drop=True) for t in (every, some)]
    pd.testing.assert_frame_equal(*others)
    pd.testing.assert_frame_equal(some, find_videos("folder", root, train_share=share))
    assert f"train_share {share}: {16 * share:.0f} of 16 training videos are used" in some.attrs["notes"]
    none = find_videos("folder", root, train_share=0.0)
    assert none[none.split == "train"].groupby("label").size().tolist() == [1, 1]  # a class keeps one


def test_a_source_column_keeps_scenes_together(make_files):
    text = "path,label,source\n" + "".join(f'"{p}",{c},{c}{int(i / 2)}\n' for i, (p, c, _) in enumerate(VIDEOS))
    videos = find_videos("list", make_files(videos_at() | {"all.csv": text}))
    assert (videos.groupby("source").split.nunique() == 1).all() and videos.source.nunique() < 18


@pytest.mark.parametrize("fold", [1, 2, 5])
def test_folds_rotate_where_no_split_is_given(make_files, fold):
    text = "path,label,fold\n" + "".join(f'"{p}",{c},{i % 5}\n' for i, (p, c, _) in enumerate(VIDEOS))
    videos = find_videos("list", make_files(videos_at() | {"all.csv": text}), fold=fold)
    of = videos.groupby("split").fold.agg(lambda f: sorted(set(f))).to_dict()
    assert of["test"] == [fold - 1] and of["val"] == [fold % 5] and len(of["train"]) == 3
    with pytest.raises(ValueError, match="fold: found 6, expected 1 to 5"):
        find_videos("list", make_files({}), fold=6)


def test_columns_of_several_splits_and_videos_of_the_teacher(make_files):
    roles = ("train", "val", "test", "teacher", "teacher")
    text = "path,label,split1,split2\n"
    text += "".join(f'"{p}",{c},{roles[i % 5]},{roles[(i + 1) % 5]}\n' for i, (p, c, _) in enumerate(VIDEOS))
    root = make_files(videos_at() | {"all.csv": text})
    one, two = (find_videos("list", root, fold=fold).assign(ok=True).set_index("video") for fold in (1, 2))
    assert (
        set(one.split) == {*SPLITS, "teacher"}
        and one.split[VIDEOS[0][0]] == "train"
        and two.split[VIDEOS[0][0]] == "val"
    )
    teacher = find_teacher_videos("list", root, one.reset_index())
    assert set(teacher.split) == {"train", "val"} and set(teacher.video) == set(one.index[one.split == "teacher"])


def test_labels_of_several_words_behind_blanks(make_files):
    check(
        find_videos("list", make_files(videos_at() | per_split("{path} doing {label}"))),
        [f"doing {c}" for c in CLASSES],
    )


def test_a_list_that_a_spreadsheet_saved_with_its_separator(make_files):
    text = "sep=;\r\npath;label;split\r\n" + lines("{path};{n};{split}").replace("\n", "\r\n")
    check(find_videos("list", make_files(videos_at() | {"all.csv": text})))


def test_several_labels_a_line_are_no_count_of_frames(make_files):
    with pytest.raises(ValueError, match=r"18 rows are bad, the first: .* 0 is not on disk"):
        find_videos("list", make_files(videos_at() | per_split("{path} 0 {n}")))


def test_unclear_lists_are_errors_that_name_them(make_files):
    root = make_files(
        videos_at() | {"a.txt": lines("{path} {n}"), "b.txt": lines("{path} {n}"), "README.txt": "Read me now\n"}
    )
    with pytest.raises(ValueError, match=r"annotations: .*a.txt, .*b.txt all name videos, and not which split"):
        find_videos("list", root)
    with pytest.raises(ValueError, match="root: .* has no list of videos"):
        find_videos("list", make_files({"sub/x.mp4": ""}) / "sub")
    with pytest.raises(ValueError, match="annotations: .*nowhere does not exist"):
        find_videos("list", root, annotations="nowhere")
    with pytest.raises(ValueError, match="all.csv: has split 'holdout'; expected train"):
        find_videos("list", make_files({"x/all.csv": "path,label,split\na.mp4,0,holdout\n"}) / "x")


def test_a_gap_a_double_or_a_short_folder_of_frames_is_a_bad_row(make_files):
    files = frames_at(n=12, name="{}.jpg")
    folders = sorted({name.rsplit("/", 1)[0] for name in files})
    del files[f"{folders[0]}/7.jpg"], files[f"{folders[1]}/12.jpg"], files[f"{folders[1]}/11.jpg"]
    files[f"{folders[2]}/007.jpg"] = ""
    files |= per_split("{stem} 12 {n}") | {f"{folders[3]}/Thumbs.db": "", f"{folders[3]}/._1.jpg": ""}
    videos = probe_videos(find_videos("list", make_files(files))).set_index("video")
    assert videos.ok.sum() == 15 and (videos.n_frames[videos.ok] == 12).all()
    assert "lacks the picture of number 7" in videos.error[folders[0]]
    assert "holds 10 pictures, its list says 12" in videos.error[folders[1]]
    assert "holds number 7 twice" in videos.error[folders[2]]


def test_class_files_in_odd_forms(tmp_path):
    path = tmp_path / "classes.txt"
    path.write_text("3 point shot\nhigh 5\njump\n")  # numbers that belong to names
    assert read_classes(path) == (["3 point shot", "high 5", "jump"], None)
    path.write_text("0 one\n0 two\n")
    with pytest.raises(ValueError, match="classes.txt: gives two classes one number"):
        read_classes(path)
