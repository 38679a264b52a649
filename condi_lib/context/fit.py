"""Training the context network on tables: features, teacher's logits and z of the clips of whole videos."""

import copy

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F

from condi_lib import losses
from condi_lib.context.network import ContextNetwork, pooled
from condi_lib.labelling import clip_scores
from condi_lib.progress import tqdm

TAU = 2.0  # temperature of what is distilled
TERMS = ("z", "classes", "distil", "flattened", "rank")


def context_loss(outputs, batch, weights):
    """(scalar loss, {term: its value}) of a batch of videos; weights: {term of TERMS: its weight}.

    z: binary cross-entropy of z~ against z, a mean over real clips. classes: cross-entropy of the pooled classes
    against the video's. distil: tau^2 KL of the clips' class probabilities to the teacher's; flattened: the same with
    ConDi-SR's targets, flattened by z~ (Eq. 3.5). rank: SCSampler's ranking loss on z~. batch: mask and correct bool
    [B, N], labels int64 [B], logits float [B, N, C], the teacher's.
    """
    confidence, attention, class_logits = outputs
    mask, labels = batch["mask"], batch["labels"]
    z, correct, teacher, own = confidence[mask], batch["correct"][mask], batch["logits"][mask], class_logits[mask]
    found = {}
    if weights.get("z"):
        found["z"] = losses.bce_c_loss(z, correct)
    if weights.get("classes"):
        found["classes"] = F.cross_entropy(pooled(attention, class_logits), labels)
    if weights.get("distil"):
        soft = (teacher / TAU).softmax(1)
        found["distil"] = TAU**2 * F.kl_div((own / TAU).log_softmax(1), soft, reduction="batchmean")
    if weights.get("flattened"):
        found["flattened"] = losses.condi_sr_loss(own, z, teacher, correct, TAU, 0.0, 1.0)
    if weights.get("rank"):
        video = torch.arange(len(mask))[:, None].expand_as(mask)[mask]
        saliency = teacher.softmax(1).gather(1, labels[video, None]).squeeze(1)
        found["rank"] = losses.ranking_loss(z, saliency, video)
    return sum(weights[name] * value for name, value in found.items()), {n: v.item() for n, v in found.items()}


def batch_of(arrays, rows):
    """The videos of those rows as tensors, as far as there are any: features, mask, correct, logits, labels."""
    n = arrays.mask[rows].any(0).sum()  # clips of the longest
    values = {"features": arrays.features, "mask": arrays.mask, "correct": arrays.correct, "logits": arrays.logits}
    batch = {name: torch.from_numpy(value[rows, :n]) for name, value in values.items() if value is not None}
    return batch | {"labels": torch.from_numpy(arrays.labels[rows])}


def fit_context(
    train,
    val,
    num_classes,
    weights=(("z", 1.0), ("classes", 1.0)),
    between=True,
    width=96,
    dropout=0.2,
    seed=0,
    **options,
):
    """(ContextNetwork, history) trained on the videos of `train`; see fit.

    weights: of context_loss's terms; between, width, dropout: of ContextNetwork; options: of fit. Raises ValueError for
    an unknown term, and where none has a weight.
    """
    weights = dict(weights)
    if unknown := weights.keys() - set(TERMS):
        raise ValueError(f"terms: {min(unknown)!r} is unknown; expected some of {', '.join(TERMS)}")
    if not any(weights.values()):
        raise ValueError(f"terms: found no weight above 0, expected one of {', '.join(TERMS)}")
    torch.manual_seed(seed)
    network = ContextNetwork(*moments(train), num_classes, width, dropout=dropout, between=between)

    def loss(batch):
        return context_loss(network(batch["features"], batch["mask"]), batch, weights)

    return network, fit(network, loss, train, val, seed=seed, **options)


def moments(arrays):
    """Mean and standard deviation of the real clips' features, float32 [D] each."""
    clips = arrays.features[arrays.mask].astype(np.float32)
    return clips.mean(0), np.maximum(clips.std(0), 1e-3)


def fit(
    network,
    loss,
    train,
    val,
    epochs=30,
    lr=1e-3,
    weight_decay=0.05,
    batch_videos=128,
    seed=0,
    desc="context",
):
    """Trains a network over whole videos in place, and leaves it at the epoch of the lowest loss on `val`.

    loss(batch of videos) -> (scalar, {name: value} to record); train, val: ClipArrays with features. AdamW under a
    one-cycle schedule with peak lr; all draws follow from `seed`. Returns the history: epoch, loss, val_loss and what
    is recorded of both. Raises ValueError where val has no video or the loss on it is never finite.
    """
    if not len(val.videos):
        raise ValueError("context: found no video of val, which chooses the epoch")
    optimizer = torch.optim.AdamW(network.parameters(), lr, weight_decay=weight_decay)
    steps = -(-len(train.videos) // batch_videos)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=max(2, epochs * steps))
    order, best, history = np.random.default_rng(seed), (np.inf, None), []
    for epoch in tqdm(range(1, epochs + 1), desc=desc, unit="epoch", leave=False):
        network.train()
        records = []
        for some in np.array_split(order.permutation(len(train.videos)), steps):
            value, record = loss(batch_of(train, some))
            optimizer.zero_grad()
            value.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            records.append({"loss": value.item(), **record})
        network.eval()
        on_val = _mean_loss(loss, val, batch_videos)
        history.append({"epoch": epoch, **pd.DataFrame(records).mean(), **on_val.add_prefix("val_")})
        if on_val["loss"] < best[0]:
            best = on_val["loss"], copy.deepcopy(network.state_dict())
    if best[1] is None:
        raise ValueError("context: the loss on val is not finite at any epoch; lower lr")
    network.load_state_dict(best[1])
    return pd.DataFrame(history)


def video_batches(arrays, batch_videos=128):
    """Yields (rows, batch) of consecutive videos, for inference."""
    for start in range(0, len(arrays.videos), batch_videos):
        rows = np.arange(start, min(start + batch_videos, len(arrays.videos)))
        yield rows, batch_of(arrays, rows)


@torch.inference_mode()
def _mean_loss(loss, arrays, batch_videos):
    found = []
    for rows, batch in video_batches(arrays, batch_videos):
        value, record = loss(batch)
        found.append(pd.Series({"loss": value.item(), **record}) * len(rows) / len(arrays.videos))
    return sum(found)


@torch.inference_mode()
def context_scores(network, arrays, batch_videos=128, ranks_by="z"):
    """The score table of a context network: video, clip, score, confidence, student_logits, attention.

    score: the logit of z~, or with ranks_by "attention" its logarithm, and then no confidence. student_logits: class
    logits of the clip in its context, float32 [C]. attention: in [0, 1], sums to one over the clips of a video.
    """
    network.eval()
    tables = []
    for rows, batch in video_batches(arrays, batch_videos):
        mask = batch["mask"]
        z, attention, class_logits = (x[mask].numpy() for x in network(batch["features"], mask))
        loss = "condi_sr" if ranks_by == "z" else "sc_rank"  # without confidence
        score, confidence = clip_scores(loss, class_logits, z if ranks_by == "z" else np.log(attention + 1e-30))
        where, clip = np.nonzero(mask.numpy())
        columns = {"video": arrays.videos[rows][where], "clip": clip, "score": score, "confidence": confidence}
        tables.append(pd.DataFrame(columns | {"student_logits": list(class_logits), "attention": attention}))
    return pd.concat(tables, ignore_index=True)
