"""A video file from the browser to this process, in pieces: a message of the notebook server holds 10 MiB at most."""

import shutil
import tempfile
from pathlib import Path

import anywidget
import traitlets

PIECE = 2**20  # bytes


class Upload(anywidget.AnyWidget):
    """A button for a file, its progress, and what classify(path) -> (HTML, PNG) makes of it. What it looks like is in
    upload.js.

    A file is known by the id that the page gave it: `chosen` is the last one, and the page shows the result of that one
    only, so that no other file's stands while a new one is sent or after it failed. The file lies in a temporary folder
    until its result is there.
    """

    _esm = Path(__file__).with_name("upload.js")
    piece = traitlets.Int(PIECE).tag(sync=True)
    result = traitlets.Dict().tag(sync=True)  # id, name and error, or html and picture

    def __init__(self, classify, **options):
        super().__init__(**options)
        self.classify = classify
        self._folder = self._file = None
        self.on_msg(self._receive)

    def __repr__(self):
        return "A button for a video: open this notebook in JupyterLab and run it to see it."

    def _receive(self, _, content, buffers):
        """start (id, name, size), then pieces (id, at; one buffer each), each acknowledged, so that none overtakes."""
        try:
            if content["kind"] == "start":
                self._start(content)
            elif self._file and content["id"] == self._sent["id"]:
                self._append(content["at"], buffers[0])
        except Exception as e:  # whatever a file does to a decoder or a network is said where its sender sees it
            self._fail(e)

    def _start(self, content):
        self.result = {}
        self._discard()
        self._sent, self._received = content, 0
        if not content["size"]:
            raise ValueError("is empty")
        self._folder = Path(tempfile.mkdtemp(prefix="condi-"))
        free = shutil.disk_usage(self._folder).free
        if content["size"] > free:
            raise OSError(f"has {content['size'] / 2**20:,.1f} MiB, more than the {free / 2**20:,.1f} MiB free here")
        self._file = self._folder / "video"  # without its ending: FFmpeg takes letters in a .txt for a film
        self._file.touch()
        self._acknowledge()

    def _append(self, at, piece):
        if at != self._received:
            return  # sent twice, by a page that had lost its connection
        with self._file.open("ab") as file:
            file.write(piece)
        self._received += len(piece)
        self._acknowledge()
        if self._received >= self._sent["size"]:
            self._finish()

    def _acknowledge(self):
        self.send({"kind": "received", "id": self._sent["id"], "at": self._received})

    def _finish(self):
        html, picture = self.classify(str(self._file))
        self._discard()
        self.result = {"id": self._sent["id"], "name": self._sent["name"], "html": html, "picture": picture}

    def _fail(self, error):
        sent = getattr(self, "_sent", {"id": "", "name": "upload"})
        said = " ".join(str(error).split()) or type(error).__name__
        if self._file:
            said = said.replace(str(self._file), sent["name"])
        if not said.startswith(sent["name"]):
            said = f"{sent['name']}: {said}"
        self._discard()
        self.result = {"id": sent["id"], "name": sent["name"], "error": said}

    def _discard(self):
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = self._file = None

    def close(self):
        self._discard()
        super().close()
