"""Weights that people have: read, fitted, refused."""

import pickle
import zlib

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from condi_lib.models import (
    TEACHER_NAMES,
    TEACHERS,
    build_teacher,
    freeze,
    load_weights,
    read_checkpoint,
)

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
