"""What a network wants to see, uint8 clips made into that, and whether it is what the network was trained on."""

import math
from dataclasses import dataclass, fields, replace

import torch

LAYOUT = torch.channels_last_3d  # the faster one for every network here: benchmarks/networks.py


@dataclass(frozen=True)
class Input:
    """A network's input: (pixel - mean) / std for pixels 0 to 255 in RGB; usual clip of frames x size x size pixels.

    stride: the network was trained on every stride-th frame of a video.
    """

    mean: tuple
    std: tuple
    frames: int
    size: int
    stride: int = 1


def _of_unit_range(mean, std):
    """(mean, std) of pixels in [0, 1], as most code gives them, for pixels 0 to 255."""
    return tuple(255 * m for m in mean), tuple(255 * s for s in std)


# name: (mean, std) of pixels 0 to 255. github.com/kenshohara/3D-ResNets-PyTorch has two: its files of 2017 and 2018
# take pixels less ActivityNet's mean, not scaled (Kopuklu et al. keep that), those of 2020 Kinetics' mean and std
PIXELS = {
    "hara2018": ((114.7748, 107.7354, 99.475), (1.0, 1.0, 1.0)),
    "hara2020": _of_unit_range((0.4345, 0.4051, 0.3775), (0.2768, 0.2713, 0.2737)),
    "kinetics": _of_unit_range((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)),  # torchvision's 3D ResNets
    "imagenet": _of_unit_range((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "slowfast": _of_unit_range((0.45, 0.45, 0.45), (0.225, 0.225, 0.225)),  # and MViT, X3D
    "unit": ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),  # pixels from 0 to 1
    "signed": ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),  # pixels from -1 to 1: I3D
}
DEFAULT = Input(*PIXELS["kinetics"], 16, 112)  # of a module that does not say
HARA = Input(*PIXELS["hara2018"], 16, 112)


def as_input(value, usual=DEFAULT):
    """An Input from an Input, a name of PIXELS, or a dict of some of Input's fields ("pixels": a name of PIXELS, too).

    What is left out is taken from `usual`. Raises ValueError for anything else.
    """
    if isinstance(value, Input):
        return value
    given = {"pixels": value} if isinstance(value, str) else value
    known = [field.name for field in fields(Input)]
    if not isinstance(given, dict):
        raise ValueError(f"input: found {value!r}, expected a dict with some of pixels, {', '.join(known)}")
    unknown = [key for key in given if key not in ("pixels", *known)]
    if unknown:
        raise ValueError(f"input: {unknown[0]!r} is unknown; expected some of pixels, {', '.join(known)}")
    given = dict(given)
    name = given.pop("pixels", "")
    if name:
        if name not in PIXELS:
            raise ValueError(f"pixels: {name!r} is unknown; expected one of {', '.join(PIXELS)}")
        usual = replace(usual, mean=PIXELS[name][0], std=PIXELS[name][1])
    for key in given.keys() & {"mean", "std"}:
        given[key] = tuple(map(float, given[key]))
        if len(given[key]) != 3 or (key == "std" and min(given[key]) <= 0):
            raise ValueError(f"input: {key} is {given[key]}, expected three numbers, those of std above 0")
    wants = replace(usual, **given)
    if max(wants.std) < 1 and max(wants.mean) <= 1:
        raise ValueError(
            f"input: mean {wants.mean} and std {wants.std} are of pixels in [0, 1]; expected 255 times that"
        )
    whole = {key: getattr(wants, key) for key in ("frames", "size", "stride")}
    for key, number in whole.items():
        if not isinstance(number, int) or number < 1:
            raise ValueError(f"input: {key} is {number!r}, expected a whole number from 1")
    return wants


def input_of(network):
    """The network's `input`, where it has one, else DEFAULT."""
    return getattr(network, "input", DEFAULT)


def device_of(network):
    """Where the network runs: the device of its first parameter or buffer; the CPU where it has neither."""
    state = next(network.parameters(), next(network.buffers(), None))
    return torch.device("cpu") if state is None else state.device


def to_input(clips, network):
    """uint8 clips [B, 3, F, H, W] -> float32, normalised and laid out for `network`, on its device."""
    wants = input_of(network)
    x = clips.to(device_of(network), memory_format=LAYOUT, non_blocking=True)
    rows = x.permute(0, 2, 3, 4, 1).flatten(3)  # (B, F, H, W * 3): loops over whole rows, not over three channels
    mean, std = (torch.tensor(v, device=x.device).repeat(x.shape[4]) for v in (wants.mean, wants.std))
    return (rows - mean).div_(std).unflatten(3, (-1, 3)).permute(0, 4, 1, 2, 3)


def check_input(network, frames, size):
    """Raises ValueError where the network cannot take clips of frames x size x size pixels; it runs one to see.

    So it does where a classifier gives probabilities in place of logits.
    """
    training = network.training
    try:
        with torch.no_grad():  # a lazy module makes its parameters now, and inference mode's could not be trained
            out = network.eval()(to_input(torch.zeros(1, 3, frames, size, size, dtype=torch.uint8), network))
    except Exception as e:  # anything that a module of the user's own may raise
        wants = input_of(network)
        reason = (str(e) or type(e).__name__).splitlines()[0]
        raise ValueError(
            f"frames, size: the network cannot take clips of {frames} x {size} x {size}; its usual input is "
            f"{wants.frames} x {wants.size} x {wants.size}, as float [B, 3, F, H, W] ({reason})"
        ) from e
    finally:
        network.train(training)
    if isinstance(out, torch.Tensor) and out.shape[-1] > 1 and out.min() >= 0 and (out.sum(-1) - 1).abs().max() < 1e-4:
        raise ValueError("teacher: the network gives probabilities, expected logits; leave out its softmax")


def other_stride(network, stride):
    """A line that says so where the network was trained on clips of another stride than this one, else ""."""
    own = input_of(network).stride
    return "" if own == stride else f"the network was trained on clips of stride {own}; here stride is {stride}\n"


def mean_over_crops(logits, crops=3):
    """Logits of crops, float [B * crops, C], crops of a clip side by side -> logits of clips [B, C].

    Their softmax is the mean of the crops' softmax, as published accuracies of dense inference average.
    """
    return logits.log_softmax(1).unflatten(0, (-1, crops)).logsumexp(1) - math.log(crops)
