"""Steadiness of a video: changes from frame to frame that the truth does not show.

Luma is float32 [h, w] in grey levels, 0..255; regions are bool [h, w]. All functions are pure. Blur lowers warp
error and flicker both: show sharpness with them.
"""

from typing import Final

import cv2
import numpy as np
from torch import Tensor

from vidrestore.errors import RestorationError
from vidrestore.evaluation.metrics.features import feature_distances
from vidrestore.evaluation.metrics.flow import Motion, warp
from vidrestore.evaluation.metrics.regions import Region, measurable
from vidrestore.types import Float32, UInt8

STILL_LEVELS: Final = 2.0
"""Grey levels by which the truth may change where it counts as still: what a codec of good quality does."""
STILL_PIXELS: Final = 0.25
"""Pixels by which the truth may move where it counts as still."""
_AROUND: Final = (5, 5)
"""Window in pixels around a still pixel that must be still too: an edge that moves changes only itself."""


def luma(picture: UInt8) -> Float32:
    """Convert uint8 [h, w, 3] RGB to float32 [h, w], grey levels 0..255 by ITU-R BT.601, unrounded."""
    return np.asarray(cv2.cvtColor(picture.astype(np.float32), cv2.COLOR_RGB2GRAY), np.float32)


def warp_error(now: Float32, before: Float32, motion: Motion, region: Region) -> float | None:
    """Return the mean absolute difference of a frame and its predecessor, moved with the truth; grey levels 0..255.

    After Lai et al. 2018, who sum squares: the mean over the region's pixels that the truth shows in both frames of
    |now(p) - before(p + motion(p))|. Lower is steadier; 0 for a frozen video. A perfect video does not reach 0, since
    flow and interpolation err: compare with the truth's own. None where fewer than 64 pixels are left.
    """
    return mean_change(now, warp(before, motion.to_before), region & motion.visible)


def mean_change(now: Float32, before: Float32, region: Region) -> float | None:
    """Return the mean absolute difference of two frames over a region, grey levels 0..255.

    Over still pixels of the truth this is *flicker*: lower is steadier; 0 for a frozen video. None where the region
    holds fewer than 64 pixels.
    """
    _check(now, before)
    return float(np.abs(now[region] - before[region]).mean(dtype=np.float64)) if measurable(region) else None


def still_pixels(now: Float32, before: Float32, motion: Motion) -> Region:
    """Return where the truth neither changes nor moves between two frames.

    There it changes by `STILL_LEVELS` at most in all pixels of a window of 5 x 5, after a Gaussian blur of sigma 1 px
    against grain, and moves by `STILL_PIXELS` at most.
    """
    _check(now, before)
    change = np.abs(cv2.GaussianBlur(now, (0, 0), 1.0) - cv2.GaussianBlur(before, (0, 0), 1.0))
    around = cv2.dilate(change, np.ones(_AROUND, np.uint8))
    speed = np.square(motion.to_before).sum(axis=2)
    still: Region = (np.asarray(around) <= STILL_LEVELS) & (speed <= STILL_PIXELS**2) & motion.visible
    return still


def temporal_feature_distances(
    now: tuple[Tensor, ...], before: tuple[Tensor, ...], truth_now: tuple[Tensor, ...], truth_before: tuple[Tensor, ...]
) -> Tensor:
    """Return |d(now, before) - d(truth now, truth before)| of aligned faces, float64 [B], 0 or more; 0 is best.

    After tLP of Chu et al. 2020, with the distance of `features.feature_distances` (MobileNetV2) in place of LPIPS: how
    much more, or less, a face changes than it should. Each argument is a result of `features.features_of`.
    """
    return (feature_distances(now, before) - feature_distances(truth_now, truth_before)).abs()


def _check(now: Float32, before: Float32) -> None:
    if now.shape != before.shape or now.ndim != 2:  # noqa: PLR2004  [h, w]
        raise RestorationError(f"luma is {list(now.shape)} and {list(before.shape)}; wanted [h, w] twice")
