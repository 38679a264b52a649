"""Networks over the clips of many videos: the teacher's clip table, the student's score table."""

import numpy as np
import pandas as pd
import torch
from scipy import special
from tqdm import tqdm

from condi_lib.data import VideoDataset, VideoError, check_bad_share, in_batches
from condi_lib.models import MonteCarloDropout, for_inference, memory_advice, to_input


def run_over_videos(network, videos, frames, size, batch_size=256, workers=0, decoded=None, desc="clips"):
    """Yields (row of the video table, outputs of the network for its N clips, report) for each video, in table order.

    Outputs are float32 arrays [N, ...] on the CPU (a tuple of them where the network gives a tuple), or a VideoError
    where the video cannot be read; report is iter_frames'. Clips of consecutive videos share batches; a thread, or
    `workers` processes, decode ahead of the network; decoded: a data.Store.
    """
    network = for_inference(network)
    dataset = VideoDataset(videos, frames, size, decoded)
    reading = dataset.in_order(workers)
    found = zip(videos.itertuples(index=False), tqdm(reading, desc=desc, unit="video", total=len(dataset)), strict=True)
    for batch in in_batches(found, _n_clips, batch_size):
        read = [clips for _, (clips, _) in batch if not isinstance(clips, VideoError)]
        if read:
            with torch.inference_mode(), memory_advice(desc, f"batch_size ({batch_size})"):
                outputs = network(to_input(torch.cat(read), network))
            single = isinstance(outputs, torch.Tensor)
            arrays = [x.float().cpu().numpy() for x in ([outputs] if single else outputs)]
        start = 0
        for row, (clips, report) in batch:
            if isinstance(clips, VideoError):
                yield row, clips, report
                continue
            part = [a[start : start + len(clips)] for a in arrays]
            start += len(clips)
            yield row, part[0] if single else tuple(part), report


def _n_clips(found):
    _, (clips, _) = found
    return 0 if isinstance(clips, VideoError) else len(clips)


def _check_labels(videos, classes):
    bad = videos[(videos.label < 0) | (videos.label >= classes)]
    if len(bad):
        raise ValueError(f"label: {bad.video.iloc[0]} has {bad.label.iloc[0]}, expected 0 to {classes - 1}")


def label_clips(teacher, videos, frames, size, max_bad_share=0.05, desc="labelling", **options):
    """(clip table, video table): a row a clip of every readable video; and what became of each video.

    Clip table: video, clip, start_frame, n_real_frames (frames that are not padding), split, label, teacher_logits
    (float32 [C]), correct (z of Eq. 3.1). In the video table n_frames is now what was decoded, ok is False for a video
    without a frame, and error says why, or where a video that is used broke off. Raises VideoError where more than
    max_bad_share of the videos cannot be read (at 1 the clip table may be empty), ValueError for a label outside the
    teacher's classes.
    """
    tables, n_frames, errors, bad = [], [], [], {}
    for row, logits, report in run_over_videos(teacher, videos, frames, size, desc=desc, **options):
        n_frames.append(report["n_frames"])
        errors.append(report["fault"])
        if isinstance(logits, VideoError):
            errors[-1] = bad[row.video] = str(logits)
            check_bad_share(bad.values(), len(videos), max_bad_share)
            continue
        if not tables:
            _check_labels(videos, logits.shape[1])
        start = np.arange(len(logits)) * frames
        tables.append(
            pd.DataFrame(
                {
                    "video": row.video,
                    "clip": np.arange(len(logits)),
                    "start_frame": start,
                    "n_real_frames": np.minimum(report["n_frames"] - start, frames),
                    "split": row.split,
                    "label": row.label,
                    "teacher_logits": list(logits),
                    "correct": logits.argmax(1) == row.label,
                }
            )
        )
    if not tables and max_bad_share < 1:
        raise VideoError(f"videos: none of {len(videos)} could be read; first: {next(iter(bad.values()), 'no video')}")
    ok = ~videos.video.isin(bad)
    clips = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    return clips, videos.assign(n_frames=n_frames, ok=ok, error=errors)


def softmax(logits):
    """float [..., C] -> float64 [..., C]."""
    logits = np.asarray(logits, np.float64)
    return special.softmax(logits, -1) if logits.size else logits  # of a student without class head


def log_softmax(logits):
    """float [..., C] -> float64 [..., C]."""
    logits = np.asarray(logits, np.float64)
    return special.log_softmax(logits, -1) if logits.size else logits


def predictive_entropy(logits):
    """H of softmax(logits), in nats: float [..., C] -> float64 [...]."""
    log_p = log_softmax(logits)
    return -(np.exp(log_p) * log_p).sum(-1)


def entropy(probs):
    """H of probabilities, in nats: float [..., C] -> float64 [...]."""
    return special.entr(np.asarray(probs, np.float64)).sum(-1)


def clip_scores(loss, logits, confidence_logit):
    """(score, confidence) of clips from the outputs of a student trained with `loss`: float64 [N] each.

    score, higher is better: minus predictive entropy for st_ent, the confidence logit for sc_rank, z~ (c of st_conf)
    for the others. confidence is that in [0, 1], nan for st_ent and sc_rank, which have none.
    """
    nothing = np.full(len(confidence_logit), np.nan)
    if loss == "st_ent":
        return -predictive_entropy(logits), nothing
    confidence_logit = confidence_logit.astype(np.float64)
    if loss == "sc_rank":
        return confidence_logit, nothing
    confidence = 1 / (1 + np.exp(-confidence_logit))
    return confidence, confidence


def score_clips(student, loss, videos, frames, size, seed=0, **options):
    """The score table of a student trained with `loss`: video, clip, score, confidence, student_logits, mc_entropy.

    score, confidence: see clip_scores; mc_entropy: predictive entropy (nats) of Monte Carlo dropout, of draws that
    `seed` decides. Raises VideoError for a video that cannot be read.
    """
    torch.manual_seed(seed)
    tables = []
    network = MonteCarloDropout(student)
    for row, outputs, _ in run_over_videos(network, videos, frames, size, desc="scoring", **options):
        if isinstance(outputs, VideoError):
            raise VideoError(f"{row.video} could be read when it was labelled, and cannot now: {outputs}")
        logits, confidence_logit, probs = outputs
        score, confidence = clip_scores(loss, logits, confidence_logit)
        tables.append(
            pd.DataFrame(
                {
                    "video": row.video,
                    "clip": np.arange(len(logits)),
                    "score": score.astype(np.float32),
                    "confidence": confidence.astype(np.float32),
                    "student_logits": list(logits),
                    "mc_entropy": entropy(probs).astype(np.float32),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)
