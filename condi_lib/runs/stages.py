"""What notebooks make that takes long: each file once, and again only where what it is made from changed.

Options that only say how (workers, batches, where to keep decoded clips) come from the run's parameters.
"""

import shutil
import warnings
from itertools import chain, islice

import numpy as np
import pandas as pd
import pyarrow.parquet
import torch
from accelerate import Accelerator

from condi_lib import context, evaluation, labelling, sampler, training
from condi_lib.data import (
    AUGMENTATIONS,
    MIRROR_MATTERS,
    ClipDataset,
    RowsOnDisk,
    decoded_folder,
    iter_frames,
    segments,
    stored_clips,
)
from condi_lib.data.identity import values_digest
from condi_lib.models import load_weights, read_checkpoint
from condi_lib.runs.locks import hold
from condi_lib.runs.parts import label_in_parts
from condi_lib.runs.provenance import MissingStep, read_provenance


def _decoded(run, videos):
    p = run.parameters
    return decoded_folder(
        run.folder / "decoded", videos, **_shape(p), limit_gb=p["store_gb"], quality=p["store_quality"]
    )


def _say_store(store):
    """Prints what a lossy store takes and loses."""
    if store is not None and store.quality:
        found = store.summary()
        size = f"{found['gib']:.2f} GiB in {found['files']} files, {found['bytes_per_clip'] / 1000:.1f} KB a clip"
        print(f"decoded clips kept as {store.identity}: {size}, PSNR {found['psnr_db']:.1f} dB")


def _shape(parameters):
    """What clips are, of a run's parameters."""
    return {name: parameters[name] for name in ("frames", "size", "stride")}


def few_clips(run, videos, n=8):
    """The first clips of up to n readable videos, of as many classes as can be: uint8 [M, 3, F, H, W], to look at."""
    some = videos[videos.ok].groupby("class_name").head(1).head(n)
    which = {"store": None, "numbers": [0], **_shape(run.parameters)}
    return torch.cat([stored_clips(segment, **which) for segment in segments(some)])


def stretches(videos, truth, size, n=12):
    """The first stretch of frames of each kind, the commonest first: [(kind, uint8 [T, size, size, 3]), ...], T <= n.

    truth: see data.frame_truth.
    """
    begins = truth[(truth.kind != truth.kind.shift()) | (truth.video != truth.video.shift())]
    begins = begins.drop_duplicates("kind").set_index("kind").loc[truth.kind.value_counts().index]
    where = dict(zip(videos.video, segments(videos), strict=True))
    rows = []
    for kind, row in begins.iterrows():
        path, start, end, turn = where[row.video]
        frames = islice(iter_frames(path, size, start, end, turn=turn), row.frame, row.frame + n)
        rows.append((kind, np.stack(list(frames))))
    return rows


def teacher_logits(run, file, split="train", in_memory=2**30):
    """The teacher's logits of a split, float32 [M, C], in the order of the clip table `file`: a column to learn from.

    Where they take more than in_memory bytes they are written out beside the decoded clips, and read a batch at a time.
    """
    parts = (
        np.stack(part.teacher_logits[part.split == split])
        for part in run.read_in_parts(file, "03_teacher_labels", ["split", "teacher_logits"])
        if (part.split == split).any()
    )
    parts, held, size = iter(parts), [], 0
    for part in parts:
        held.append(part)
        size += part.nbytes
        if size > in_memory:
            break
    else:
        return torch.from_numpy(np.concatenate(held))
    digest = f"{read_provenance(file)['digest'][:16]}-{split}"
    path = run.folder / "decoded" / f"logits-{digest}.f32"

    def write(at):
        with open(at, "wb") as out:
            for part in chain(held, parts):
                part.tofile(out)

    if not path.exists():
        run._write(path, write)
    return RowsOnDisk(path, held[0].shape[1], digest)


