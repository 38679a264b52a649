"""The one training loop: the teacher's and all four of the student's losses go through `fit`."""

import ctypes

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.utils.data import DataLoader, Sampler
from tqdm import tqdm

from condi_lib import losses
from condi_lib.models import to_input

LOSSES = ("st_ent", "st_conf", "bce_c", "condi_sr")


def keep_freed_memory():
    """Asks glibc to keep freed memory: else each step's activations go back to the kernel, and training is halved."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return  # not glibc
    for option, value in ((-4, 0), (-1, 2**31 - 1), (-2, 512 << 20)):  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD
        mallopt(option, value)


class EpochSampler(Sampler):
    """A seeded order for each epoch; with `correct` (bool [M]) the larger of its two classes is downsampled.

    Both then have as many clips. Raises ValueError where one of the two classes is empty.
    """

    def __init__(self, n, seed, correct=None):
        self.n, self.seed, self.epoch, self.correct = n, seed, 0, correct
        if correct is not None:
            self.smaller = min(int(correct.sum()), int((~correct).sum()))
            if not self.smaller:
                raise ValueError("correct: the teacher is right on all clips or on none; bce_c has nothing to learn")

    def __len__(self):
        return self.n if self.correct is None else 2 * self.smaller

    def __iter__(self):
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(self.n)
        if self.correct is not None:
            right = self.correct.numpy()[order]
            order = rng.permutation(np.r_[order[right][: self.smaller], order[~right][: self.smaller]])
        return iter(order.tolist())


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
    workers=0,
    desc="training",
):
    """Trains `network` in place on `dataset` (a ClipDataset) and returns the history, a row an epoch (none for 0).

    batch_loss(outputs, batch) -> (scalar loss, {name: value} to record as epoch means). AdamW under a one-cycle
    schedule with peak `lr`; balance: name of the data set's bool column whose larger class is downsampled each epoch;
    workers: processes that decode ahead. Accelerate places it on the GPU where there is one. Clips that cannot be read
    are left out, and named in dataset.bad. Raises FloatingPointError naming the step where the loss is not finite.
    """
    if not epochs:
        return pd.DataFrame(columns=["epoch", "loss", "accuracy"], dtype=float)
    keep_freed_memory()
    set_seed(seed)
    accelerator = Accelerator()
    order = EpochSampler(len(dataset), seed, dataset.columns[balance] if balance else None)
    loader = DataLoader(dataset, batch_size, sampler=order, collate_fn=_as_it_is, num_workers=workers)
    trained = [p for p in network.parameters() if p.requires_grad]
    frozen = [m for m in network.modules() if _is_frozen(m)]
    optimiser = torch.optim.AdamW(trained, lr, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, max(10, epochs * len(loader)), pct_start=0.2)
    model, optimiser, loader, schedule = accelerator.prepare(network, optimiser, loader, schedule)
    history = []
    progress = tqdm(total=epochs * len(loader), desc=desc, unit="step")
    for epoch in range(epochs):
        order.epoch, sums, n = epoch, {}, 0
        model.train()
        for module in frozen:
            module.eval()  # batch norm keeps its running statistics
        for batch in loader:
            progress.update()
            if bad := batch.pop("bad", None):
                dataset.note_bad(bad)
            if not len(batch["clips"]):
                continue
            loss, record = batch_loss(model(to_input(batch["clips"], network)), batch)
            value = loss.item()
            if not np.isfinite(value):
                raise FloatingPointError(f"{desc}: the loss is {value} at step {progress.n - 1}; lower lr ({lr})")
            accelerator.backward(loss)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()
            b = len(batch["clips"])
            n += b
            for name, x in {"loss": value, **record}.items():
                sums[name] = sums.get(name, 0.0) + b * float(x)
        history.append({"epoch": epoch + 1, **{name: s / n for name, s in sums.items()}})
        progress.set_postfix_str(f"loss {history[-1]['loss']:.3f}")
    progress.close()
    network.eval()
    return pd.DataFrame(history)


def _as_it_is(batch):
    return batch


def _is_frozen(module):
    own = list(module.parameters(recurse=False))
    return bool(own) and not any(p.requires_grad for p in own)


def columns(table, *names):
    """The columns of a clip table as tensors, {name: [M, ...]}, for ClipDataset."""
    return {name: torch.from_numpy(np.stack(table[name].to_list())) for name in names}


def _accuracy(logits, labels):
    return (logits.argmax(1) == labels).float().mean().item()


def classifier_batch_loss(outputs, batch):
    """Cross-entropy on batch["label"] of a teacher's logits [B, C], or of a student's class logits."""
    logits = outputs if isinstance(outputs, torch.Tensor) else outputs[0]
    return losses.st_ent_loss(logits, batch["label"]), {"accuracy": _accuracy(logits, batch["label"])}


def student_batch_loss(loss, tau=2.0, conf_weight=2.0, pos_weight=1.0, stop_gradient=False, budget=0.3):
    """The batch_loss of one of LOSSES, for a student's (class_logits, confidence_logit).

    tau, conf_weight (lambda), pos_weight (alpha) and stop_gradient belong to condi_sr, budget to st_conf. The batch
    holds label, teacher_logits and correct. Raises ValueError for another loss.
    """
    weight = 0.1  # st_conf's, moved after each batch

    def batch_loss(outputs, batch):
        nonlocal weight
        logits, confidence = outputs
        record = {"accuracy": _accuracy(logits, batch["label"]), "confidence": confidence.sigmoid().mean().item()}
        if loss == "st_ent":
            return losses.st_ent_loss(logits, batch["label"]), record
        if loss == "st_conf":
            value = losses.st_conf_loss(logits, confidence, batch["label"], weight)
            weight = losses.next_conf_weight(weight, confidence, budget)
            return value, record
        if loss == "bce_c":
            return losses.bce_c_loss(confidence, batch["correct"]), record
        value = losses.condi_sr_loss(
            logits, confidence, batch["teacher_logits"], batch["correct"], tau, conf_weight, pos_weight, stop_gradient
        )
        return value, record

    if loss not in LOSSES:
        raise ValueError(f"loss: {loss!r} is unknown; expected one of {', '.join(LOSSES)}")
    return batch_loss
