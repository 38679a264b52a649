import json
import zlib

import numpy as np
import pytest
import torch
from conftest import SHARED
from safetensors.torch import save_file

from condi_lib import flops
from condi_lib.models import TEACHERS, WIDTHS, build_student, build_teacher, to_input
from condi_lib.models.student import channel_shuffle

PARITY = SHARED / "reference" / "checkpoint_parity.json"


def drawn(key, shape):
    """The reference's recipe for the weights of a key."""
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    fan_in = np.prod(shape[1:])
    if key.endswith("num_batches_tracked"):
        return torch.tensor(1)
    if key.endswith("running_var"):
        x = rng.uniform(0.5, 1.5, shape)
    elif key.endswith("running_mean") or key.endswith("bias"):
        x = rng.normal(0, 0.1, shape)
    elif len(shape) == 1:
        x = rng.uniform(*((0.05, 0.25) if key.endswith("bn3.weight") else (0.5, 1.5)), shape)
    else:
        x = rng.normal(0, (2 / fan_in) ** 0.5 if len(shape) > 2 else fan_in**-0.5, shape)
    return torch.from_numpy(x).float()


@pytest.mark.skipif(not PARITY.is_file(), reason="no reference file")
@pytest.mark.parametrize("name", ["resnet18", "shufflenetv2_1.0", "resnext101"])
def test_networks_give_the_original_implementations_logits(name):
    record = json.loads(PARITY.read_text())[name]
    shapes = dict(record["keys"])
    if name.startswith("shufflenet"):
        network = build_student(1.0, record["num_classes"])
    else:
        shortcut = "B" if any("downsample" in key for key in shapes) else "A"
        network = build_teacher(name, record["num_classes"], shortcut=shortcut)
    own = {k: list(v.shape) for k, v in network.state_dict().items() if not k.startswith("confidence")}
    assert own == shapes
    network.load_state_dict({k: drawn(k, s) for k, s in shapes.items()}, strict=False)
    x = torch.from_numpy(np.random.default_rng(2109).normal(0, 1, (1, 3, 16, 112, 112))).float()
    with torch.inference_mode():
        out = network.eval()(x)
    logits = out[0] if isinstance(out, tuple) else out
    np.testing.assert_allclose(logits[0, :8], record["logits_first8"], rtol=1e-4)
    assert logits.norm().item() == pytest.approx(record["logits_norm"], rel=1e-4)


@pytest.mark.parametrize("name", [n for n in TEACHERS if "152" not in n and "200" not in n])
def test_teachers_map_clips_to_logits(name):
    network = build_teacher(name, 7, width=0.125) if TEACHERS[name]["kind"] != "resnext" else build_teacher(name, 7)
    assert network.eval()(torch.zeros(2, 3, 8, 32, 32)).shape == (2, 7)


@pytest.mark.parametrize("width", WIDTHS)
def test_students_have_two_heads(width):
    logits, confidence = build_student(width, 7).eval()(torch.zeros(2, 3, 8, 32, 32))
    assert logits.shape == (2, 7) and confidence.shape == (2,)


def test_multiply_adds_are_the_originals():
    count, left_out = flops.count(build_student(0.25, 600), 16, 112)
    assert count / 1e9 == pytest.approx(0.113, abs=0.002) and left_out == []
    count, left_out = flops.count(build_teacher("resnext101", 101), 16, 112)
    assert count / 1e9 == pytest.approx(9.617, abs=0.02) and left_out == []


def test_the_small_student_costs_at_most_a_tenth_of_the_small_teacher():
    teacher = flops.count(build_teacher("resnext14_small", 10), 8, 32)[0]
    assert flops.count(build_student(0.25, 10, repeats=(1, 2, 1)), 8, 32)[0] <= teacher / 10


def test_counting_by_hand():
    network = torch.nn.Sequential(torch.nn.Conv3d(3, 4, 3, padding=1, bias=False), torch.nn.Flatten())
    assert flops.count(network, 2, 5) == (3 * 27 * 4 * 2 * 5 * 5, [])
    assert flops.per_video(18, 5, 3, 100) == 18 * 3 + 5 * 100
    assert flops.parameters(network) == 3 * 27 * 4


def test_channel_shuffle_interleaves_the_groups():
    x = torch.arange(6).view(1, 6, 1, 1, 1)
    assert channel_shuffle(x).flatten().tolist() == [0, 3, 1, 4, 2, 5]


def test_input_is_normalised_and_laid_out_channels_last():
    clips = torch.full((2, 3, 4, 8, 8), 255, dtype=torch.uint8)
    x = to_input(clips)
    assert x.dtype == torch.float32 and x.is_contiguous(memory_format=torch.channels_last_3d)
    assert x[0, 0, 0, 0, 0].item() == pytest.approx((1 - 0.43216) / 0.22803, rel=1e-6)


def test_weights_round_trip_and_what_does_not_fit_is_an_error(tmp_path):
    network = build_teacher("resnext14_small", 4)
    path = tmp_path / "teacher.safetensors"
    save_file(network.state_dict(), path)
    again = build_teacher("resnext14_small", 4, path)
    assert all(
        torch.equal(a, b) for a, b in zip(network.state_dict().values(), again.state_dict().values(), strict=True)
    )
    with pytest.raises(ValueError, match=r"teacher.safetensors does not fit: 2 mis-shaped keys, first fc.bias \(4,\)"):
        build_teacher("resnext14_small", 5, path)
    with pytest.raises(ValueError, match="missing keys"):
        build_student(0.25, 4, path)
    with pytest.raises(FileNotFoundError, match="nowhere.safetensors does not exist"):
        build_teacher("resnext14_small", 5, tmp_path / "nowhere.safetensors")


def test_unknown_names_and_widths_are_errors():
    with pytest.raises(ValueError, match="teacher: 'resnext7' is unknown"):
        build_teacher("resnext7", 4)
    with pytest.raises(ValueError, match="student_width: 0.3 is not published"):
        build_student(0.3, 4)
