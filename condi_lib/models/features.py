"""A network with what its classifier reads, for samplers that look at all clips of a video."""

import copy

import torch
from torch import nn

from condi_lib.models.inputs import device_of, input_of, to_input
from condi_lib.models.student import ShuffleNetV2


class WithFeatures(nn.Module):
    """A copy of a network: float [B, 3, F, H, W] -> float [B, D], what its classifier reads and its logits.

    A student's confidence logit comes last. Of a network whose logits are not what its last linear layer gives
    (a convolution as head, a mean over frames) there are the logits alone: D = C.
    """

    def __init__(self, network):
        super().__init__()
        self.input = input_of(network)
        self.trunk, self.heads = _cut(copy.deepcopy(network).eval())

    def forward(self, x):
        features = self.trunk(x)
        return torch.cat([features.float(), *(head(features).float() for head in self.heads)], 1)


class _Trunk(nn.Module):
    def __init__(self, student):
        super().__init__()
        self.student = student

    def forward(self, x):
        return self.student.trunk(x)


def _cut(network):
    """(the network without its heads, its heads)."""
    if isinstance(network, ShuffleNetV2):
        return _Trunk(network), nn.ModuleList([network.classifier, network.confidence])
    linear = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if linear:
        parent, _, name = linear[-1].rpartition(".")
        trunk, head = copy.deepcopy(network), network.get_submodule(linear[-1])
        setattr(trunk.get_submodule(parent), name, nn.Identity())
        if _agree(network, trunk, head):
            return trunk, nn.ModuleList([head])
    return network, nn.ModuleList()


def _agree(network, trunk, head):
    """Are the network's logits the head's of what the trunk gives?"""
    usual, clips = input_of(network), torch.Generator().manual_seed(0)
    shape = (1, 3, usual.frames, usual.size, usual.size)
    x = to_input(torch.randint(256, shape, generator=clips, dtype=torch.uint8), network).to(device_of(network))
    with torch.inference_mode():
        try:
            features = trunk(x)
            return torch.allclose(head(features), network(x), rtol=1e-4, atol=1e-4)
        except (AttributeError, RuntimeError, TypeError, ValueError):  # shapes that do not fit
            return False
