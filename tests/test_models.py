import json
import pickle
import zlib

import numpy as np
import pytest
import torch
from conftest import SHARED
from safetensors.torch import save_file

from condi_lib import flops
from condi_lib.models import (
    MC_PASSES,
    TEACHER_NAMES,
    TEACHERS,
    WIDTHS,
    MonteCarloDropout,
    build_student,
    build_teacher,
    check_input,
    drop_class_head,
    fold_batch_norms,
    freeze,
    load_weights,
    read_checkpoint,
    to_input,
)
from condi_lib.models.student import channel_shuffle
from condi_lib.models.teacher import TORCHVISION

PARITY = SHARED / "reference" / "checkpoint_parity.json"
SMALL = {"blocks": (1, 1, 1, 1), "width": 0.125}  # of a 3D ResNet, for tests of what does not depend on its size


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


def public_file(path, arch, shapes, **options):
    """Weights by the recipe, in a file as both families publish theirs."""
    state = {"module." + k: drawn(k, s) for k, s in shapes.items()}
    torch.save(
        {"epoch": 45, "arch": arch, "state_dict": state, "optimizer": {"state": {}, "param_groups": []}},
        path,
        **options,
    )
    return path


def shapes_of(network):
    return {k: list(v.shape) for k, v in network.state_dict().items()}


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


@pytest.mark.parametrize("name", [n for n in TEACHERS if "152" not in n and "200" not in n])
def test_teachers_map_clips_to_logits(name):
    network = build_teacher(name, 7, width=0.125) if TEACHERS[name]["kind"] != "resnext" else build_teacher(name, 7)
    assert network.eval()(torch.zeros(2, 3, 8, 32, 32)).shape == (2, 7)


@pytest.mark.parametrize("name", TEACHER_NAMES)
@pytest.mark.parametrize("kind", ["pytorch", "safetensors"])
def test_weights_of_every_teacher_round_trip(name, kind, tmp_path):
    size = {"width": 0.125} if name in TEACHERS and TEACHERS[name]["kind"] != "resnext" else {}
    network = build_teacher(name, 7, **size)
    path = tmp_path / f"teacher.{kind}"
    if kind == "pytorch":
        torch.save({"state_dict": {"module." + k: v for k, v in network.state_dict().items()}}, path)
    else:
        save_file({k: v.contiguous() for k, v in network.state_dict().items()}, path)
    again = build_teacher(name, 7, path, new_head=False, **size)
    own = again.state_dict()
    assert own.keys() == network.state_dict().keys()
    assert all(torch.equal(x, own[k]) for k, x in network.state_dict().items())


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50"])
@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_the_files_keys_tell_the_type_of_shortcut(name, shortcut, tmp_path):
    size = {**SMALL, "width": 0.5, "cardinality": 8} if name == "resnext50" else SMALL
    network = build_teacher(name, 7, shortcut=shortcut, **size)
    path = public_file(tmp_path / "public.pth", name, shapes_of(network))
    again = build_teacher(name, 7, path, new_head=False, **size)
    assert any("downsample" in k for k in again.state_dict()) == (shortcut == "B")
    x = torch.randn(1, 3, 8, 32, 32)
    load_weights(network, read_checkpoint(path), path)
    torch.testing.assert_close(again.eval()(x), network.eval()(x))


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


def test_torchvisions_networks_carry_their_own_input():
    for name, frames, size, mean in [
        ("r3d_18", 16, 112, 0.43216),
        ("mvit_v2_s", 16, 224, 0.45),
        ("swin3d_t", 32, 224, 0.485),
        ("s3d", 128, 224, 0.43216),
    ]:
        wants = build_teacher(name, 5).input
        assert (wants.frames, wants.size) == (frames, size) and wants.mean[0] == pytest.approx(255 * mean)
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


def test_a_new_head_is_fresh_and_reported(tmp_path):
    network = build_teacher("resnet18", 7, **SMALL)
    path = public_file(tmp_path / "kinetics.pth", "resnet-18", shapes_of(network))
    with pytest.warns(
        UserWarning, match=r"kinetics.pth: not loaded, .* fc.weight \(7 x 64 there, 5 x 64 here\), fc.bias"
    ):
        again = build_teacher("resnet18", 5, path, **SMALL)
    torch.testing.assert_close(
        again.layer1[0].conv1.weight, drawn("layer1.0.conv1.weight", again.layer1[0].conv1.weight.shape)
    )
    assert again.fc.weight.shape == (5, 64) and again.fc.weight.std() > 0
    with pytest.raises(ValueError, match="does not fit"):
        build_teacher("resnet18", 5, path, new_head=False, **SMALL)
    with pytest.raises(ValueError, match="mis-shaped, first"):  # other features are another network, head or not
        build_teacher("resnet18", 5, path, blocks=(1, 1, 1, 1), width=0.25)


