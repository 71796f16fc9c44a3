"""Down- and up-scaling with another ratio for every sample of a batch, as OpenCV does it.

The `downsample_r` of GFP-GAN's equation 8 and the way back. Images of many sizes cannot share a batch, so a small image
lives in the top-left corner of a canvas of the full size, its last row and column repeated beyond it. Resizing is
separable: out = vertical @ image @ horizontal^T, with one matrix a sample and axis, built where the ratios live. Two
batched products of 256x256 matrices cost less than gathering a batch's pixels one by one, whatever the mode.

Pixel centres are at integers plus one half, and no mode but "area" smooths before it shrinks.

Shape suffixes: B batch, C channels, H and W space, O output index, I input index.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from vidrestore.errors import ConfigError

Mode = Literal["bilinear", "bicubic", "area"]
"""cv2.INTER_LINEAR (what the reference uses, down and up), cv2.INTER_CUBIC and cv2.INTER_AREA."""

CUBIC = -0.75
"""The slope at distance one of OpenCV's bicubic kernel."""


def small_side(side: int, ratio_B: Tensor) -> Tensor:
    """Return round(side / ratio) pixels, at least one: float32 [B], whole numbers."""
    return (side / ratio_B).round().clamp(min=1, max=side)


def downscale(images_BCHW: Tensor, ratio_B: Tensor, *, modes: Sequence[Mode], mode_B: Tensor) -> Tensor:
    """Shrink every image by its own ratio.

    Args:
        images_BCHW: float32, any range.
        ratio_B: float32 [B], at least one: full side over small side.
        modes: the modes at choice.
        mode_B: int64 [B], which of them each sample takes.

    Returns:
        float32 [B, C, H, W]: the small image, `small_side` rows and columns, and its edge repeated beyond.
    """
    height, width = images_BCHW.shape[-2:]
    matrices = {
        side: _choose([downscale_matrix(side, small_side(side, ratio_B), mode) for mode in modes], mode_B)
        for side in {height, width}  # one matrix serves both axes of a square
    }
    return _apply(images_BCHW, matrices[height], matrices[width])


def upscale(images_BCHW: Tensor, ratio_B: Tensor, *, modes: Sequence[Mode], mode_B: Tensor) -> Tensor:
    """Stretch the small images that `downscale` left in the corner to the whole canvas; it reads nothing beyond them.

    Arguments as in `downscale`, without "area". float32 [B, C, H, W]; bicubic overshoots the input's range.
    """
    height, width = images_BCHW.shape[-2:]
    matrices = {
        side: _choose([upscale_matrix(side, small_side(side, ratio_B), mode) for mode in modes], mode_B)
        for side in {height, width}  # one matrix serves both axes of a square
    }
    return _apply(images_BCHW, matrices[height], matrices[width])


def repeat_edges(images_BCHW: Tensor, ratio_B: Tensor) -> Tensor:
    """Overwrite what lies beyond each small image with its last row and column, as `downscale` leaves it."""
    height, width = images_BCHW.shape[-2:]
    row_BH = _index(height, small_side(height, ratio_B)).long()
    column_BW = _index(width, small_side(width, ratio_B)).long()
    images = images_BCHW.gather(2, row_BH[:, None, :, None].expand_as(images_BCHW))
    return images.gather(3, column_BW[:, None, None, :].expand_as(images_BCHW))


def downscale_matrix(side: int, small_B: Tensor, mode: Mode) -> Tensor:
    """Return the weight of each input pixel (column) in each output pixel (row), float32 [B, side, side].

    Rows from `small_B` on repeat the last one of the small image.
    """
    output_BO = _index(side, small_B)
    ratio_B1 = side / small_B[:, None]
    if mode == "area":
        return _overlap(output_BO, ratio_B1, side)
    return _weights(mode, (output_BO + 0.5) * ratio_B1 - 0.5, torch.full_like(small_B, side - 1), side)


