"""Multiply-adds by fvcore, and what a video costs.

fvcore calls them flops and counts one multiply-add as one; the thesis prints FLOPs. Elementwise operations are not
counted by it.
"""

import warnings

import torch

with warnings.catch_warnings():  # fvcore uses torch.jit.script, which warns of its age
    warnings.simplefilter("ignore", FutureWarning)
    from fvcore.nn import FlopCountAnalysis

# Operations without multiplications of weights: what fvcore leaves out and we leave out knowingly
ELEMENTWISE = {"aten::" + op for op in ("add", "add_", "mean", "max_pool3d", "avg_pool3d", "pad", "sigmoid", "squeeze")}


def count(network, frames, size):
    """(multiply-adds for one clip, [operations that were not counted, beyond elementwise ones and pooling])."""
    device = next(network.parameters()).device
    training = network.training
    analysis = FlopCountAnalysis(network.eval(), torch.zeros(1, 3, frames, size, size, device=device))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    total = int(analysis.total())
    left_out = sorted(set(analysis.unsupported_ops()) - ELEMENTWISE)
    network.train(training)
    return total, left_out


def parameters(network):
    """Number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def per_video(n, k_teacher, student, teacher):
    """Multiply-adds of a video of n clips: all scored by the student, k_teacher classified by the teacher."""
    return n * student + k_teacher * teacher
