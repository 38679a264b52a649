"""Teachers: 3D ResNet and 3D ResNeXt, as published and smaller; I3D; torchvision's video networks; the user's own.

Source: Hara, Kataoka, Satoh, "Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?"
(CVPR 2018), whose parameter names are kept so that its public checkpoints fit.
"""

import difflib
import re

from torch import nn
from torch.nn import functional as F

from condi_lib.models.checkpoints import read_checkpoint
from condi_lib.models.i3d import InceptionI3D
from condi_lib.models.inputs import HARA, LAYOUT, PIXELS, Input, as_input
from condi_lib.models.own import build_own, check_own, is_own
from condi_lib.models.weights import freeze, load_weights

# name: what ResNet3D takes; the last is for small machines
TEACHERS = {
    "resnet18": {"blocks": (2, 2, 2, 2), "kind": "basic"},
    "resnet34": {"blocks": (3, 4, 6, 3), "kind": "basic"},
    "resnet50": {"blocks": (3, 4, 6, 3), "kind": "bottleneck"},
    "resnet101": {"blocks": (3, 4, 23, 3), "kind": "bottleneck"},
    "resnet152": {"blocks": (3, 8, 36, 3), "kind": "bottleneck"},
    "resnet200": {"blocks": (3, 24, 36, 3), "kind": "bottleneck"},
    "resnext50": {"blocks": (3, 4, 6, 3), "kind": "resnext"},
    "resnext101": {"blocks": (3, 4, 23, 3), "kind": "resnext"},
    "resnext152": {"blocks": (3, 8, 36, 3), "kind": "resnext"},
    "resnext14_small": {"blocks": (1, 1, 1, 1), "kind": "resnext", "width": 0.375, "cardinality": 8},
}
# torchvision's own list, written out: its module takes over a second to load, and is loaded where one is built
TORCHVISION = ("mc3_18", "mvit_v1_b", "mvit_v2_s", "r2plus1d_18", "r3d_18", "s3d", "swin3d_b", "swin3d_s", "swin3d_t")
I3D = "inception_i3d"
TEACHER_NAMES = (*TEACHERS, I3D, *TORCHVISION)
KINETICS_FPS = 30  # of most of its videos: torchvision gives the frame rate of training, not the stride


