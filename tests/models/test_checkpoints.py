"""Weights that people have: read, fitted, refused."""

import pytest
import torch
from safetensors.torch import save_file
from weights_by_hand import SMALL, drawn, public_file, same_weights, shapes_of, small

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
