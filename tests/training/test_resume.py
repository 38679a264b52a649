"""Training that is killed, broken off or spread over processes gives what an unbroken run of one process gives."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import bit_for_bit
from test_training import RandomClips

from condi_lib import training
from condi_lib.data import AUGMENTATIONS, ClipDataset, Segment
from condi_lib.models import build_student

TESTS = [str(folder) for folder in Path(__file__).resolve().parents[:2]]
ENV = os.environ | {"PYTHONPATH": os.pathsep.join(TESTS)}


class NoisyClips(RandomClips):
    """RandomClips with an augmentation that draws, as ClipDataset has it."""

    __getitems__ = ClipDataset.__getitems__

    def __init__(self, n):
        super().__init__(n)
        self.cache, self.augment = self.clips, AUGMENTATIONS["recolour"]
        self.rows, self.segments = np.arange(n), [Segment(f"v{i}") for i in range(n)]


def breaking_off(loss, stop_at):
    """The loss of a batch, which raises KeyboardInterrupt at step stop_at."""
    batch_loss, steps = training.student_batch_loss(loss), iter(range(10**6))

    def counted(outputs, batch):
        if next(steps) == stop_at:
            raise KeyboardInterrupt
        return batch_loss(outputs, batch)

    counted.state = batch_loss.state
    return counted


def fit(loss, checkpoint=None, stop_at=None, data=None, epochs=2, **options):
    """(history, weights) of a small training; stop_at: breaks off with KeyboardInterrupt at that step."""
    torch.manual_seed(0)
    student = build_student(0.25, 2, repeats=[1, 1, 1])
    counted = breaking_off(loss, stop_at)
    options = {"checkpoint": checkpoint, "checkpoint_min": 0.0, **training.order_of(loss), **options}
    history = training.fit(student, data or NoisyClips(32), counted, epochs, 1e-3, 8, 3, **options)
    return history, student.state_dict()


def same(a, b):
    return a[0].equals(b[0]) and all(torch.equal(a[1][name], b[1][name]) for name in a[1])


@bit_for_bit
@pytest.mark.parametrize("loss", training.LOSSES)
def test_a_training_broken_off_goes_on_as_if_nothing_had_been(loss, tmp_path):
    whole = fit(loss)
    for stop_at in (1, 4):  # within an epoch of 4 steps (3 or less for bce_c), and at the second's start
        checkpoint = tmp_path / f"{stop_at}.pt"
        for again in (stop_at, 1):  # broken off twice
            with pytest.raises(KeyboardInterrupt):
                fit(loss, checkpoint, again)
        assert same(fit(loss, checkpoint), whole)
        assert same(fit(loss, checkpoint, stop_at=0), whole)  # nothing is left to do


def killed(command, until, seconds):
    """Starts a command and kills it (SIGKILL) `seconds` after the file `until` is there; the signal that ended it."""
    with subprocess.Popen(command, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        while not until.exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        assert process.wait() in (-signal.SIGKILL, 0), process.stderr.read().decode()
        return process.returncode


if __name__ == "__main__":  # the process that the next test kills
    folder, loss = Path(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(1)
    found = fit(loss, folder / "checkpoint.pt", epochs=12)
    torch.save(found[1], folder / "weights.pt")
    sys.exit()


@bit_for_bit
def test_kill_9_at_three_moments_leaves_the_same_weights(tmp_path):
    def command(name):
        (tmp_path / name).mkdir()
        return [sys.executable, __file__, str(tmp_path / name), "st_conf"]

    subprocess.run(command("unbroken"), check=True, capture_output=True, env=ENV)
    broken, rng, kills = command("broken"), random.Random(0), 0
    for _ in range(3):
        kills += killed(broken, tmp_path / "broken" / "checkpoint.pt", rng.uniform(0, 1)) == -signal.SIGKILL
    subprocess.run(broken, check=True, capture_output=True, env=ENV)
    one, other = (torch.load(tmp_path / name / "weights.pt", weights_only=True) for name in ("unbroken", "broken"))
    assert kills and all(torch.equal(one[name], other[name]) for name in one)


def test_a_checkpoint_of_other_settings_or_data_is_not_used(tmp_path):
    checkpoint = tmp_path / "c.pt"
    fit("condi_sr", checkpoint)
    assert same(fit("condi_sr", checkpoint, epochs=1), fit("condi_sr", epochs=1))
    fit("condi_sr", checkpoint)
    other = NoisyClips(32)
    other.columns["teacher_logits"] = other.columns["teacher_logits"] + 1
    found = fit("condi_sr", checkpoint, data=other)
    assert same(found, fit("condi_sr", data=other))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", "half", "pickle"])
def test_a_checkpoint_that_cannot_be_read_is_named(tmp_path, content):
    checkpoint = tmp_path / "c.pt"
    if content == "half":
        fit("st_ent", checkpoint)
        content = checkpoint.read_bytes()[: checkpoint.stat().st_size // 2]
    if content == "pickle":
        torch.save({"fingerprint": Evil(tmp_path / "ran")}, checkpoint)
        content = checkpoint.read_bytes()
    checkpoint.write_bytes(content)
    with pytest.raises(RuntimeError, match=r"c.pt: cannot be read as a checkpoint of training .*delete it"):
        fit("st_ent", checkpoint)
    assert not (tmp_path / "ran").exists()


class Evil:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_an_infinite_loss_names_step_and_videos_and_keeps_the_last_good_checkpoint(tmp_path):
    checkpoint, data = tmp_path / "c.pt", NoisyClips(32)
    data.columns["teacher_logits"][5] = float("inf")
    with pytest.raises(FloatingPointError, match=r"the loss is nan at step \d of epoch 1; .* its videos: .*\bv5\b"):
        fit("condi_sr", checkpoint, data=data)
    kept = torch.load(checkpoint, weights_only=True)
    assert all(torch.isfinite(x).all() for x in kept["network"].values())


def test_lack_of_gpu_memory_says_what_to_lower():
    def batch_loss(outputs, batch):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    with pytest.raises(RuntimeError, match=r"lower batch_size \(16\), or raise accumulate \(1\)"):
        training.fit(build_student(0.25, 2), RandomClips(), batch_loss, 1, 1e-3, 16, 0)


@pytest.mark.parametrize("n_parts", [1, 2, 3, 5])
@pytest.mark.parametrize("pairs", [False, True])
def test_the_parts_of_all_processes_are_the_batches(n_parts, pairs):
    video = torch.arange(103) // 3 if pairs else None
    order = training.EpochSampler(103, 0, video=video)
    whole = list(training.Parts(order, 20, 1))
    parts = [list(training.Parts(order, 20, 1, n_parts, i)) for i in range(n_parts)]
    one_process = list(training.Parts(order, 20, n_parts))
    assert [sum(p, []) for p in zip(*parts, strict=True)] == whole[: len(parts[0])]
    assert sum(one_process, []) == sum(whole[: len(parts[0])], [])
    assert all(part for of_one in parts for part in of_one)
    if pairs:
        assert all(video[a] == video[b] for part in one_process for a, b in zip(part[::2], part[1::2], strict=True))


@pytest.mark.parametrize(("n", "batch_size"), [(33, 16), (17, 16), (5, 4), (16, 5)])
def test_a_last_batch_of_one_clip_is_left_out(n, batch_size):
    batches = list(training.Parts(training.EpochSampler(n, 0), batch_size, 1))
    assert len(batches) == n // batch_size and all(len(batch) == batch_size for batch in batches)


def test_fewer_clips_than_parts_are_an_error():
    with pytest.raises(ValueError, match="batch_size: found 2; .* give less than two to each of 4"):
        training.Parts(training.EpochSampler(100, 0), 2, 4)


def test_pairs_do_not_fill_batches_of_an_odd_size():
    order = training.EpochSampler(12, 0, video=torch.arange(12) // 4)
    with pytest.raises(ValueError, match="batch_size: found 5, expected an even number"):
        training.Parts(order, 5, 1)


@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_st_confs_weight_moves_once_a_step(accumulate):
    torch.manual_seed(0)
    student, batch_loss = build_student(0.25, 2, repeats=[1, 1, 1]), training.student_batch_loss("st_conf", budget=1e6)
    training.fit(student, NoisyClips(32), batch_loss, 1, 1e-3, 8, 3, accumulate=accumulate)
    assert batch_loss.state["weight"] == pytest.approx(0.1 / 1.01**4)  # four steps, all below the budget


PLAIN = """
import os, sys
sys.path[:0] = {tests!r}
import torch
from test_training import RandomClips
from condi_lib import training
from condi_lib.models import build_teacher
torch.manual_seed(0)
torch.set_num_threads(1)
network = build_teacher("resnext14_small", 2).double()
training.loop.to_input = lambda clips, network: clips.to(next(network.parameters()).dtype) / 255
loss = lambda logits, batch: training.classifier_batch_loss(logits, batch)
history = training.fit(network, RandomClips(56), loss, 2, 1e-3, 16, 0)
history.to_csv(sys.argv[1] + os.environ.get("RANK", "0"), index=False)
"""


def loss_curve(tmp_path, name, processes=1):
    script, out = tmp_path / f"{name}.py", tmp_path / f"{name}.csv"
    script.write_text(PLAIN.format(tests=TESTS))
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), str(script), str(out)]
    env = os.environ | {"ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return [pd.read_csv(f"{out}{rank}") for rank in range(processes)]


def test_two_processes_train_as_one(tmp_path):
    """Batch norms, gradients and records are over both: in float64, where rounding cannot grow into a difference."""
    one, *_ = loss_curve(tmp_path, "one")
    both = loss_curve(tmp_path, "two", processes=2)
    assert both[0].equals(both[1])
    np.testing.assert_allclose(both[0], one, rtol=1e-9)
