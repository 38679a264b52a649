import json

import numpy as np
import pytest
import torch
from conftest import SHARED
from safetensors.torch import save_file
from weights_by_hand import public_file, shapes_of

from condi_lib import flops
from condi_lib.models import (
    MC_PASSES,
    TEACHERS,
    WIDTHS,
    MonteCarloDropout,
    WithFeatures,
    build_student,
    build_teacher,
    check_input,
    drop_class_head,
    fold_batch_norms,
    to_input,
)
from condi_lib.models.i3d import _same
from condi_lib.models.student import channel_shuffle
from condi_lib.models.teacher import TORCHVISION

PARITY = SHARED / "reference" / "checkpoint_parity.json"
I3D_PARITY = SHARED / "reference" / "i3d_parity.json"
SMALL = {"blocks": (1, 1, 1, 1), "width": 0.125}  # of a 3D ResNet, for tests of what does not depend on its size


@pytest.mark.skipif(not PARITY.is_file(), reason="no reference file")
@pytest.mark.parametrize("name", ["resnet18", "shufflenetv2_1.0", "resnext101"])
def test_networks_give_the_original_implementations_logits(name, tmp_path):
    record = json.loads(PARITY.read_text())[name]
    shapes = dict(record["keys"])
    path = public_file(tmp_path / "public.pth", name, shapes)
    if name.startswith("shufflenet"):
        with pytest.warns(UserWarning, match=r"new weights instead: confidence.weight \(1 x 1024 here\)"):
            network = build_student(1.0, record["num_classes"], path)
    else:
        network = build_teacher(name, record["num_classes"], path, new_head=False)
    own = {k: s for k, s in shapes_of(network).items() if not k.startswith("confidence")}
    assert own == shapes
    parameters = flops.parameters(network) - (1025 if name.startswith("shufflenet") else 0)
    assert parameters == record["n_params"]
    x = torch.from_numpy(np.random.default_rng(2109).normal(0, 1, (1, 3, 16, 112, 112))).float()
    with torch.inference_mode():
        out = network.eval()(x)
    logits = out[0] if isinstance(out, tuple) else out
    np.testing.assert_allclose(logits[0, :8], record["logits_first8"], rtol=1e-4)
    assert logits.norm().item() == pytest.approx(record["logits_norm"], rel=1e-4)
    assert logits.argmax().item() == record["logits_argmax"]


@pytest.mark.skipif(not I3D_PARITY.is_file(), reason="no reference file")
def test_i3d_gives_the_public_ports_logits_and_counts(tmp_path):
    record = json.loads(I3D_PARITY.read_text())["inception_i3d"]
    path = public_file(tmp_path / "rgb_imagenet.pt", "i3d", dict(record["keys"]))
    network = build_teacher("inception_i3d", record["num_classes"], path, new_head=False)
    assert shapes_of(network) == dict(record["keys"]) and flops.parameters(network) == record["n_params"]
    x = torch.from_numpy(np.random.default_rng(2109).normal(0, 1, record["input"])).float()
    with torch.inference_mode():
        logits = network.eval()(x)
    np.testing.assert_allclose(logits[0, :8], record["logits_first8"], rtol=1e-4)
    assert logits.norm().item() == pytest.approx(record["logits_norm"], rel=1e-4)
    for size, expected in record["multiply_adds"].items():
        frames, side, _ = map(int, size.split("x"))
        if frames == 16:  # the larger ones take as long as all other tests of this file
            assert flops.count(network, frames, side) == (expected, [])


@pytest.mark.parametrize("name", [n for n in TEACHERS if "152" not in n and "200" not in n])
def test_teachers_map_clips_to_logits(name):
    network = build_teacher(name, 7, width=0.125) if TEACHERS[name]["kind"] != "resnext" else build_teacher(name, 7)
    assert network.eval()(torch.zeros(2, 3, 8, 32, 32)).shape == (2, 7)


def test_shortcut_a_of_a_bottleneck_by_hand():
    network = build_teacher("resnet50", 7, shortcut="A", **SMALL).eval()
    block = network.layer2[0]
    x = torch.rand(1, block.conv1.in_channels, 4, 6, 6)
    for p in block.parameters():
        torch.nn.init.zeros_(p)  # the branch then adds nothing
    y = block(x)
    c = x.shape[1]
    torch.testing.assert_close(y[:, :c], x[:, :, ::2, ::2, ::2])
    assert y.shape[1] > c and not y[:, c:].any()


