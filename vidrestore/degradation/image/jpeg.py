"""Simulation of JPEG's losses, with a separate quality for every sample of a batch.

The `JPEG_q` of GFP-GAN's equation 8; the reference encodes and decodes with OpenCV, that is with libjpeg. Followed here
step by step without the lossless half: ITU-T T.81 for the transform and annex K for the tables, JFIF for the colours,
libjpeg for scaling of tables, for chroma at half size both ways and for where values are rounded to 8 bits.

Shape suffixes: B batch, P planes, H and W space, N blocks of a sample, 64 an 8x8 block row by row.
"""

import functools
import math

import torch
import torch.nn.functional as F  # noqa: N812  the name that every reader of network code expects
from torch import Tensor

BLOCK = 8
MCU = 16
"""Pixels on a side of the smallest coded unit: two luma blocks across and down, one block of each chroma."""
WHITE = 255.0
MIDDLE = 128.0

# fmt: off
LUMA_TABLE = (
    16, 11, 10, 16, 24, 40, 51, 61,
    12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77,
    24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)
"""T.81, table K.1: quantisation steps of luma at quality 50, row by row."""
CHROMA_TABLE = (
    17, 18, 24, 47, 99, 99, 99, 99,
    18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99,
    *[99] * 32,
)
"""T.81, table K.2: the same for both chroma planes."""
# fmt: on
RGB_TO_YCC = ((0.299, 0.587, 0.114), (-0.168735892, -0.331264108, 0.5), (0.5, -0.418687589, -0.081312411))
"""JFIF's full-range YCbCr, without the offset of chroma."""


def compress(images_B3HW: Tensor, quality_B: Tensor) -> Tensor:
    """Encode and decode every picture.

    Args:
        images_B3HW: float32 [B, 3, H, W], RGB in [0, 1], clipped to it; H and W multiples of 16.
        quality_B: float32 [B], libjpeg's quality, 1 to 100, whole numbers.

    Returns:
        float32 [B, 3, H, W], RGB in [0, 1], multiples of 1/255.
    """
    sides = tuple(images_B3HW.shape[-2:])
    assert not any(side % MCU for side in sides), f"{sides} came; a JPEG canvas has sides that divide by {MCU}"  # noqa: S101
    luma_B1HW, chroma_B2HW = _to_ycc((images_B3HW.clamp(0, 1) * WHITE).round())
    luma_B1HW = _quantise(luma_B1HW, quantisation_steps(LUMA_TABLE, quality_B))
    chroma_B2hw = _quantise(_halve(chroma_B2HW), quantisation_steps(CHROMA_TABLE, quality_B))
    return _to_rgb(luma_B1HW, _double(chroma_B2hw)) / WHITE


def quantisation_steps(table: tuple[int, ...], quality_B: Tensor) -> Tensor:
    """Scale a table to each quality as libjpeg does: float32 [B, 64], whole numbers from 1 to 255."""
    percent_B = torch.where(quality_B < 50, (5000 / quality_B).floor(), 200 - 2 * quality_B)  # noqa: PLR2004  libjpeg's
    base_64 = _table(table, quality_B.device)
    return ((base_64 * percent_B[:, None] + 50) / 100).floor().clamp(1, WHITE)


def _table(table: tuple[int, ...], device: torch.device) -> Tensor:
    """Return a table on its device, float32 [64]; a compiler keeps it as a constant of the graph, without the cache."""
    if torch.compiler.is_compiling():
        return torch.tensor(table, dtype=torch.float32, device=device)
    return _kept_table(table, device)


@functools.cache
def _kept_table(table: tuple[int, ...], device: torch.device) -> Tensor:
    """Return a table on its device, copied once: a copy from the host's memory waits for the device."""
    return torch.tensor(table, dtype=torch.float32, device=device)


