"""Weights into networks: all of a file or nothing, under whatever prefixes it has them."""

import warnings
from collections import Counter

import torch

HEADS = ("fc", "classifier", "head", "logits", "confidence")  # top-level names of the layers that belong to a task
# What wrappers and training code put before the names of layers
PREFIXES = ("module.", "_orig_mod.", "model.", "network.", "net.", "backbone.", "encoder.", "_forward_module.")
# Buffers that a profiler (thop) leaves in every layer, and that averaging leaves on top
COUNTERS = ("total_ops", "total_params", "n_averaged")
BATCHES = "num_batches_tracked"  # of batch norms, since PyTorch 0.4.1; nothing that these networks compute needs it


def load_weights(network, found, name, new_head=False):
    """Loads what read_checkpoint found in the file `name` into `network` and returns it: all of it or nothing.

    Prefixes (PREFIXES) are stripped where that makes keys fit, COUNTERS dropped, batch norms that count no
    batches taken as they are: `network.note` then says so in one line, and is "" else. new_head: layers named in HEADS
    may be missing from the file, and the last one may have another number of classes there; they keep their fresh
    weights, and a warning says so. Raises ValueError naming the file and the first missing, unexpected and mis-shaped
    key where it does not fit, or a key whose values are not finite, or negative where they are variances.
    """
    wanted = network.state_dict()
    fitted, notes = _fit_keys(found, wanted)
    unexpected = [k for k in fitted if k not in wanted]
    missing = [k for k in wanted if k not in fitted and not k.endswith(BATCHES)]
    misshaped = [k for k in wanted if k in fitted and fitted[k].shape != wanted[k].shape]
    left_out = {}
    if new_head:
        for key in [k for k in missing if k.split(".")[0] in HEADS]:
            left_out[key] = f"{key} ({_shape(wanted[key])} here)"
            missing.remove(key)
        if _differ_in_classes_alone(misshaped, fitted, wanted):
            for key in misshaped:
                left_out[key] = f"{key} ({_shape(fitted[key])} there, {_shape(wanted[key])} here)"
            misshaped = []
    faults = []
    if missing:
        faults.append(f"{len(missing)} missing, first {missing[0]}, expected {_shape(wanted[missing[0]])}")
    if unexpected:
        faults.append(f"{len(unexpected)} unexpected, first {unexpected[0]}, {_shape(fitted[unexpected[0]])}")
    if misshaped:
        k = misshaped[0]
        faults.append(f"{len(misshaped)} mis-shaped, first {k}, {_shape(fitted[k])}, expected {_shape(wanted[k])}")
    if faults:
        kind = type(network).__name__
        raise ValueError(f"checkpoint: {name} does not fit {kind} ({len(wanted)} keys): {'; '.join(faults)}")
    taken = {k: fitted[k] for k in wanted if k in fitted and k not in left_out}
    _check_values(taken, wanted, name)
    if left_out:
        warnings.warn(
            f"checkpoint: {name}: not loaded, new weights instead: {', '.join(left_out.values())}", stacklevel=3
        )
    network.load_state_dict({**wanted, **taken})
    network.note = f"checkpoint: {name}: {'; '.join(notes)}" if notes else ""
    return network


def _fit_keys(found, wanted):
    """({the network's key, or the file's where none fits: tensor}, [what was done in words])."""
    fitted, stripped, dropped = {}, Counter(), Counter()
    for key, tensor in found.items():
        own = _without_prefixes(key, wanted)
        last = key.rpartition(".")[2]
        if own not in wanted and last in COUNTERS:
            dropped[last] += 1
            continue
        if own in fitted:  # two sets of weights side by side: the second is named as unexpected
            own = key
        if own != key:
            stripped[key.removesuffix(own) if key.endswith(own) else "_orig_mod."] += 1
        fitted[own] = tensor.reshape(()) if own.endswith(BATCHES) and tensor.numel() == 1 else tensor
    notes = list(getattr(found, "notes", ()))
    if stripped:
        notes.append("stripped " + ", ".join(f"{prefix} from {n} keys" for prefix, n in stripped.items()))
    if dropped:
        notes.append("dropped " + ", ".join(f"{n} {name}" for name, n in dropped.items()))
    if any(k.endswith(BATCHES) for k in wanted) and not any(k.endswith(BATCHES) for k in fitted):
        notes.append(f"batch norms without {BATCHES}, as before PyTorch 0.4.1")
    return fitted, notes


def _without_prefixes(key, wanted):
    """The key without what stands before a wanted one, or as it is where that leads to none."""
    if key in wanted:
        return key
    own = key.replace("_orig_mod.", "")  # anywhere: a part of the network may have been compiled
    while own not in wanted:
        first, dot, own = own.partition(".")
        if first + dot not in PREFIXES:
            return key
    return own


def _differ_in_classes_alone(keys, fitted, wanted):
    """Whether these are one head for another number of classes: another width of its features is another network."""
    pairs = [(fitted[k].shape, wanted[k].shape) for k in keys]
    sizes = {(there[:1], here[:1]) for there, here in pairs}
    return len(sizes) == 1 and all(len(here) and there[1:] == here[1:] for there, here in pairs)


def _check_values(taken, wanted, name):
    for key, tensor in taken.items():
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
            raise ValueError(f"checkpoint: {name}: {key} is sparse, quantised or empty; expected plain numbers")
        if not wanted[key].is_floating_point():
            continue
        if not tensor.is_floating_point():
            kind = str(tensor.dtype).removeprefix("torch.")
            raise ValueError(f"checkpoint: {name}: {key} is {kind}, expected floating-point numbers")
        values = tensor.to(wanted[key].dtype)  # as it will be: double may not fit into float
        bad = int((~torch.isfinite(values)).sum())
        if bad:
            raise ValueError(f"checkpoint: {name}: {key} has {bad} of {tensor.numel()} values that are NaN or infinite")
        below = int((values < 0).sum()) if key.endswith("running_var") else 0
        if below:
            raise ValueError(f"checkpoint: {name}: {key} has {below} of {tensor.numel()} variances below 0")


def _shape(tensor):
    return " x ".join(map(str, tensor.shape)) or "scalar"


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
