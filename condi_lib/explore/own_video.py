"""A video of your own: what the method makes of it, beside dense."""

import tempfile
from pathlib import Path

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display

from condi_lib import figures
from condi_lib.data import VideoError
from condi_lib.explore.study import middle_frames
from condi_lib.predictor import Predictor


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
    shown = found["score"] if found["confidence"] is None else found["confidence"]
    table = pd.DataFrame({"clip": np.arange(len(shown)), "confidence": shown})
    chosen = {f"to the {network}": np.array(found[f"by_{network}"]) for network in ("student", "teacher")}
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
