"""A frame of a video against the truth within a region: PSNR and SSIM of some of its pixels.

Pictures are uint8 [h, w, 3] RGB, regions bool [h, w]. All functions are pure.
"""

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vidrestore.errors import RestorationError
from vidrestore.types import Float32, UInt8

Region = NDArray[np.bool_]
"""bool [h, w]: which pixels count."""

LEAST_PIXELS: Final = 64
"""A region of fewer pixels is not measured: its mean would be chance."""

_SIGMA: Final = 1.5
_WINDOW: Final = (11, 11)
_LUMINANCE, _CONTRAST = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def region_psnr(picture: UInt8, truth: UInt8, region: Region) -> float | None:
    """Return the peak signal to noise ratio over the pixels of a region, dB; infinite where they are identical.

    Higher is closer. None for a region of fewer than `LEAST_PIXELS`.

    Raises:
        RestorationError: the pictures are not of one shape.
    """
    _check(picture, truth)
    if not measurable(region):
        return None
    error = float(np.square(picture[region].astype(np.float64) - truth[region]).mean())
    return 10 * math.log10(255**2 / error) if error else math.inf


def region_mean(values: Float32, region: Region) -> float | None:
    """Return the mean of values [h, w] over a region; None for a region of fewer than `LEAST_PIXELS`."""
    return float(values[region].mean(dtype=np.float64)) if measurable(region) else None


def measurable(region: Region) -> bool:
    """Return whether a region holds enough pixels for a mean."""
    return int(np.count_nonzero(region)) >= LEAST_PIXELS


def ssim_map(picture: UInt8, truth: UInt8) -> Float32:
    """Compute the structural similarity around every pixel (Wang et al. 2004): float32 [h, w] in [-1, 1], 1: identical.

    Gaussian window of 11 x 11 and sigma 1.5, mean over R, G and B. Windows reach over the border of a region, so that
    its edge counts, and are mirrored at the border of the picture.

    Raises:
        RestorationError: the pictures are not of one shape.
    """
    _check(picture, truth)
    x, y = picture.astype(np.float32), truth.astype(np.float32)
    mean_x, mean_y = _blur(x), _blur(y)
    xx, yy, xy = mean_x * mean_x, mean_y * mean_y, mean_x * mean_y
    variances = (_blur(x * x) - xx) + (_blur(y * y) - yy)
    structure = (2 * (_blur(x * y) - xy) + _CONTRAST) / (variances + _CONTRAST)
    similarity: Float32 = (structure * ((2 * xy + _LUMINANCE) / (xx + yy + _LUMINANCE))).mean(axis=2)
    return similarity


def _blur(values: Float32) -> Float32:
    return np.asarray(cv2.GaussianBlur(values, _WINDOW, _SIGMA, borderType=cv2.BORDER_REFLECT_101), np.float32)


def _check(picture: UInt8, truth: UInt8) -> None:
    if picture.shape != truth.shape or picture.ndim != 3 or picture.dtype != np.uint8:  # noqa: PLR2004  RGB
        raise RestorationError(
            f"pictures are {picture.dtype} {list(picture.shape)} and {truth.dtype} {list(truth.shape)}; "
            "wanted uint8 [h, w, 3] twice"
        )
