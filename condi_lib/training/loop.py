"""The one training loop: the teacher's and all of the student's losses go through `fit`."""

import copy
import hashlib
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, send_to_device, set_seed
from torch.distributed.nn.functional import all_reduce
from torch.utils.data import DataLoader

from condi_lib.data import RowsOnDisk, derived_seed, write_atomically
from condi_lib.models import keep_freed_memory, memory_advice, to_input, without_marks
from condi_lib.progress import tqdm
from condi_lib.training.order import EpochSampler, Parts


class _SyncedBatchNorm3d(torch.nn.BatchNorm3d):
    """Batch norm over the clips of all processes, on a CPU: torch's nn.SyncBatchNorm needs a GPU."""

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        self.num_batches_tracked += 1
        n = all_reduce(x.new_tensor([x.numel() / x.shape[1]]))
        mean = all_reduce(x.sum((0, 2, 3, 4))) / n
        centred = x - mean.view(1, -1, 1, 1, 1)
        var = all_reduce(centred.square().sum((0, 2, 3, 4))) / n
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * n / (n - 1), self.momentum)
        return centred * ((var + self.eps).rsqrt() * self.weight).view(1, -1, 1, 1, 1) + self.bias.view(1, -1, 1, 1, 1)


def _synchronised(network, device):
    """A copy of the network whose batch norms see the clips of all processes."""
    network = copy.deepcopy(network)
    if device.type != "cpu":
        return torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for module in network.modules():
        if type(module) is torch.nn.BatchNorm3d:
            module.__class__ = _SyncedBatchNorm3d
    return network


def fit(
    network,
    dataset,
    batch_loss,
    epochs,
    lr,
    batch_size,
    seed,
    weight_decay=0.01,
    balance="",
    pair_by="",
    workers=0,
    accumulate=1,
    checkpoint=None,
    checkpoint_min=5.0,
    desc="training",
):
    """Trains `network` in place on `dataset` (a ClipDataset) and returns the history, a row an epoch (none for 0).

    batch_loss(outputs, batch) -> (scalar loss, {name: value} to record as epoch means); what it keeps from batch to
    batch is {name: float} in batch_loss.state. AdamW under a one-cycle schedule with peak `lr`; balance, pair_by: names
    of the data set's columns for EpochSampler's `correct` and `video`; workers: processes that decode ahead. Clips that
    cannot be read are left out, and named in dataset.bad.

    Accelerate places it: one CPU, a GPU, several (`accelerate launch`), mixed precision. A step takes batch_size clips
    in all, cut into equal parts for the processes and for `accumulate` passes one after the other.

    checkpoint: a file from which training goes on where it was killed, written every checkpoint_min minutes and after
    each epoch. All draws of a step follow from its number, so that the weights are those of an unbroken run; a
    checkpoint of other data, initial weights or settings of this function is not used. The caller removes it.

    Raises FloatingPointError, naming step and videos, where the loss is not finite, and RuntimeError for a checkpoint
    that cannot be read or memory that does not suffice.
    """
    if not epochs:
        return pd.DataFrame(columns=["epoch", "loss", "accuracy"], dtype=float)
    keep_freed_memory()
    set_seed(seed)
    accelerator = Accelerator(kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)])
    device, n_processes, rank = accelerator.device, accelerator.num_processes, accelerator.process_index
    correct, video = (dataset.columns[name] if name else None for name in (balance, pair_by))
    source = getattr(dataset, "sources", None)  # clips that memory does not hold
    buffer = max(16 * batch_size, getattr(dataset, "buffer", 0))
    order = EpochSampler(len(dataset), seed, correct, video, source, buffer)
    parts = Parts(order, batch_size, accumulate, n_processes, rank)
    settings = (epochs, lr, batch_size, seed, weight_decay, balance, pair_by, accumulate, n_processes)
    settings += () if source is None else (buffer,)
    fingerprint = digest(settings, network.state_dict(), dataset.columns) if checkpoint else ""
    trained = network if n_processes == 1 else _synchronised(network, device)
    optimiser = torch.optim.AdamW(
        [p for p in trained.parameters() if p.requires_grad], lr, weight_decay=weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, max(10, epochs * len(parts)), pct_start=0.2)
    model, optimiser = accelerator.prepare(trained, optimiser)
    stateful = {"network": trained, "optimiser": optimiser, "schedule": schedule}
    if accelerator.scaler:
        stateful["scaler"] = accelerator.scaler
    at = {"epoch": 0, "step": 0, "n": 0, "sums": {}, "history": [], "loss_state": getattr(batch_loss, "state", {})}
    _restore(checkpoint, fingerprint, stateful, at)

    def epoch_batches():
        if source is not None:
            return dataset.batches(parts, workers)
        return iter(DataLoader(dataset, batch_sampler=parts, collate_fn=_as_it_is, num_workers=workers))

    frozen = [m for m in trained.modules() if _is_frozen(m)]

    def one_step(step, batches):
        """Updates the weights; the clips used, and the sums over them of the loss and of what batch_loss records."""
        sizes = torch.tensor([[len(batch["clips"]) for batch in batches]])
        if n_processes > 1:
            sizes = accelerator.gather(sizes.to(device)).cpu()
        usable = (sizes > 0).all(0).nonzero().flatten().tolist()  # passes that all processes have clips for
        n, sums, paths = int(sizes[:, usable].sum()), {}, []
        state = at["loss_state"]  # a step moves it once: each pass from where it stood, then their mean
        before, moved = dict(state), dict.fromkeys(state, 0.0)
        for i in usable:
            state.update(before)
            batch = send_to_device(batches[i], device)
            torch.manual_seed(derived_seed(seed, at["epoch"], step, rank, i))
            with nullcontext() if i == usable[-1] else accelerator.no_sync(model):
                loss, record = batch_loss(model(to_input(batch["clips"], trained)), batch)
                b = len(batch["clips"])
                accelerator.backward(loss * (b / n * n_processes))
            for name, x in {"loss": loss.item(), **record}.items():
                sums[name] = sums.get(name, 0.0) + b * float(x)
            moved = {name: x + state[name] / len(usable) for name, x in moved.items()}
            paths += batch.get("paths", [])
        if n:
            state.update(moved)
        if n_processes > 1 and n:
            for kept in filter(None, (sums, at["loss_state"])):
                total = accelerator.reduce(torch.tensor(list(kept.values()), dtype=torch.float64, device=device))
                kept.update(zip(kept, (total / (1 if kept is sums else n_processes)).tolist(), strict=True))
        if n and not np.isfinite(sums["loss"]):
            raise FloatingPointError(
                f"{desc}: the loss is {sums['loss'] / n} at step {step} of epoch {at['epoch'] + 1}; lower lr ({lr}), "
                f"or look at its videos: {', '.join(sorted(set(map(str, paths)))) or 'unknown'}"
            )
        if n:
            optimiser.step()
            if not accelerator.optimizer_step_was_skipped:
                schedule.step()
            optimiser.zero_grad()
        return n, sums

    saved = time.monotonic()
    done = at["epoch"] * len(parts) + at["step"]
    with tqdm(total=epochs * len(parts), initial=done, desc=desc, unit="step") as progress:
        while at["epoch"] < epochs:
            order.epoch = at["epoch"]
            dataset.draw, parts.start = (seed, at["epoch"]), at["step"]
            model.train()
            for module in frozen:
                module.eval()  # batch norm keeps its running statistics
            for step, batches in enumerate(zip(*[epoch_batches()] * accumulate, strict=True), parts.start):
                for batch in batches:
                    if bad := batch.pop("bad", None):
                        dataset.note_bad(bad)
                with memory_advice(desc, f"batch_size ({batch_size}), or raise accumulate ({accumulate})"):
                    n, sums = one_step(step, batches)
                at["step"], at["n"] = step + 1, at["n"] + n
                at["sums"] = {name: at["sums"].get(name, 0.0) + x for name, x in sums.items()} or at["sums"]
                progress.update()
                if checkpoint and time.monotonic() - saved > 60 * checkpoint_min:
                    _save(checkpoint, fingerprint, stateful, at, accelerator)
                    saved = time.monotonic()
            means = {name: x / at["n"] for name, x in at["sums"].items()}
            at["history"].append({"epoch": at["epoch"] + 1, **means})
            at |= {"epoch": at["epoch"] + 1, "step": 0, "n": 0, "sums": {}}
            progress.set_postfix_str(f"loss {means['loss']:.3f}")
            if checkpoint:
                _save(checkpoint, fingerprint, stateful, at, accelerator)
    if trained is not network:
        network.load_state_dict(trained.state_dict())
    without_marks(network).eval()
    return pd.DataFrame(at["history"])


