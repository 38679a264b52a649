"""What training code writes around weights, and files that are damaged, dangerous or no weights at all."""

import argparse
import io
import pickle
import tarfile
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from weights_by_hand import same_weights, small

from condi_lib.models import (
    build_student,
    build_teacher,
    load_weights,
    read_checkpoint,
)

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
