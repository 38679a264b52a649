"""The widget of notebook 10: the videos of a run clip by clip, and what each sampler chooses of them."""

import functools
import html
from contextlib import contextmanager
from pathlib import Path

import matplotlib.pyplot as plt

from condi_lib import figures, runs
from condi_lib.data import VideoError, write_atomically
from condi_lib.explore.controls import choose, make_controls, numbers_table
from condi_lib.explore.notes import Notes
from condi_lib.explore.study import DIVIDED, filters, read_study, runs_to_open
from condi_lib.explore.view import chosen_table, clip_table, jpeg, read_frames, strip_view
from condi_lib.sampler import SAMPLERS

EVERY = "all"  # of the classes, and of the groups


def explorer(root="runs", figures_out="figures/explore", start=None, **choices):
    """The widget of notebook 10.

    root: folder of the runs; figures_out: folder for saved views and notes.csv. start: the run that opens, see
    runs_to_open. choices: what it opens with: split, k, k_student, first and second (names of samplers), show (see
    filters), class_name, group (such as "length: short"), order, video. explorer(show="only dense correct", k=5) lists
    the videos behind that part of a figure. Raises MissingStep where no such run is finished; ValueError for a choice
    that is not there, or notes.csv that is something else.
    """
    return Explorer(root, figures_out, start, **choices).controls.box


def _handler(method):
    """A method that a widget calls. Its errors are shown below the strip, in a line: nobody sees what it raises."""

    @functools.wraps(method)
    def handle(self, *_):
        if self.quiet:
            return
        self.say("")
        try:
            method(self)
        except (VideoError, runs.MissingStep, OSError, ValueError) as e:
            self.say(str(e))

    return handle


