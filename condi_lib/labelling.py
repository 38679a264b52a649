"""Networks over the clips of many videos: the teacher's clip table, the student's score table."""

import numpy as np
import pandas as pd
import torch
from scipy import special

from condi_lib.data import VideoDataset, VideoError, check_bad_share, in_batches
from condi_lib.models import MonteCarloDropout, WithFeatures, for_inference, mean_over_crops, memory_advice, to_input
from condi_lib.progress import tqdm


def run_over_videos(
    network, videos, frames, size, batch_size=256, workers=0, decoded=None, desc="clips", stride=1, crops=1
):
    """Yields (row of the video table, outputs of the network for its N clips, report) for each video, in table order.

    Outputs are float32 arrays [N, ...] on the CPU (a tuple of them where the network gives a tuple), or a VideoError
    where the video cannot be read; report is iter_frames'. Clips of consecutive videos share batches; a thread, or
    `workers` processes, decode ahead of the network; decoded: a data.Store. With crops = 3 outputs are those of
    data.three_crops of each clip, [3 N, ...]. Raises ValueError where an output is not finite.
    """
    network = for_inference(network)
    dataset = VideoDataset(videos, frames, size, decoded, stride, crops=crops)
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
            check_finite(desc, part, row.video, row.path)
            yield row, part[0] if single else tuple(part), report


def _n_clips(found):
    _, (clips, _) = found
    return 0 if isinstance(clips, VideoError) else len(clips)


def check_finite(what, outputs, video, path, clips=None):
    """Raises ValueError where one of a network's outputs, float [N, ...] each, is not finite; names clip and file.

    clips: numbers of the N clips; None for 0, 1, 2, ...
    """
    for values in outputs:
        bad = ~np.isfinite(values.reshape(len(values), -1)).all(1)
        if bad.any():
            i = int(bad.argmax())
            found, clip = values[i][~np.isfinite(values[i])].flat[0], i if clips is None else clips[i]
            raise ValueError(
                f"{what}: the network's output for clip {clip} of {video} ({path}) is {found}, expected finite numbers;"
                " its weights are broken, or do not fit these pixels or this precision"
            )


def _check_logits(logits, videos):
    if not isinstance(logits, np.ndarray) or logits.ndim != 2:
        shape = getattr(logits, "shape", f"{len(logits)} outputs")
        raise ValueError(f"teacher: found {shape} for the clips of a video, expected logits [clips, classes]")
    classes = logits.shape[1]
    bad = videos[(videos.label < 0) | (videos.label >= classes)]
    if len(bad):
        raise ValueError(f"label: {bad.video.iloc[0]} has {bad.label.iloc[0]}, expected 0 to {classes - 1}")


