"""Multiply-adds by fvcore, and what a video costs.

fvcore calls them flops and counts one multiply-add as one; the thesis prints FLOPs. It counts batch norm and not other
elementwise operations.
"""

import itertools
import warnings

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from condi_lib.models import TEACHER_NAMES, TEACHERS, WIDTHS, build_student, build_teacher, to_input
from condi_lib.sampler import SAMPLERS

with warnings.catch_warnings():  # fvcore uses torch.jit.script, which warns of its age
    warnings.simplefilter("ignore", FutureWarning)
    from fvcore.nn import FlopCountAnalysis

THESIS_I3D, THESIS_CLIPS = (
    11_289_856,
    18,
)  # "Mega FLOPs" that the thesis (section 1.2) prints for I3D over so many clips

# Operations without products of weights or features: what fvcore leaves out and we leave out knowingly
_SIMPLE = "add add_ sub rsub mul div neg ne pow fill_ pad mean squeeze sigmoid softmax gelu dropout_ tensor_split"
_SIMPLE += " repeat_interleave max_pool3d avg_pool3d adaptive_avg_pool3d"
ELEMENTWISE = {"aten::" + op for op in _SIMPLE.split()}

# network: classes, parameters (10^6), multiply-adds (10^9) of the original code at 16 frames of its usual size, counted
# by fvcore. ResNeXt: github.com/kenshohara/3D-ResNets-PyTorch; I3D: github.com/piergiaj/pytorch-i3d; students (by
# width): github.com/okankop/Efficient-3DCNNs
ORIGINALS = {
    "resnext101": (101, 47.73, 9.617),
    "inception_i3d": (400, 12.697, 27.833),
    0.25: (600, None, 0.113),
    1.0: (600, 1.914, 0.191),
    2.0: (600, None, 0.432),
}


def count(network, frames, size, crops=1):
    """(multiply-adds for one clip, [operations that were not counted, beyond elementwise ones and pooling]).

    crops: squares of the clip that the network sees one by one.
    """
    training = network.training
    clip = to_input(torch.zeros(1, 3, frames, size, size, dtype=torch.uint8), network)
    analysis = FlopCountAnalysis(network.eval(), clip)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    total = int(analysis.total()) * crops
    left_out = sorted(set(analysis.unsupported_ops()) - ELEMENTWISE)
    network.train(training)
    return total, left_out


def count_video(network, n_clips, n_features):
    """Multiply-adds of a network over the features of a video's clips (context.NETWORKS), elementwise ones left out."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it is one operation, which nothing counts
    try:
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            device = network.mean.device
            network(
                torch.zeros(1, n_clips, n_features, device=device),
                torch.ones(1, n_clips, dtype=torch.bool, device=device),
            )
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return counter.get_total_flops() // 2


def parameters(network):
    """Number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def published_networks(names=(*TEACHER_NAMES, *WIDTHS)):
    """Every network by name (or width, for students) at its usual size and 16 frames, beside what is published of it.

    Columns: network, input, classes, parameters and multiply-adds of a clip as counted here and as published, source,
    not counted (operations that fvcore left out). Published counts of torchvision's networks are its weights'
    metadata. A student is counted with both heads; the originals have the classification head alone.
    """
    rows = []
    for name in names:
        classes, *published = ORIGINALS.get(name, (400 if name in TEACHER_NAMES else 600, None, None))
        source = "original code" if name in ORIGINALS else ""
        if name in WIDTHS:
            network = build_student(name, classes)
        else:
            network = build_teacher(name, classes)
            if name not in TEACHERS and name not in ORIGINALS:
                from torchvision.models import get_model_weights  # here: see TORCHVISION

                meta = get_model_weights(name).DEFAULT.meta
                published, source = (meta["num_params"] / 1e6, meta["_ops"]), "torchvision"
        size = network.input.size
        total, left_out = count(network, 16, size)
        rows.append(
            {
                "network": f"shufflenetv2 {name}x" if name in WIDTHS else name,
                "input": f"16 x {size} x {size}",
                "classes": classes,
                "parameters (10^6)": parameters(network) / 1e6,
                "published (10^6)": published[0],
                "multiply-adds (10^9)": total / 1e9,
                "published (10^9)": published[1],
                "source": source,
                "not counted": ", ".join(left_out),
            }
        )
    return pd.DataFrame(rows)


def thesis_i3d():
    """What I3D costs for the thesis' 18 clips in the usual settings, beside the thesis' figure, the nearest first.

    Columns: frames, size, crops (of a clip, each classified), counted (a multiply-add as one operation or as two),
    10^6 operations of 18 clips, times the thesis' figure. Convolutions alone: 0.2 % less than `count`, which has batch
    norm too.
    """
    network, rows = build_teacher("inception_i3d", 400).to("meta").eval(), []  # on "meta" nothing is computed
    for frames, size in itertools.product((16, 32, 64), (112, 224, 256)):
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            network(torch.zeros(1, 3, frames, size, size, device="meta"))
        for crops, operations in itertools.product((1, 3, 10), (1, 2)):
            total = THESIS_CLIPS * crops * counter.get_total_flops() / 2 * operations / 1e6
            counted = "a multiply-add as one" if operations == 1 else "a multiply-add as two"
            rows.append((frames, size, crops, counted, total, total / THESIS_I3D))
    columns = [
        "frames",
        "size",
        "crops",
        "counted",
        f"10^6 operations, {THESIS_CLIPS} clips",
        "times the thesis' figure",
    ]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values(columns[-1], key=lambda times: np.log(times).abs(), kind="stable", ignore_index=True)


def per_video(n, k_teacher, student, teacher):
    """Multiply-adds of a video of n clips: all scored by the student, k_teacher classified by the teacher."""
    return n * student + k_teacher * teacher


def of_video(name, n, n_clips, unit, of_networks=None):
    """What a video of n clips costs with this sampler, which keeps n_clips of them, in whatever `unit` counts.

    unit: {"student", "teacher" and, of seconds, "decode"}, a clip each; of_networks: {loss: a video}, of networks over
    whole videos. A sampler that needs the teacher on every clip pays for all n.
    """
    spec = SAMPLERS[name]
    scored = unit.get("decode", 0) + spec.passes * unit["student"]
    cost = per_video(n, n if spec.sees_all else n_clips, scored, unit["teacher"])
    return cost + (of_networks or {}).get(spec.loss, 0)


def of_samplers(accuracy, n, student, teacher, of_networks=None):
    """An accuracy table with the multiply_adds of a video of n clips and their share_of_dense, without who cheats.

    n: mean number of clips of a video; student, teacher: multiply-adds a clip; of_networks: {loss: multiply-adds a
    video} of networks over whole videos. Columns sampler and k_student are then setting and 0.
    """
    table = accuracy[[not SAMPLERS[name].cheats for name in accuracy.sampler]].rename(columns={"sampler": "setting"})
    unit = {"student": student, "teacher": teacher}
    cost = np.array([of_video(row.setting, n, row.n_clips, unit, of_networks) for row in table.itertuples()])
    return table.assign(k_student=0, multiply_adds=cost, share_of_dense=cost / (n * teacher))


def of_division(divided, n, student, teacher):
    """A division table with multiply_adds and share_of_dense, as of_samplers has them."""
    cost = per_video(n, divided.n_clips, student, teacher)
    return divided.assign(multiply_adds=cost, share_of_dense=cost / (n * teacher))
