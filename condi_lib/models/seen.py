"""Do the pixels that a network is given look like those that it was trained on? Its first batch norm knows."""

import torch
from torch import nn

from condi_lib.models.inputs import PIXELS, input_of, to_input

PIXELS_FAR = 10.0  # times that the variance of activations may be above or below what the first batch norm has seen
ONE_VIDEO = 10.0  # as many times more where the clips are of one video, which may be dark or flat all through
FLAT = 8.0  # standard deviation of pixels 0 to 255 below which clips (black ones, say) tell nothing
PIXELS_SHIFT = 3.0  # standard deviations that their mean may be off; both are medians over channels


class _Enough(Exception):
    """Stops a forward pass at the first batch norm."""


def _first_batch_norm(network, x):
    """(the first batch norm that runs on x, what it is given), or (None, None)."""
    found = []

    def stop(norm, args):
        found.append((norm, args[0]))
        raise _Enough

    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    if not norms:
        return None, None
    hooks = [norm.register_forward_pre_hook(stop) for norm in norms]
    training = network.training
    try:
        with torch.no_grad():
            network.eval()(x)
    except _Enough:
        pass
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return found[0] if found else (None, None)


def check_pixels(network, clips, one_video=False):
    """ "" where clips uint8 [B, 3, F, H, W] look to the network like what it was trained on; else one sentence.

    Compares mean and variance of what the first batch norm gets with its running statistics, channel by channel: the
    median channel may be off by PIXELS_FAR and PIXELS_SHIFT. A network without batch norm, with folded ones, or with
    one that has seen nothing yet gives "", and so do clips that are nearly flat. A few clips of different videos are
    enough; of one_video the variance may be off by ONE_VIDEO times as much. Nothing runs behind the first batch norm.
    """
    if clips.float().std() < FLAT:
        return ""
    norm, given = _first_batch_norm(network, to_input(clips, network))
    if norm is None or (not norm.running_mean.any() and (norm.running_var == 1).all()):
        return ""
    given = given.float().transpose(0, 1).flatten(1)  # (C, all positions)
    mean, var = given.mean(1), given.var(1)
    seen = [(norm.running_mean, norm.running_var)]
    steps = int(norm.num_batches_tracked or 0)
    if 0 < steps < 100 and norm.momentum:  # running statistics start from 0 and 1, and still remember that
        start = (1 - norm.momentum) ** steps
        seen.append((norm.running_mean / (1 - start), (norm.running_var - start) / (1 - start)))
    ratios = [(var / v.clamp(min=1e-12)).clamp(min=1e-12).log().median().exp().item() for _, v in seen]
    ratio = min(ratios, key=lambda r: max(r, 1 / r))
    shift = min(((mean - m).abs() / v.clamp(min=1e-12).sqrt()).median().item() for m, v in seen)
    far = PIXELS_FAR * (ONE_VIDEO if one_video else 1)
    if 1 / far <= ratio <= far and shift <= PIXELS_SHIFT:
        return ""
    wants = input_of(network)
    return (
        f"pixels: far from what the network was trained on: before its first batch norm their variance is {ratio:.2g} "
        f"times what it has seen ({1 / far:g} to {far:g} is usual), their mean {shift:.2g} standard "
        f"deviations off ({PIXELS_SHIFT:g} is usual). They are (pixel - mean) / std for pixels 0 to 255 with mean "
        f"{_shown(wants.mean)}, std {_shown(wants.std)}; `pixels` chooses another normalisation: {', '.join(PIXELS)}"
    )


def _shown(values):
    return " ".join(f"{v:g}" for v in values)
