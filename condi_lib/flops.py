"""Multiply-adds by fvcore, and what a video costs.

fvcore calls them flops and counts one multiply-add as one; the thesis prints FLOPs. It counts batch norm and not other
elementwise operations.
"""

import warnings

import pandas as pd
import torch

from condi_lib.models import TEACHER_NAMES, TEACHERS, WIDTHS, build_student, build_teacher, to_input

with warnings.catch_warnings():  # fvcore uses torch.jit.script, which warns of its age
    warnings.simplefilter("ignore", FutureWarning)
    from fvcore.nn import FlopCountAnalysis

# Operations without products of weights or features: what fvcore leaves out and we leave out knowingly
_SIMPLE = "add add_ sub rsub mul div neg ne pow fill_ pad mean squeeze sigmoid softmax gelu dropout_ tensor_split"
_SIMPLE += " repeat_interleave max_pool3d avg_pool3d adaptive_avg_pool3d"
ELEMENTWISE = {"aten::" + op for op in _SIMPLE.split()}

# network: classes, parameters (10^6), multiply-adds (10^9) of the original code at 16 x 112 x 112, counted by fvcore.
# Teachers: github.com/kenshohara/3D-ResNets-PyTorch; students (by width): github.com/okankop/Efficient-3DCNNs
ORIGINALS = {
    "resnext101": (101, 47.73, 9.617),
    0.25: (600, None, 0.113),
    1.0: (600, 1.914, 0.191),
    2.0: (600, None, 0.432),
}


def count(network, frames, size):
    """(multiply-adds for one clip, [operations that were not counted, beyond elementwise ones and pooling])."""
    training = network.training
    clip = to_input(torch.zeros(1, 3, frames, size, size, dtype=torch.uint8), network)
    analysis = FlopCountAnalysis(network.eval(), clip)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    total = int(analysis.total())
    left_out = sorted(set(analysis.unsupported_ops()) - ELEMENTWISE)
    network.train(training)
    return total, left_out


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
            if name not in TEACHERS:
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


def per_video(n, k_teacher, student, teacher):
    """Multiply-adds of a video of n clips: all scored by the student, k_teacher classified by the teacher."""
    return n * student + k_teacher * teacher
