"""Restored faces against the truth as a network sees them: distance of features, of single faces and of sets."""

from collections.abc import Callable

import numpy as np
import scipy.linalg
import torch
from torch import Tensor

from vidrestore.errors import RestorationError
from vidrestore.models.perceptual import feature_distance
from vidrestore.types import Float32, Float64

Describe = Callable[[Tensor], tuple[Tensor, ...]]
"""What `MobileNetV2Features` is: float32 [B, 3, H, W] RGB in [-1, 1] -> maps of features, the finest first."""


@torch.inference_mode()
def features_of(describe: Describe, images: Tensor) -> tuple[Tensor, ...]:
    """Compute the maps of uint8 [B, 3, H, W] RGB, on the device where network and images are."""
    return describe(signed(images))


def feature_distances(restored: tuple[Tensor, ...], truth: tuple[Tensor, ...]) -> Tensor:
    """Return the distance of the features of images, float64 [B] of 0 or more; 0 for identical images."""
    return feature_distance(restored, truth).double()


def signed(images: Tensor) -> Tensor:
    """Convert uint8 [B, 3, H, W] to float32 in [-1, 1], as networks take images.

    Channels lie innermost: MobileNetV2 is faster on a CPU with this layout.
    """
    if images.dtype != torch.uint8:
        raise RestorationError(f"images are {images.dtype}; wanted uint8, so that every restorer is judged quantised")
    return images.contiguous(memory_format=torch.channels_last).float() / 127.5 - 1


def frechet_distance(features_a: Float32 | Float64, features_b: Float32 | Float64) -> float:
    """Return the distance of two sets by mean and covariance of their features (Heusel et al. 2017), 0 or more.

    Args:
        features_a: pooled features [n, d], any n of 2 or more. With fewer faces than dimensions the covariance is
            singular: the distance then still orders sets of the same size, but its value depends on that size.
        features_b: pooled features [m, d] of the other set.

    Raises:
        RestorationError: the features have another shape, or are not finite.
    """
    first, second = _checked(features_a), _checked(features_b)
    if first.shape[1] != second.shape[1]:
        raise RestorationError(f"features have {first.shape[1]} and {second.shape[1]} dimensions; give the same kind")
    shift = first.mean(axis=0) - second.mean(axis=0)
    one, two = np.cov(first, rowvar=False, ddof=1), np.cov(second, rowvar=False, ddof=1)
    one, two = np.atleast_2d(one), np.atleast_2d(two)
    squared = float(shift @ shift) + float(np.trace(one) + np.trace(two)) - 2 * _trace_of_root(one, two)
    return max(0.0, squared)  # rounding takes equal sets a little below


def _trace_of_root(one: Float64, two: Float64) -> float:
    """Return the trace of the square root of a product of covariances, from the eigenvalues of a symmetric twin.

    With one = R R, the eigenvalues of (one two) are those of (R two R), which is symmetric: no complex roots, and
    none that fail on singular matrices, as they do when the root of the product is taken directly.
    """
    values, vectors = scipy.linalg.eigh(one)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    inner = root @ two @ root
    eigenvalues = scipy.linalg.eigvalsh((inner + inner.T) / 2)
    return float(np.sqrt(np.clip(eigenvalues, 0, None)).sum())


def _checked(features: Float32 | Float64) -> Float64:
    wide: Float64 = np.asarray(features, np.float64)
    if wide.ndim != 2 or len(wide) < 2 or not wide.shape[1]:  # noqa: PLR2004  [n, d], two for a covariance
        raise RestorationError(f"features are {list(wide.shape)}; wanted [n, d] with two faces or more")
    if not np.isfinite(wide).all():
        raise RestorationError(f"features [{len(wide)}, {wide.shape[1]}] hold NaN or infinite values; mend the network")
    return wide
