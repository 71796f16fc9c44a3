"""Optical flow between crops of a face, for many pairs at once.

The combined local-global method (Bruhn, Weickert and Schnoerr 2005): least squares over a small window as in Lucas and
Kanade's method, held together by a smoothness term as in Horn and Schunck's. Its equations are solved on ever smaller
cells, first for one motion of the whole crop, and on each by a few steps of Jacobi's method, which a GPU does for all
pixels of all pairs at once. In the space of aligned crops little moves, and that smoothly, so one small image suffices.
The mean of each window is left out: a lamp that flickers is no motion. docs/benchmarks/parts.md compares it with the
dense inverse search that the CPU uses (`restoration.temporal.flow`).
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F  # noqa: N812  the name that every reader of network code expects
from torch import Tensor

from vidrestore.restoration.clips import ops
from vidrestore.restoration.temporal.flow import RETURN_PIXELS

_SIDE = 32
"""Side of the images in pixels: finer ones follow the noise of the video."""
_WARPS = 3
"""Number of times that the equations are made again, from the image warped so far."""
_ITERATIONS = 5
"""Number of steps of Jacobi's method on each size of cells."""
_WINDOW_SIGMA = 1.0
"""Standard deviation in pixels of the window of the least squares."""
_SMOOTHNESS = 1e4
"""Weight of the smoothness, in squared levels per squared pixel, as structure tensors are."""
_NOISE = 5.0
"""Addition to the structure tensors, in the same unit: where there is none, nothing moves."""


def optical_flow(from_B1GG: Tensor, to_B1GG: Tensor) -> Tensor:
    """Find for every pixel where the point that it shows lies in another image.

    Args:
        from_B1GG: grey levels, float32 [B, 1, G, G], 0..255; G is a multiple of 32.
        to_B1GG: as many images that show the same a moment later or earlier.

    Returns:
        float32 [B, 2, G, G], shift (x, y) in pixels; exactly 0 between equal images.
    """
    here, there = ops.shrink(from_B1GG, _SIDE), ops.shrink(to_B1GG, _SIDE)
    slope = _gradient(here)
    mean_slope = _window(slope)
    squares = _window(slope.square()) - mean_slope.square()
    product = _window(slope[:, :1] * slope[:, 1:]) - mean_slope[:, :1] * mean_slope[:, 1:]
    structure = torch.cat([squares + _NOISE, product], dim=1)
    systems = [_System.of(ops.shrink(structure, 1 << power)) for power in range(_SIDE.bit_length())]
    flow = torch.zeros_like(slope)
    for _ in range(_WARPS):
        error = ops.warp(there, ops.positions(flow), replicate=True) - here
        both = _window(torch.cat([error, slope * error], dim=1))
        flow = flow + _step(systems, both[:, 1:] - mean_slope * both[:, :1], flow)
    grid = from_B1GG.shape[-1]
    return ops.enlarge(flow, grid) * (grid / _SIDE)


def confidence(there_B2GG: Tensor, back_B2GG: Tensor) -> Tensor:
    """Return how well the path there and back ends where it began, float32 [B, 1, G, G], 0..1."""
    miss = there_B2GG + ops.warp(back_B2GG, ops.positions(there_B2GG), replicate=True)
    return torch.exp(miss.square().sum(dim=1, keepdim=True) / -(RETURN_PIXELS**2))


class _System(NamedTuple):
    """The equations for the step u on cells of one size: structure u + residual = smoothness (mean around - here).

    `mean around` and `here` are those of flow + u. The matrix that Jacobi's method inverts is structure + smoothness.
    """

    left: Tensor
    """float32 [B, 2, n, n]: first column of the inverse."""
    right: Tensor
    """float32 [B, 2, n, n]: second column."""
    smoothness: float

    @classmethod
    def of(cls, structure: Tensor) -> Self:
        """Invert the structure tensors [B, 3, n, n]: xx, yy, xy. A single cell has no others to be smooth with."""
        smoothness = _SMOOTHNESS if structure.shape[-1] > 1 else 0.0
        xx, yy, xy = structure.chunk(3, dim=1)
        xx, yy = xx + smoothness, yy + smoothness
        determinant = xx * yy - xy * xy
        left, right = torch.cat([yy, -xy], dim=1) / determinant, torch.cat([-xy, xx], dim=1) / determinant
        return cls(left, right, smoothness)


def _step(systems: Sequence[_System], residual: Tensor, flow: Tensor) -> Tensor:
    """Solve for the step of the flow [B, 2, N, N]."""
    step = torch.zeros_like(flow[:, :, :1, :1])
    for left, right, smoothness in systems:
        cells = left.shape[-1]
        step, before, known = ops.enlarge(step, cells), ops.shrink(flow, cells), -ops.shrink(residual, cells)
        for _ in range(_ITERATIONS if smoothness else 1):
            wanted = known
            if smoothness:
                wanted = known + smoothness * (_mean_around(before + step) - before)
            step = left * wanted[:, :1] + right * wanted[:, 1:]
    return step


def _window(values: Tensor) -> Tensor:
    return ops.gaussian_blur(values, _WINDOW_SIGMA)


def _gradient(images_B1NN: Tensor) -> Tensor:
    """Return central differences (x, y), [B, 2, N, N]."""
    padded = F.pad(images_B1NN, (1, 1, 1, 1), mode="replicate")
    across = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
    down = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    return torch.cat([across, down], dim=1) / 2


def _mean_around(flow: Tensor) -> Tensor:
    """Return the mean of the four neighbours of each cell; at the border a cell is its own neighbour."""
    padded = F.pad(flow, (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, ops.cross(flow.shape[1], flow.device), groups=flow.shape[1])
