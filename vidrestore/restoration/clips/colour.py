"""Low frequencies of colour and light, for many faces at once: the arithmetic of `restoration.face.colour_match`."""

from torch import Tensor

from vidrestore.restoration.clips import ops
from vidrestore.restoration.face.colour_match import CELLS, SIGMA_CELLS


def low_frequencies(images_B3SS: Tensor) -> Tensor:
    """Return the low frequencies, float32 [B, 3, 32, 32], of images float32."""
    return ops.gaussian_blur(ops.shrink(images_B3SS, CELLS), SIGMA_CELLS)


def mean_over_time(own: Tensor, others: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of values [B, ...] and of neighbours' [K, B, ...], weighted by the distance in time alone."""
    total = 1 + weights.sum(dim=0)
    return own + (weights * (others - own)).sum(dim=0) / total
