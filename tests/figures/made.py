"""Small tables as the study's notebooks write them, and what the tests look at in a figure."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from condi_lib.sampler import SAMPLERS

DETECTORS = ["teacher_max", "st_ent", "st_conf", "bce_c", "condi_sr", "mc_dropout", "sc_rank", "condi_sr_rank"]


def with_interval(value, half, name):
    return {name: value, f"{name}_low": value - half, f"{name}_high": value + half}


def accuracies(names=tuple(SAMPLERS), ks=(1, 2, 3, 5, 8, 10), seed=0, gain=None):
    """As evaluation.accuracy_table: every sampler meets dense at the last K."""
    rng, rows = np.random.default_rng(seed), []
    for name in names:
        start = 0.0 if name == "dense" else rng.uniform(-0.1, 0.1)
        for k in ks:
            own = start * (1 - k / max(ks)) if gain is None else gain
            values = with_interval(0.6 + own, 0.02, "accuracy") | with_interval(own, 0.01 if own else 0.0, "gain")
            rows.append({"sampler": name, "k": k, "n_clips": 12 if name == "dense" else k, "n_seeds": 1} | values)
    return pd.DataFrame(rows).assign(headroom=0.1, n_videos=50)


def divisions(ks=(1, 3, 5, 10), share=True):
    rows = [
        {"k": k, "k_student": s, "mode": "nested", "n_clips": k - s, "share_of_dense": 0.07 + 0.05 * (k - s)}
        | with_interval(0.61, 0.02, "accuracy")
        | with_interval(0.01, 0.01, "gain")
        for k in ks
        for s in range(k + 1)
    ]
    table = pd.DataFrame(rows).assign(n_seeds=2, n_videos=50)
    return table if share else table.drop(columns="share_of_dense")


def costs(names=tuple(SAMPLERS)):
    table = accuracies(names).rename(columns={"sampler": "setting"}).assign(k_student=0)
    students = np.array([SAMPLERS[n].passes if n in SAMPLERS else 1 for n in table.setting])
    table["multiply_adds"] = 1e8 * np.where(table.setting.isin(["dense", "teacher_max"]), 12, table.n_clips + students)
    divided = divisions().assign(setting="division")
    divided["multiply_adds"] = 12e8 * divided.share_of_dense
    return pd.concat([table, divided], ignore_index=True).assign(pareto=lambda t: t.index % 9 == 0)


def detections(names=tuple(DETECTORS), seed=0):
    rng, rows = np.random.default_rng(seed), []
    measures = ("threshold", "fpr", "fnr", "fpr_at_half", "fnr_at_half", "auroc", "auroc_within", "auprc", "aurc")
    for name in names:
        for measure in (*measures, "ece", "ece_scaled"):
            mean = rng.uniform(0.2, 0.8)
            missing = measure.endswith(("half", "ece", "scaled")) and not SAMPLERS[name].probability
            mean = np.nan if missing else mean
            rows.append((name, measure, mean, mean - 0.02, mean + 0.02, 2, 50))
    return pd.DataFrame(rows, columns=["sampler", "measure", "mean", "low", "high", "n_seeds", "n_videos"])


def curves(names=tuple(DETECTORS)):
    x = np.linspace(0, 1, 101)
    parts = []
    for i, name in enumerate(names):
        shapes = {"roc": x ** (0.3 + 0.05 * i), "precision_recall": 0.9 - 0.3 * x, "risk_coverage": 0.1 + 0.3 * x}
        if SAMPLERS[name].probability:
            shapes |= {"reliability": 0.2 + 0.5 * x, "reliability_scaled": x}
        parts += [pd.DataFrame({"curve": curve, "x": x, "y": y, "sampler": name}) for curve, y in shapes.items()]
    return pd.concat(parts, ignore_index=True)


def groups(names=("dense", "st_ent", "bce_c", "condi_sr"), classes=("Up", "Down"), gain=None, ks=(1, 5)):
    """As evaluation.by_group."""
    rng, rows = np.random.default_rng(0), []
    named = {"length": ["short", "long"], "motion": ["typical", "hard"], "class": list(classes)}
    for grouping, group in ((g, one) for g, ones in named.items() for one in ones):
        for name in names:
            for k in ks:
                own = rng.uniform(-0.1, 0.1) if gain is None else gain
                half = 0.02 if own else 0.0
                values = with_interval(0.6, 0.02, "accuracy") | with_interval(own, half, "gain")
                values |= with_interval(max(own, 0.0), half, "helped") | with_interval(max(-own, 0.0), half, "hurt")
                head = {"sampler": name, "k": k, "n_seeds": 2, "grouping": grouping, "group": group}
                rows.append(head | values)
    return pd.DataFrame(rows).assign(n_videos=25)


def standings(names=tuple(DETECTORS), kinds=("clean", "blur", "cutaway", "mixed"), seed=0):
    """As evaluation.standing_by_kind; cut-aways stand above the middle for the first three samplers."""
    rows = []
    for i, name in enumerate(names):
        for kind, at in zip(kinds, (0.55, 0.1, 0.53 if i < 3 else 0.47, 0.3), strict=False):
            rows.append((name, kind, at, at - 0.01, at + 0.01, 9, 2, 50))
    return pd.DataFrame(rows, columns=["sampler", "kind", "standing", "low", "high", "n_clips", "n_seeds", "n_videos"])


def names_of(axis):
    """The names beside an axis' lines."""
    return [text for text in axis.texts if text.get_gid() == "name"]


