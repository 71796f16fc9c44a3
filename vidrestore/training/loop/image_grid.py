"""Grids of faces for the log of a training."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vidrestore.types import UInt8


def to_levels(images_B3HW: Tensor) -> UInt8:
    """Convert RGB in [-1, 1] to uint8 [B, H, W, 3]; values outside are clipped."""
    levels = ((images_B3HW.detach().float() + 1) * 127.5).round().clamp(0, 255)
    array: UInt8 = levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return array


def tiled(pictures: UInt8 | Sequence[UInt8], *, columns: int) -> UInt8:
    """Tile images of equal size, uint8 [H, W, 3] each, row by row; the last row is filled with black."""
    rows = []
    for first in range(0, len(pictures), columns):
        row = list(pictures[first : first + columns])
        row += [np.zeros_like(row[0])] * (columns - len(row))
        rows.append(np.concatenate(row, axis=1))
    return np.concatenate(rows, axis=0)