def upscale_matrix(side: int, small_B: Tensor, mode: Mode) -> Tensor:
    """Return the matrix from the first `small_B` pixels to all of them, laid out as `downscale_matrix` does."""
    if mode == "area":
        raise ConfigError('mode "area" came for enlarging, where it has no meaning; take "bilinear" or "bicubic"')
    output_O = torch.arange(side, device=small_B.device, dtype=small_B.dtype)
    return _weights(mode, (output_O + 0.5) * (small_B[:, None] / side) - 0.5, small_B - 1, side)


def _index(side: int, small_B: Tensor) -> Tensor:
    """Return 0, 1, ... to the last pixel of the small image, then that one repeated: float32 [B, side]."""
    index_O = torch.arange(side, device=small_B.device, dtype=small_B.dtype)
    return torch.minimum(index_O, small_B[:, None] - 1)


def _weights(mode: Mode, position_BO: Tensor, last_B: Tensor, side: int) -> Tensor:
    """Interpolate at these input indices: weights float32 [B, O, I], taps beyond 0 and `last_B` moved to the edge."""
    input_I = torch.arange(side, device=last_B.device, dtype=last_B.dtype)
    last_B1 = last_B[:, None]
    if mode == "bilinear":
        position_BO1 = torch.minimum(position_BO.clamp(min=0), last_B1)[..., None]
        return (1 - (position_BO1 - input_I).abs()).clamp(min=0)
    tap_J = torch.arange(-2, side + 2, device=last_B.device, dtype=last_B.dtype)  # two beyond either end
    weight_BOJ = _cubic(position_BO[..., None] - tap_J)
    within_B1J = (tap_J <= last_B1)[:, None]
    before_BO1 = weight_BOJ[..., :2].sum(dim=2, keepdim=True)
    after_BO1 = weight_BOJ.masked_fill(within_B1J, 0).sum(dim=2, keepdim=True)
    inside_BOI = weight_BOJ.masked_fill(~within_B1J, 0)[..., 2:-2]
    return inside_BOI + before_BO1 * (input_I == 0) + after_BO1 * (input_I == last_B1)[:, None]


def _cubic(distance: Tensor) -> Tensor:
    """Evaluate Keys' cubic convolution kernel with slope `CUBIC`, any shape."""
    t = distance.abs()
    near = ((CUBIC + 2) * t - (CUBIC + 3)) * t * t + 1
    far = ((t - 5) * t + 8) * t * CUBIC - 4 * CUBIC
    return torch.where(t <= 1, near, torch.where(t < 2, far, 0.0))  # noqa: PLR2004  its support


def _overlap(output_BO: Tensor, ratio_B1: Tensor, side: int) -> Tensor:
    """Return the share of each input pixel in the stretch that an output pixel covers, float32 [B, O, I]."""
    input_I = torch.arange(side, device=output_BO.device, dtype=output_BO.dtype)
    start_BO1 = (output_BO * ratio_B1)[..., None]
    shared_BOI = torch.minimum(start_BO1 + ratio_B1[..., None], input_I + 1) - torch.maximum(start_BO1, input_I)
    return shared_BOI.clamp(min=0) / ratio_B1[..., None]


def _choose(matrices_BOI: Sequence[Tensor], choice_B: Tensor) -> Tensor:
    """Choose one of several matrices for each sample, [B, O, I]."""
    chosen_BOI = matrices_BOI[0]
    for index, matrix_BOI in enumerate(matrices_BOI[1:], start=1):
        chosen_BOI = torch.where((choice_B == index)[:, None, None], matrix_BOI, chosen_BOI)
    return chosen_BOI


def _apply(images_BCHW: Tensor, vertical_BHH: Tensor, horizontal_BWW: Tensor) -> Tensor:
    """Compute vertical @ image @ horizontal^T of every channel, [B, C, H, W]."""
    # Channels stacked along the rows: one product a sample, where broadcasting would copy the matrix for each.
    across_BCHW = (images_BCHW.flatten(1, 2) @ horizontal_BWW.mT).view_as(images_BCHW)
    return vertical_BHH[:, None] @ across_BCHW