def overlaps(texts):
    """Pairs of texts whose boxes overlap by more than a pixel."""
    figure = texts[0].figure if texts else plt.gcf()
    figure.canvas.draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text() and text.get_visible()]
    found = []
    for i, (one, a) in enumerate(boxes):
        for other, b in boxes[i + 1 :]:
            wide, high = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
            if wide > 1 and high > 1:
                found.append((one, other))
    return found


def lines_of(figure):
    """{sampler: its lines} of a figure, by their gid."""
    found = {}
    for axis in figure.axes:
        for line in axis.lines:
            if line.get_gid() in SAMPLERS:
                found.setdefault(line.get_gid(), []).append(line)
    return found


def written(figure):
    """All that a figure says, and the tick labels and offset texts of its axes."""
    figure.canvas.draw()
    texts = [t.get_text() for t in figure.texts]
    for axis in figure.axes:
        texts += [t.get_text() for t in axis.texts] + [axis.get_title(loc="left")]
        for one in (axis.xaxis, axis.yaxis):
            texts += [t.get_text() for t in one.get_ticklabels()] + [one.get_offset_text().get_text()]
    return texts


def across(data_sets=("planted", "colour"), names=tuple(SAMPLERS), ks=(1, 3, 5, 8), teachers=("net",)):
    """As runs.read_across: of every data set the same samplers; a share of good clips, of hard videos, that differs."""
    parts = []
    for i, (data_set, teacher) in enumerate((d, t) for d in data_sets for t in teachers):
        own = accuracies(names, ks, seed=i).assign(data_set=data_set, teacher=teacher, n_train=500 * 4**i)
        own["multiply_adds"] = np.where(own["sampler"].isin(["oracle", "truth"]), np.nan, 0.05 + own.k / 12)
        own.loc[own["sampler"].isin(["dense", "teacher_max"]), "multiply_adds"] = 1.0
        own = own.assign(reachable=0.2, good=0.9 - 0.8 * i / max(len(data_sets) - 1, 1), hard=0.2, seconds=0.5)
        parts.append(own.assign(**with_interval(0.7, 0.02, "auroc_within")))
    table = pd.concat(parts, ignore_index=True)
    for share in ("headroom", "reachable"):
        table = table.assign(**{f"{share}_low": table[share] - 0.1, f"{share}_high": table[share] + 0.1})
    return table
