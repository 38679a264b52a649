"""Columns of vectors that memory need not hold."""

from pathlib import Path

import numpy as np
import torch


class RowsOnDisk:
    """Rows of float32 [M, C] in a file of plain bytes, read where they are asked for: a column of a ClipDataset.

    digest: says what they are, for checkpoints of training.
    """

    def __init__(self, path, width, digest):
        self.path, self.digest, size = Path(path), digest, Path(path).stat().st_size
        self.shape = (size // (4 * width), width)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, index):
        """The rows of an int64 [B] or bool [M] tensor: float32 [B, C]."""
        numbers = index.nonzero().flatten() if index.dtype == torch.bool else index
        rows = np.memmap(self.path, np.float32, "r", shape=self.shape)  # anew each time: its pages count as memory
        return torch.from_numpy(rows[numbers.numpy()])