def digest(settings, *states):
    """A fingerprint, hexadecimal, of values that have a repr and of {name: tensor or RowsOnDisk}."""
    found = hashlib.sha1(repr(settings).encode())
    for state in states:
        for name, tensor in state.items():
            if isinstance(tensor, RowsOnDisk):
                found.update(f"{name} {tensor.digest}".encode())
            else:
                found.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _save(checkpoint, fingerprint, stateful, at, accelerator):
    finite = all(torch.isfinite(p).all() for p in stateful["network"].parameters())
    if accelerator.is_main_process and finite:  # else the next loss says so, and the last good checkpoint stays
        states = {name: one.state_dict() for name, one in stateful.items()}
        write_atomically(checkpoint, lambda part: torch.save({"fingerprint": fingerprint, "at": at, **states}, part))


def _restore(checkpoint, fingerprint, stateful, at):
    """Loads a checkpoint of this training, where there is one, into `stateful` and `at`."""
    if checkpoint is None or not Path(checkpoint).exists():
        return
    try:
        found = torch.load(checkpoint, map_location="cpu", weights_only=True)
        same = found["fingerprint"] == fingerprint
    except Exception as e:  # whatever a cut or foreign file makes of the unpickler
        raise RuntimeError(
            f"{checkpoint}: cannot be read as a checkpoint of training ({type(e).__name__}); delete it "
            "to start this training anew"
        ) from e
    if not same:
        tqdm.write(f"{checkpoint}: of other data, weights or settings; training starts anew")
        return
    for name, one in stateful.items():
        one.load_state_dict(found[name])
    loss_state = at["loss_state"]
    loss_state.update(found["at"].pop("loss_state"))
    at |= found["at"]


def _as_it_is(batch):
    return batch


def _is_frozen(module):
    own = list(module.parameters(recurse=False))
    return bool(own) and not any(p.requires_grad for p in own)
