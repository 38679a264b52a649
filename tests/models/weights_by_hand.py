"""Small networks and weights, for tests of files that hold them."""

import zlib

import numpy as np
import torch

from condi_lib.models import build_teacher

SMALL = {"blocks": (1, 1, 1, 1), "width": 0.125}  # of a 3D ResNet, for tests of what does not depend on its size


def drawn(key, shape):
    """The reference's recipe for the weights of a key."""
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    fan_in = np.prod(shape[1:])
    if key.endswith("num_batches_tracked"):
        return torch.tensor(1)
    if key.endswith("running_var"):
        x = rng.uniform(0.5, 1.5, shape)
    elif key.endswith("running_mean") or key.endswith("bias"):
        x = rng.normal(0, 0.1, shape)
    elif len(shape) == 1:
        x = rng.uniform(*((0.05, 0.25) if key.endswith("bn3.weight") else (0.5, 1.5)), shape)
    else:
        x = rng.normal(0, (2 / fan_in) ** 0.5 if len(shape) > 2 else fan_in**-0.5, shape)
    return torch.from_numpy(x).float()


def public_file(path, arch, shapes, **options):
    """Weights by the recipe, in a file as both families publish theirs."""
    state = {"module." + k: drawn(k, s) for k, s in shapes.items()}
    torch.save(
        {"epoch": 45, "arch": arch, "state_dict": state, "optimizer": {"state": {}, "param_groups": []}},
        path,
        **options,
    )
    return path


def shapes_of(network):
    return {k: list(v.shape) for k, v in network.state_dict().items()}


def small(n=3, **options):
    return build_teacher("resnet18", n, **SMALL, **options)


def same_weights(network, state):
    own = network.state_dict()
    return all(torch.equal(own[k], x.float() if x.is_floating_point() else x) for k, x in state.items())
