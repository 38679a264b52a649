"""Networks made fast for inference, and what to do where memory is short."""

import copy
import ctypes
from contextlib import contextmanager
from itertools import pairwise

import torch
from accelerate import Accelerator
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrize import is_parametrized


@contextmanager
def memory_advice(what, lower):
    """Turns a GPU's lack of memory into a RuntimeError that says which parameters to lower."""
    try:
        yield
    except torch.OutOfMemoryError as e:
        reason = str(e).splitlines()[0]
        raise RuntimeError(f"{what}: the GPU's memory does not suffice; lower {lower} ({reason})") from e


def _of_glibc(name):
    """A function of glibc; one that does nothing where there is another library."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return lambda *_: None


def give_back_freed_memory():
    """Asks glibc to return what many small arrays leave behind, which larger ones cannot use."""
    _of_glibc("malloc_trim")(0)


def keep_freed_memory():
    """Asks glibc to keep freed memory: giving activations back to the kernel makes a training step twice as long."""
    mallopt = _of_glibc("mallopt")
    for option, value in ((-4, 0), (-1, 2**31 - 1), (-2, 512 << 20)):  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD
        mallopt(option, value)


def without_marks(network):
    """The network without what Accelerate leaves on one that it has prepared, and would not prepare again."""
    for name in ("forward", "_original_forward", "_is_accelerate_prepared"):
        vars(network).pop(name, None)
    return network


def for_inference(network, move=True):
    """A copy of the network that is faster and gives the same outputs, but for rounding.

    Batch norms are folded, and Accelerate decides the rest: where it runs (`move`; else where it lies), bf16
    (ACCELERATE_MIXED_PRECISION=bf16), torch.compile (ACCELERATE_DYNAMO_BACKEND=inductor). Outputs are float32.
    """
    keep_freed_memory()
    network = fold_batch_norms(without_marks(copy.deepcopy(network)))
    return Accelerator().prepare_model(network, device_placement=move, evaluation_mode=True)


def fold_batch_norms(network):
    """Folds batch norms into the 3D convolutions before them, in place, for faster inference; returns the network.

    Inside nn.Sequential, and inside modules that say with `runs_in_order` that each batch norm follows the convolution
    registered before it.
    """
    network.eval()
    for module in network.modules():
        in_order = getattr(type(module), "forward", None) is nn.Sequential.forward  # a subclass may have its own
        if not in_order and not getattr(module, "runs_in_order", False):
            continue
        for (name, conv), (norm_name, norm) in pairwise(list(module.named_children())):
            if isinstance(norm, nn.BatchNorm3d) and norm.track_running_stats and _is_plain(conv):
                setattr(module, name, fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, nn.Identity())
    return network


def _is_plain(conv):
    """Whether the weights of a 3D convolution are what it computes with: weight norm makes them anew at each call."""
    return isinstance(conv, nn.Conv3d) and not conv._forward_pre_hooks and not is_parametrized(conv)