def test_frozen_stages_do_not_move():
    from condi_lib import training

    network = freeze(build_teacher("resnet18", 2, **SMALL), "layer2")
    before = {k: v.clone() for k, v in network.state_dict().items()}
    clips = torch.randint(0, 255, (8, 3, 4, 16, 16), dtype=torch.uint8)
    batch = {"clips": clips, "label": torch.tensor([0, 1] * 4)}

    class Data(torch.utils.data.Dataset):
        def __len__(self):
            return 8

        def __getitems__(self, indices):
            return {k: v[indices] for k, v in batch.items()}

    training.fit(network, Data(), training.classifier_batch_loss, 1, 1e-2, 4, seed=0)
    moved = {k for k, v in network.state_dict().items() if not torch.equal(v, before[k])}
    assert moved and {k.split(".")[0] for k in moved} <= {"layer3", "layer4", "fc"}
    with pytest.raises(
        ValueError, match="freeze: 'layer9' is no stage of ResNet3D; expected one of conv1, bn1, layer1"
    ):
        freeze(network, "layer9")
    freeze(build_teacher("s3d", 2), "features.3")  # dotted names reach inside torchvision's stages


class Evil:
    def __reduce__(self):
        return (print, ("code ran",))


def test_files_that_are_no_weights_are_one_clear_error(tmp_path, capsys):
    path = tmp_path / "x.pth"
    torch.save({"state_dict": {"a": torch.ones(1)}, "hook": Evil()}, path)
    with pytest.raises(ValueError, match=r"x.pth holds more than weights"):
        read_checkpoint(path)
    path.write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(ValueError, match=r"x.pth"):
        read_checkpoint(path)
    assert "code ran" not in capsys.readouterr().out
    for content in (b"", b"not weights", b"PK\x03\x04 cut"):
        for name in ("x.pth", "x.safetensors"):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(ValueError, match=name):
                read_checkpoint(tmp_path / name)
    torch.save({"epoch": 3}, path)
    with pytest.raises(ValueError, match="x.pth holds no weights"):
        read_checkpoint(path)
    torch.save(build_teacher("resnet18", 2, **SMALL).state_dict(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="x.pth"):
        read_checkpoint(path)
    with pytest.raises(FileNotFoundError, match="nowhere.safetensors does not exist"):
        build_teacher("resnext14_small", 5, tmp_path / "nowhere.safetensors")


def test_old_files_are_read_too(tmp_path):
    network = build_teacher("resnet18", 2, **SMALL)
    path = public_file(tmp_path / "old.pth", "resnet-18", shapes_of(network), _use_new_zipfile_serialization=False)
    build_teacher("resnet18", 2, path, new_head=False, **SMALL)


def test_a_file_that_does_not_fit_names_the_first_keys_of_each_kind(tmp_path):
    network = build_teacher("resnet18", 2, **SMALL)
    state = network.state_dict()
    state["extra.weight"] = torch.zeros(3, 4)
    state["bn1.weight"] = torch.zeros(9)
    del state["conv1.weight"]
    torch.save(state, tmp_path / "x.pth")
    before = {k: v.clone() for k, v in network.state_dict().items()}
    with pytest.raises(ValueError) as e:
        load_weights(network, read_checkpoint(tmp_path / "x.pth"), "x.pth")
    assert (
        "x.pth does not fit ResNet3D" in str(e.value)
        and "1 missing, first conv1.weight, expected 8 x 3 x 7 x 7 x 7" in str(e.value)
        and "1 unexpected, first extra.weight, 3 x 4" in str(e.value)
        and "1 mis-shaped, first bn1.weight, 9, expected 8" in str(e.value)
    )
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())  # nothing was loaded in part


@pytest.mark.parametrize("name", ["resnet18", "resnext50", "r3d_18", "s3d", "r2plus1d_18", "mc3_18", 0.5])
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


def test_the_table_of_published_networks():
    table = flops.published_networks(["resnext101", "r3d_18", 0.25, 1.0, 2.0]).set_index("network")
    shown = table[["multiply-adds (10^9)", "published (10^9)"]].to_numpy()
    np.testing.assert_allclose(shown[:, 0], shown[:, 1], rtol=0.01)
    assert table["published (10^6)"]["resnext101"] == pytest.approx(table["parameters (10^6)"]["resnext101"], abs=0.01)
    assert table["published (10^6)"]["r3d_18"] == table["parameters (10^6)"]["r3d_18"]
    assert (table["not counted"] == "").all()


def test_operations_that_are_not_counted_are_named():
    class Attention(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(64, 64)

        def forward(self, x):
            x = self.linear(x.flatten(3).mean(1))  # (B, F, 64)
            return torch.nn.functional.scaled_dot_product_attention(x, x, x).mean(1)

    total, left_out = flops.count(Attention(), 2, 8)
    assert total == 2 * 64 * 64 and left_out == ["aten::scaled_dot_product_attention"]


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


def test_input_is_laid_out_channels_last():
    clips = torch.randint(0, 255, (2, 3, 4, 8, 8), dtype=torch.uint8)
    for network in (build_student(0.25, 2), build_teacher("r3d_18", 2)):
        assert to_input(clips, network).is_contiguous(memory_format=torch.channels_last_3d)


def test_unknown_names_and_widths_are_errors():
    with pytest.raises(ValueError, match="teacher: 'resnext7' is unknown"):
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
