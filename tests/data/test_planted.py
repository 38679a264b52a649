import hashlib
import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta

from condi_lib.data import find_teacher_videos, find_videos, planted, read_clips
from condi_lib.data.planted import SPLITS, World, draw_video
from condi_lib.data.video import iter_frames

SMALL = World(seed=3, trimmed_train=6, trimmed_val=3, train=4, val=3, test=5)

# The frozen generator: what this version draws with its default rates. A change here is a change of the benchmark: it
# needs a new version and a new calibration (docs/planted.md).
FROZEN_VERSION, FROZEN_CRF = 2, 10
TRUTH_HASH = "e22c74f4acfe41bf"
THUMBNAILS = [
    [162, 164, 137, 150, 162, 165, 145, 142],
    [106, 96, 97, 98, 111, 100, 90, 91],
    [108, 92, 98, 92, 106, 85, 101, 92],
    [141, 134, 138, 149, 141, 153, 131, 145],
    [145, 150, 140, 125, 125, 142, 156, 142],
    [57, 99, 62, 118, 71, 88, 99, 93],
    [133, 168, 138, 147, 152, 142, 158, 113],
    [123, 121, 132, 143, 146, 114, 125, 103],
    [172, 193, 171, 200, 193, 191, 179, 185],
    [111, 105, 113, 115, 108, 103, 119, 109],
    [161, 163, 165, 150, 161, 157, 150, 143],
    [193, 179, 175, 121, 168, 143, 180, 197],
    [139, 154, 145, 144, 163, 120, 152, 127],
    [82, 87, 77, 82, 140, 132, 139, 147],
    [125, 117, 145, 140, 141, 178, 170, 169],
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return planted.write(tmp_path_factory.mktemp("data") / "planted", SMALL, jobs=1)


def thumbnail(frames):
    """Mean grey of quarters of the first and the last frame: 8 numbers, the same on every machine within rounding."""
    grey = frames[[0, -1]].mean(-1)
    return grey.reshape(2, 2, 16, 2, 16).mean((2, 4)).ravel()


def test_the_generator_is_frozen():
    digest, thumbnails = hashlib.sha256(), []
    for split in SPLITS:
        for index in range(3):
            frames, truth, label = draw_video(World(), split, index)
            columns = truth[["frame", "segment", "kind", "shown", "cool"]].assign(label=label)
            digest.update(columns.to_csv(index=False, lineterminator="\n").encode())
            thumbnails.append(thumbnail(frames).round().astype(int).tolist())
    assert (planted.VERSION, World().crf) == (FROZEN_VERSION, FROZEN_CRF)
    assert digest.hexdigest()[:16] == TRUTH_HASH
    np.testing.assert_allclose(thumbnails, THUMBNAILS, atol=2)


def test_a_video_depends_on_seed_split_and_index_alone():
    a, b = (draw_video(World(seed=1, test=n), "test", 2)[0] for n in (3, 300))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a[:50], draw_video(World(seed=2), "test", 2)[0][:50])
    assert not np.array_equal(a[:50], draw_video(World(seed=1), "val", 2)[0][:50])


def test_the_tree_is_read_back_as_a_data_set(root):
    videos = find_videos("planted", root)
    assert videos.groupby("split").size().to_dict() == {"test": 5, "train": 4, "val": 3}
    teacher = find_teacher_videos("planted", root, videos)
    assert teacher.groupby("split").size().to_dict() == {"train": 6, "val": 3}
    assert not set(videos.video) & set(teacher.video)
    groups = pd.concat([videos, teacher]).video.str.extract(r"_g(\d+)_")[0]
    assert groups.is_unique  # a group has its own texture: none is in two splits
    assert (videos.class_name == [SMALL.classes[label] for label in videos.label]).all()


def test_the_truth_has_a_row_a_decoded_frame(root):
    truth = pd.read_parquet(root / "untrimmed" / "truth.parquet")
    videos = find_videos("planted", root)
    for video in videos.itertuples():
        rows = truth[truth.video == video.video]
        assert len(list(iter_frames(video.path, 32))) == len(rows)
        assert list(rows.frame) == list(range(len(rows)))
        assert (rows.shown[rows.kind != "cutaway"] == video.label).all()
        assert (rows.shown[rows.kind == "cutaway"] != video.label).all()


