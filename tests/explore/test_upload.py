"""What arrives in pieces is the file, and nothing of another file stands: without a browser, message by message."""

import os
from pathlib import Path

import pytest
from conftest import numbered_frames
from small_run import make_run

from condi_lib import explore
from condi_lib.data.planted import write_video

WAV = b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data" + (8000).to_bytes(4, "little")


class Page:
    """The page's side of the messages, as upload.js has it."""

    def __init__(self, upload):
        self.upload, self.acknowledged = upload, []
        upload.send = lambda content, buffers=None: self.acknowledged.append(content)

    def start(self, id, name, size):
        self.upload._receive(None, {"kind": "start", "id": id, "name": name, "size": size}, [])

    def piece(self, id, at, data):
        self.upload._receive(None, {"kind": "piece", "id": id, "at": at}, [memoryview(data)])

    def send(self, id, name, data, piece=1000):
        self.start(id, name, len(data))
        while self.acknowledged and (at := self.acknowledged[-1]["at"]) < len(data):
            self.piece(id, at, data[at : at + piece])
            if self.upload.result:
                break


@pytest.fixture
def seen(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    seen = []

    def classify(path):
        seen.append(Path(path).read_bytes())
        if seen[-1].startswith(b"bad"):
            raise ValueError(f"{path}: cannot be decoded:\n it is bad")
        if seen[-1].startswith(b"odd"):
            raise RuntimeError
        return "<b>fine</b>", b"png"

    return Page(explore.Upload(classify)), seen, tmp_path / "temporary"


@pytest.mark.parametrize("size", [1, 999, 1000, 1001, 12_345])
def test_the_file_arrives_whole_and_is_removed(seen, size):
    page, files, folder = seen
    data = os.urandom(size)
    page.send("1", "my holiday.MOV", data)
    assert files == [data]
    assert page.upload.result == {"id": "1", "name": "my holiday.MOV", "html": "<b>fine</b>", "picture": b"png"}
    assert not list(folder.iterdir())


def test_another_file_takes_the_place_of_the_one_before(seen):
    page, files, folder = seen
    page.send("1", "a.mp4", b"first")
    page.start("2", "b.mp4", 3000)
    assert page.upload.result == {}
    page.piece("2", 0, bytes(1000))
    page.start("3", "c.mp4", 4)  # chosen while the second is still being sent
    page.piece("2", 1000, bytes(1000))
    page.piece("3", 0, b"last")
    page.piece("3", 0, b"last")
    assert files == [b"first", b"last"]
    assert page.upload.result["id"] == "3" and not list(folder.iterdir())


def test_a_piece_that_comes_twice_counts_once(seen):
    page, files, _ = seen
    page.start("1", "a.mp4", 6)
    page.piece("1", 0, b"abc")
    page.piece("1", 0, b"abc")
    page.piece("1", 3, b"def")
    assert files == [b"abcdef"]


def test_what_fails_is_one_line_and_stands_alone(seen):
    page, _, folder = seen
    page.send("1", "a.mp4", b"first")
    page.send("2", "holiday.mp4", b"bad file")
    assert page.upload.result == {
        "id": "2",
        "name": "holiday.mp4",
        "error": "holiday.mp4: cannot be decoded: it is bad",
    }
    page.send("3", "odd.mp4", b"odd file")
    assert page.upload.result["error"] == "odd.mp4: RuntimeError"
    page.start("4", "none.mp4", 0)
    assert page.upload.result["error"] == "none.mp4: is empty"
    page.start("5", "huge.mp4", 2**62)
    assert page.upload.result["error"].startswith("huge.mp4: has ") and "free here" in page.upload.result["error"]
    assert not list(folder.iterdir())
    page.send("6", "b.mp4", b"fine again")
    assert page.upload.result["id"] == "6" and "error" not in page.upload.result


def test_a_video_is_classified_and_a_foreign_file_is_not(tmp_path):
    page = Page(explore.uploader(explore.load_predictor(make_run(tmp_path, n_videos=4)), k=2))
    write_video(tmp_path / "own.mp4", numbered_frames(40))
    page.send("1", "own.mp4", (tmp_path / "own.mp4").read_bytes())
    html = page.upload.result["html"]
    assert "40 frames, 5 clips" in html and "chosen clips: seconds" in html
    assert page.upload.result["picture"][:4] == b"\x89PNG"
    film = (tmp_path / "own.mp4").read_bytes()
    foreign = {
        "letter.mp4": b"Dear reader, this is no video. " * 100,
        "letter.txt": b"Dear reader, this is no video.\n" * 100,
        "page.html": b"<!doctype html><html><body>" + b"no video " * 500,
        "zeros.mp4": bytes(2000),
        "a.zip": b"PK\x03\x04" + bytes(50),
        "head.mp4": film[:200],
        "tail.mp4": film[len(film) // 2 :],
        "sound only.wav": b"RIFF" + (36 + 8000).to_bytes(4, "little") + WAV + bytes(8000),
    }
    for name, data in foreign.items():
        page.send(name, name, data)
        error = page.upload.result["error"]
        assert error.startswith(f"{name}: cannot be") and "\n" not in error and str(tmp_path) not in error
