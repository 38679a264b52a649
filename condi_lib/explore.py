"""Looking into a finished run: its videos clip by clip, sliders for K and K_s, and its networks on your own video."""

import html
import io
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display
from PIL import Image

from condi_lib import evaluation, figures, flops, runs, sampler
from condi_lib.data import VideoError, read_clips
from condi_lib.labelling import predictive_entropy, softmax
from condi_lib.models import build_student, build_teacher
from condi_lib.predictor import Predictor
from condi_lib.training import LOSSES

FILTERS = ("all", "dense wrong, ConDi-SR right", "dense right, ConDi-SR wrong", "most ambiguous", "longest")


def find_runs(root="runs"):
    """{name: folder} of the runs below `root` whose notebooks have run up to 08, sorted by name."""
    folders = sorted(path.parent for path in Path(root).glob("*/*/*/costs.json"))
    return {str(folder.relative_to(root)): folder for folder in folders}


@dataclass
class Study:
    """The tables of one run in memory, for questions about one video or all at a given K and K_s."""

    folder: Path
    clips: pd.DataFrame
    scores: dict  # {loss: [score table of the first seed that is there]}
    videos: pd.DataFrame
    costs: dict  # of notebook 08: multiply-adds and seconds of a clip
    parameters: dict  # of notebook 08

    _arrays: dict = field(default_factory=dict)  # {split: sampler.read_arrays}, as they are asked for

    def arrays(self, split):
        """sampler.read_arrays of a split, read once."""
        if split not in self._arrays:
            self._arrays[split] = sampler.read_arrays(self.clips, self.scores, split)
        return self._arrays[split]

    def place(self, split, video):
        """The video's row in the split's arrays."""
        return int(np.flatnonzero(self.arrays(split)[""][0][0].videos == video)[0])

    def at(self, split, k, k_student=0):
        """What K and K_s give on the split.

        A dict: right (bool [V]), accuracy, dense, probs (of each video's prediction, [V, C]), by_student and by_teacher
        (bool [V, N]), multiply_adds and seconds per video, and these two as shares of dense.
        """
        test, _ = self.arrays(split)["condi_sr"][0]
        probs, entropy = softmax(test.student_logits), predictive_entropy(test.student_logits)
        total, by_student, by_teacher = evaluation.divided_probs(test, probs, entropy, k, k_student)
        n, seen = test.mask.sum(1).mean(), by_teacher.sum(1).mean()
        unit, second = self.costs["multiply_adds"], self.costs["seconds"]
        spent = flops.per_video(n, seen, unit["student"], unit["teacher"])
        time = n * (second["decode"] + second["student"]) + seen * second["teacher"]
        right = evaluation.place_of_truth(total, test.labels) == 0
        dense = evaluation.dense_right(test)
        return {
            "right": right,
            "accuracy": right.mean(),
            "dense": dense.mean(),
            "probs": total / total.sum(-1, keepdims=True),
            "by_student": by_student,
            "by_teacher": by_teacher,
            "multiply_adds": spent,
            "multiply_adds_of_dense": spent / (n * unit["teacher"]),
            "seconds": time,
            "seconds_of_dense": time / (n * (second["decode"] + second["teacher"])),
        }

    def pick(self, split, which="all", k=5):
        """Names of the split's videos that pass a filter of FILTERS (ConDi-SR at k), in its order."""
        test = self.arrays(split)[""][0][0]
        dense, right = evaluation.dense_right(test) > 0, self.at(split, k)["right"]
        if which == "dense wrong, ConDi-SR right":
            return list(test.videos[~dense & right])
        if which == "dense right, ConDi-SR wrong":
            return list(test.videos[dense & ~right])
        if which == "longest":
            return list(test.videos[np.argsort(-test.mask.sum(1), kind="stable")])
        if which == "most ambiguous":  # by what is known of any data set: how much the teacher's clips disagree
            mean = test.probs.sum(1) / test.mask.sum(1, keepdims=True)
            return list(test.videos[np.argsort(-(-mean * np.log(mean + 1e-12)).sum(1), kind="stable")])
        return list(test.videos)

    def class_name(self, label):
        names = self.videos.drop_duplicates("label").set_index("label").class_name
        return names.get(label, str(label))

    def read(self, video):
        """The video's clips, uint8 [N, 3, F, H, W]. Raises VideoError."""
        path = self.videos.set_index("video").path[video]
        return read_clips(runs.ROOT / path, self.parameters["frames"], self.parameters["size"])


def read_study(folder):
    """The Study of a run's folder, runs/<profile>/<dataset>/<teacher>.

    Raises MissingStep where notebook 08 has not run.
    """
    folder = Path(folder)
    costs_file = folder / "costs.json"
    if not costs_file.is_file():
        raise runs.MissingStep(f"{costs_file} is missing or unreadable: run notebooks/08_flops_and_time.ipynb first")
    run = runs.Run("10_explore", runs.read_provenance(costs_file)["parameters"], folder)
    scores = {}
    for loss in LOSSES:
        found = sorted(folder.glob(f"{loss}/seed*/scores.parquet"))
        if found:
            scores[loss] = [run.read_table(found[0], "05_train_sampler")]
    return Study(
        folder,
        run.read_table(folder / "clips.parquet", "03_teacher_labels"),
        scores,
        run.read_table(folder / "labelled_videos.parquet", "03_teacher_labels"),
        run.read_json(costs_file, "08_flops_and_time"),
        run.parameters,
    )