@pytest.mark.parametrize("width", WIDTHS)
def test_students_have_two_heads_and_round_trip(width, tmp_path):
    student = build_student(width, 7).eval()
    logits, confidence = student(torch.zeros(2, 3, 8, 32, 32))
    assert logits.shape == (2, 7) and confidence.shape == (2,)
    path = tmp_path / "student.safetensors"
    save_file({k: v.contiguous() for k, v in student.state_dict().items()}, path)
    again = build_student(width, 7, path, new_head=False).state_dict()
    assert all(torch.equal(x, again[k]) for k, x in student.state_dict().items())


def test_without_its_class_head_a_student_costs_less_and_scores_the_same():
    student = build_student(0.25, 600).eval()
    x = torch.randn(2, 3, 8, 32, 32)
    _, confidence = student(x)
    whole, _ = flops.count(student, 16, 112)
    logits, again = drop_class_head(student)(x)
    assert logits.shape == (2, 0)
    torch.testing.assert_close(again, confidence)
    assert flops.count(student, 16, 112) == (whole - 1024 * 600, [])


def test_networks_carry_their_own_input():
    for name, frames, size, stride, mean in [
        ("r3d_18", 16, 112, 2, 0.43216),
        ("mvit_v2_s", 16, 224, 4, 0.45),
        ("swin3d_t", 32, 224, 2, 0.485),
        ("s3d", 128, 224, 2, 0.43216),
        ("inception_i3d", 64, 224, 1, 0.5),
        ("resnext14_small", 16, 112, 1, 114.7748 / 255),
    ]:
        wants = build_teacher(name, 5).input
        assert (wants.frames, wants.size, wants.stride) == (frames, size, stride)
        assert wants.mean[0] == pytest.approx(255 * mean)
    clips = torch.full((1, 3, 2, 4, 4), 100, dtype=torch.uint8)
    teacher = build_teacher("resnet18", 5, **SMALL)  # Hara's: pixels less a mean, not scaled
    assert to_input(clips, teacher)[0, 0, 0, 0, 0].item() == pytest.approx(100 - 114.7748, abs=1e-4)
    vision = to_input(clips, build_teacher("mvit_v2_s", 5))
    assert vision[0, 0, 0, 0, 0].item() == pytest.approx((100 / 255 - 0.45) / 0.225, rel=1e-5)


def test_a_clip_that_a_network_cannot_take_is_an_error():
    with pytest.raises(ValueError, match=r"frames, size: .* clips of 8 x 32 x 32; its usual input is 16 x 224 x 224"):
        check_input(build_teacher("mvit_v2_s", 5), 8, 32)
    check_input(build_teacher("r3d_18", 5), 8, 32)


def test_torchvision_has_one_size():
    with pytest.raises(ValueError, match="width: torchvision's r3d_18 has one size"):
        build_teacher("r3d_18", 5, width=0.5)
    with pytest.raises(ValueError, match="width: inception_i3d has one size"):
        build_teacher("inception_i3d", 5, width=0.5)


def test_i3d_takes_any_clip_with_windows_placed_as_tensorflow_does():
    network = build_teacher("inception_i3d", 5).eval()
    for frames, size in ((1, 32), (5, 40), (16, 72)):
        assert network(torch.zeros(1, 3, frames, size, size)).shape == (1, 5)
    for size in range(1, 20):  # as many windows as positions over stride, and the larger half of the padding behind
        for kernel, stride in ((1, 1), (3, 1), (3, 2), (2, 2), (7, 2)):
            ones = torch.ones(1, 1, 1, 1, size)
            windows = torch.nn.functional.conv3d(
                _same(ones, (1, 1, kernel), (1, 1, stride)), torch.ones(1, 1, 1, 1, kernel), stride=(1, 1, stride)
            ).flatten()
            assert len(windows) == -(-size // stride)
            padding = max(0, (len(windows) - 1) * stride + kernel - size)
            starts = [i * stride - padding // 2 for i in range(len(windows))]
            assert windows.tolist() == [len(set(range(s, s + kernel)) & set(range(size))) for s in starts]


@pytest.mark.parametrize(
    "name", ["resnet18", "resnext50", "r3d_18", "s3d", "r2plus1d_18", "mc3_18", "inception_i3d", 0.5]
)
def test_folding_batch_norms_changes_nothing_but_rounding(name):
    torch.manual_seed(0)
    network = build_student(name, 5) if name in WIDTHS else build_teacher(name, 5)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):  # statistics as after training
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
    network.eval()
    size = 224 if name == "s3d" else 64
    x = torch.randn(1, 3, 16, size, size)
    with torch.inference_mode():
        before = network(x)
        after = fold_batch_norms(network)(x)
    left = sum(isinstance(m, torch.nn.BatchNorm3d) for m in network.modules())
    assert left == (0 if name != "r2plus1d_18" else 16)  # its second batch norms follow a sequence, not a convolution
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)


