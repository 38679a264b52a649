"""Labelling in parts: what comes out depends on neither shards, processes nor where a run was killed."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import torch
from conftest import make_study, make_videos
from hypothesis import given, settings
from hypothesis import strategies as st

from condi_lib import evaluation, labelling, runs, sampler
from condi_lib.data import VideoError
from condi_lib.models import build_teacher
from condi_lib.runs.run import whole_videos

TESTS = [str(folder) for folder in Path(__file__).resolve().parents[:2]]


def make_run(folder, **parameters):
    parameters = {
        "dataset": "planted",
        "teacher": "resnext14_small",
        "frames": 8,
        "size": 32,
        "stride": 1,
        **parameters,
    }
    return runs.Run("03_teacher_labels", parameters, Path(folder))


def make_teacher(seed=0):
    torch.manual_seed(seed)
    return build_teacher("resnext14_small", 10).eval()


def label(folder, videos, network=None, part_videos=2, shard=0, shards=1, **options):
    run = make_run(folder, part_videos=part_videos, shard=shard, shards=shards)
    options = {"frames": 8, "size": 32, "max_bad_share": 0.25, **options}
    network = network or make_teacher()
    return runs.label_in_parts(run, network, videos, part_videos=part_videos, shard=shard, shards=shards, **options)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Seven planted test videos, all but the third readable."""
    return make_videos(tmp_path_factory.mktemp("videos"), [20 + 5 * i for i in range(7)], broken=2)


def tables(folder):
    return [(Path(folder) / name).read_bytes() for name in ("clips.parquet", "labelled_videos.parquet")]


def test_the_parts_together_are_the_table(videos, tmp_path):
    label(tmp_path, videos)
    clips, seen = labelling.label_clips(make_teacher(), videos, 8, 32, 0.25)
    found = pd.read_parquet(tmp_path / "clips.parquet")
    assert found.drop(columns="teacher_logits").equals(clips.drop(columns="teacher_logits").astype(found.dtypes[:-2]))
    np.testing.assert_allclose(np.stack(found.teacher_logits), np.stack(clips.teacher_logits), atol=1e-5)
    assert pd.read_parquet(tmp_path / "labelled_videos.parquet").ok.tolist() == seen.ok.tolist()
    assert not list(tmp_path.glob("parts-*"))
    again = list(make_run(tmp_path).read_in_parts(tmp_path / "clips.parquet", "03_teacher_labels"))
    assert len(again) == 4 and pd.concat(again, ignore_index=True).equals(found)


def test_shards_give_the_same_bytes(videos, tmp_path):
    label(tmp_path / "one", videos)
    for shard in (2, 0, 1):
        clips, seen = label(tmp_path / "three", videos, shard=shard, shards=3)
        assert sum(len(pd.read_parquet(file)) for file in seen) == {0: 3, 1: 2, 2: 2}[shard]
        assert not (tmp_path / "three" / "clips.parquet").exists()

    def never(x):
        raise AssertionError("labels again")

    network = make_teacher()
    network.forward = never
    label(tmp_path / "three", videos, network)
    assert tables(tmp_path / "three") == tables(tmp_path / "one")


def test_a_killed_run_goes_on_at_the_first_missing_part(videos, tmp_path, monkeypatch):
    label(tmp_path / "whole", videos)
    labelled, real = [], labelling.label_clips

    def dies_at_the_third(network, part, *args, **options):
        if len(labelled) == 2:
            raise KeyboardInterrupt
        labelled.append(list(part.video))
        return real(network, part, *args, **options)

    monkeypatch.setattr("condi_lib.runs.parts.label_clips", dies_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        label(tmp_path / "broken", videos)
    done = set(tmp_path.glob("broken/parts-*/*"))
    before = {file: file.stat().st_mtime_ns for file in done}
    monkeypatch.setattr("condi_lib.runs.parts.label_clips", real)
    label(tmp_path / "broken", videos, shards=2)
    assert len(done) == 4 and all(file.stat().st_mtime_ns == at for file, at in before.items())
    label(tmp_path / "broken", videos)
    assert tables(tmp_path / "broken") == tables(tmp_path / "whole")


def test_parts_of_another_teacher_or_a_cut_part_are_made_again(videos, tmp_path):
    label(tmp_path / "a", videos, make_teacher(1), shards=2)
    label(tmp_path / "a", videos, shards=2)
    cut = sorted((tmp_path / "a").glob("parts-*/clips_*"))
    for file in cut:
        file.write_bytes(file.read_bytes()[:-50])
    label(tmp_path / "a", videos)
    label(tmp_path / "b", videos)
    assert tables(tmp_path / "a") == tables(tmp_path / "b")


def test_too_many_bad_videos_stop_the_run_and_none_at_all_too(videos, tmp_path):
    with pytest.raises(VideoError, match="1 of 7 videos cannot be read, more than max_bad_share = 10.0%"):
        label(tmp_path, videos, max_bad_share=0.1)
    with pytest.raises(VideoError, match="none of 1 could be read"):
        label(tmp_path, videos[2:3], max_bad_share=1.0)
    with pytest.raises(ValueError, match="shard: found 3, expected 0 to shards - 1 = 2"):
        label(tmp_path, videos, shard=3, shards=3)


SCRIPT = """
import sys
sys.path[:0] = {tests!r}
import pandas as pd
import pyarrow.parquet
import torch
torch.set_num_threads(1)
import test_parts
test_parts.label(sys.argv[2], pd.read_pickle(sys.argv[1]))
"""


def test_two_processes_give_the_same_bytes_as_one(videos, tmp_path):
    (tmp_path / "label.py").write_text(SCRIPT.format(tests=TESTS))
    videos.to_pickle(tmp_path / "videos.pkl")
    for n in (1, 2):
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n)]
        command = [sys.executable, *launcher, *(str(tmp_path / name) for name in ("label.py", "videos.pkl", str(n)))]
        env = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
    assert tables(tmp_path / "1") == tables(tmp_path / "2")