def load_predictor(folder, loss="condi_sr", seed=0, checkpoint="", class_names=""):
    """The Predictor of a run's teacher and of its student of this loss and seed, with the data set's class names.

    checkpoint: a file with other weights for the teacher (see models.read_checkpoint), such as published ones, whose
    classes are the lines of the text file class_names. Raises MissingStep where the run has no such networks,
    ValueError for a checkpoint without class_names.
    """
    folder = Path(folder)
    files = {
        "teacher": folder / "teacher.safetensors",
        "student": folder / loss / f"seed{seed}" / "student.safetensors",
    }
    own, student = (runs.read_provenance(files[name])["parameters"] for name in ("teacher", "student"))
    videos = pd.read_parquet(folder / "videos.parquet")
    names = known = videos.drop_duplicates("label").sort_values("label").class_name.tolist()
    if checkpoint:
        if not class_names:
            raise ValueError("class_names: empty; expected a text file with the checkpoint's classes, one a line")
        names = Path(class_names).read_text().splitlines()
    networks = (
        build_teacher(own["teacher"], len(names), checkpoint or files["teacher"], new_head=False),
        build_student(student["student_width"], len(known), files["student"], False, student["student_repeats"]),
    )
    return Predictor(*networks, own["frames"], own["size"], names, loss=loss)


def clip_table(study, split, video, images=True):
    """One video for figures.video_view: clip, image (middle frame), the teacher's probability of the true class and its
    largest, correct, and ConDi-SR's score.
    """
    test, _ = study.arrays(split)["condi_sr"][0]
    v = study.place(split, video)
    real = test.mask[v]
    table = pd.DataFrame(
        {
            "clip": np.arange(real.sum()),
            "teacher_true": sampler.true_class_prob(test)[v][real],
            "teacher_max": test.probs[v][real].max(1),
            "correct": test.correct[v][real],
            "confidence": test.score[v][real],
        }
    )
    return table.assign(image=list(middle_frames(study.read(video)))) if images else table


def middle_frames(clips):
    """uint8 [N, 3, F, H, W] -> uint8 [N, H, W, 3], each clip's middle frame."""
    return clips[:, :, clips.shape[2] // 2].permute(0, 2, 3, 1).numpy()


def chosen_table(study, split, video, k, at):
    """Who keeps which clips of a video at k: {label: bool [N]} for each sampler, and division (at: Study.at) in two."""
    arrays, v = study.arrays(split), study.place(split, video)
    real = arrays[""][0][0].mask[v]
    one = {
        loss: [tuple(_one_video(a, v) if i == 0 else a for i, a in enumerate(pair)) for pair in pairs]
        for loss, pairs in arrays.items()
    }
    kept = {}
    for name in sampler.available(one):
        if name not in ("dense", "random"):
            weights = sampler.keep(name, one)[0](k)[0]
            kept[sampler.SAMPLERS[name].label] = (weights > 0)[real]
    divided = {
        "ConDi-SR: to the student": at["by_student"][v][real],
        "ConDi-SR: to the teacher": at["by_teacher"][v][real],
    }
    return {**divided, **kept}


def _one_video(arrays, v):
    return type(arrays)(**{name: None if value is None else value[v : v + 1] for name, value in vars(arrays).items()})


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
        test = study.arrays(split.value)[""][0][0]
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


def dense_predictor(predict):
    """The same teacher on all clips, without the student."""
    return Predictor(predict.networks["teacher"], None, predict.frames, predict.size, predict.class_names)


def top5_table(found, dense):
    """The five likeliest classes by the chosen clips and by all clips, side by side. found, dense: of a Predictor."""
    rows = [(*a, *b) for a, b in zip(found["top5"], dense["top5"], strict=True)]
    columns = pd.MultiIndex.from_product([["chosen clips", "all clips"], ["class", "probability"]])
    return pd.DataFrame(rows, index=range(1, len(rows) + 1), columns=columns).style.format(precision=3)


def cost_table(found, dense):
    """Seconds and multiply-adds of each stage, beside dense."""
    rows = {}
    for name, one in (("chosen clips", found), ("all clips", dense)):
        seconds, adds = one["seconds"], one["multiply_adds"]
        rows[f"{name}: seconds"] = {**seconds, "total": sum(seconds.values())}
        rows[f"{name}: multiply-adds (10^9)"] = {s: a / 1e9 for s, a in adds.items()} | {
            "total": sum(adds.values()) / 1e9
        }
    table = pd.DataFrame(rows).T[["decode", "student", "teacher", "total"]]
    return table.style.format(precision=4, na_rep="")


def view_of(found):
    """(table, chosen) for figures.video_view, of what a Predictor found in a video of unknown class."""
    table = pd.DataFrame({"clip": np.arange(len(found["score"])), "confidence": found["score"]})
    chosen = {"to the student": found["by_student"], "to the teacher": found["by_teacher"]}
    return table.assign(image=list(middle_frames(found["clips"]))), chosen


def uploader(predict, k=5, k_student=0):
    """A widget that classifies an uploaded video file with `predict`, a Predictor with a student."""
    button = widgets.FileUpload(accept="video/*", multiple=False, description="choose a video")
    shown = widgets.Output()

    def classify(*_):
        with shown:
            shown.clear_output()
            for file in button.value:
                with tempfile.NamedTemporaryFile(suffix=Path(file["name"]).suffix) as copy:
                    copy.write(file["content"])
                    copy.flush()
                    try:
                        found = predict(copy.name, k, k_student, progress=True)
                        dense = dense_predictor(predict)(copy.name)
                    except VideoError as e:
                        print(str(e).replace(copy.name, file["name"]))
                        continue
                display(top5_table(found, dense), cost_table(found, dense), figures.video_view(*view_of(found)))
                plt.close()

    button.observe(classify, "value")
    return widgets.VBox([button, shown])
