"""Weights that people have: read, fitted, refused."""

import argparse
import io
import pickle
import tarfile
import zipfile
import zlib
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from condi_lib.models import (
    TEACHER_NAMES,
    TEACHERS,
    build_student,
    build_teacher,
    freeze,
    load_weights,
    metadata_of,
    read_checkpoint,
    to_input,
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


@pytest.mark.parametrize("lost", ["weight", "bias"])
def test_half_a_head_is_no_head(lost, tmp_path):
    state = {k: torch.full_like(x, 2) for k, x in small().state_dict().items() if k != f"fc.{lost}"}
    torch.save(state, tmp_path / "x.pth")
    with pytest.warns(UserWarning, match=r"new weights instead: fc.\w+ \(.+\), fc.\w+ \(.+\)$"):
        network = small(checkpoint=tmp_path / "x.pth")
    assert not (network.fc.weight == 2).any() and not (network.fc.bias == 2).any() and (network.bn1.bias == 2).all()
    with pytest.raises(ValueError, match=f"1 missing, first fc.{lost}"):
        small(checkpoint=tmp_path / "x.pth", new_head=False)


def test_sets_of_weights_are_joined_only_where_they_fit_together(tmp_path):
    state = small().state_dict()
    head = {"weight": torch.ones(5, 64), "bias": torch.ones(5)}
    trunk = {k: x for k, x in state.items() if not k.startswith("fc")}
    torch.save({"backbone": trunk, "head": head}, tmp_path / "x.pth")
    assert (small(5, checkpoint=tmp_path / "x.pth", new_head=False).fc.weight == 1).all()
    with pytest.warns(UserWarning, match=r"fc.weight \(5 x 64 there, 3 x 64 here\), fc.bias"):
        small(3, checkpoint=tmp_path / "x.pth")
    for content, missing in [
        ({"model": trunk, "discriminator": head}, "2 missing, first fc.weight"),  # of something else
        (
            {"model": {k: x for k, x in trunk.items() if k != "bn1.bias"}, "model_ema": state},
            "3 missing, first bn1.bias",
        ),
    ]:
        torch.save(content, tmp_path / "x.pth")
        with pytest.raises(ValueError, match=missing):
            small(checkpoint=tmp_path / "x.pth", new_head=False)
    torch.save({"model": state, "model_ema": {k: x + 1 for k, x in state.items()}, "head": head}, tmp_path / "x.pth")
    assert same_weights(small(checkpoint=tmp_path / "x.pth", new_head=False), state)
    student = build_student(0.25, 5).state_dict()
    trunk = {k: x for k, x in student.items() if k.split(".")[0] not in ("classifier", "confidence")}
    head = {"weight": student["classifier.1.weight"], "bias": student["classifier.1.bias"]}
    torch.save({"backbone": trunk, "cls_head": head}, tmp_path / "x.pth")
    with pytest.warns(UserWarning, match="not loaded, new weights instead: confidence.weight"):
        own = build_student(0.25, 5, tmp_path / "x.pth")
    assert torch.equal(own.classifier[1].weight, head["weight"])


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
    moved = {k for k, v in network.cpu().state_dict().items() if not torch.equal(v, before[k])}
    assert moved and {k.split(".")[0] for k in moved} <= {"layer3", "layer4", "fc"}
    with pytest.raises(
        ValueError, match="freeze: 'layer9' is no stage of ResNet3D; expected one of conv1, bn1, layer1"
    ):
        freeze(network, "layer9")
    freeze(build_teacher("s3d", 2), "features.3")  # dotted names reach inside torchvision's stages


def small(n=3, **options):
    return build_teacher("resnet18", n, **SMALL, **options)


def same_weights(network, state):
    own = network.state_dict()
    return all(torch.equal(own[k], x.float() if x.is_floating_point() else x) for k, x in state.items())


# What training code writes around weights: the file's content from a state dict, and a word of the note (None: silent)
FORMS = {
    "bare": (lambda s: s, None),
    "state_dict": (lambda s: {"state_dict": s, "epoch": 3, "best_acc1": 0.5}, None),
    "model_state": (lambda s: {"epoch": 3, "model_state": s, "optimizer_state": {"state": {}}}, 'under "model_state"'),
    "model_state_dict": (lambda s: {"model_state_dict": s, "loss": torch.ones(1)}, "model_state_dict"),
    "model": (lambda s: {"model": s}, 'under "model"'),
    "network": (lambda s: {"network": s}, 'under "network"'),
    "net": (lambda s: {"net": s, "acc": 1, "epoch": 2}, 'under "net"'),
    "model_ema": (lambda s: {"model_ema": s}, "model_ema"),
    "unknown name": (lambda s: {"generator_of_logits": s}, "generator_of_logits"),
    "two levels": (lambda s: {"checkpoint": {"state_dict": s}, "config": {"lr": 0.1}}, "checkpoint.state_dict"),
    "plain before averaged": (
        lambda s: {
            "model_ema": {k: x * 0 for k, x in s.items()},
            "model": s,
            "optimizer": {"state": {"fc.weight": {}}},
        },
        'under "model" (not those under model_ema)',
    ),
    "parameters by name": (lambda s: {"parameters": s, "epoch": 3}, 'under "parameters"'),
    "model_parameters": (lambda s: {"model_parameters": s}, 'under "model_parameters"'),
    "sampler": (lambda s: {"sampler": s, "optimSampler": {"a.b": torch.ones(1)}}, 'under "sampler";'),
    "example_model": (lambda s: {"lr_schedulers": [{"a.b": torch.ones(1)}], "example_model": s}, "example_model"),
    "optimized_model": (lambda s: {"LossMeter": {"a.b": torch.ones(1)}, "optimized_model": s}, 'd_model";'),
    "model_best_val_loss": (lambda s: {"model_best_val_loss": s, "val_loss": {"a.b": torch.ones(1)}}, 'val_loss";'),
    "a list": (lambda s: [s, 17], 'under "0"'),
    "an optimiser under another name": (
        lambda s: {
            "net": s,
            "opt": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 1, "params": [0]}]},
        },
        'under "net";',
    ),
    "beside numbers": (lambda s: {**s, "epoch": 3}, None),
    "DataParallel": (lambda s: {"module." + k: x for k, x in s.items()}, "stripped module. from"),
    "DataParallel twice": (lambda s: {"module.module." + k: x for k, x in s.items()}, "stripped module.module."),
    "compiled": (lambda s: {"_orig_mod." + k: x for k, x in s.items()}, "stripped _orig_mod."),
    "compiled, DataParallel": (lambda s: {"module._orig_mod." + k: x for k, x in s.items()}, "module._orig_mod."),
    "a compiled part": (
        lambda s: {k.replace("layer1.", "layer1._orig_mod."): x for k, x in s.items()},
        "stripped _orig_mod. from 12 keys",
    ),
    "a part in DataParallel": (
        lambda s: {"module." + k.replace("layer1.", "layer1.module."): x for k, x in s.items()},
        "stripped module. from",
    ),
    "FSDP": (lambda s: {"_fsdp_wrapped_module." + k: x for k, x in s.items()}, "stripped _fsdp_wrapped_module. from"),
    "FSDP in FSDP, checkpointed": (
        lambda s: {
            "_fsdp_wrapped_module."
            + k.replace("layer1.0.", "layer1._fsdp_wrapped_module.0._checkpoint_wrapped_module."): x
            for k, x in s.items()
        },
        "_fsdp_wrapped_module. and _checkpoint_wrapped_module. from 12 keys",
    ),
    "in two sets": (
        lambda s: {
            "head": {k[3:]: x for k, x in s.items() if k.startswith("fc")},
            "backbone": {"module." + k: x for k, x in s.items() if not k.startswith("fc")},
            "optimizer": {"a.b": torch.ones(1)},
        },
        "the weights under backbone and head together;",
    ),
    "a set a layer": (
        lambda s: {
            top: {k.partition(".")[2]: x for k, x in s.items() if k.split(".")[0] == top}
            for top in dict.fromkeys(k.split(".")[0] for k in s)
        },
        "the weights under conv1 and bn1 and layer1",
    ),
    "Lightning": (lambda s: {"state_dict": {"model." + k: x for k, x in s.items()}, "epoch": 1}, "stripped model."),
    "backbone and head": (
        lambda s: {"state_dict": {k if k.startswith("fc") else "backbone." + k: x for k, x in s.items()}},
        "stripped backbone. from",
    ),
    "profiled": (
        lambda s: {**s, "total_ops": torch.zeros(1), "layer1.0.conv1.total_params": torch.zeros(1)},
        "dropped 1 total_ops, 1 total_params;",
    ),
    "profiled, DataParallel": (
        lambda s: {"module." + k: x for k, x in {**s, "fc.total_ops": torch.zeros(1)}.items()},
        "dropped 1 total_ops",
    ),
    "profiled by ptflops": (
        lambda s: {"module." + k: x for k, x in {**s, "conv1.__flops__": torch.zeros(1)}.items()},
        "dropped 1 __flops__",
    ),
    "averaged": (
        lambda s: {"n_averaged": torch.tensor(3), **{"module." + k: x for k, x in s.items()}},
        "keys; dropped 1 n_averaged",
    ),
    "counters of another shape": (lambda s: {k: x.view(1) if "num_batches" in k else x for k, x in s.items()}, None),
    "before 0.4.1": (
        lambda s: OrderedDict((k, x) for k, x in s.items() if "num_batches" not in k),
        "batch norms without num_batches_tracked, as before PyTorch 0.4.1",
    ),
    "parameters": (lambda s: {k: torch.nn.Parameter(x) if x.is_floating_point() else x for k, x in s.items()}, None),
    "double": (lambda s: {k: x.double() if x.is_floating_point() else x for k, x in s.items()}, None),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_forms_of_other_peoples_files(form, legacy, tmp_path, capsys):
    content, note = FORMS[form]
    torch.manual_seed(1)
    state = small().state_dict()
    torch.save(content(state), tmp_path / "x.pth", _use_new_zipfile_serialization=not legacy)
    network = small(checkpoint=tmp_path / "x.pth", new_head=False)
    assert same_weights(network, state)
    printed = capsys.readouterr().out
    usual = f"checkpoint: {tmp_path / 'x.pth'}: pixels as hara2018, as usual (a guess: the file does not tell)"
    assert printed.strip() == network.note and printed.count("\n") == 1 and usual[-30:] in printed
    assert note in printed if note else printed.startswith(usual)


