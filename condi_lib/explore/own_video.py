"""A video of your own: what the method makes of it, beside dense."""

import html

import numpy as np
import pandas as pd

from condi_lib import figures
from condi_lib.data.planted import CLASSES
from condi_lib.explore.upload import Upload
from condi_lib.explore.view import png
from condi_lib.predictor import Predictor


def dense_predictor(predict):
    """The same teacher on all clips, without the student."""
    options = {"stride": predict.stride, "crops": predict.crops}
    return Predictor(predict.networks["teacher"], None, predict.frames, predict.size, predict.class_names, **options)


def known_classes(predict):
    """A sentence that says which classes a Predictor's teacher knows: every video is given one of them."""
    names = predict.class_names or []
    some = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    if names and set(names) <= set(CLASSES):
        return (
            f"This teacher knows only the {len(names)} toy motions of the embedded benchmark ({some}): its answer to a "
            "real video is one of them, and means nothing."
        )
    if not names:
        return "This teacher's classes have no names; they are shown as numbers."
    return f"This teacher knows {len(names)} classes ({some}); whatever a video shows, its answer is one of them."


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
    confidence = found["confidence"]
    if confidence is None:  # of a student that only ranks: places, 1 first
        places = np.argsort(np.argsort(-np.asarray(found["score"]), kind="stable"), kind="stable")
        confidence = 1 - places / max(1, len(places) - 1)
    table = pd.DataFrame({"clip": np.arange(len(confidence)), "confidence": confidence})
    chosen = {f"to the {network}": np.array(found[f"by_{network}"]) for network in ("student", "teacher")}
    return table.assign(image=list(middle_frames(found["clips"]))), chosen


def middle_frames(clips):
    """uint8 [N, 3, F, H, W] -> uint8 [N, H, W, 3], each clip's middle frame."""
    return clips[:, :, clips.shape[2] // 2].permute(0, 2, 3, 1).numpy()


def uploader(predict, k=5, k_student=0):
    """A widget that classifies a video file from the browser with `predict`, a Predictor with a student."""
    by_all = dense_predictor(predict)

    def classify(path):
        found, dense = predict(path, k, k_student), by_all(path)
        n = f"{found['n_frames']} frames, {len(found['score'])} clips. {found['fault']}"
        tables = "<br>".join(table.to_html() for table in (top5_table(found, dense), cost_table(found, dense)))
        note = f"<p>{html.escape(n)}</p><p>{html.escape(known_classes(predict))}</p>"
        return note + tables, png(figures.video_view(*view_of(found)))

    return Upload(classify)
