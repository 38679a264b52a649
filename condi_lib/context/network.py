"""A network over all clips of a video: how far to trust the teacher on each, and the video's class."""

import torch
from torch import nn
from torch.nn import functional as F


class ContextNetwork(nn.Module):
    """float [B, N, D] and mask bool [B, N] -> (z~ logits [B, N], attention [B, N], class logits [B, N, C]).

    The clips of a video exchange what they show by self-attention without positions, so that permuting them permutes
    the outputs; with between=False each clip is read by itself. Attention is over the real clips and sums to one;
    padding is never attended to, and its outputs are 0. The video's classes are those pooled by attention (`pooled`).
    mean, std: of the training clips' features, float [D].
    """

    def __init__(self, mean, std, num_classes, width=96, layers=2, heads=4, dropout=0.2, between=True):
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.as_tensor(std, dtype=torch.float32))
        self.between = between
        self.reduce = nn.Sequential(nn.Linear(len(self.mean), width), nn.GELU(), nn.Dropout(dropout))
        if between:
            layer = nn.TransformerEncoderLayer(
                width, heads, 2 * width, dropout, F.gelu, batch_first=True, norm_first=True
            )
            self.body = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        else:
            each = [nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout)]
            self.body = nn.Sequential(*(module for _ in range(layers) for module in each))
        self.confidence, self.attention = nn.Linear(width, 1), nn.Linear(width, 1)
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, features, mask):
        x = self.reduce((features.float() - self.mean) / self.std)
        x = self.body(x, src_key_padding_mask=~mask) if self.between else self.body(x)
        attention = self.attention(x).squeeze(-1).masked_fill(~mask, -torch.inf).softmax(-1)
        confidence = self.confidence(x).squeeze(-1).masked_fill(~mask, 0)
        return confidence, attention, self.classifier(x) * mask[..., None]


def pooled(attention, class_logits):
    """Class logits of the video: the clips' [B, N, C], weighted by attention [B, N] -> [B, C]."""
    return (attention[..., None] * class_logits).sum(1)