class Swapped(torch.nn.Sequential):
    def forward(self, x):
        return self[0](self[1](x))


def test_only_what_runs_in_order_and_as_it_stands_is_folded():
    def pair():
        conv = torch.nn.Conv3d(3, 3, 1)
        return conv, torch.nn.BatchNorm3d(3)

    conv, norm = pair()
    reparametrized = torch.nn.utils.parametrizations.weight_norm(conv)
    x = torch.randn(2, 3, 2, 4, 4)
    for network, left in [
        (torch.nn.Sequential(*pair()), 0),
        (Swapped(*pair()), 1),
        (torch.nn.Sequential(reparametrized, norm), 1),
    ]:
        network(x)  # so that the batch norm has seen something
        expected = network.eval()(x)
        torch.testing.assert_close(fold_batch_norms(network)(x), expected)
        assert sum(isinstance(m, torch.nn.BatchNorm3d) for m in network.modules()) == left


def test_channel_shuffle_interleaves_the_groups():
    x = torch.arange(6).view(1, 6, 1, 1, 1)
    assert channel_shuffle(x).flatten().tolist() == [0, 3, 1, 4, 2, 5]


def test_input_is_laid_out_channels_last():
    clips = torch.randint(0, 255, (2, 3, 4, 8, 8), dtype=torch.uint8)
    for network in (build_student(0.25, 2), build_teacher("r3d_18", 2)):
        assert to_input(clips, network).is_contiguous(memory_format=torch.channels_last_3d)


def test_unknown_names_and_widths_are_errors():
    with pytest.raises(ValueError, match="teacher: 'resnext7' is unknown; did you mean resnext"):
        build_teacher("resnext7", 4)
    with pytest.raises(ValueError, match="student_width: 0.3 is not published"):
        build_student(0.3, 4)


def test_dropout_passes_share_the_trunk_and_average_the_softmax():
    torch.manual_seed(0)
    student = build_student(0.25, 5, repeats=(1, 2, 1)).eval()
    network, x = MonteCarloDropout(student).eval(), torch.randn(4, 3, 8, 32, 32)
    with torch.inference_mode():
        logits, confidence, probs = network(x)
        for found, expected in zip((logits, confidence), student(x), strict=True):
            torch.testing.assert_close(found, expected)
        many = torch.stack([network(x)[2] for _ in range(300)])
        features = student.trunk(x)
        dropped = torch.nn.functional.dropout(features.expand(3000, -1, -1), 0.2, training=True)
        expected = student.classifier[1](dropped).softmax(-1)
    assert probs.shape == (4, 5) and (probs.sum(1) - 1).abs().max() < 1e-5 and many.std(0).min() > 0
    torch.testing.assert_close(many.mean(0), expected.mean(0), atol=4e-3, rtol=0)
    ratio = many.std(0) / (expected.std(0) / MC_PASSES**0.5)  # a mean of MC_PASSES passes
    assert 0.8 < ratio.median() < 1.2


def test_the_list_of_torchvisions_networks_is_torchvisions():
    from torchvision import models

    assert list(TORCHVISION) == models.list_models(models.video)


def test_features_are_what_the_classifier_reads_and_its_logits():
    torch.manual_seed(0)
    student, x = build_student(0.25, 5, repeats=(1, 2, 1)).eval(), torch.randn(3, 3, 8, 32, 32)
    with torch.inference_mode():
        found = WithFeatures(student)(x)
        logits, confidence = student(x)
        trunk = found[:, :1024]
        torch.testing.assert_close(trunk, student.trunk(x))
        torch.testing.assert_close(found[:, 1024:], torch.cat([logits, confidence[:, None]], 1))
        for name in ("resnext14_small", "r3d_18"):
            teacher = build_teacher(name, 5).eval()
            found = WithFeatures(teacher)(x)
            torch.testing.assert_close(found[:, -5:], teacher(x))
            (head,) = [m for m in teacher.modules() if isinstance(m, torch.nn.Linear)]
            torch.testing.assert_close(head(found[:, :-5]), teacher(x))


def test_of_a_network_whose_logits_are_not_its_last_linear_layers_there_are_the_logits():
    class MeanOverFrames(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.head = torch.nn.Linear(3, 4)

        def forward(self, x):
            return self.head(x.mean((3, 4)).transpose(1, 2)).softmax(-1).mean(1)

    network, x = MeanOverFrames(), torch.randn(2, 3, 8, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(WithFeatures(network)(x), network(x))