class BasicBlock(nn.Module):
    """Two 3x3x3 convolutions and a shortcut."""

    runs_in_order = True

    def __init__(self, c_in, c_mid, c_out, stride, shortcut, groups):
        super().__init__()
        self.conv1 = nn.Conv3d(c_in, c_mid, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(c_mid)
        self.conv2 = nn.Conv3d(c_mid, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm3d(c_out)
        self.downsample = shortcut

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1x1, (grouped) 3x3x3 and 1x1x1 convolutions and a shortcut; with groups it is ResNeXt's block."""

    runs_in_order = True

    def __init__(self, c_in, c_mid, c_out, stride, shortcut, groups):
        super().__init__()
        self.conv1 = nn.Conv3d(c_in, c_mid, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(c_mid)
        self.conv2 = nn.Conv3d(c_mid, c_mid, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm3d(c_mid)
        self.conv3 = nn.Conv3d(c_mid, c_out, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(c_out)
        self.downsample = shortcut

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class _ZeroPad(nn.Module):
    """Shortcut type A: subsample, and fill the new channels with zeros (no weights)."""

    def __init__(self, c_out, stride):
        super().__init__()
        self.c_out, self.stride = c_out, stride

    def forward(self, x):
        x = F.avg_pool3d(x, 1, self.stride)
        return F.pad(x, (0, 0, 0, 0, 0, 0, 0, self.c_out - x.shape[1]))


# kind: (block, output channels of a block over the stage's width, first stage's width over the stem's)
_KINDS = {"basic": (BasicBlock, 1, 1), "bottleneck": (Bottleneck, 4, 1), "resnext": (Bottleneck, 2, 2)}


class ResNet3D(nn.Module):
    """3D ResNet or ResNeXt: float [B, 3, F, H, W] -> logits float [B, C].

    blocks: number of blocks in each stage; kind: basic, bottleneck or resnext; width: factor on all channels (1 is as
    published, with a stem of 64 channels); cardinality: groups of a ResNeXt block; shortcut: "A" (zero padding) or "B"
    (1x1x1 convolution).
    """

    runs_in_order = True

    def __init__(self, blocks, kind, num_classes, width=1.0, cardinality=32, shortcut="B"):
        super().__init__()
        block, expansion, first = _KINDS[kind]
        stem = round(64 * width)
        groups = cardinality if kind == "resnext" else 1
        self.conv1 = nn.Conv3d(3, stem, 7, (1, 2, 2), 3, bias=False)
        self.bn1 = nn.BatchNorm3d(stem)
        c_in = stem
        for stage, n in enumerate(blocks):
            c_mid = stem * first * 2**stage
            c_out = c_mid * expansion
            layer = []
            for i in range(n):
                stride = 2 if stage > 0 and i == 0 else 1
                short = None
                if stride != 1 or c_in != c_out:
                    if shortcut == "A":
                        short = _ZeroPad(c_out, stride)
                    else:
                        short = nn.Sequential(nn.Conv3d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm3d(c_out))
                layer.append(block(c_in, c_mid, c_out, stride, short, groups))
                c_in = c_out
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layer))
        self.fc = nn.Linear(c_in, num_classes)
        for m in self.modules():
            if isinstance(m, nn.Conv3d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out")

    def forward(self, x):
        x = self.bn1(self.conv1(x))  # (B, stem, F, H/2, W/2)
        x = F.relu(F.max_pool3d(x, 3, 2, 1))  # (B, stem, F/2, H/4, W/4); relu first is the same, but slower
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3, 4)))


def check_teacher_name(name):
    """Raises ValueError for a name that build_teacher does not know, without running anything."""
    if is_own(name):
        check_own(name)
    elif name not in TEACHER_NAMES:
        close = difflib.get_close_matches(str(name), TEACHER_NAMES, 1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise ValueError(
            f"teacher: {name!r} is unknown; {hint}expected one of {', '.join(TEACHER_NAMES)}, or a network of your "
            "own: my_networks.py:build, package.module:function"
        )


def _torchvision_teacher(name, num_classes):
    """torchvision's network, untrained, with the input that its published weights were made for."""
    from torchvision import models

    network = models.get_model(name, num_classes=num_classes)
    weights = models.get_model_weights(name).DEFAULT
    preset = weights.transforms()
    mean, std = (tuple(255 * v for v in values) for values in (preset.mean, preset.std))
    clip_len, rate = (re.search(rf"{key}=([\d.]+)", weights.meta["_docs"]) for key in ("clip_len", "frame_rate"))
    frames = int(clip_len[1]) if clip_len else weights.meta["min_temporal_size"]
    stride = round(KINETICS_FPS / float(rate[1])) if rate else 1
    network.input = Input(mean, std, frames, preset.crop_size[0], stride)
    return network


def build_teacher(name, num_classes, checkpoint=None, new_head=True, freeze_to=None, pixels="", **size):
    """The teacher gamma: a network that maps float [B, 3, F, H, W] to logits float [B, num_classes].

    name: one of TEACHERS, "inception_i3d", torchvision's name of a video network, or a function of the user's own (see
    build_own). checkpoint: a file for read_checkpoint; where it has another number of classes a new head stays
    untrained, with a warning (an error without new_head). freeze_to: the last stage not to train (see freeze). size:
    overrides what TEACHERS has for a 3D ResNet (blocks, width, cardinality, shortcut); the shortcut type is told by the
    checkpoint's keys.

    `network.input` says which pixels and clip it wants. Its normalisation is `pixels` (a name of PIXELS, or what else
    as_input takes) where given; else what the file of weights says: our own carry it, and those of Hara et al. have a
    form that it is guessed from; else the network's usual. One line is printed, and kept as `network.note`, where a
    file was read in another form than the network's own, or where its pixels may be of two kinds.

    Raises ValueError for an unknown name, stage or normalisation, or a file that does not fit.
    Any other module with this mapping is a teacher too: give it an `input` if its pixels are not DEFAULT's.
    """
    check_teacher_name(name)
    if size and name not in TEACHERS:
        raise ValueError(f"{', '.join(size)}: {_owner(name)}{name} has one size; expected none of these")
    weights = read_checkpoint(checkpoint) if checkpoint else None
    if name in TEACHERS:
        if weights:
            whole = any("layer4" in key for key in weights)
            keys = [k for part in ([weights] if whole else [w for _, w in weights.sets]) for k in part]
            size.setdefault("shortcut", "B" if any("downsample" in key for key in keys) else "A")
        network = ResNet3D(num_classes=num_classes, **{**TEACHERS[name], **size})
        network.input = HARA
    elif name == I3D:
        network = InceptionI3D(num_classes)
        network.input = Input(*PIXELS["signed"], 64, 224)
    elif name in TORCHVISION:
        network = _torchvision_teacher(name, num_classes)
    else:
        network = build_own(name, num_classes)
    take_weights(network, weights, checkpoint, new_head, pixels)
    if freeze_to:
        freeze(network, freeze_to)
    return network if is_own(name) else network.to(memory_format=LAYOUT)


def _owner(name):
    return "torchvision's " if name in TORCHVISION else ""


def take_weights(network, weights, checkpoint, new_head, pixels):
    """Puts the Weights of the file `checkpoint`, if any, and the pixels that go with them into the network."""
    network.note = ""
    of_file = weights.pixels if weights is not None else None
    if isinstance(of_file, str) and not isinstance(network, ResNet3D):
        of_file = None  # guessed from a form that this network's files do not have
    network.input = as_input(pixels or of_file or network.input, network.input)
    if weights is None:
        return
    load_weights(network, weights, checkpoint, new_head)
    if isinstance(network, ResNet3D) and not pixels and not weights.ours and not isinstance(of_file, Input):
        # there are two kinds of such files, and no file says which it is
        why = (
            f"guessed from the file's form ({weights.clue})"
            if of_file
            else "as usual (a guess: the file does not tell)"
        )
        note = f"pixels as {of_file or 'hara2018'}, {why}: check_pixels looks at it, `pixels` (teacher_pixels) chooses"
        network.note = f"{network.note}; {note}" if network.note else f"checkpoint: {checkpoint}: {note}"
    if network.note:
        print(network.note)