@pytest.mark.filterwarnings("ignore:TypedStorage")
def test_half_precision_and_the_first_way_of_writing_tensors(tmp_path):
    state = {k: x.half() if x.is_floating_point() else x for k, x in small().state_dict().items()}
    torch.save(state, tmp_path / "half.pth")
    assert same_weights(small(checkpoint=tmp_path / "half.pth", new_head=False), state)

    class Old:  # as PyTorch 0.1 and 0.2 pickled tensors
        def __init__(self, tensor):
            self.tensor = tensor.contiguous()

        def __reduce__(self):
            args = (self.tensor.storage(), 0, tuple(self.tensor.shape), self.tensor.stride())
            return torch._utils._rebuild_tensor, args

    state = {k: x for k, x in small().state_dict().items() if "num_batches" not in k}
    old = {"state_dict": {"module." + k: Old(x) for k, x in state.items()}}
    torch.save(old, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert same_weights(small(checkpoint=tmp_path / "old.pth", new_head=False), state)


def test_prefixes_stay_where_the_network_has_them(tmp_path):
    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = small()

    state = Wrapped().state_dict()
    torch.save({"module." + k: x for k, x in state.items()}, tmp_path / "x.pth")
    network = load_weights(Wrapped(), read_checkpoint(tmp_path / "x.pth"), "x.pth")
    assert same_weights(network, state) and f"stripped module. from {len(state)} keys" in network.note
    torch.save({**state, "model.model.fc.bias": torch.zeros(3)}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match="1 unexpected, first model.model.fc.bias"):  # two keys for one
        load_weights(Wrapped(), read_checkpoint(tmp_path / "x.pth"), "x.pth")


def test_home_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    torch.save(small().state_dict(), tmp_path / "x.pth")
    assert len(read_checkpoint("~/x.pth")) == len(small().state_dict())
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/y.pth does not exist"):
        read_checkpoint("~/y.pth")
    with pytest.raises(FileNotFoundError, match="checkpoint: ~nouser9/h.pth does not exist"):
        read_checkpoint("~nouser9/h.pth")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("key", ["layer1.0.conv1.weight", "bn1.running_var", "fc.bias"])
def test_weights_that_are_no_numbers_are_an_error(key, value, tmp_path):
    state = small().state_dict()
    state[key][(1,) + (0,) * (state[key].dim() - 1)] = value
    torch.save({"state_dict": {"module." + k: x for k, x in state.items()}}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=rf"x.pth: {key} has 1 of \d+ values that are NaN or infinite"):
        small(checkpoint=tmp_path / "x.pth")
    student = build_student(0.25, 3).state_dict()
    student["confidence.bias"][0] = value
    save_file({k: x.contiguous() for k, x in student.items()}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match="x.safetensors: confidence.bias has 1 of 1 values that are NaN or infinite"):
        build_student(0.25, 3, tmp_path / "x.safetensors")


def test_negative_variances_are_an_error(tmp_path):
    state = small().state_dict()
    state["bn1.running_var"][2:4] = -1e-3
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=r"x.pth: bn1.running_var has 2 of \d+ variances below 0"):
        small(checkpoint=tmp_path / "x.pth")


