"""The strip: a video's clips along time in the browser, where a click plays one. What it looks like is in strip.js."""

from pathlib import Path

import anywidget
import traitlets


class Strip(anywidget.AnyWidget):
    """Frames, the teacher's probabilities, curves of scores and rows of choices, one column a clip, and a player.

    view: what explore.view.strip_view gives; images: JPEG files of the clips' middle frames. The frames that are played
    stay here until the page asks for them.
    """

    _esm = Path(__file__).with_name("strip.js")
    view = traitlets.Dict().tag(sync=True)
    images = traitlets.List().tag(sync=True)
    clip = traitlets.Int(-1).tag(sync=True)  # the clip that is played; -1: none, or the whole video

    def __init__(self, **options):
        super().__init__(**options)
        self.frames = None
        self.on_msg(self._answer)

    def show(self, view, frames, images):
        """Another video: view, its Frames (None where they cannot be decoded) and its images."""
        self.frames = frames
        with self.hold_sync():
            self.view, self.images, self.clip = view, images, -1

    def _answer(self, _, content, buffers):
        if content.get("kind") == "movie" and self.frames:
            self.send({"kind": "movie", "video": content.get("video")}, self.frames.played)
