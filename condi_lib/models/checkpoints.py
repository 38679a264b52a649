"""Weights from files: ours in safetensors, other people's as PyTorch pickles, which are read without running code."""

import pickle
import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

HEADS = ("fc", "classifier", "head", "confidence")  # top-level names of the layers that belong to a task


def read_checkpoint(path):
    """{key: tensor} of a checkpoint file: safetensors, or a PyTorch file whose weights stand at the top or in
    "state_dict"; a DataParallel prefix "module." is dropped.

    Raises FileNotFoundError if there is no such file; ValueError, naming it, if it is damaged, holds no weights, or
    could only be read by running code in it (weights_only=True is all that is tried).
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint: {path} does not exist")
    try:
        if path.suffix == ".safetensors":
            found = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as e:
        reason = str(e).splitlines()[0]
        raise ValueError(
            f"checkpoint: {path} holds more than weights, or is damaged, and is not loaded: {reason}"
        ) from e
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as e:
        raise ValueError(f"checkpoint: {path} cannot be read; expected safetensors or a PyTorch file: {e}") from e
    weights = found.get("state_dict", found) if isinstance(found, dict) else None
    if not weights or not all(isinstance(x, torch.Tensor) for x in weights.values()):
        raise ValueError(f'checkpoint: {path} holds no weights; expected {{key: tensor}}, or that under "state_dict"')
    return {key.removeprefix("module."): x for key, x in weights.items()}


def load_weights(network, found, name, new_head=False):
    """Loads what read_checkpoint found in the file `name` into `network` and returns it: all of it or nothing.

    new_head: layers named in HEADS may be missing from the file or have another number of classes there; they keep
    their fresh weights, and a warning says so. Raises ValueError naming the file and the first missing, unexpected and
    mis-shaped key where it does not fit.
    """
    wanted = network.state_dict()
    missing = [k for k in wanted if k not in found]
    unexpected = [k for k in found if k not in wanted]
    misshaped = [k for k in wanted if k in found and found[k].shape != wanted[k].shape]

    def shape(tensor):
        return " x ".join(map(str, tensor.shape)) or "scalar"

    left_out = {}
    if new_head:
        for keys in (missing, misshaped):
            for key in [k for k in keys if k.split(".")[0] in HEADS]:
                # only the number of classes may differ: another width of the features is another network
                if key not in found or found[key].shape[1:] == wanted[key].shape[1:]:
                    there = f"{shape(found[key])} there, " if key in found else ""
                    left_out[key] = f"{key} ({there}{shape(wanted[key])} here)"
                    keys.remove(key)
    faults = []
    if missing:
        faults.append(f"{len(missing)} missing, first {missing[0]}, expected {shape(wanted[missing[0]])}")
    if unexpected:
        faults.append(f"{len(unexpected)} unexpected, first {unexpected[0]}, {shape(found[unexpected[0]])}")
    if misshaped:
        k = misshaped[0]
        faults.append(f"{len(misshaped)} mis-shaped, first {k}, {shape(found[k])}, expected {shape(wanted[k])}")
    if faults:
        kind = type(network).__name__
        raise ValueError(f"checkpoint: {name} does not fit {kind} ({len(wanted)} keys): {'; '.join(faults)}")
    if left_out:
        warnings.warn(
            f"checkpoint: {name}: not loaded, new weights instead: {', '.join(left_out.values())}", stacklevel=3
        )
    network.load_state_dict({k: wanted[k] if k in left_out else found[k] for k in wanted})
    return network


def freeze(network, stage):
    """Stops the training of all layers up to and including `stage`, a name such as "layer3" or "features.4".

    Their batch norms then keep their running statistics (training.fit sees to it). Raises ValueError for another name.
    """
    names = [name for name, _ in network.named_parameters()]
    last = max((i for i, name in enumerate(names) if name.startswith(stage + ".")), default=None)
    if last is None:
        stages = ", ".join(dict.fromkeys(name.split(".")[0] for name in names))
        raise ValueError(f"freeze: {stage!r} is no stage of {type(network).__name__}; expected one of {stages}")
    for _, parameter in list(network.named_parameters())[: last + 1]:
        parameter.requires_grad_(False)
    return network