def label_clips(teacher, videos, frames, size, max_bad_share=0.05, desc="labelling", stride=1, crops=1, **options):
    """(clip table, video table): a row a clip of every readable video; and what became of each video.

    crops: 1, or 3 for the mean over data.three_crops of each clip (models.mean_over_crops).
    Clip table: video, clip, start_frame, n_real_frames (frames that are not padding), split, label, teacher_logits
    (float32 [C]), correct (z of Eq. 3.1). In the video table n_frames is now what was decoded, ok is False for a video
    without a frame, and error says why, or where a video that is used broke off. Raises VideoError where more than
    max_bad_share of the videos cannot be read (at 1 the clip table may be empty), ValueError for a label outside the
    teacher's classes and for logits that are not finite.
    """
    tables, n_frames, errors, bad = [], [], [], {}
    options |= {"stride": stride, "crops": crops}
    for row, logits, report in run_over_videos(teacher, videos, frames, size, desc=desc, **options):
        n_frames.append(report["n_frames"])
        errors.append(report["fault"])
        if isinstance(logits, VideoError):
            errors[-1] = bad[row.video] = str(logits)
            check_bad_share(bad.values(), len(videos), max_bad_share)
            continue
        if not tables:
            _check_logits(logits, videos)
        if crops > 1:
            logits = mean_over_crops(torch.from_numpy(logits), crops).numpy()
        start = np.arange(len(logits)) * frames * stride
        tables.append(
            pd.DataFrame(
                {
                    "video": row.video,
                    "clip": np.arange(len(logits)),
                    "start_frame": start,
                    "n_real_frames": np.minimum(-((start - report["n_frames"]) // stride), frames),
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
    """H of softmax(logits), in nats: float [..., C] -> float64 [...].

    Exact to float64's relative precision however sure the softmax is, so that the order of sure clips is kept: with g
    the gaps below the largest logit and S the sum of the others' exp(-g), H = log(1 + S) + sum(exp(-g) g) / (1 + S).
    """
    logits = np.asarray(logits, np.float64)
    if not logits.size:
        return np.zeros(logits.shape[:-1])
    gap = logits.max(-1, keepdims=True) - logits
    others = _without_largest(np.exp(-gap), logits)
    rest = others.sum(-1)
    return np.log1p(rest) + (others * gap).sum(-1) / (1 + rest)


def entropy(probs):
    """H of probabilities, in nats: float [..., C] -> float64 [...]; as exact as predictive_entropy."""
    probs = np.asarray(probs, np.float64)
    if not probs.size:
        return np.zeros(probs.shape[:-1])
    others = _without_largest(probs, probs)
    rest = np.minimum(others.sum(-1), 1 - 1 / probs.shape[-1])  # rounding may lift it
    return special.entr(others).sum(-1) - special.xlog1py(1 - rest, -rest)


def _without_largest(values, by):
    """values [..., C] with 0 in the place of the largest of `by`."""
    values = values.copy()
    np.put_along_axis(values, by.argmax(-1, keepdims=True), 0.0, -1)
    return values


def clip_scores(loss, logits, confidence_logit):
    """(score, confidence) of clips from the outputs of a student trained with `loss`: float32 [N] each.

    score, higher is better: minus predictive entropy for st_ent, the confidence logit for the others (of z~, of c for
    st_conf), which keeps the order of clips whose probability rounds to 1. confidence: its sigmoid, in [0, 1]; nan for
    st_ent and sc_rank, which have none.
    """
    confidence = np.full(len(confidence_logit), np.nan, np.float32)
    if loss == "st_ent":
        return -predictive_entropy(logits).astype(np.float32), confidence
    if loss != "sc_rank":
        confidence = special.expit(confidence_logit.astype(np.float64)).astype(np.float32)
    return confidence_logit.astype(np.float32), confidence


def score_clips(student, loss, videos, frames, size, seed=0, **options):
    """The score table of a student trained with `loss`: video, clip, score, confidence, student_logits, mc_entropy.

    score, confidence: see clip_scores; mc_entropy: predictive entropy (nats) of Monte Carlo dropout, of draws that
    `seed` decides. Raises VideoError for a video that cannot be read, ValueError for outputs that are not finite.
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
                    "score": score,
                    "confidence": confidence,
                    "student_logits": list(logits),
                    "mc_entropy": entropy(probs).astype(np.float32),
                }
            )
        )
    if not tables:
        raise ValueError("videos: found none, expected the videos of val and test to score")
    return pd.concat(tables, ignore_index=True)


def clip_features(network, videos, frames, size, **options):
    """models.WithFeatures of every clip: a table of video, clip, features (float16 [D]). Raises as score_clips."""
    tables = []
    for row, features, _ in run_over_videos(WithFeatures(network), videos, frames, size, desc="features", **options):
        if isinstance(features, VideoError):
            raise VideoError(f"{row.video} could be read when it was labelled, and cannot now: {features}")
        most = np.finfo(np.float16).max
        half = features.clip(-most, most).astype(np.float16)
        tables.append(pd.DataFrame({"video": row.video, "clip": np.arange(len(half)), "features": list(half)}))
    if not tables:
        raise ValueError("videos: found none, expected some to take the features of")
    return pd.concat(tables, ignore_index=True)
