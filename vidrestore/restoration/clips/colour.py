"""Colours of many faces at once: the arithmetic of `restoration.face.colour_match`."""

from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812  the name that every reader of network code expects
from torch import Tensor

from vidrestore.restoration.clips import ops
from vidrestore.restoration.face.colour_match import (
    BLUR_ERROR,
    CELLS,
    CHROMA_CELLS,
    FROM_CHROMA,
    GAIN_STEPS,
    LEAST_SATURATION,
    LEAST_SQUARE,
    NETWORK_ERRORS,
    NOISE_PEAK,
    OCTAVE_SIGMAS,
    OUTLIER,
    POWER_WINDOW,
    ROUNDING,
    SIGMA_CELLS,
    TO_CHROMA,
    face_cells,
)
from vidrestore.types import Float32


def low_frequencies(images_B3SS: Tensor) -> Tensor:
    """Return the low frequencies, float32 [B, 3, 32, 32], of images float32."""
    return ops.gaussian_blur(ops.shrink(images_B3SS, CELLS), SIGMA_CELLS)


def mean_over_time(own: Tensor, others: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of values [B, ...] and of neighbours' [K, B, ...], weighted by the distance in time alone."""
    total = 1 + weights.sum(dim=0)
    return own + (weights * (others - own)).sum(dim=0) / total


def resolved_chroma(originals_B3SS: Tensor, restored_B3SS: Tensor) -> Tensor:
    """Return changes float32 [B, 3, g, g] that give restored faces the colours that the video resolves.

    Args:
        originals_B3SS: RGB, 0..255.
        restored_B3SS: the same faces restored.
    """
    video, face = (_octaves(images.float()) for images in (originals_B3SS, restored_B3SS))
    inside = torch.from_numpy(face_cells(video[0].shape[-1]).copy()).to(video[0].device)
    gains = [_robust_gain(one[:, :, inside], other[:, :, inside]) for one, other in zip(video, face, strict=True)]
    saturation = gains[-1].clamp(min=LEAST_SATURATION)
    change = torch.zeros_like(video[0])
    for one, other, gain, error in zip(video, face, gains, NETWORK_ERRORS, strict=True):
        resolved = (gain / saturation).clamp(max=1)[:, None, None, None]
        difference = one - resolved * other
        around, shown = _power(difference), _power(other)
        typical, usual = ops.median(around[:, 0, inside])[:, None, None, None], error * error
        noise = (typical - usual).clamp(min=0)
        blurred = (BLUR_ERROR * (1 - resolved)).square() * shown
        excess = around - blurred - NOISE_PEAK * noise
        signal = torch.maximum(usual * usual / typical.clamp(min=usual), excess)
        change = change + signal / (signal + blurred + noise) * difference
    return _mixed(change, FROM_CHROMA)


def _octaves(images_B3SS: Tensor) -> list[Tensor]:
    side = min(CHROMA_CELLS, images_B3SS.shape[-1])
    levels = [_mixed(ops.shrink(images_B3SS, side), TO_CHROMA)]
    for sigma in OCTAVE_SIGMAS:
        levels.append(ops.gaussian_blur(levels[-1], sigma))
    levels.append(_mixed(ops.enlarge(low_frequencies(images_B3SS), side), TO_CHROMA))
    return [fine - coarse for fine, coarse in pairwise(levels)]


def _power(chroma_B2HW: Tensor) -> Tensor:
    return ops.box_blur(chroma_B2HW.square().sum(dim=1, keepdim=True), POWER_WINDOW)


def _robust_gain(video_B2N: Tensor, face_B2N: Tensor) -> Tensor:
    product, square = (video_B2N * face_B2N).sum(dim=1), face_B2N.square().sum(dim=1)
    weights, gain = torch.ones_like(product), product.new_zeros(len(product))
    for step in range(GAIN_STEPS):
        if step:
            error = (video_B2N - gain[:, None, None] * face_B2N).square().sum(dim=1)
            weights = 1 / (1 + (error / (OUTLIER * (ops.median(error)[:, None] + ROUNDING))).square())
        gain = (_sum_of_each(weights * product) / (_sum_of_each(weights * square) + LEAST_SQUARE)).clamp(0, 1)
    return gain


def _sum_of_each(values_BN: Tensor) -> Tensor:
    """Sum rows in an order of its own: a kernel's order depends on how many rows there are, and so would last bits."""
    while values_BN.shape[1] > 1:
        half = (values_BN.shape[1] + 1) // 2
        first, second = values_BN[:, :half], values_BN[:, half:]
        values_BN = first + F.pad(second, (0, half - second.shape[1]))
    return values_BN[:, 0]


def _mixed(images_BCHW: Tensor, matrix: Float32) -> Tensor:
    """Multiply the channels of images by a matrix; written out, so that an image's result is its own alone."""
    rows = [
        sum(weight * plane for weight, plane in zip(row, images_BCHW.unbind(1), strict=True)) for row in matrix.tolist()
    ]
    return torch.stack(rows, dim=1)
