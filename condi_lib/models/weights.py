"""Weights into networks: all of a file or nothing, under whatever prefixes it has them."""

import re
import warnings
from collections import Counter

import torch

from condi_lib.models.checkpoints import Weights

HEADS = ("fc", "classifier", "head", "logits", "confidence")  # top-level names of the layers that belong to a task
# What wrappers and training code put before the names of layers
PREFIXES = ("module.", "_orig_mod.", "model.", "network.", "net.", "backbone.", "encoder.", "_forward_module.")
# Layers that wrappers (DataParallel, torch.compile, FSDP, activation checkpointing) put around parts of a network
WRAPPERS = ("module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
# Buffers that profilers (thop; ptflops: __flops__) leave in every layer, and that averaging leaves on top
COUNTERS = re.compile(r"total_ops|total_params|n_averaged|__\w+__")
BATCHES = "num_batches_tracked"  # of batch norms, since PyTorch 0.4.1; nothing that these networks compute needs it


def load_weights(network, found, name, new_head=False):
    """Loads what read_checkpoint found in the file `name` into `network` and returns it: all of it or nothing.

    PREFIXES, and WRAPPERS anywhere, are stripped where that makes keys fit, counters dropped, batch norms that count no
    batches taken as they are, sets of weights that only together are the network's joined: `network.note` then says so
    in one line, and is "" else. new_head: layers named in HEADS may be missing from the file, whole or in part, and the
    last one may have another number of classes there; they keep their fresh weights, and a warning says so. Raises
    ValueError naming the file and the first missing, unexpected and mis-shaped key where it does not fit, or a key
    whose values are not finite, or negative where they are variances.
    """
    wanted = network.state_dict()
    fitted, notes = _fit_keys(_joined(found, wanted), wanted)
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
        for key in [k for k in fitted if k in wanted and k not in left_out]:  # half of a layer is of no use
            if key.rpartition(".")[0] in {k.rpartition(".")[0] for k in left_out}:
                left_out[key] = f"{key} (there, without the rest of its layer)"
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
        if own not in wanted and _is_counter(key):
            dropped[key.rpartition(".")[2]] += 1
            continue
        if own in fitted:  # two sets of weights side by side: the second is named as unexpected
            own = key
        if own != key:
            inside = (f"{part}." for part in dict.fromkeys(key.split(".")) if part in WRAPPERS)
            stripped[key.removesuffix(own) if key.endswith(own) else " and ".join(inside)] += 1
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
    parts = key.split(".")
    bare = [part for part in parts if part not in WRAPPERS]
    for own in (parts, bare):  # the network may be wrapped itself
        while own and ".".join(own) not in wanted and own[0] + "." in PREFIXES:
            own = own[1:]
        if ".".join(own) in wanted:
            return ".".join(own)
    return key


def _joined(found, wanted):
    """found, or it and the file's other sets, as in {"backbone": ..., "head": ...}, where only together they fit.

    A set is taken where all its keys are missing ones: as they are, behind the set's name, or, for a set that is named
    as a head, behind the name of the network's one head that is missing.
    """
    joined, names = {}, []
    for name, weights in getattr(found, "sets", ()):
        missing = wanted.keys() - joined.keys()
        places = ["", f"{name}."]
        if any(word in name for word in (*HEADS, "cls")):
            heads = [k for k in missing if k.split(".")[0] in HEADS and not k.startswith("confidence.")]
            for layers in ({k.split(".")[0] for k in heads}, {k.rpartition(".")[0] for k in heads}):
                places += [f"{layer}." for layer in layers if len(layers) == 1]
        for place in places:
            part = {_without_prefixes(place + k, missing): x for k, x in weights.items() if not _is_counter(k)}
            if part and part.keys() <= missing:
                joined |= part
                names.append(name)
                break
    lacking = [k for k in wanted if k not in joined and not k.endswith(BATCHES) and k.split(".")[0] not in HEADS]
    if len(names) < 2 or lacking:
        return found
    return Weights(joined, notes=[f"the weights under {' and '.join(names)} together"])


def _is_counter(key):
    return COUNTERS.fullmatch(key.rpartition(".")[2]) is not None


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
