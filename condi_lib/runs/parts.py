"""Tables made and read in parts, for studies that memory does not hold."""

import shutil

import pandas as pd
import pyarrow.parquet
from accelerate import Accelerator

from condi_lib.data import VideoError, check_bad_share, write_atomically
from condi_lib.data.identity import VOLATILE, table_digest, values_digest, weights_digest
from condi_lib.labelling import label_clips


def label_in_parts(
    run, network, videos, max_bad_share=0.05, part_videos=500, shard=0, shards=1, frames=16, size=112, **options
):
    """labelling.label_clips over many videos, kept as it goes: (files of the clip table, files of the video table).

    Parts of part_videos videos are labelled one by one, those of all processes of an `accelerate launch` side by side,
    and each is written when it is done, so that a killed run goes on at its first missing part. With shards = 1 the
    parts are then joined into clips.parquet and labelled_videos.parquet, which do not depend on processes and shards.
    With more, this call labels part number shard, shard + shards, ... alone, and returns their files; once all shards
    have run, a call with shards = 1 joins them. Memory holds one part. Parts of other weights, videos or parameters are
    not used. Raises ValueError for a shard that is not below shards; else as label_clips.
    """
    if shard >= shards:
        raise ValueError(f"shard: found {shard}, expected 0 to shards - 1 = {shards - 1}")
    state = Accelerator()
    which = table_digest(videos.drop(columns=VOLATILE, errors="ignore"))
    identity = [run.made_with(), run.inputs, part_videos, which, weights_digest(network.state_dict())]
    folder = run.folder / f"parts-{values_digest(identity)[:12]}"
    names = [f"{i:06d}.parquet" for i in range(-(-len(videos) // part_videos))]
    mine = range(len(names))[shard::shards]
    reasons = []
    for i in mine[state.process_index :: state.num_processes]:
        files = [folder / f"{kind}_{names[i]}" for kind in ("videos", "clips")]
        if not run.is_done(*files):
            part = videos.iloc[i * part_videos : (i + 1) * part_videos]
            desc = f"labelling, part {i + 1} of {len(names)}"
            clips, seen = label_clips(network, part, frames, size, 1.0, desc, **options)
            for file, table in zip(files, (seen, clips), strict=True):
                write_atomically(file, lambda at, file=file, table=table: run._to_parquet(at, file, [table]))
        seen = pd.read_parquet(files[0], columns=["ok", "error"])
        reasons += seen.error[~seen.ok].tolist()
        check_bad_share(reasons, len(videos), max_bad_share)
    state.wait_for_everyone()
    parts = {kind: [folder / f"{kind}_{names[i]}" for i in mine] for kind in ("clips", "videos")}
    parts["clips"] = [file for file in parts["clips"] if pyarrow.parquet.read_metadata(file).num_rows]
    if not parts["clips"]:
        raise VideoError(f"videos: none of {len(videos)} could be read; first: {next(iter(reasons), 'no video')}")
    if shards > 1:
        return parts["clips"], parts["videos"]
    joined = {"clips": run.folder / "clips.parquet", "videos": run.folder / "labelled_videos.parquet"}
    table = pd.concat([pd.read_parquet(file) for file in parts["videos"]], ignore_index=True)
    check_bad_share(table.error[~table.ok].tolist(), len(table), max_bad_share)
    run.write_table(joined["videos"], table)
    in_turn = (pyarrow.parquet.read_table(file) for file in parts["clips"])
    run._write(joined["clips"], lambda at: run._to_parquet(at, joined["clips"], in_turn))
    if state.is_main_process:
        shutil.rmtree(folder)
    return [joined["clips"]], [joined["videos"]]


def _in_step(parts, tables):
    """For each part of a clip table the rows of its videos in a score table, which has them in the same order."""
    held = next(tables)
    for part in parts:
        videos = set(part.video)
        while (inside := held.video.isin(videos)).sum() < len(part) and (more := next(tables, None)) is not None:
            first = int(inside.to_numpy().argmax()) if inside.any() else len(held)  # those before are of other splits
            held = pd.concat([held[first:], more], ignore_index=True)
        yield held[inside]