class Explorer:
    """What the widgets of make_controls do. A change goes downwards: run, bounds and filters, list, video, choices.

    State that no widget holds: study, of the run; frames, of the video, None where it cannot be decoded; shown, (run,
    split, video), None where there is no video; quiet, while widgets change that are shown together afterwards.
    """

    def __init__(self, root="runs", figures_out="figures/explore", start=None, **choices):
        self.runs, opened = runs_to_open(root, start)
        self.figures_out = Path(figures_out)
        self.notes = Notes(self.figures_out / "notes.csv")
        self.study = self.frames = self.shown = None
        self.quiet = False
        self.controls = make_controls(list(self.runs), opened)
        self._observe()
        with self._quietly():
            self._read_run(k=5)
            self._open_with(choices)
        self._show_list()

    def _observe(self):
        one = self.controls
        for names, handler in (
            (("run",), self._on_run),
            (("split",), self._on_split),
            (("first", "second"), self._on_sampler),
            (("k",), self._on_k),
            (("k_student", "show", "class_name", "group", "order"), self._on_list),
            (("video",), self._on_video),
            (("note",), self._on_note),
        ):
            for name in names:
                getattr(one, name).observe(handler, "value")
        one.previous.on_click(lambda _: self._step(-1))
        one.next.on_click(lambda _: self._step(1))
        one.save.on_click(self._on_save)

    @contextmanager
    def _quietly(self):
        before, self.quiet = self.quiet, True
        try:
            yield
        finally:
            self.quiet = before

    def say(self, text):
        self.controls.said.value = html.escape(text)

    def _open_with(self, choices):
        order = ("split", "first", "second", "k", "k_student", "show", "class_name", "group", "order", "video")
        for name in choices:
            if name not in order:
                raise ValueError(f"{name}: the explorer has no such choice; expected one of {', '.join(order)}")
        for name in (name for name in order if name in choices):
            one, value = getattr(self.controls, name), choices[name]
            if name in ("k", "k_student"):
                if not one.min <= value <= one.max:
                    raise ValueError(f"{name}: found {value}, expected {one.min} to {one.max}")
            else:
                if name == "video":
                    self._list()
                there = [option[1] if isinstance(option, tuple) else option for option in one.options]
                if value not in there:
                    known = ", ".join(there[:20]) + ", ..." * (len(there) > 20)
                    raise ValueError(f"{name}: {value!r} is not there; expected one of {known}")
            one.value = value
            self._bounds()
            self._filters()

    # What can be chosen

    def _read_run(self, k=None):
        study = read_study(self.runs[self.controls.run.value])
        one, there = self.controls, study.samplers(study.splits()[0])
        names = [(SAMPLERS[name].label, name) for name in there]
        choose(one.split, study.splits())
        choose(one.first, names, DIVIDED if DIVIDED in there else there[-1])
        choose(one.second, names, "dense")
        one.k_student.disabled = DIVIDED not in there
        self.study, self.shown = study, None
        self._filters()
        self._bounds(k)

    def _bounds(self, k=None):
        """The largest K is the split's longest video's, and its classes and groups are its own."""
        one, study, split = self.controls, self.study, self.controls.split.value
        one.k.max = study.longest(split)
        one.k.value = min(k or one.k.value, one.k.max)
        one.k_student.max = max(1, one.k.value)
        one.k_student.value = 0 if one.k_student.disabled else min(one.k_student.value, one.k.value)
        groups = dict(study.groups(split))
        choose(one.class_name, [EVERY, *sorted(set(groups.pop("class")))])
        named = [f"{grouping}: {group}" for grouping, of in groups.items() for group in sorted(set(of))]
        choose(one.group, [EVERY, *named])

    def _filters(self):
        """The filters name the two samplers; the same one stays chosen."""
        one = self.controls
        at = one.show.index or 0
        one.show.options = filters(one.first.value, one.second.value)
        one.show.index = at

    def _list(self):
        """The videos that pass the filters at this K, in order; the one that is shown stays where it is among them."""
        one = self.controls
        groups = {} if one.class_name.value == EVERY else {"class": one.class_name.value}
        if one.group.value != EVERY:
            grouping, groups[grouping] = one.group.value.split(": ", 1)
        at = one.split.value, one.show.value, one.k.value, one.k_student.value
        samplers = {"first": one.first.value, "second": one.second.value}
        names = self.study.pick(*at, **samplers, order=one.order.value, **groups)
        if tuple(names) != one.video.options:
            choose(one.video, names)

    # What is shown

    def _show_list(self):
        with self._quietly():
            self._list()
        self._show_video()

    def _show_video(self):
        one = self.controls
        video, i, n = one.video.value, one.video.index, len(one.video.options)
        one.previous.disabled, one.next.disabled = not i, i is None or i == n - 1
        one.place.value = f"{i + 1} of {n}" if n else ""
        if video is None:
            return self._clear("no video of this kind in this split at this K")
        here = one.run.value, one.split.value, video
        if self.shown == here:
            one.strip.view = self._view()
        else:
            self.frames, self.shown = None, here
            try:
                self.frames = read_frames(self.study, video)
            except (VideoError, OSError) as e:
                self.say(str(e))
            n_clips = int(self.study.table(one.split.value).mask[self.study.place(one.split.value, video)].sum())
            images = [jpeg(image) for image in self.frames.of_clips(n_clips)] if self.frames else []
            one.strip.show(self._view(), self.frames, images)
            with self._quietly():
                one.note.value = self.notes.of(*here)
        at = one.k.value, one.k_student.value
        one.numbers.value = numbers_table(self.study, one.split.value, video, *at, self._samplers())

    def _samplers(self):
        return [self.controls.first.value, self.controls.second.value]

    def _view(self):
        one = self.controls
        at = one.video.value, one.k.value, one.k_student.value
        return strip_view(self.study, one.split.value, *at, *self._samplers(), self.frames)

    def _clear(self, why):
        self.shown = self.frames = None
        self.controls.strip.show({}, None, [])
        self.controls.numbers.value = ""
        with self._quietly():
            self.controls.note.value = ""
        self.say(why)

    # What widgets call

    @_handler
    def _on_run(self):
        before = next(name for name, folder in self.runs.items() if folder == self.study.folder)
        with self._quietly():
            try:
                self._read_run()
            except (runs.MissingStep, ValueError):
                self.controls.run.value = before  # which stays
                raise
        self._show_list()

    @_handler
    def _on_split(self):
        with self._quietly():
            self._bounds()
        self._show_list()

    @_handler
    def _on_sampler(self):
        with self._quietly():
            self._filters()
        self._show_list()

    @_handler
    def _on_k(self):
        one = self.controls
        with self._quietly():
            one.k_student.max = max(1, one.k.value)
            one.k_student.value = min(one.k_student.value, one.k.value)
        self._show_list()

    @_handler
    def _on_list(self):
        self._show_list()

    @_handler
    def _on_video(self):
        self._show_video()

    @_handler
    def _on_note(self):
        if self.shown:
            self.notes.write(*self.shown, self.controls.note.value)
            self.say(f"{'kept in' if self.controls.note.value.strip() else 'taken out of'} {self.notes.path}")

    def _step(self, by):
        video = self.controls.video
        if video.index is not None and 0 <= video.index + by < len(video.options):
            video.index += by

    @_handler
    def _on_save(self):
        if not self.shown:
            return
        one = self.controls
        of = self.study, one.split.value, one.video.value
        chosen = chosen_table(*of, one.k.value, one.k_student.value)
        figure = figures.video_view(clip_table(*of, one.first.value, self.frames), chosen)
        plt.close(figure)  # it is saved, and not shown as well
        name = "".join(c if c.isalnum() or c in "-_" else "_" for c in one.video.value)
        path = self.figures_out / f"{name}_k{one.k.value}_ks{one.k_student.value}"
        for extension in ("png", "svg"):
            options = {"format": extension, "dpi": 150, "bbox_inches": "tight"}
            write_atomically(f"{path}.{extension}", lambda part, o=options: figure.savefig(part, **o))
        self.say(f"saved as {path}.png and .svg")
