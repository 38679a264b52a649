"""Teachers: 3D ResNet and 3D ResNeXt, as published, and smaller ones by the same code.

Source: Hara, Kataoka, Satoh, "Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?"
(CVPR 2018), whose parameter names are kept so that its public checkpoints fit.
"""

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

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


class BasicBlock(nn.Module):
    """Two 3x3x3 convolutions and a shortcut."""

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
        x = F.relu(self.bn1(self.conv1(x)))  # (B, stem, F, H/2, W/2)
        x = F.max_pool3d(x, 3, 2, 1)  # (B, stem, F/2, H/4, W/4)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3, 4)))


def build_teacher(name, num_classes, checkpoint=None, **size):
    """The teacher gamma: a network that maps float [B, 3, F, H, W] to logits float [B, num_classes].

    name: one of TEACHERS; size: overrides what TEACHERS has for it (blocks, width, cardinality, shortcut).
    checkpoint: a safetensors file of ours. Raises ValueError for an unknown name or a file that does not fit.
    """
    if name not in TEACHERS:
        raise ValueError(f"teacher: {name!r} is unknown; expected one of {', '.join(TEACHERS)}")
    model = ResNet3D(num_classes=num_classes, **{**TEACHERS[name], **size})
    return load_weights(model, checkpoint) if checkpoint else model


def load_weights(model, checkpoint):
    """Loads the safetensors file `checkpoint` into `model` and returns it; nothing is loaded in part.

    Raises FileNotFoundError if there is no such file, ValueError naming the first keys that do not fit.
    """
    from safetensors.torch import load_file

    if not Path(checkpoint).is_file():
        raise FileNotFoundError(f"checkpoint: {checkpoint} does not exist")
    found, wanted = load_file(checkpoint), model.state_dict()
    missing = sorted(wanted.keys() - found.keys())
    unexpected = sorted(found.keys() - wanted.keys())
    misshaped = [
        f"{k} {tuple(found[k].shape)}, expected {tuple(wanted[k].shape)}"
        for k in sorted(wanted.keys() & found.keys())
        if found[k].shape != wanted[k].shape
    ]
    for what, keys in (("missing", missing), ("unexpected", unexpected), ("mis-shaped", misshaped)):
        if keys:
            raise ValueError(f"checkpoint: {checkpoint} does not fit: {len(keys)} {what} keys, first {keys[0]}")
    model.load_state_dict(found)
    return model


def to_input(clips, device=None):
    """uint8 clips [B, 3, F, H, W] -> float32 in about [-2, 2], in the memory layout that suits 3D convolutions.

    Kinetics' mean and standard deviation, as torchvision's video networks take them.
    """
    x = clips.to(device, memory_format=torch.channels_last_3d, non_blocking=True).float()
    mean = torch.tensor([0.43216, 0.394666, 0.37645], device=x.device).view(3, 1, 1, 1) * 255
    std = torch.tensor([0.22803, 0.22145, 0.216989], device=x.device).view(3, 1, 1, 1) * 255
    return (x - mean) / std
