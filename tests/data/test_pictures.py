"""Folders of numbered pictures as videos."""

import numpy as np
import pytest
import torch
from conftest import numbered_frames, read_numbers
from odd_videos import moving, pictures
from PIL import Image

from condi_lib.data import VideoError, iter_frames, read_clips
from condi_lib.data.video import probe, read_clip


def test_a_folder_of_numbered_pictures_is_a_video(tmp_path):
    frames = numbered_frames(30, 64)
    folder = pictures(tmp_path / "v", frames, first=7)  # 9 comes before 10
    (folder / ".DS_Store").write_bytes(b"")
    (folder / "notes.txt").write_bytes(b"")
    assert probe(folder) == (30, 25.0) and probe(folder, fps=12.5) == (30, 12.5)
    assert read_numbers(read_clips(folder, 8, 32)).ravel()[:30].tolist() == list(range(30))
    assert read_numbers(read_clip(folder, 2, 8, 32)[None]).tolist() == [list(range(16, 24))]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("gap", "lacks the picture of number 10 to 11"),
        ("double", "holds number 9 twice"),
        ("two series", r"holds 2 series of pictures \(img_\*, mask_\*\)"),
        ("no number", "a picture without a number, 'cover.jpg'"),
    ],
)
def test_a_folder_that_is_not_one_series_is_named_without_opening_it(tmp_path, fault, message):
    folder = tmp_path / "v"
    folder.mkdir()
    names = [f"img_{i}.jpg" for i in range(8, 20) if fault != "gap" or i not in (10, 11)]
    names += {"double": ["img_09.jpg"], "two series": ["mask_1.jpg", "flow_1.jpg"], "no number": ["cover.jpg"]}.get(
        fault, []
    )
    for name in names:
        (folder / name).write_bytes(b"")
    for read in (probe, read_clips):
        with pytest.raises(VideoError, match=rf"v: cannot be (opened|decoded): .*{message}"):
            read(folder)


def test_pictures_of_any_kind_show_the_same(tmp_path):
    image = Image.fromarray(moving(1, 64, 64)[0]).convert("L")
    turned = Image.Exif()
    turned[274] = 6  # shown turned a quarter clockwise
    kinds = {
        "grey.png": (image, {}),
        "wide.png": (Image.fromarray(np.asarray(image).astype(np.uint16) * 257), {}),
        "palette.png": (image.convert("P"), {}),
        "alpha.png": (image.convert("RGBA"), {}),
        "cmyk.jpg": (image.convert("CMYK"), {"quality": 100}),
        "turned.jpeg": (image.rotate(90), {"quality": 100, "exif": turned}),
    }
    for name, (picture, options) in kinds.items():
        folder = tmp_path / name
        folder.mkdir()
        picture.save(folder / f"1{folder.suffix.upper()}", **options)
        shown = read_clips(folder, 1, 64)[0, :, 0].float() - torch.from_numpy(np.array(image))
        assert shown.abs().mean() < 3, name


def test_pictures_of_several_sizes_are_named_and_a_broken_one_ends_the_video(tmp_path):
    folder = pictures(tmp_path / "v", numbered_frames(12, 64))
    broken = folder / "img_15.png"
    broken.write_bytes(broken.read_bytes()[:-60])
    report = {}
    assert len(read_clips(folder, 4, 32, report=report)) == 2
    assert report["n_frames"] == 8 and "img_15.png" in report["fault"]
    Image.new("RGB", (64, 48)).save(broken)
    with pytest.raises(VideoError, match="img_15.png has 64 x 48 pixels, those before it 64 x 64"):
        read_clips(folder, 4, 32)


def test_pictures_of_16_bits_keep_their_greys(tmp_path):
    grey = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    (tmp_path / "a").mkdir()
    Image.fromarray(grey).save(tmp_path / "a" / "0001.png")
    frame = next(iter_frames(tmp_path / "a", 64))
    assert np.abs(frame[..., 0].astype(float) - grey / 257).max() <= 1
