"""The widget of notebook 10: a run's videos clip by clip, with sliders for K and K_s."""

import html
import io
from pathlib import Path

import ipywidgets as widgets
import matplotlib.pyplot as plt
from PIL import Image

from condi_lib import figures, runs
from condi_lib.data import VideoError
from condi_lib.explore.study import FILTERS, chosen_table, clip_table, find_runs, read_study


def _png(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    plt.close(figure)
    return buffer.getvalue()


def _gif(clip, fps):
    """uint8 [3, F, H, W] -> the bytes of a GIF, at least 160 pixels wide."""
    frames = clip.permute(1, 2, 3, 0).numpy()
    factor = max(1, 160 // frames.shape[1])
    images = [Image.fromarray(f).resize((f.shape[1] * factor, f.shape[0] * factor), Image.NEAREST) for f in frames]
    buffer = io.BytesIO()
    images[0].save(buffer, "gif", save_all=True, append_images=images[1:], duration=int(1000 / (fps or 25)), loop=0)
    return buffer.getvalue()


def _rows(chosen):
    """The table of who keeps which clip, as HTML."""
    n = len(next(iter(chosen.values())))
    head = "".join(f"<th style='width:1.6em;text-align:center;font-weight:normal'>{i}</th>" for i in range(n))
    body = ""
    for name, kept in chosen.items():
        cells = "".join(
            f"<td style='background:{'#0173b2' if on else '#eeeeee'};border:1px solid white'></td>" for on in kept
        )
        body += f"<tr><td style='padding-right:.7em;white-space:nowrap'>{html.escape(name)}</td>{cells}</tr>"
    return f"<table style='border-collapse:collapse;font-size:small'><tr><td>clip</td>{head}</tr>{body}</table>"


def explorer(root="runs", figures_out="figures/explore", start=None):
    """The widget of notebook 10. root: folder of the runs; start: the run shown first (a name of find_runs).

    Raises MissingStep where no run is finished.
    """
    found = find_runs(root)
    if not found:
        raise runs.MissingStep(f"{root} holds no finished run: run notebooks 01 to 08 first, or make reproduce")
    state = {}
    run = widgets.Dropdown(options=list(found), value=start if start in found else next(iter(found)), description="run")
    split = widgets.Dropdown(options=["test", "val"], description="split")
    which = widgets.Dropdown(options=FILTERS, description="show")
    video = widgets.Dropdown(options=[], description="video")
    k = widgets.IntSlider(5, 1, 18, description="K")
    k_student = widgets.IntSlider(0, 0, 5, description="K_s")
    picture, numbers, table = widgets.Image(format="png"), widgets.HTML(), widgets.HTML()
    clip = widgets.BoundedIntText(0, min=0, max=0, description="clip")
    play, save = widgets.Button(description="play clip"), widgets.Button(description="save view")
    movie, said = widgets.Image(format="gif"), widgets.HTML()
    movie.layout.display, movie.layout.width, picture.layout.max_width = "none", "200px", "100%"

    def show_run(*_):
        state["study"] = read_study(found[run.value])
        show_list()

    def show_list(*_):
        names = state["study"].pick(split.value, which.value)
        said.value = "" if names else "no video of this kind in this split"
        state["listing"] = True  # shown once, below, whether or not its name changes
        video.options = names
        video.value = names[0] if names else None
        state["listing"] = False
        show_video()

    def show_video(*_):
        if state["listing"]:
            return
        if video.value is None:
            picture.value, table.value, numbers.value = b"", "", ""
            return
        try:
            state["table"] = clip_table(state["study"], split.value, video.value)
        except VideoError as e:
            state["table"] = clip_table(state["study"], split.value, video.value, images=False)
            said.value = html.escape(str(e))
        n = len(state["table"])
        picture.value = _png(figures.video_view(state["table"]))
        clip.max, k.max = n - 1, max(2, n)
        movie.layout.display = "none"
        show_choice()

    def show_choice(*_):
        k_student.max = k.value
        if video.value is None:
            return
        study = state["study"]
        at = study.at(split.value, k.value, min(k_student.value, k.value))
        test = study.arrays(split.value)[""][0]
        v = study.place(split.value, video.value)
        state["chosen"] = chosen_table(study, split.value, video.value, k.value, at)
        guess = int(at["probs"][v].argmax())
        verdict = "right" if at["right"][v] else f"wrong, it is {study.class_name(test.labels[v])}"
        share, time = 100 * at["multiply_adds_of_dense"], 100 * at["seconds_of_dense"]
        numbers.value = (
            f"<b>{html.escape(study.class_name(guess))}</b> ({at['probs'][v][guess]:.2f}), {html.escape(verdict)}. "
            f"On the {split.value} split: accuracy <b>{100 * at['accuracy']:.1f} %</b> (dense "
            f"{100 * at['dense']:.1f} %), <b>{share:.0f} %</b> of dense's multiply-adds "
            f"({at['multiply_adds'] / 1e9:.2f} x 10<sup>9</sup> a video), "
            f"expected <b>{1000 * at['seconds']:.1f} ms</b> a video "
            f"({time:.0f} % of dense; {html.escape(study.costs['device'])})"
        )
        table.value = _rows(state["chosen"])

    def play_clip(*_):
        study = state["study"]
        fps = study.videos.set_index("video").fps[video.value]
        movie.value = _gif(study.read(video.value)[clip.value], fps)
        movie.layout.display = ""

    def save_view(*_):
        figure = figures.video_view(state["table"], state["chosen"])
        name = "".join(c if c.isalnum() or c in "-_" else "_" for c in video.value)
        path = Path(figures_out) / f"{name}_k{k.value}_ks{k_student.value}"
        path.parent.mkdir(parents=True, exist_ok=True)
        for extension in ("png", "svg"):
            figure.savefig(path.with_suffix(f".{extension}"), dpi=150, bbox_inches="tight")
        plt.close(figure)
        said.value = f"saved as {html.escape(str(path))}.png and .svg"

    run.observe(show_run, "value")
    video.observe(show_video, "value")
    for one in (split, which):
        one.observe(show_list, "value")
    for one in (k, k_student):
        one.observe(show_choice, "value")
    play.on_click(play_clip)
    save.on_click(save_view)
    show_run()
    rows = [[run, split], [which, video], [k, k_student]]
    rows = [widgets.HBox(row) for row in rows]
    return widgets.VBox([*rows, numbers, picture, table, widgets.HBox([clip, play, save]), said, movie])
