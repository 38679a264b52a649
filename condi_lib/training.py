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

LOSSES = ("st_ent", "st_conf", "bce_c", "condi_sr", "sc_rank", "condi_sr_rank")
RANKING = ("sc_rank", "condi_sr_rank")  # those that compare clips of one video


def keep_freed_memory():
    """Asks glibc to keep freed memory: else each step's activations go back to the kernel, and training is halved."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return  # not glibc
    for option, value in ((-4, 0), (-1, 2**31 - 1), (-2, 512 << 20)):  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD
        mallopt(option, value)


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
    desc="training",
):
    """Trains `network` in place on `dataset` (a ClipDataset) and returns the history, a row an epoch (none for 0).

    batch_loss(outputs, batch) -> (scalar loss, {name: value} to record as epoch means). AdamW under a one-cycle
    schedule with peak `lr`; balance, pair_by: names of the data set's columns for EpochSampler's `correct` and `video`;
    workers: processes that decode ahead. Accelerate places it on the GPU where there is one. Clips that cannot be read
    are left out, and named in dataset.bad. Raises FloatingPointError naming the step where the loss is not finite.
    """
    if not epochs:
        return pd.DataFrame(columns=["epoch", "loss", "accuracy"], dtype=float)
    keep_freed_memory()
    set_seed(seed)
    accelerator = Accelerator()
    correct, video = (dataset.columns[name] if name else None for name in (balance, pair_by))
    order = EpochSampler(len(dataset), seed, correct, video)
    loader = DataLoader(dataset, batch_size, sampler=order, collate_fn=_as_it_is, num_workers=workers)
    trained = [p for p in network.parameters() if p.requires_grad]
    frozen = [m for m in network.modules() if _is_frozen(m)]
    optimiser = torch.optim.AdamW(trained, lr, weight_decay=weight_decay, fused=True)
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
    weight = 0.1  # st_conf's, moved after each batch

    def batch_loss(outputs, batch):
        nonlocal weight
        logits, confidence = outputs
        labels, teacher_logits = batch["label"], batch["teacher_logits"]
        record = {"accuracy": _accuracy(logits, labels), "confidence": confidence.sigmoid().mean().item()}
        if loss == "st_ent":
            return losses.st_ent_loss(logits, labels), record
        if loss == "st_conf":
            value = losses.st_conf_loss(logits, confidence, labels, weight)
            weight = losses.next_conf_weight(weight, confidence, budget)
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
    return batch_loss


def order_of(loss):
    """The options of `fit` that a loss asks for, beside its batch_loss."""
    return {"balance": "correct" if loss == "bce_c" else "", "pair_by": "video" if loss in RANKING else ""}
