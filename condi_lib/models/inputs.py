"""What a network wants to see, and uint8 clips made into that."""

import copy
import ctypes
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import torch
from accelerate import Accelerator
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

LAYOUT = torch.channels_last_3d  # the faster one for every network here: benchmarks/networks.py


@dataclass(frozen=True)
class Input:
    """A network's input: (pixel - mean) / std for pixels 0 to 255 in RGB; usual clip of frames x size x size pixels."""

    mean: tuple
    std: tuple
    frames: int
    size: int


def of_unit_range(mean, std, *args):
    """An Input from mean and std of pixels in [0, 1], as torchvision gives them."""
    return Input(tuple(255 * m for m in mean), tuple(255 * s for s in std), *args)


# Of a module that does not say: Kinetics' mean and standard deviation, as torchvision's 3D ResNets take them
DEFAULT = of_unit_range((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989), 16, 112)


def input_of(network):
    """The network's `input`, where it has one, else DEFAULT."""
    return getattr(network, "input", DEFAULT)


def to_input(clips, network):
    """uint8 clips [B, 3, F, H, W] -> float32, normalised and laid out for `network`, on its device."""
    wants = input_of(network)
    x = clips.to(next(network.parameters()).device, memory_format=LAYOUT, non_blocking=True)
    rows = x.permute(0, 2, 3, 4, 1).flatten(3)  # (B, F, H, W * 3): loops over whole rows, not over three channels
    mean, std = (torch.tensor(v, device=x.device).repeat(x.shape[4]) for v in (wants.mean, wants.std))
    return (rows - mean).div_(std).unflatten(3, (-1, 3)).permute(0, 4, 1, 2, 3)


@contextmanager
def memory_advice(what, lower):
    """Turns a GPU's lack of memory into a RuntimeError that says which parameters to lower."""
    try:
        yield
    except torch.OutOfMemoryError as e:
        reason = str(e).splitlines()[0]
        raise RuntimeError(f"{what}: the GPU's memory does not suffice; lower {lower} ({reason})") from e


def check_input(network, frames, size):
    """Raises ValueError where the network cannot take clips of frames x size x size pixels; it runs one to see."""
    training = network.training
    try:
        with torch.inference_mode():
            network.eval()(to_input(torch.zeros(1, 3, frames, size, size, dtype=torch.uint8), network))
    except (RuntimeError, ValueError, AssertionError) as e:
        wants = input_of(network)
        raise ValueError(
            f"frames, size: the network cannot take clips of {frames} x {size} x {size}; its usual input is "
            f"{wants.frames} x {wants.size} x {wants.size} ({str(e).splitlines()[0]})"
        ) from e
    finally:
        network.train(training)


def keep_freed_memory():
    """Asks glibc to keep freed memory: giving activations back to the kernel makes a training step twice as long."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return  # not glibc
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
        if not isinstance(module, nn.Sequential) and not getattr(module, "runs_in_order", False):
            continue
        for (name, conv), (norm_name, norm) in pairwise(list(module.named_children())):
            if isinstance(conv, nn.Conv3d) and isinstance(norm, nn.BatchNorm3d):
                setattr(module, name, fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, nn.Identity())
    return network
