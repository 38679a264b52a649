import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from conftest import numbered_frames
from odd_videos import encode, moving, pictures

from condi_lib.data import Segment, Store, VideoError, read_clips, segment, stored_clips
from condi_lib.data import store as store_module
from condi_lib.data.planted import write_video


@pytest.mark.parametrize("quality", [0, 95])
def test_clips_are_kept_and_follow_the_file(numbered_video, tmp_path, monkeypatch, quality):
    path, store, first, second = numbered_video(20), Store(tmp_path / "decoded", quality=quality), {}, {}
    kept = stored_clips(Segment(path), 8, 32, store, report=first)
    decoded = read_clips(path, 8, 32)
    assert kept.shape == decoded.shape and kept.dtype == torch.uint8
    assert torch.equal(kept, decoded) or quality
    assert (kept.float() - decoded.float()).abs().mean() < 2
    monkeypatch.setattr(segment, "read_clips", lambda *args, **options: pytest.fail("decoded again"))
    other = Store(tmp_path / "decoded", quality=quality)  # another process' view
    assert torch.equal(stored_clips(Segment(path), 8, 32, other, report=second), kept)
    assert second == first | {"n_decoded": 0}
    assert torch.equal(stored_clips(Segment(path), 8, 32, other, [0, 2]), kept[[0, 2]])
    with pytest.raises(VideoError, match="has no clip 3 of 8 frames"):
        stored_clips(Segment(path), 8, 32, other, [1, 3])
    monkeypatch.undo()
    assert len(stored_clips(Segment(path), 4, 32, store)) == 5  # another length of clip
    assert len(stored_clips(Segment(path, 3, 9), 4, 32, store)) == 2  # a segment
    assert len(stored_clips(Segment(path), 4, 32, store, stride=2)) == 3
    for file in store.folder.iterdir():
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])  # a cut file is made again
    assert torch.equal(stored_clips(Segment(path), 8, 32, store), kept)
    write_video(path, numbered_frames(9))
    assert len(stored_clips(Segment(path), 8, 32, store)) == 2
    path.unlink()
    with pytest.raises(VideoError, match="cannot be decoded"):
        stored_clips(Segment(path), 8, 32, store)


def test_pixels_follow_from_the_quality_whether_there_is_room_or_not(tmp_path):
    path = encode(tmp_path / "a.mp4", moving(40))
    roomy, full = Store(tmp_path / "roomy", quality=90), Store(tmp_path / "full", 0.0, quality=90)
    assert torch.equal(stored_clips(Segment(path), 8, 32, roomy), stored_clips(Segment(path), 8, 32, full))
    assert len(list(roomy.folder.iterdir())) == 1 and not full.folder.exists()


def test_jpeg_loses_little_and_less_at_higher_quality(tmp_path):
    path = encode(tmp_path / "a.mp4", moving(40), qp="0")
    summaries = []
    for quality in (80, 95, 100):
        store = Store(tmp_path / str(quality), quality=quality)
        found, decoded = stored_clips(Segment(path), 8, 32, store), read_clips(path, 8, 32)
        error = (found.float() - decoded.float()).square().mean()
        summaries.append(store.summary())
        assert summaries[-1]["psnr_db"] == pytest.approx(float(10 * torch.log10(255**2 / error)), abs=0.01)
    psnr, size = zip(*[(s["psnr_db"], s["bytes_per_clip"]) for s in summaries], strict=True)
    assert psnr[0] < psnr[1] < psnr[2] and size[0] < size[1] < size[2] < 3 * 8 * 32 * 32 and psnr[1] > 30
    exact = Store(tmp_path / "exact")
    stored_clips(Segment(path), 8, 32, exact)
    assert exact.summary()["psnr_db"] == float("inf") and exact.summary()["files"] == 1


def test_a_folder_of_pictures_is_kept_until_one_changes(tmp_path, monkeypatch):
    folder, store = pictures(tmp_path / "v", moving(12)), Store(tmp_path / "decoded")
    first = stored_clips(Segment(folder), 4, 32, store)
    (folder / "img_9.png").write_bytes((folder / "img_7.png").read_bytes())
    assert not torch.equal(stored_clips(Segment(folder), 4, 32, store), first)


def test_nothing_is_written_beyond_the_limit(tmp_path):
    paths = [encode(tmp_path / f"{i}.mp4", moving(16, seed=i)) for i in range(6)]
    size = 2 * 3 * 8 * 32 * 32 + 1000  # of a file of two clips
    stores = [Store(tmp_path / "decoded", 3 * size / 2**30) for _ in range(2)]  # two writers
    for i, path in enumerate(paths):
        assert len(stored_clips(Segment(path), 8, 32, stores[i % 2])) == 2
    files = list((tmp_path / "decoded").iterdir())
    assert len(files) == 3 and sum(f.stat().st_size for f in files) <= 3 * size


@pytest.mark.parametrize("fault", ["no space", "little space"])
def test_a_full_disk_ends_the_keeping_and_not_the_work(numbered_video, tmp_path, monkeypatch, capsys, fault):
    store, paths = Store(tmp_path / "decoded"), [numbered_video(n) for n in (16, 20)]
    if fault == "no space":
        monkeypatch.setattr(
            store_module.zipfile.ZipFile, "writestr", lambda *_: (_ for _ in ()).throw(OSError(28, "No space"))
        )
    else:
        monkeypatch.setattr(store_module, "RESERVE", 2**60)
    for path in paths:
        assert torch.equal(stored_clips(Segment(path), 8, 32, store), read_clips(path, 8, 32))
    assert not list(store.folder.glob("*")) and not list(store.folder.glob(".*"))
    assert capsys.readouterr().out.count("kept no longer") == (fault == "no space")


FILL = """
import sys
from condi_lib.data import Segment, Store, stored_clips
store = Store(sys.argv[1], quality=95)
while True:
    for path in sys.argv[2:]:
        file = store.path(Segment(path), 8, 32)
        stored_clips(Segment(path), 8, 32, store)
        file.unlink(missing_ok=True)
"""


def test_killed_writers_and_several_at_once_leave_only_whole_files(tmp_path):
    paths = [str(encode(tmp_path / f"{i}.mp4", moving(40, seed=i))) for i in range(3)]
    folder = tmp_path / "decoded"
    writers = [subprocess.Popen([sys.executable, "-c", FILL, str(folder), *paths]) for _ in range(2)]
    begin = time.monotonic()
    while not (folder.is_dir() and list(folder.iterdir())) and time.monotonic() < begin + 60:
        time.sleep(0.05)
    store = Store(folder, quality=95)
    expected = {path: Store(tmp_path / "none", 0.0, 95).write("", read_clips(path, 8, 32), {}) for path in paths}
    for i in range(30):
        path = paths[i % 3]
        assert torch.equal(stored_clips(Segment(path), 8, 32, store), expected[path])
        if i == 15:
            writers[0].send_signal(signal.SIGKILL)
    for writer in writers:
        writer.kill()
        writer.wait()
    for path in paths:
        assert torch.equal(stored_clips(Segment(path), 8, 32, Store(folder, quality=95)), expected[path])
    assert all(file.suffix == ".zip" and not file.name.startswith(".") for file in folder.iterdir())


def test_a_store_goes_to_workers_and_says_what_it_is(tmp_path):
    assert Store(tmp_path, quality=95).identity == "JPEG 95, 4:4:4" and Store(tmp_path).identity == "exact"
    with pytest.raises(ValueError, match="quality: found 101"):
        Store(tmp_path, quality=101)
    assert np.isinf(Store(tmp_path / "nothing").summary()["psnr_db"]) and os.listdir(tmp_path) == []
