"""The order of clips that memory does not hold: video after video, mixed in a buffer."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import bit_for_bit, make_videos
from hypothesis import given, settings
from hypothesis import strategies as st
from test_resume import breaking_off

from condi_lib import training
from condi_lib.data import AUGMENTATIONS, ClipDataset
from condi_lib.models import build_student
from condi_lib.training import EpochSampler


def waiting(source, order):
    """The most clips that wait for their turn, over an epoch: a file is read at its first clip."""
    left, read, held, most = np.bincount(source[order]), set(), 0, 0
    for i in order:
        if source[i] not in read:
            read.add(source[i])
            held += left[source[i]]
        most, held = max(most, held), held - 1
    return most


@settings(max_examples=40, deadline=None)
@given(
    n_files=st.integers(2, 30),
    longest=st.integers(1, 12),
    buffer=st.integers(0, 200),
    seed=st.integers(0, 99),
    kind=st.sampled_from(["plain", "balanced", "pairs"]),
)
def test_mixing_keeps_which_clips_an_epoch_has_and_bounds_those_that_wait(n_files, longest, buffer, seed, kind):
    rng = np.random.default_rng(seed)
    source = rng.permutation(np.repeat(np.arange(n_files), rng.integers(1, longest + 1, n_files)))
    n, options = len(source), {}
    if kind == "balanced":
        options["correct"] = torch.from_numpy(rng.permutation(np.arange(n) % 3 == 0))
    if kind == "pairs":
        if np.bincount(source).max() < 2:
            return
        options["video"] = torch.from_numpy(source)
    plain = EpochSampler(n, seed, **options)
    mixed = EpochSampler(n, seed, **options, source=torch.from_numpy(source), buffer=buffer)
    for epoch in (0, 1):
        plain.epoch = mixed.epoch = epoch
        order = list(mixed)
        assert sorted(order) == sorted(plain) and order == list(mixed) and len(order) == len(mixed)
        assert waiting(source, order) <= buffer + longest
        if kind == "pairs":
            pairs = np.array(order).reshape(-1, 2)
            assert (source[pairs[:, 0]] == source[pairs[:, 1]]).all()


def test_a_batch_has_clips_of_many_videos_and_an_epoch_another_order():
    source = torch.arange(4000) // 20  # 200 videos of 20 clips
    order = EpochSampler(4000, 0, source=source, buffer=512)
    batches = np.array(list(order)).reshape(-1, 32)
    order.epoch = 1
    assert (np.array(list(order)).reshape(-1, 32) != batches).mean() > 0.9
    n_videos = [len(np.unique(source.numpy()[batch])) for batch in batches]
    assert np.median(n_videos) > 15
    balanced = EpochSampler(4000, 0, correct=torch.arange(4000) % 4 > 0, source=source, buffer=512)
    right = (np.array(list(balanced)) % 4 > 0)[: 2000 // 40 * 40].reshape(-1, 40).mean(1)
    assert abs(right.mean() - 0.5) < 0.01 and right.std() < 0.12  # as of independent draws: 0.08


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return make_videos(tmp_path_factory.mktemp("videos"), [40, 64, 24, 80, 33])


def fit(videos, loss, workers=0, checkpoint=None, stop_at=None, cache_gb=0.0):
    table = training.clip_rows(videos, 8).reset_index(drop=True)
    rng = np.random.default_rng(0)
    table["teacher_logits"] = list(rng.normal(size=(len(table), 10)).astype(np.float32))
    table["correct"] = rng.random(len(table)) < 0.5
    columns = training.columns(table, "label", "teacher_logits", "correct", "video")
    data = ClipDataset(videos, table, columns, 8, 32, AUGMENTATIONS["recolour"], cache_gb)
    torch.manual_seed(0)
    student = build_student(0.25, 10, repeats=[1, 1, 1])
    counted = breaking_off(loss, stop_at)
    options = {"checkpoint": checkpoint, "checkpoint_min": 0.0, "workers": workers, **training.order_of(loss)}
    history = training.fit(student, data, counted, 2, 1e-3, 4, 3, **options)
    return history, student.state_dict()


def same(a, b):
    return a[0].equals(b[0]) and all(torch.equal(a[1][name], b[1][name]) for name in a[1])


@bit_for_bit
@pytest.mark.parametrize("loss", ["bce_c", "condi_sr_rank"])
def test_a_training_on_what_memory_does_not_hold_goes_on_bit_for_bit(videos, tmp_path, loss):
    whole = fit(videos, loss)
    assert isinstance(whole[0], pd.DataFrame) and np.isfinite(whole[0].loss).all()
    with pytest.raises(KeyboardInterrupt):
        fit(videos, loss, 2, tmp_path / "c.pt", stop_at=4)
    assert same(fit(videos, loss, 2, tmp_path / "c.pt"), whole)
    assert same(fit(videos, loss, 2), whole)