def train(run, file, network, videos, clips, batch_loss, epochs, lr, columns=None, start="", **order):
    """Trains the network on these clips into `file`, or loads what stands there; returns the history, a row an epoch.

    videos: the video table; clips: the rows to learn from (video, clip, label); columns: {name: tensor of as many
    rows} beside label; batch_loss, order: see training.fit; start: the file of weights that the network has: with 0
    epochs its history, where it has one, is returned. Killed, it goes on at its last checkpoint. Raises what
    training.fit raises.
    """
    p = run.parameters
    if p["augment"] == "crop_flip" and p["dataset"] in MIRROR_MATTERS:
        warnings.warn(
            f"augment: crop_flip mirrors clips, and {p['dataset']} has classes that a mirror swaps", stacklevel=2
        )
    if not run.is_done(file):
        hold()
        data = ClipDataset(
            videos,
            clips,
            training.columns(clips, "label") | (columns or {}),
            **_shape(p),
            augment=AUGMENTATIONS[p["augment"]],
            max_bad_share=p["max_bad_share"],
            decoded=_decoded(run, videos),
        )
        options = {name: p[name] for name in ("batch_size", "seed", "workers", "accumulate", "checkpoint_min")}
        options |= {"checkpoint": run.checkpoint(file), "desc": f"{file.parent.parent.name} {file.stem}", **order}
        history = training.fit(network, data, batch_loss, epochs, lr, **options)
        if not epochs and start:
            history = _history_of(start, history)
        run.write_weights(file, network, history=history.to_dict("list"), left_out=data.bad)
    load_weights(network, read_checkpoint(file), file)
    made = read_provenance(file)
    for video, reason in list(made["left_out"].items())[:5]:
        print(f"{file.stem}: learnt without {video}: {reason}")
    if len(made["left_out"]) > 5:
        print(f"{file.stem}: and without {len(made['left_out']) - 5} more videos")
    return pd.DataFrame(made["history"])


def _history_of(file, default):
    """The history of the training that a file of ours comes from, else `default`."""
    try:
        return pd.DataFrame(read_provenance(file)["history"])
    except (MissingStep, KeyError):
        return default


def label(run, network, videos):
    """The teacher on every clip of the videos, into clips.parquet and labelled_videos.parquet; see label_in_parts.

    Returns their files: of this shard's parts, where the run has several.
    """
    p, videos = run.parameters, videos[videos.split != "teacher"]
    files = [run.folder / "clips.parquet"], [run.folder / "labelled_videos.parquet"]
    if run.is_done(*files[0], *files[1]):
        return files
    if p["shards"] == 1:  # shards share the folder
        hold()
    names = ("max_bad_share", "part_videos", "shard", "shards", "crops", "workers")
    options = {name: p[name] for name in names} | _shape(p)
    store = _decoded(run, videos)
    files = label_in_parts(run, network, videos, decoded=store, **options)
    _say_store(store)
    return files


def label_own_videos(run, network_of, fold_files, teacher_file):
    """The teacher's own training videos, labelled by it (in_sample) and by those that left them out (out_of_fold).

    network_of: a function from a file of weights to the teacher with these weights; fold_files: of the teachers that
    each leave out a fold of folds.parquet. Returns {name: clip table}.
    """
    p, made = run.parameters, {}
    options = _shape(p) | {"max_bad_share": p["max_bad_share"], "crops": p["crops"]}
    own = run.read_table(run.folder / "folds.parquet", "02_teacher")
    parts = {"in_sample": [(teacher_file, own)]}
    parts["out_of_fold"] = [(file, own[own.fold == i]) for i, file in enumerate(fold_files)]
    for name, pairs in parts.items():
        made[name] = run.folder / f"{name}.parquet"
        if not run.is_done(made[name]):
            hold()
            tables = [
                labelling.label_clips(network_of(run.check(file, "02_teacher")), part, **options)[0]
                for file, part in pairs
            ]
            run.write_table(made[name], pd.concat(tables))
    return {name: run.read_table(file, "03_teacher_labels") for name, file in made.items()}