def transform_matrix(device: torch.device) -> Tensor:
    """Return the orthonormal 2-D DCT of a block written as a vector: float32 [64, 64], coefficients by pixels."""
    index_8 = torch.arange(BLOCK, device=device, dtype=torch.float64)
    wave_88 = torch.cos(math.pi / BLOCK * index_8[:, None] * (index_8 + 0.5)) * math.sqrt(2 / BLOCK)
    wave_88 = torch.where(index_8[:, None] == 0, math.sqrt(1 / BLOCK), wave_88)
    return torch.kron(wave_88, wave_88).float()


def _quantise(planes_BPHW: Tensor, steps_B64: Tensor) -> Tensor:
    """Quantise the DCT coefficients of grey levels; grey levels come back, whole numbers in [0, 255]."""
    transform = transform_matrix(planes_BPHW.device)
    coefficients_BN64 = _to_blocks(planes_BPHW - MIDDLE) @ transform.T
    steps_B164 = steps_B64[:, None]
    kept_BN64 = (coefficients_BN64 / steps_B164).round() * steps_B164
    planes_BPHW = _from_blocks(kept_BN64 @ transform, planes_BPHW)
    return (planes_BPHW + MIDDLE).round().clamp(0, WHITE)


def _to_blocks(planes_BPHW: Tensor) -> Tensor:
    """Split planes [B, P, H, W] into blocks [B, N, 64]."""
    batch, planes, height, width = planes_BPHW.shape
    tiles = planes_BPHW.reshape(batch, planes, height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    return tiles.transpose(3, 4).reshape(batch, -1, BLOCK * BLOCK)


def _from_blocks(blocks_BN64: Tensor, like_BPHW: Tensor) -> Tensor:
    """Join blocks [B, N, 64] into planes of the shape of `like_BPHW`."""
    batch, planes, height, width = like_BPHW.shape
    tiles = blocks_BN64.reshape(batch, planes, height // BLOCK, width // BLOCK, BLOCK, BLOCK)
    return tiles.transpose(3, 4).reshape(batch, planes, height, width)


def _to_ycc(levels_B3HW: Tensor) -> tuple[Tensor, Tensor]:
    """Convert RGB grey levels to luma [B, 1, H, W] and chroma [B, 2, H, W], whole numbers in [0, 255]."""
    red, green, blue = levels_B3HW.unbind(1)
    luma, blueness, redness = (r * red + g * green + b * blue for r, g, b in RGB_TO_YCC)
    chroma = torch.stack((blueness, redness), dim=1) + MIDDLE
    return luma.round()[:, None], chroma.round().clamp(0, WHITE)


def _to_rgb(luma_B1HW: Tensor, chroma_B2HW: Tensor) -> Tensor:
    """Convert luma and chroma back to RGB [B, 3, H, W], whole numbers in [0, 255]."""
    luma = luma_B1HW[:, 0]
    blueness, redness = (chroma_B2HW - MIDDLE).unbind(1)
    red = luma + 1.402 * redness
    green = luma - 0.344136286 * blueness - 0.714136286 * redness
    blue = luma + 1.772 * blueness
    return torch.stack((red, green, blue), dim=1).round().clamp(0, WHITE)


def _halve(chroma_B2HW: Tensor) -> Tensor:
    """Average 2x2 pixels to whole numbers; halves go down in even columns and up in odd ones, as in libjpeg."""
    sums = F.avg_pool2d(chroma_B2HW, 2, divisor_override=1)
    column_w = torch.arange(sums.shape[-1], device=sums.device)
    return ((sums + 1 + column_w % 2) / 4).floor()


def _double(chroma_B2hw: Tensor) -> Tensor:
    """Double the size as libjpeg's "fancy" upsampling does: 9, 3, 3 and 1 sixteenths of the nearest four, rounded."""
    doubled = F.interpolate(chroma_B2hw, scale_factor=2.0, mode="bilinear", align_corners=False)
    column_W = torch.arange(doubled.shape[-1], device=doubled.device)
    return (doubled + (8 - column_W % 2) / 16).floor()
