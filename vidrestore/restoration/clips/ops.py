"""Image operations on batches of float32 tensors, with the conventions of OpenCV's functions that they stand for.

The result for an image never depends on the other images of its batch. Shape suffixes: B batch, C channels, H and W
space; positions are (x, y) in pixels, centres at integers.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F  # noqa: N812  the name that every reader of network code expects
from torch import Tensor


def shrink(images_BCHW: Tensor, side: int) -> Tensor:
    """Average images down to [B, C, side, side], which divides their own size (INTER_AREA)."""
    factor = images_BCHW.shape[-1] // side
    return images_BCHW if factor == 1 else F.avg_pool2d(images_BCHW, factor)


def enlarge(images_BCHW: Tensor, side: int) -> Tensor:
    """Enlarge images to [B, C, side, side] (INTER_LINEAR)."""
    if images_BCHW.shape[-1] == side:
        return images_BCHW
    return F.interpolate(images_BCHW, size=(side, side), mode="bilinear", align_corners=False)


def gaussian_blur(images_BCHW: Tensor, sigma: float, *, taps: int | None = None) -> Tensor:
    """Blur images with a Gaussian; by default of as many taps as OpenCV takes for float images."""
    taps = taps or round(8 * sigma + 1) | 1
    return _separable(images_BCHW, _gaussian(sigma, taps, images_BCHW.device))


def box_blur(images_BCHW: Tensor, taps: int) -> Tensor:
    """Average images over squares of `taps` pixels."""
    return _separable(images_BCHW, _box(taps, images_BCHW.device))


def grey(images_B3HW: Tensor) -> Tensor:
    """Return luma [B, 1, H, W] of RGB images by BT.601's weights."""
    red, green, blue = images_B3HW.chunk(3, dim=1)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def positions(shift_B2HW: Tensor, side: int | None = None) -> Tensor:
    """Return [B, 2, side, side], where every pixel's point lies in the other image; exact where nothing moves.

    Args:
        shift_B2HW: displacement in pixels of its own grid.
        side: side of the square of pixels to return; that of the grid when not given.
    """
    grid = shift_B2HW.shape[-1]
    if side is not None and side != grid:
        resized = enlarge(shift_B2HW, side) if side > grid else shrink(shift_B2HW, side)
        shift_B2HW = resized * (side / grid)
    return shift_B2HW + _coordinates(side or grid, shift_B2HW.device)


def warp(images_BCHW: Tensor, places_B2HW: Tensor, *, replicate: bool = False) -> Tensor:
    """Sample images bilinearly at places in their own pixels; beyond the border they are zero, or their border's.

    Exact at whole pixels where the side of the image is a power of two.
    """
    side = images_BCHW.shape[-1]
    unit_BHW2 = ((places_B2HW * 2 + 1) / side - 1).permute(0, 2, 3, 1)
    mode = "border" if replicate else "zeros"
    return F.grid_sample(images_BCHW, unit_BHW2, mode="bilinear", padding_mode=mode, align_corners=False)


def median(values_BN: Tensor) -> Tensor:
    """Return the median of each row, [B]: the mean of the middle two where their number is even, as NumPy's."""
    ranked, count = values_BN.sort(dim=1).values, values_BN.shape[1]
    return (ranked[:, (count - 1) // 2] + ranked[:, count // 2]) / 2


def _separable(images_BCHW: Tensor, taps: Tensor) -> Tensor:
    """Convolve rows and columns with a symmetric kernel; the border is mirrored without its outermost pixel."""
    channels, reach = images_BCHW.shape[1], len(taps) // 2
    row, column = taps.expand(channels, 1, 1, -1), taps[:, None].expand(channels, 1, -1, 1)
    across = F.conv2d(F.pad(images_BCHW, (reach, reach, 0, 0), mode="reflect"), row, groups=channels)
    return F.conv2d(F.pad(across, (0, 0, reach, reach), mode="reflect"), column, groups=channels)


@lru_cache(maxsize=32)
def _gaussian(sigma: float, taps: int, device: torch.device) -> Tensor:
    offsets = torch.arange(taps, dtype=torch.float64) - taps // 2
    weights = torch.exp(-(offsets**2) / (2 * sigma**2))
    return (weights / weights.sum()).float().to(device)


@lru_cache(maxsize=8)
def _box(taps: int, device: torch.device) -> Tensor:
    return torch.full((taps,), 1 / taps, device=device)


@lru_cache(maxsize=4)
def cross(channels: int, device: torch.device) -> Tensor:
    """Return the kernel [channels, 1, 3, 3] of the mean of the four neighbours, for a grouped convolution."""
    kernel = torch.tensor([[0, 0.25, 0], [0.25, 0, 0.25], [0, 0.25, 0]], device=device)
    return kernel.expand(channels, 1, 3, 3).contiguous()


@lru_cache(maxsize=8)
def _coordinates(side: int, device: torch.device) -> Tensor:
    axis = torch.arange(side, dtype=torch.float32, device=device)
    return torch.stack(torch.meshgrid(axis, axis, indexing="xy"))