def cut_into_groups(path, rows):
    """The same file of a run, with so many rows in a group."""
    whole, kept = pyarrow.parquet.read_table(path), pyarrow.parquet.read_metadata(path).metadata[b"provenance"]
    with pyarrow.parquet.ParquetWriter(path, whole.schema) as out:
        out.write_table(whole, row_group_size=rows)
        out.add_key_value_metadata({b"provenance": kept})


@pytest.mark.parametrize("group", [3, 40])
def test_a_study_in_parts_is_the_study(tmp_path, group):
    """However the tables are cut into row groups, and with other splits between."""
    run = make_run(tmp_path)
    clips, scores = make_study(n_videos=12, splits=("train", "val", "test"))
    order = pd.Series(clips.video.unique()).sample(frac=1, random_state=0).tolist()  # splits in any order
    clips = clips.set_index("video").loc[order].reset_index()
    table, per_part = pyarrow.Table.from_pandas(clips), []
    for start in range(0, len(order), 5):
        per_part.append(clips[clips.video.isin(order[start : start + 5])])
        run.write_table(tmp_path / f"{start}.parquet", per_part[-1])
    files = [tmp_path / f"{start}.parquet" for start in range(0, len(order), 5)]
    run._to_parquet(tmp_path / "clips.parquet", tmp_path / "clips.parquet", map(pyarrow.parquet.read_table, files))
    for loss, tables in scores.items():
        for seed, one in enumerate(tables):
            path = run.student_folder(loss, seed) / "scores.parquet"
            one = clips[["video", "clip"]].merge(one, on=["video", "clip"])
            run.write_table(path, one)
            cut_into_groups(path, group)
    truth = clips.assign(frame=8 * clips["clip"], shows=clips.correct)
    parts = list(run.study_in_parts(list(scores), [0, 1], truth=truth))
    assert len(parts) > 2 and len(table)
    found = [evaluation.outcomes_of_all(arrays, [1, 2, 3]) for arrays in parts]
    clips = evaluation.with_truth(clips, truth, 8)
    whole = evaluation.outcomes_of_all(sampler.read_arrays(clips, scores), [1, 2, 3])
    assert {"place", "truth", "condi_sr_adaptive"} <= set(whole)
    study, slim = sampler.read_arrays(clips, scores), sampler.join_studies([sampler.only_scores(p) for p in parts])
    assert slim[""][0].probs is None and sampler.detectors(slim) == sampler.detectors(study)
    for name in sampler.detectors(slim):  # the measures of detectors need no logits
        for measure in (evaluation.detection, evaluation.detection_curves):
            pd.testing.assert_frame_equal(measure(name, slim), measure(name, study))
    together = evaluation.join(found)
    for name, expected in whole.items():
        joined = together[name]
        for field in ("right", "top5", "n_clips") if name != "random" else ():  # which draws anew for each part
            np.testing.assert_array_equal(getattr(joined, field), getattr(expected, field), name)


@settings(max_examples=60, deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=8), size=st.integers(1, 7))
def test_groups_of_rows_that_cut_videos_in_two_are_cut_at_their_borders(lengths, size):
    rows = [(f"v{i}", clip) for i, n in enumerate(lengths) for clip in range(n)]
    table = pd.DataFrame(rows, columns=["video", "clip"])
    parts = list(whole_videos(table.iloc[start : start + size] for start in range(0, len(table), size)))
    pd.testing.assert_frame_equal(pd.concat(parts), table)
    of_parts = [name for part in parts for name in part.video.unique()]
    assert len(of_parts) == len(set(of_parts)) == len(lengths) and all(map(len, parts))