def test_decoded_frames_look_like_the_drawn_ones(root):
    videos = find_videos("planted", root)
    test = videos[videos.split == "test"].iloc[0]
    index = int(test.video.split("_g")[1][1:6])
    frames, _, label = draw_video(SMALL, "test", index)
    decoded = read_clips(test.path, 1, 32)[:, :, 0].permute(0, 2, 3, 1).numpy()
    assert label == test.label
    error = np.abs(frames.mean(-1) - decoded.mean(-1)).mean()  # colour is stored at half the resolution
    assert error < 8


def test_teacher_videos_are_one_clean_clip():
    for index in range(5):
        frames, truth, label = draw_video(World(), "trimmed_train", index)
        assert len(frames) == 8 and (truth.kind == "clean").all() and (truth.shown == label).all()
        assert (truth.blend == 0).all()


def test_rates_are_what_the_world_says():
    world = World(seed=9)
    truths = [draw_video(world, "train", i)[1] for i in range(150)]
    segments = pd.concat([t.groupby("segment").first().assign(video=i) for i, t in enumerate(truths)])
    ambiguous = segments[segments.kind != "clean"]
    assert set(segments.kind) == set(planted.KINDS)
    expected = world.ambiguous_a / (world.ambiguous_a + world.ambiguous_b)
    assert len(ambiguous) / len(segments) == pytest.approx(expected, abs=0.07)
    assert (ambiguous.kind == "cutaway").mean() == pytest.approx(world.cutaway_share, abs=0.1)
    assert np.mean([t.blend.iloc[0] > 0 for t in truths]) == pytest.approx(world.hard_share, abs=0.1)
    shares = segments.groupby("video").kind.agg(lambda k: (k != "clean").mean())
    spread = beta(world.ambiguous_a, world.ambiguous_b).std()
    assert shares.std() == pytest.approx(spread, abs=0.05) and spread > 0.2  # it varies widely between videos
    lengths = np.array([len(t) for t in truths]) / 8
    assert lengths.mean() == pytest.approx(18, abs=0.6) and lengths.min() >= 14 and lengths.max() <= 22
    borders = np.concatenate([np.flatnonzero(t.segment.diff() > 0) for t in truths])
    assert (borders % 8 != 0).mean() > 0.7  # segments do not respect clip borders


def test_writing_twice_keeps_what_is_there_and_other_parameters_are_an_error(root):
    before = (root / "planted.json").stat().st_mtime_ns
    assert planted.write(root, SMALL) == root
    assert (root / "planted.json").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match=r"root: .*holds other data.*seed"):
        planted.write(root, World(seed=4, trimmed_train=6, trimmed_val=3, train=4, val=3, test=5))


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(ValueError, match="no planted.json"):
        planted.write(tmp_path / "mine", SMALL)


def test_an_interrupted_write_leaves_nothing_that_looks_finished(tmp_path, monkeypatch):
    def fail(path, frames, crf):
        raise KeyboardInterrupt

    monkeypatch.setattr(planted, "write_video", fail)
    with pytest.raises(KeyboardInterrupt):
        planted.write(tmp_path / "planted", SMALL, jobs=1)
    assert not (tmp_path / "planted").exists()
    monkeypatch.undo()
    root = planted.write(tmp_path / "planted", SMALL, jobs=1)  # and the next one starts afresh
    assert json.loads((root / "planted.json").read_text())["version"] == planted.VERSION
    assert not (tmp_path / "planted.part").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"classes": ["Right"]}, "classes: found"),
        ({"classes": ["Right", "Sideways"]}, "classes: found"),
        ({"hard_share": 1.5}, "hard_share: found 1.5, expected a share"),
        ({"test": 0}, "test: found 0"),
        ({"ambiguous_a": -1.0}, "ambiguous_a: found"),
    ],
)
def test_impossible_worlds_are_errors(wrong, message):
    with pytest.raises(ValueError, match=message):
        World(**wrong)


def test_the_same_frames_give_the_same_file(tmp_path):
    """Also the first one: x264's look-ahead has been seen to make it differ."""
    for index in (0, 4):
        frames = draw_video(World(), "test", index)[0]
        for i in range(12):
            planted.write_video(tmp_path / f"{i}.mp4", frames)
        assert len({(tmp_path / f"{i}.mp4").read_bytes() for i in range(12)}) == 1