def test_weights_of_another_kind_are_an_error(tmp_path):
    state = small().state_dict()
    for other, message in [
        (state["fc.weight"].to_sparse(), "fc.weight is sparse"),
        ((100 * state["fc.weight"]).char(), "fc.weight is int8, expected floating-point numbers"),
        (state["fc.weight"].to(torch.complex64), "fc.weight is complex64, expected floating-point numbers"),
    ]:
        torch.save({**state, "fc.weight": other}, tmp_path / "x.pth")
        with pytest.raises(ValueError, match=f"x.pth: {message}"):
            small(checkpoint=tmp_path / "x.pth")


def test_a_damaged_file_is_told_by_its_check_sums(tmp_path):
    path, state = tmp_path / "x.pth", small().state_dict()
    torch.save(state, path)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2 : len(whole) // 2 + 100] = bytes(100)
    path.write_bytes(whole)
    torch.load(path, weights_only=True)  # sees nothing
    assert "x.pth is damaged: check sums of 1 of" in one_line(path)
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(state, path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert same_weights(small(checkpoint=path, new_head=False), state)


def test_doubles_that_floats_cannot_hold_are_an_error(tmp_path):
    state = {k: x.double() for k, x in small().state_dict().items()}
    state["fc.bias"][0] = 1e300
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(ValueError, match="x.pth: fc.bias has 1 of 3"):
        small(checkpoint=tmp_path / "x.pth")


class Evil:
    def __reduce__(self):
        return (print, ("code ran",))


def one_line(path):
    """The one line that says why a file is not read: no escape codes, no advice to run code in it."""
    with pytest.raises(ValueError) as e:
        read_checkpoint(path)
    message = str(e.value)
    assert message.startswith(f"checkpoint: {path}") and len(message.splitlines()) == 1 and len(message) < 500
    assert "\x1b" not in message and "weights_only" not in message and "http" not in message
    return message


def test_what_cannot_be_read_safely_is_named(tmp_path, capsys):
    path = tmp_path / "x.pth"
    weights = {"state_dict": small().state_dict()}
    for beside, name in [
        (np.float64(0.7), r"numpy.*scalar (a number or array of NumPy)"),
        (np.ones(3), r"numpy.*_reconstruct (a number or array of NumPy)"),
        (argparse.Namespace(lr=0.1), "argparse.Namespace"),
        (Evil(), "print"),
        (small(), "condi_lib.models.teacher.ResNet3D"),
        (torch.optim.SGD, "torch.optim.sgd.SGD"),
    ]:
        for legacy in (False, True):
            torch.save({**weights, "beside": beside}, path, _use_new_zipfile_serialization=not legacy)
            message = one_line(path)
            assert "x.pth holds more than weights: " in message and "torch.save(network.state_dict()" in message
            assert all(part in message for part in name.split(".*"))
    torch.save({**weights, "beside": 1}, path, pickle_protocol=4)
    assert "protocol 4" in one_line(path)
    path.write_bytes(pickle.dumps(Evil(), protocol=2))
    one_line(path)
    assert "code ran" not in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_files_that_are_no_weights_are_recognised(tmp_path):
    state = small().state_dict()
    inner = tmp_path / "inner.pth"
    torch.save(state, inner)
    whole = inner.read_bytes()
    packed, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(inner, "weights/inner.pth")
    with tarfile.open(fileobj=tarred, mode="w") as archive:
        archive.add(inner, "inner.pth")
    save_file({k: x.contiguous() for k, x in state.items()}, tmp_path / "inner.safetensors")
    ours = (tmp_path / "inner.safetensors").read_bytes()
    script = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), script)
    for content, what in [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>Quota exceeded</html>", "is a web page"),
        (b"\xef\xbb\xbf\n<HTML><body>Sign in</body></HTML>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n", "git lfs pull"),
        (packed.getvalue(), "is a zip archive of other files (weights/inner.pth); unpack it"),
        (tarred.getvalue(), "is a tar archive of other files (inner.pth); unpack it"),
        (b"\x1f\x8b\x08\x00" + bytes(100), "is a gzip archive"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "is an HDF5 file"),
        (script.getvalue(), "is a program (TorchScript)"),
        (b'{"metadata": {}, "weight_map": {}}', 'is a text file, not weights: it begins \'{"metadata"'),
        (b"not weights", "is a text file"),
        (whole[: len(whole) // 2], "cut short or damaged"),
        (b"PK\x03\x04 cut", "cut short or damaged"),
        (ours[: len(ours) // 2], "cut short or damaged"),
        (bytes(5000), "begins with zeros"),
        ("<!DOCTYPE html><html>".encode("utf-16"), "is a web page"),
        ("<html>Grüße</html>".encode("utf-16-le"), "is a web page"),
        ("Datei nicht gefunden – für".encode(), "is a text file, not weights: it begins 'Datei nicht gefunden – für'"),
        ("ü".encode() * 400, "is a text file"),
        (b"x" + "ü".encode() * 400, "is a text file"),  # cut within a character
        ("Datei nicht gefunden – für".encode("cp1252"), "is a text file"),
        (bytes(range(256)) * 4, "neither safetensors nor a PyTorch file"),
    ]:
        for name in ("x.pth", "x.safetensors"):  # content counts, not endings
            (tmp_path / name).write_bytes(content)
            assert what in one_line(tmp_path / name), content[:20]
    assert "is a folder" in one_line(tmp_path)
    (tmp_path / "x.pth").write_bytes(ours)
    (tmp_path / "x.safetensors").write_bytes(whole)
    for name in ("x.pth", "x.safetensors"):
        assert same_weights(small(checkpoint=tmp_path / name, new_head=False), state)
    for content in ({"epoch": 3}, {}, [], {"state_dict": {}, "optimizer": {"state": {0: {"step": torch.ones(1)}}}}, 3):
        torch.save(content, tmp_path / "x.pth")
        assert "x.pth holds no weights" in one_line(tmp_path / "x.pth")
    with pytest.raises(FileNotFoundError, match="nowhere.safetensors does not exist"):
        build_teacher("resnext14_small", 5, tmp_path / "nowhere.safetensors")


def test_pixels_go_with_the_file(tmp_path, capsys):
    """The files of Hara et al. have the same keys and two normalisations; ours carry theirs."""
    state = small().state_dict()
    old = {"module." + k: x for k, x in state.items() if "num_batches" not in k}
    files = {
        "2018": {"epoch": 45, "arch": "resnet-18", "state_dict": old, "optimizer": {}},
        "2020": {"epoch": 200, "arch": "resnet-18", "state_dict": state, "optimizer": {}, "scheduler": {}},
        "other": {"epoch": 200, "state_dict": state},
        # written anew, which may be of either year
        "anew": {"epoch": 200, "arch": "resnet-18", "state_dict": state},
        "parallel": {"epoch": 200, "arch": "resnet-18", "state_dict": {"module." + k: x for k, x in state.items()}},
    }
    for name, content in files.items():
        torch.save(content, tmp_path / name)
    clip = torch.randint(0, 256, (1, 3, 4, 8, 8), dtype=torch.uint8)

    less_mean = clip - torch.tensor([114.7748, 107.7354, 99.475]).view(1, 3, 1, 1, 1)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1, 1) for v in ((0.4345, 0.4051, 0.3775), (0.2768, 0.2713, 0.2737)))
    scaled = (clip / 255 - mean) / std
    for name, pixels, expected, said in [
        (
            "2018",
            "",
            less_mean,
            "pixels as hara2018, guessed from the file's form (no scheduler, batch norms that count",
        ),
        (
            "2020",
            "",
            scaled,
            "pixels as hara2020, guessed from the file's form (a scheduler beside the weights): check",
        ),
        ("anew", "", scaled, """pixels as hara2020, guessed from the file's form (no "module." before keys"""),
        ("parallel", "", less_mean, "pixels as hara2018, guessed from the file's form (no scheduler, keys that begin"),
        (
            "other",
            "",
            less_mean,
            "pixels as hara2018, as usual (a guess: the file does not tell): check_pixels",
        ),  # and check_pixels looks at it
        ("other", "hara2020", scaled, ""),
        ("2020", "hara2018", less_mean, ""),
        ("2018", "hara2020", scaled, ""),
    ]:
        capsys.readouterr()
        network = small(checkpoint=tmp_path / name, pixels=pixels)
        torch.testing.assert_close(to_input(clip, network), expected, rtol=1e-4, atol=1e-4)
        assert ("pixels as" in capsys.readouterr().out) == bool(said) and said in network.note
        # what a run writes carries it on
        own = {k: x.contiguous() for k, x in network.state_dict().items()}
        save_file(own, tmp_path / "own.safetensors", metadata_of(network))
        capsys.readouterr()
        again = small(checkpoint=tmp_path / "own.safetensors", new_head=False)
        assert again.input == network.input and again.note == ""
    with pytest.raises(ValueError, match="pixels: 'hara2019' is unknown; expected one of hara2018, hara2020"):
        small(pixels="hara2019")
    # other networks have no such two kinds of file
    state = build_teacher("r3d_18", 3).state_dict()
    torch.save({"epoch": 1, "arch": "resnet-18", "state_dict": state}, tmp_path / "x.pth")
    assert build_teacher("r3d_18", 3, tmp_path / "x.pth").input.mean[0] == pytest.approx(255 * 0.43216)


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