def score(run, file, student, loss, videos):
    """The student's score table of the videos (labelling.score_clips), made once, into `file`; see _in_parts."""

    def of(some, **options):
        return labelling.score_clips(student, loss, some, seed=run.parameters["seed"], **options)

    _in_parts(run, file, file.with_name("student.safetensors"), videos, of)


def features(run, file, weights, network, videos):
    """labelling.clip_features of the videos by a network with the weights of a file, made once, into `file`."""
    _in_parts(run, file, weights, videos, lambda some, **options: labelling.clip_features(network, some, **options))


def train_context(run, name, seed, clips, features_of, weights, **options):
    """One of context.NETWORKS on the features of a student or the teacher: its history, weights and score table.

    clips: clip table of all splits; features_of: {whose: file of features}; weights, options: of context.train_network.
    Made once, into the folder of `name` and the seed. Returns the history.
    """
    folder, source = run.student_folder(name, seed), features_of[context.NETWORKS[name][2]]
    file, scores = folder / "network.safetensors", folder / "scores.parquet"
    if not run.is_done(file, scores):
        by_split = arrays_with_features(run, clips, source)
        network, history = context.train_network(
            name, by_split["train"], by_split["val"], len(run.classes()), weights, seed, **options
        )
        run.write_weights(file, network, [source], history=history.to_dict("list"))
        found = pd.concat([context.network_scores(name, network, by_split[split]) for split in ("val", "test")])
        in_order = clips.loc[clips.split.isin(["val", "test"]), ["video", "clip"]]  # as run.study_in_parts reads both
        run.write_table(scores, in_order.merge(found, on=["video", "clip"], validate="1:1"), [file])
    return pd.DataFrame(read_provenance(file)["history"])


def arrays_with_features(run, clips, file):
    """{split: ClipArrays with the features of a file that this notebook wrote} of train, val and test."""
    table = run.read_table(file, run.notebook)
    of_split = {split: clips[clips.split == split] for split in ("train", "val", "test")}
    return {split: sampler.with_features(sampler.clip_arrays(some), table) for split, some in of_split.items()}


def context_on_val(network, clips, arrays, ks):
    """A context network on val: AUROC within videos; accuracy (%) at each K, by z~ alone and with the classes.

    clips: clip table of the split; arrays: its ClipArrays with the features. Returns {column: value}.
    """
    found = sampler.read_arrays(clips, {"context": [context.network_scores("context", network, arrays)]}, "val")
    row = {"AUROC within videos": evaluation.mean_auroc_within(found["context"][0], found["context"][0].score)[0]}
    for name in ("context_z", "context"):
        right = evaluation.outcomes(found[""][0], sampler.keep(name, found), ks).right.mean((1, 2))
        row |= {f"{sampler.SAMPLERS[name].label}, K = {k}": 100 * x for k, x in zip(ks, right, strict=True)}
    return row


def _in_parts(run, file, weights, videos, of, part_videos=500):
    """Writes the table that of(some videos, **options) makes of all, if it is not there.

    Part after part, each written when it is done: killed, it goes on at the first missing one.
    """
    if run.is_done(file):
        return
    hold()
    p, store = run.parameters, _decoded(run, videos)
    key = values_digest([run.made_with(), read_provenance(weights)["digest"], list(videos.video), part_videos])
    folder = file.with_name(f"parts-{key[:12]}")
    files = [folder / f"{file.stem}_{start:07d}.parquet" for start in range(0, len(videos), part_videos)]
    for i, part in enumerate(files):
        if not run.is_done(part):
            some = videos.iloc[i * part_videos : (i + 1) * part_videos]
            run.write_table(part, of(some, workers=p["workers"], decoded=store, **_shape(p)), [weights])
    _say_store(store)
    in_turn = (pyarrow.parquet.read_table(part) for part in files)
    run._write(file, lambda at: run._to_parquet(at, file, in_turn, [weights]))
    if Accelerator().is_main_process:
        shutil.rmtree(folder)
