import pytest

from condi_lib.data import find_teacher_videos, find_videos, planted, probe_videos


@pytest.fixture(scope="module")
def ucf(tmp_path_factory):
    """A small tree in UCF-101's layout, of real video files: 2 classes, 5 groups of 2 clips each."""
    root = tmp_path_factory.mktemp("ucf")
    (root / "classInd.txt").write_text("1 Archery\n2 Biking\n")
    train, test = [], []
    for label, name in enumerate(("Archery", "Biking")):
        (root / name).mkdir()
        for group in range(1, 6):
            for clip in (1, 2):
                file = f"{name}/v_{name}_g{group:02d}_c{clip:02d}.avi"
                frames, _, _ = planted.draw_video(planted.World(), "trimmed_train", 10 * group + clip)
                planted.write_video(root / file, frames)
                (test if group == 1 else train).append(f"{file} {label + 1}\n" if group > 1 else f"{file}\n")
    (root / "trainlist01.txt").write_text("".join(train))
    (root / "testlist01.txt").write_text("".join(test))
    return root


def test_ucf101_layout_with_a_validation_split_by_group(ucf):
    videos = find_videos("ucf101", ucf)
    assert len(videos) == 20 and videos.video.is_unique and list(videos.video) == sorted(videos.video)
    assert videos.groupby("split").size().to_dict() == {"test": 4, "train": 12, "val": 4}
    groups = videos.assign(group=videos.video.str[:-4]).groupby("group").split.nunique()
    assert (groups == 1).all()  # the same scene is never on both sides
    assert find_videos("ucf101", ucf).equals(videos)
    assert set(find_teacher_videos("ucf101", ucf).split) == {"train", "val"}


def test_a_bad_file_is_a_row_with_its_reason(ucf):
    videos = find_videos("ucf101", ucf)
    videos.loc[2, "path"] = str(ucf / "classInd.txt")
    found = probe_videos(videos)
    assert found.ok.sum() == 19 and not found.ok[2]
    assert "classInd.txt" in found.error[2] and (found.n_frames[found.ok] == 8).all()


def test_unknown_data_sets_and_roots_are_errors(tmp_path):
    with pytest.raises(ValueError, match="dataset: 'ucf100' is unknown; expected one of planted, ucf101"):
        find_videos("ucf100", tmp_path)
    with pytest.raises(ValueError, match="root: .*nowhere does not exist"):
        find_videos("ucf101", tmp_path / "nowhere")
    with pytest.raises(ValueError, match="has no classInd.txt"):
        find_videos("ucf101", tmp_path)
