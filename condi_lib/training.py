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
from torch.utils.data import DataLoader, Sampler
from tqdm import tqdm

from condi_lib import losses
from condi_lib.data import derived_seed, write_atomically
from condi_lib.models import keep_freed_memory, memory_advice, to_input, without_marks

LOSSES = ("st_ent", "st_conf", "bce_c", "condi_sr", "sc_rank", "condi_sr_rank")
RANKING = ("sc_rank", "condi_sr_rank")  # those that compare clips of one video


class EpochSampler(Sampler):
    """A seeded order of n clips for each epoch.

    correct (bool [n]): the larger of its two classes is downsampled, so that both have as many clips. video (int [n]):
    clips come in pairs of one video, for losses that compare them; a video's odd clip sits the epoch out. Raises
    ValueError where there is nothing to balance or to pair.
    """

    def __init__(self, n, seed, correct=None, video=None):
        self.n, self.seed, self.epoch, self.correct, self.video = n, seed, 0, correct, video
        if correct is not None and not self._smaller():
            raise ValueError("correct: the teacher is right on all clips or on none; bce_c has nothing to learn")
        if video is not None and not len(self):
            raise ValueError("video: no video has two clips; a ranking loss has nothing to compare")

    def _smaller(self):
        return min(int(self.correct.sum()), int((~self.correct).sum()))

    def __len__(self):
        if self.video is not None:
            return 2 * int((self.video.unique(return_counts=True)[1] // 2).sum())
        return self.n if self.correct is None else 2 * self._smaller()

    def __iter__(self):
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(self.n)
        if self.correct is not None:
            right = self.correct.numpy()[order]
            order = rng.permutation(np.r_[order[right][: self._smaller()], order[~right][: self._smaller()]])
        if self.video is not None:
            groups = pd.Series(order).groupby(self.video.numpy()[order])
            order = np.concatenate([clips[: len(clips) // 2 * 2] for _, clips in groups]).reshape(-1, 2)
            order = rng.permutation(order).reshape(-1)
        return iter(order.tolist())


class Parts(Sampler):
    """What one process sees of the batches of an EpochSampler's epoch, from step `start` on: lists of clip numbers.

    A batch of batch_size clips, whatever the number of processes, is cut into one part a process and pass; pairs stay
    together. A last batch with less than one clip (or pair) a part is left out. Raises ValueError where none remains.
    """

    def __init__(self, order, batch_size, accumulate, n_processes=1, process=0):
        self.order, self.batch_size, self.accumulate, self.start = order, batch_size, accumulate, 0
        self.n_parts, self.first = n_processes * accumulate, process * accumulate
        self.unit = 1 if order.video is None else 2
        if not len(self):
            raise ValueError(
                f"batch_size: found {batch_size}; {len(order)} clips give no clip to each of {self.n_parts} parts"
            )

    def __len__(self):
        whole, rest = divmod(len(self.order), self.batch_size)
        least = self.n_parts * self.unit
        return (whole if self.batch_size >= least else 0) + (rest >= least)

    def __iter__(self):
        clips = list(self.order)
        for step in range(self.start, len(self)):
            batch = clips[step * self.batch_size : (step + 1) * self.batch_size]
            cuts = np.linspace(0, len(batch) // self.unit, self.n_parts + 1).astype(int) * self.unit
            cuts[-1] = len(batch)
            for i in range(self.first, self.first + self.accumulate):
                yield batch[cuts[i] : cuts[i + 1]]


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
    order = EpochSampler(len(dataset), seed, correct, video)
    parts = Parts(order, batch_size, accumulate, n_processes, rank)
    settings = (epochs, lr, batch_size, seed, weight_decay, balance, pair_by, accumulate, n_processes)
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
    loader = DataLoader(dataset, batch_sampler=parts, collate_fn=_as_it_is, num_workers=workers)
    frozen = [m for m in trained.modules() if _is_frozen(m)]

    def one_step(step, batches):
        """Updates the weights; the clips used, and the sums over them of the loss and of what batch_loss records."""
        sizes = torch.tensor([[len(batch["clips"]) for batch in batches]])
        if n_processes > 1:
            sizes = accelerator.gather(sizes.to(device)).cpu()
        usable = (sizes > 0).all(0).nonzero().flatten().tolist()  # passes that all processes have clips for
        n, sums, paths = int(sizes[:, usable].sum()), {}, []
        for i in usable:
            batch = send_to_device(batches[i], device)
            torch.manual_seed(derived_seed(seed, at["epoch"], step, rank, i))
            with nullcontext() if i == usable[-1] else accelerator.no_sync(model):
                loss, record = batch_loss(model(to_input(batch["clips"], trained)), batch)
                b = len(batch["clips"])
                accelerator.backward(loss * (b / n * n_processes))
            for name, x in {"loss": loss.item(), **record}.items():
                sums[name] = sums.get(name, 0.0) + b * float(x)
            paths += batch.get("paths", [])
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
            for step, batches in enumerate(zip(*[iter(loader)] * accumulate, strict=True), parts.start):
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
    """A fingerprint, hexadecimal, of values that have a repr and of {name: tensor}."""
    found = hashlib.sha1(repr(settings).encode())
    for state in states:
        for name, tensor in state.items():
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


def clip_rows(videos, frames):
    """A row for each clip of the readable videos of a video table, with its number in the column clip."""
    videos = videos[videos.ok]
    table = videos.loc[videos.index.repeat(np.ceil(videos.n_frames / frames).astype(int))]
    return table.assign(clip=table.groupby("video").cumcount())


def columns(table, *names):
    """The columns of a clip table as tensors, {name: [M, ...]}, for ClipDataset; videos as numbers, int64 [M]."""
    values = {name: pd.factorize(table[name])[0] if name == "video" else table[name].to_list() for name in names}
    return {name: torch.from_numpy(np.stack(column)) for name, column in values.items()}


def _accuracy(logits, labels):
    return (logits.argmax(1) == labels).float().mean().item()


def classifier_batch_loss(outputs, batch):
    """Cross-entropy on batch["label"] of a teacher's logits [B, C], or of a student's class logits."""
    logits = outputs if isinstance(outputs, torch.Tensor) else outputs[0]
    return losses.st_ent_loss(logits, batch["label"]), {"accuracy": _accuracy(logits, batch["label"])}


def student_batch_loss(
    loss,
    tau=2.0,
    conf_weight=2.0,
    pos_weight=1.0,
    stop_gradient=False,
    random_uniform=False,
    budget=0.3,
    rank_weight=1.0,
):
    """The batch_loss of one of LOSSES, for a student's (class_logits, confidence_logit).

    tau, conf_weight (lambda), pos_weight (alpha), stop_gradient and random_uniform belong to condi_sr (and
    condi_sr_rank, whose ranking term is multiplied by rank_weight), budget to st_conf. The batch holds label,
    teacher_logits, correct and video. Raises ValueError for another loss.
    """
    state = {"weight": 0.1} if loss == "st_conf" else {}  # moved after each batch

    def batch_loss(outputs, batch):
        logits, confidence = outputs
        labels, teacher_logits = batch["label"], batch["teacher_logits"]
        record = {"accuracy": _accuracy(logits, labels), "confidence": confidence.sigmoid().mean().item()}
        if loss == "st_ent":
            return losses.st_ent_loss(logits, labels), record
        if loss == "st_conf":
            value = losses.st_conf_loss(logits, confidence, labels, state["weight"])
            state["weight"] = losses.next_conf_weight(state["weight"], confidence, budget)
            return value, record
        if loss == "bce_c":
            return losses.bce_c_loss(confidence, batch["correct"]), record
        if loss in RANKING:
            saliency = teacher_logits.softmax(1).gather(1, labels[:, None]).squeeze(1)
            ranking = losses.ranking_loss(confidence, saliency, batch["video"])
            if loss == "sc_rank":
                return ranking, record
        value = losses.condi_sr_loss(
            logits,
            confidence,
            teacher_logits,
            batch["correct"],
            tau,
            conf_weight,
            pos_weight,
            stop_gradient,
            random_uniform,
        )
        return value + rank_weight * ranking if loss in RANKING else value, record

    if loss not in LOSSES:
        raise ValueError(f"loss: {loss!r} is unknown; expected one of {', '.join(LOSSES)}")
    batch_loss.state = state
    return batch_loss


def order_of(loss):
    """The options of `fit` that a loss asks for, beside its batch_loss."""
    return {"balance": "correct" if loss == "bce_c" else "", "pair_by": "video" if loss in RANKING else ""}
