"""Each layout on small trees of real video files, with its quirks."""

import json
import os
import shutil

import pandas as pd
import pytest
from conftest import numbered_frames

from condi_lib.data import find_teacher_videos, find_videos, probe_videos, read_clips
from condi_lib.data.planted import write_video
from condi_lib.data.tree import walk


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_video(path, numbered_frames(9))
    return path


@pytest.fixture
def tree(tmp_path, clip):
    """Makes a tree: tree({relative path: text, or None for a video file}) -> its root."""

    def make(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                shutil.copy(clip, path)
            else:
                path.write_text(text)
        return tmp_path

    return make


def rows(videos, *columns):
    return set(videos[list(columns)].itertuples(index=False, name=None))


def ucf_tree(tree, groups=5, lists="", folder="HandstandPushups"):
    train, test, files = [], [], {}
    for label, name in enumerate(("Archery", "HandstandPushups")):
        stem = name.replace("HandstandPushups", "HandStandPushups")
        for group in range(1, groups + 1):
            for c in (1, 2):
                listed = f"{name}/v_{stem}_g{group:02d}_c{c:02d}.avi"
                files[listed.replace("HandstandPushups/", folder + "/")] = None
                (test if group == 1 else train).append(f"{listed} {label + 1}\n" if group > 1 else f"{listed}\n")
    files[lists + "classInd.txt"] = "1 Archery\n2 HandstandPushups\n"
    files[lists + "trainlist01.txt"], files[lists + "testlist01.txt"] = "".join(train), "".join(test)
    return tree(files)


@pytest.mark.parametrize("lists", ["", "ucfTrainTestlist/"])
@pytest.mark.parametrize("folder", ["HandstandPushups", "HandStandPushups"])
def test_ucf101(tree, lists, folder):
    root = ucf_tree(tree, lists=lists, folder=folder)
    videos = find_videos("ucf101", root)
    assert len(videos) == 20 and videos.video.is_unique and list(videos.video) == sorted(videos.video)
    assert videos.groupby("split").size().to_dict() == {"test": 4, "train": 12, "val": 4}
    scenes = videos.assign(group=videos.video.str[:-4]).groupby("group").split.nunique()
    assert (scenes == 1).all()  # the same scene is never on both sides
    assert videos.path.map(os.path.isfile).all() and videos.attrs["missing"] == []
    assert rows(videos, "class_name", "label") == {("Archery", 0), ("HandstandPushups", 1)}
    pd.testing.assert_frame_equal(find_videos("ucf101", root), videos)
    assert not find_videos("ucf101", root, seed=3).split.equals(videos.split)
    assert set(find_teacher_videos("ucf101", root, videos).split) == {"train", "val"}
    with pytest.raises(ValueError, match="fold: .*has no trainlist02.txt"):
        find_videos("ucf101", root, fold=2)


def test_ucf101_without_some_of_its_files(tree):
    root = ucf_tree(tree)
    (root / "Archery/v_Archery_g03_c01.avi").unlink()
    videos = find_videos("ucf101", root)
    assert len(videos) == 19 and videos.attrs["missing"] == ["v_Archery_g03_c01"]


def test_a_list_that_names_an_unknown_class_is_an_error(tree):
    root = tree({"classInd.txt": "1 Archery\n", "trainlist01.txt": "Biking/v_Biking_g01_c01.avi 2\n"})
    with pytest.raises(ValueError, match=r"classInd.txt: has no class Biking, which trainlist01.txt names"):
        find_videos("ucf101", root)


def test_hmdb51(tree):
    names = {
        "wave": [
            "50_[first] dates_wave_f_cm_np1_fr_med_0",
            "50_[first] dates_wave_u_nm_np1_fr_goo_1",
            "a#b;c&d_wave_u_0",
        ],
        "brush_hair": ["April_09_brush_hair_u_nm_np1_ba_goo_0", "e_brush_hair_0", "f_brush_hair_1", "g_brush_hair_2"],
    }
    uses = {"wave": "112", "brush_hair": "1120"}
    files = {f"{c}/{n}.avi": None for c, ns in names.items() for n in ns}
    for c, ns in names.items():
        lines = [f"{n}.avi {use} \n" for n, use in zip(ns, uses[c], strict=True)]
        files[f"testTrainMulti_7030_splits/{c}_test_split1.txt"] = "".join(lines)
    videos = find_videos("hmdb51", tree(files))
    assert set(videos.video) == {*names["wave"], *names["brush_hair"][:3]}  # 0: unused
    assert rows(videos, "class_name", "label") == {("brush_hair", 0), ("wave", 1)}
    split = videos.set_index("video").split
    assert split[names["wave"][2]] == split["f_brush_hair_1"] == "test"
    dates = split[names["wave"][:2]]
    assert dates.nunique() == 1  # two clips of one film stay together
    assert videos.path.map(os.path.isfile).all()
    with pytest.raises(ValueError, match=r"_test_split3.txt; expected HMDB-51's split files"):
        find_videos("hmdb51", tree({}), fold=3)


KINETICS = """label,youtube_id,time_start,time_end,split
playing guitar,--aBc,3,13,train
playing guitar,xYz_01,100,110,train
abseiling,abs1,0,10,train
abseiling,abs2,0,10,train
abseiling,gone,5,15,train
"""
KINETICS_VAL = (
    "label,youtube_id,time_start,time_end,split\nabseiling,v1,0,10,validate\nplaying guitar,v2,7,17,validate\n"
)


@pytest.mark.parametrize(
    "where",
    [
        "{split}/{label}/{name}.mp4",
        "{split}/{under}/{name}.mkv",
        "{split}/{name}.mp4",
        "{label}/{name}.webm",
        "{name}.mp4",
        "{split}/{id}.mp4",
    ],
)
def test_kinetics(tree, where):
    listed = [line.split(",") for line in (KINETICS + KINETICS_VAL).splitlines() if not line.startswith("label")]
    files = {"annotations/train.csv": KINETICS, "annotations/val.csv": KINETICS_VAL}
    files["annotations/test.csv"] = "youtube_id,time_start,time_end,split\nt1,0,10,test\n"  # labels held out
    for label, name, start, end, split in listed:
        if name != "gone":
            full = f"{name}_{int(start):06d}_{int(end):06d}"
            place = where.format(split=split, label=label, under=label.replace(" ", "_"), name=full, id=name)
            files[place] = None
    videos = find_videos("kinetics", tree(files))
    assert videos.attrs["missing"] == ["gone_000005_000015"]
    assert "--aBc_000003_000013" in set(videos.video)
    assert rows(videos, "class_name", "label") == {("abseiling", 0), ("playing guitar", 1)}
    # the published validation split is what results come from; validation is carved from train
    assert rows(videos[videos.split == "test"], "video") == {("v1_000000_000010",), ("v2_000007_000017",)}
    assert (videos.split == "val").sum() == 2 and (videos.split == "train").sum() == 2


def test_kinetics_with_a_bad_csv(tree):
    with pytest.raises(ValueError, match=r"train.csv: has no column time_end; expected label, youtube_id"):
        find_videos("kinetics", tree({"train.csv": "label,youtube_id,time_start\na,b,1\n"}))
    with pytest.raises(ValueError, match=r"split: 'trainn'"):
        find_videos("kinetics", tree({"train.csv": KINETICS.replace(",train\n", ",trainn\n")}))
    with pytest.raises(ValueError, match=r"none of the 5 listed videos is in .*; first: --aBc_000003_000013"):
        find_videos("kinetics", tree({"train.csv": KINETICS}))


def test_activitynet(tree):
    def entry(subset, *parts):
        return {
            "subset": subset,
            "annotations": [{"segment": s, "label": name} for *s, name in parts],
            "duration": 99.0,
        }

    database = {
        "a": entry("training", (0, 10, "Surfing"), (20, 30, "Knitting"), (40, 45, "Surfing")),
        "b": entry("training", (0, 1, "Knitting")),
        "c": entry("training", (0, 5, "Surfing"), (5, 10, "Knitting")),
        "e": entry("validation", (0, 1, "Surfing")),
        "t": entry("testing"),
        "gone": entry("validation", (0, 1, "Surfing")),
    }
    content = json.dumps({"database": database, "taxonomy": [], "version": "VERSION 1.3"})
    files = {"activity_net.v1-3.min.json": content, "train/v_a.mp4": None, "v_b.mkv": None, "v_c.webm": None}
    videos = find_videos("activitynet", tree({**files, "val/v_e.mp4": None, "v_t.mp4": None}))
    by = videos.set_index("video")
    assert set(by.index) == {"v_a", "v_b", "v_c", "v_e"} and videos.attrs["missing"] == ["v_gone"]
    assert by.class_name["v_a"] == "Surfing" and by.other_labels["v_a"] == "Knitting"  # 15 s against 10 s
    assert by.class_name["v_c"] == "Knitting"  # as long: the first by name
    assert by.split["v_e"] == "test" and by.label["v_b"] == 0 and by.other_labels["v_b"] == ""
    with pytest.raises(ValueError, match='has no "database"'):
        find_videos("activitynet", tree({"activity_net.v1-3.min.json": "{}"}))


def segmented(tree, parts, rate=25):
    """A tree of ActivityNet with two videos for training, one for validation; parts: segments of video a."""
    names = ("a", "b", "e")
    database = {
        name: {
            "subset": "validation" if name == "e" else "training",
            "annotations": [
                {"segment": part[:2], "label": part[2]} for part in (parts if name == "a" else [(0, 1, "Knitting")])
            ],
        }
        for name in names
    }
    return tree({"activity_net.json": json.dumps({"database": database}), **{f"v_{n}.mp4": None for n in names}})


def test_activitynets_teacher_learns_from_segments(tree):
    """9 frames at 25 a second: frame n is shown from n / 25 s on."""
    parts = [
        (0.0, 0.12, "Surfing"),
        (0.121, 0.2, "Knitting"),
        (0.3, 99, "Surfing"),
        (5, 6, "Surfing"),
        (0.2, 0.2, "Surfing"),
    ]
    root = segmented(tree, parts)
    videos = probe_videos(find_videos("activitynet", root))
    assert len(videos) == 3 and (videos.start_frame == 0).all() and (videos.end_frame == -1).all()
    found = find_teacher_videos("activitynet", root, videos)
    of_a = found[found.source == "v_a"]
    assert rows(of_a[of_a.ok], "start_frame", "end_frame", "n_frames", "class_name", "label") == {
        (0, 3, 3, "Surfing", 1),
        (4, 5, 1, "Knitting", 0),
        (8, 9, 1, "Surfing", 1),
    }
    assert found.video.is_unique and set(found.source) == {"v_a", "v_b"}
    assert of_a.error[~of_a.ok].str.contains("is outside its 9 frames").sum() == 2 == (~of_a.ok).sum()
    whole = find_teacher_videos("activitynet", root, videos, kind="untrimmed")
    assert set(whole.video) == {"v_a", "v_b"}


def test_moments_in_time(tree):
    files = {"moments_categories.txt": "asking,1\nrafting,0\n"}
    train = [
        f"{c}/{n}.mp4" for c in ("asking", "rafting") for n in ("getty-a-id6_4", "getty-a-id6_5", "yt-b_1", "yt-c_2")
    ]
    files["trainingSet.csv"] = "".join(f"{f},{f.split('/')[0]},3,0\n" for f in train)
    files["validationSet.csv"] = "asking/yt-v_1.mp4,asking,4,1\n"
    files |= {f"training/{f}": None for f in train} | {"validation/asking/yt-v_1.mp4": None}
    videos = find_videos("mit", tree(files))
    assert len(videos) == 9 and rows(videos, "class_name", "label") == {("rafting", 0), ("asking", 1)}
    assert rows(videos[videos.split == "test"], "video") == {("asking/yt-v_1",)}
    of_one = videos[videos.video.str.contains("id6")].groupby("class_name").split.nunique()
    assert (of_one == 1).all()
    (tree({}) / "validationSet.csv").unlink()
    with pytest.raises(ValueError, match="validationSet.csv does not exist"):
        find_videos("mit", tree({}))


def test_a_folder_of_ones_own(tree):
    files = {f"{c}/film {i}.{e}": None for c in ("my cat", "ärger $(x)") for i in range(10) for e in ("mp4", "MKV")}
    videos = find_videos("folder", tree({**files, "my cat/notes.txt": "no video", "notes.md": ""}))
    assert len(videos) == 40 and videos.video.is_unique
    counts = videos.groupby(["class_name", "split"]).size().unstack()
    assert (counts.test == 4).all() and (counts.val == 2).all() and (counts.train == 14).all()
    pd.testing.assert_frame_equal(find_videos("folder", tree({})), videos)
    assert not find_videos("folder", tree({}), seed=1).split.equals(videos.split)
    assert probe_videos(videos).ok.all()


def test_a_folder_with_splits(tree):
    files = {f"{s}/{c}/{i}.mp4": None for s in ("train", "Validation", "test") for c in "ab" for i in range(3)}
    videos = find_videos("folder", tree(files))
    assert (videos.groupby(["class_name", "split"]).size() == 3).all() and set(videos.split) == {"train", "val", "test"}
    assert (videos.split.replace("val", "validation") == videos.video.str.split("/").str[0].str.lower()).all()


def test_a_folder_without_videos_is_an_error(tree):
    with pytest.raises(ValueError, match=r"has no video in <class>/ or <split>/<class>/"):
        find_videos("folder", tree({"a/notes.txt": ""}))


def test_a_loop_of_links_is_walked_once_and_a_link_to_itself_is_a_bad_video(tree):
    root = tree({"a/1.mp4": None, "b/2.mp4": None})
    (root / "a/loop").symlink_to(root)
    (root / "b/self.mp4").symlink_to(root / "b/self.mp4")
    assert len(walk(root).files) == 3  # a/loop leads back to root, which has been walked
    found = probe_videos(find_videos("folder", root))
    assert found.ok.sum() == 2 and found[~found.ok].error.str.contains("self.mp4").all()


def test_a_bad_file_is_a_row_with_its_reason_and_too_many_are_an_error(tree):
    root = ucf_tree(tree)
    videos = find_videos("ucf101", root)
    videos.loc[2, "path"] = str(root / "classInd.txt")
    found = probe_videos(videos, max_bad_share=0.05)
    assert found.ok.sum() == 19 and not found.ok[2]
    assert "classInd.txt" in found.error[2] and (found.n_frames[found.ok] == 9).all()
    with pytest.raises(
        ValueError, match=r"1 of 20 videos cannot be read, more than max_bad_share = 4.0%; first: .*class"
    ):
        probe_videos(videos, max_bad_share=0.04)


def test_unknown_data_sets_and_roots_are_errors(tmp_path):
    with pytest.raises(ValueError, match="dataset: 'ucf100' is unknown; expected one of planted, ucf101, hmdb51"):
        find_videos("ucf100", tmp_path)
    with pytest.raises(ValueError, match="root: .*nowhere does not exist"):
        find_videos("ucf101", tmp_path / "nowhere")
    for dataset, lacks in [
        ("ucf101", "classInd.txt"),
        ("hmdb51", "_test_split1.txt"),
        ("kinetics", "csv"),
        ("mit", "mom"),
    ]:
        with pytest.raises(ValueError, match=f"root: .* has no .*{lacks}"):
            find_videos(dataset, tmp_path)
    with pytest.raises(ValueError, match="annotations: .*nowhere does not exist"):
        find_videos("hmdb51", tmp_path, annotations=tmp_path / "nowhere")


def test_what_is_found_can_be_read(tree):
    videos = find_videos("ucf101", ucf_tree(tree))
    clips = read_clips(videos.path[0], 4, 32)
    assert clips.shape == (3, 3, 4, 32, 32) and clips.float().std() > 1


def test_a_teacher_of_untrimmed_videos_learns_from_the_samplers(tmp_path):
    videos = pd.DataFrame({"video": list("abcde"), "split": ["train", "val", "test", "teacher", "train"]})
    for dataset in ("planted", "list", "grid"):
        found = find_teacher_videos(dataset, tmp_path, videos, kind="untrimmed")
        assert dict(zip(found.video, found.split, strict=True)) == {"a": "train", "b": "val", "e": "train"}
