"""Jester and Something-Something: gestures, where left and right matter."""

import json

import pytest

from condi_lib.data import MIRROR_MATTERS, find_videos, probe_videos


def jester_files(place="20bn-jester-v1/{}/{:05d}.jpg", n=4):
    """Ids 1 to 8 for training, 9 to 12 for validation; odd ids show the first class."""
    classes = ["Swiping Right", "Swiping Left", "Doing other things"]
    files = {"jester-v1-labels.csv": "".join(f"{name}\n" for name in classes), "jester-v1-test.csv": "99\n98\n"}
    for split, ids in (("train", range(1, 9)), ("validation", range(9, 13))):
        files[f"jester-v1-{split}.csv"] = "".join(f"{i};{classes[1 - i % 2]}\n" for i in ids)
    return files | {place.format(i, frame): "" for i in range(1, 13) for frame in range(1, n + 1)}


@pytest.mark.parametrize("place", ["20bn-jester-v1/{}/{:05d}.jpg", "{}/{:05d}.jpg", "a/b/{}/{:05d}.jpg"])
def test_jester(make_files, place):
    videos = find_videos("jester", make_files(jester_files(place)))
    assert videos.attrs["classes"] == ["Swiping Right", "Swiping Left", "Doing other things"]
    assert videos.attrs["classes_without_videos"] == ["Doing other things"]
    assert set(videos.video[videos.split == "test"]) == {"9", "10", "11", "12"} and (videos.split == "val").sum() == 2
    assert (videos.label == 1 - videos.video.astype(int) % 2).all()
    probed = probe_videos(videos)
    assert probed.ok.all() and (probed.n_frames == 4).all() and (probed.fps == 12).all()
    assert (probe_videos(find_videos("jester", make_files({}), fps=30)).fps == 30).all()


def test_jester_with_gaps_and_missing_ones(make_files):
    files = jester_files()
    del files["20bn-jester-v1/3/00002.jpg"]
    files = {name: text for name, text in files.items() if not name.startswith("20bn-jester-v1/5/")}
    videos = find_videos("jester", make_files(files))
    assert videos.attrs["missing"] == ["5"]
    bad = probe_videos(videos)
    assert bad.video[~bad.ok].tolist() == ["3"] and "lacks the picture of number 2" in bad.error[~bad.ok].iloc[0]


@pytest.mark.parametrize("start", ["something-something-v2-", "labels/", "labels/something-something-v2-"])
@pytest.mark.parametrize("place", ["20bn-something-something-v2/{}.webm", "{}.webm", "{}/00001.jpg"])
def test_something_something(make_files, start, place):
    of = {0: "Pushing [something] from left to right", 1: "Pushing [something] from right to left"}
    labels = {text.replace("[", "").replace("]", ""): str(1 - n) for n, text in of.items()}
    files = {f"{start}labels.json": json.dumps(labels), f"{start}test.json": json.dumps([{"id": "77"}])}
    for split, ids in (("train", range(1, 9)), ("validation", range(9, 13))):
        rows = [{"id": str(i), "label": "pushing a cup", "template": of[i % 2], "placeholders": ["a cup"]} for i in ids]
        files[f"{start}{split}.json"] = json.dumps(rows)
    videos = find_videos("ssv2", make_files(files | {place.format(i): "" for i in range(1, 12)}))
    assert videos.attrs["classes"] == ["Pushing something from right to left", "Pushing something from left to right"]
    assert videos.attrs["missing"] == ["12"] and (videos.split == "test").sum() == 3
    assert (videos.label == 1 - videos.video.astype(int) % 2).all()
    with pytest.raises(ValueError, match=r'train.json: found ."id": "1"., expected an object with id and template'):
        find_videos("ssv2", make_files({f"{start}train.json": '[{"id": "1"}]'}))
    bad = json.dumps([{"id": "1", "template": "Eating [something]"}])
    with pytest.raises(ValueError, match=r"train.json, id 1: has class 'Eating something', which is not among the 2"):
        find_videos("ssv2", make_files({f"{start}train.json": bad}))


def test_where_left_and_right_matter():
    assert {"jester", "ssv2", "planted"} == MIRROR_MATTERS
