"""The student: 3D ShuffleNetV2 with a shared trunk, a classification head and a confidence head.

Source: Kopuklu, Kose, Gunduz, Rigoll, "Resource Efficient 3D Convolutional Neural Networks" (ICCV workshops 2019),
whose parameter names are kept (down to `banch`) so that its public checkpoints fit.
"""

import torch
from torch import nn
from torch.nn import functional as F

from condi_lib.models.checkpoints import read_checkpoint
from condi_lib.models.inputs import HARA, LAYOUT
from condi_lib.models.teacher import take_weights

# width: output channels of stages 2 to 4 and of the last convolution; the stem always has 24
WIDTHS = {
    0.25: (32, 64, 128, 1024),
    0.5: (48, 96, 192, 1024),
    1.0: (116, 232, 464, 1024),
    1.5: (176, 352, 704, 1024),
    2.0: (224, 488, 976, 2048),
}
REPEATS = (4, 8, 4)  # units of each stage, as published


def _conv_bn(c_in, c_out, kernel=1, stride=1, groups=1, relu=True):
    layers = [nn.Conv3d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm3d(c_out)]
    return [*layers, nn.ReLU(inplace=True)] if relu else layers


def channel_shuffle(x, groups=2):
    """[B, C, F, H, W] -> the same shape, channels of the groups interleaved."""
    b, c, f, h, w = x.shape
    return x.view(b, groups, c // groups, f, h, w).transpose(1, 2).reshape(b, c, f, h, w)


class ShuffleUnit(nn.Module):
    """ShuffleNetV2's unit: stride 2 runs both branches on all channels, stride 1 runs one on half of them."""

    def __init__(self, c_in, c_out, stride):
        super().__init__()
        half = c_out // 2
        if stride == 2:
            depthwise = _conv_bn(c_in, c_in, 3, 2, groups=c_in, relu=False)
            self.banch1 = nn.Sequential(*depthwise, *_conv_bn(c_in, half))
        else:
            self.banch1 = None
            c_in = half
        self.banch2 = nn.Sequential(
            *_conv_bn(c_in, half), *_conv_bn(half, half, 3, stride, groups=half, relu=False), *_conv_bn(half, half)
        )

    def forward(self, x):
        if self.banch1 is None:
            kept, x = x.chunk(2, 1)
        else:
            kept = self.banch1(x)
        return channel_shuffle(torch.cat((kept, self.banch2(x)), 1))


def _float32_to_score(network, x):
    """Autocast is for training: of the clips that bf16 scores choose, 2 in 100 would be others (tests/test_fast.py)."""
    device = x.device.type
    return torch.autocast(device, enabled=network.training and torch.is_autocast_enabled(device))


class ShuffleNetV2(nn.Module):
    """float [B, 3, F, H, W] -> (class logits float [B, C], confidence logit float [B])."""

    def __init__(self, width, num_classes, repeats=REPEATS):
        super().__init__()
        *stages, last = WIDTHS[width]
        self.conv1 = nn.Sequential(*_conv_bn(3, 24, 3, (1, 2, 2), relu=False))
        units, c_in = [], 24
        for c_out, n in zip(stages, repeats, strict=True):
            for i in range(n):
                units.append(ShuffleUnit(c_in, c_out, 2 if i == 0 else 1))
                c_in = c_out
        self.features = nn.Sequential(*units)
        self.conv_last = nn.Sequential(*_conv_bn(c_in, last))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, num_classes))
        self.confidence = nn.Linear(last, 1)

    def trunk(self, x):
        """float [B, 3, F, H, W] -> features [B, last] that both heads share."""
        x = F.relu(F.max_pool3d(self.conv1(x), 3, 2, 1))  # (B, 24, F/2, H/4, W/4); relu first is the same, but slower
        return self.conv_last(self.features(x)).mean((2, 3, 4))

    def forward(self, x):
        with _float32_to_score(self, x):
            x = self.trunk(x)
            return self.classifier(x), self.confidence(x).squeeze(1)


def build_student(width, num_classes, checkpoint=None, new_head=True, repeats=REPEATS, pixels=""):
    """The student phi at a published width (0.25, 0.5, 1.0, 1.5, 2.0): [B, 3, F, H, W] -> ([B, C], [B]).

    checkpoint: a file for read_checkpoint; heads that it lacks (the public ones have no confidence head), or has for
    another number of classes, stay untrained, with a warning (an error without new_head). repeats: units of the three
    stages (on 32 x 32 clips most of the published 16 units see a single position, and training hardly starts). pixels,
    network.input, network.note: see build_teacher. Raises ValueError for another width or a file that does not fit.
    """
    if width not in WIDTHS:
        raise ValueError(f"student_width: {width!r} is not published; expected one of {', '.join(map(str, WIDTHS))}")
    network = ShuffleNetV2(width, num_classes, repeats)
    network.input = HARA
    take_weights(network, read_checkpoint(checkpoint) if checkpoint else None, checkpoint, new_head, pixels)
    return network.to(memory_format=LAYOUT)


MC_PASSES = 10  # stochastic passes of Monte Carlo dropout


class MonteCarloDropout(nn.Module):
    """A student with stochastic passes beside the plain one: (class logits [B, C], confidence logit [B], probs [B, C]).

    probs: the mean softmax of MC_PASSES passes with dropout active (Gal and Ghahramani 2016, arXiv 1506.02142). The
    student's only dropout is the one before its classifier, so that the passes can share the trunk. Draws come from
    torch's global random state.
    """

    def __init__(self, student):
        super().__init__()
        self.student, self.input = student, student.input

    def forward(self, x):
        with _float32_to_score(self, x):
            features = self.student.trunk(x)
            logits, confidence = self.student.classifier(features), self.student.confidence(features).squeeze(1)
            probs = logits  # of drop_class_head: [B, 0]
            if logits.shape[1]:
                dropout, head = self.student.classifier
                passes = F.dropout(features.expand(MC_PASSES, -1, -1), dropout.p, training=True)
                probs = head(passes).softmax(-1).mean(0)
            return logits, confidence, probs


class AsTeacher(nn.Module):
    """A student as a plain clip classifier: float [B, 3, F, H, W] -> class logits [B, C]."""

    def __init__(self, student):
        super().__init__()
        self.student, self.input = student, student.input

    def forward(self, x):
        return self.student(x)[0]


class _NoClasses(nn.Module):
    def forward(self, x):
        return x[:, :0]


def drop_class_head(student):
    """The student without its classification head, for where the teacher classifies all: class logits [B, 0]."""
    student.classifier = _NoClasses()
    return student
