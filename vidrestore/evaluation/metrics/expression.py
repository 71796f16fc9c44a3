"""Whether a face does what the truth does: mouth and eyes opening and closing in time with it.

Five landmarks do not show how far a mouth is open. The crop does: rows of its middle, averaged over their columns, are
a profile of brightness from top to bottom, in which opening lips or lids are what changes most. No labels are needed:
the direction of most change is found in the truth, and both videos are projected on it.
"""

from dataclasses import dataclass
from typing import Final, Literal

import cv2
import numpy as np

from vidrestore.errors import RestorationError
from vidrestore.faces.alignment import TEMPLATE
from vidrestore.types import Float32, Float64

Unmeasured = Literal["too short", "too still"]

LEAST_FRAMES: Final = 12
"""A track with fewer is too short for a correlation."""
LEAST_LEVELS: Final = 1.0
"""Grey levels, root mean square over profile and time, by which the truth must change to be more than noise."""
SLOW_SECONDS: Final = 1.0
"""Sigma of the moving mean that is taken off: turning heads and changing light, shared by all videos, are slower than
blinks and speech and would make every correlation high."""
_BLUR_SHARE: Final = 0.006
"""Sigma of the blur along a profile, in sides of the crop: against noise and sharpening."""
_MOUTH: Final = (0.09, 0.07, 0.13)
_EYE: Final = (0.045, 0.05, 0.05)
"""Half the width, reach above and reach below of a profile's box around its centre, in sides of the crop."""


@dataclass(frozen=True, slots=True)
class ExpressionMatch:
    """Agreement of one feature of a track with the truth."""

    correlation: float | None
    """Pearson's, -1..1; 1 moves in time with the truth, 0 is unrelated or does not move."""
    gain: float | None
    """Slope of the video's opening on the truth's: 1 opens as far, less is subdued, more exaggerates."""
    unmeasured: Unmeasured | None = None
    """Why there is neither."""


def mouth_profile(luma: Float32) -> Float32:
    """Return brightness from upper lip to chin of an aligned face [S, S]: float32 [n], grey levels about their mean."""
    centre = TEMPLATE[3:].mean(axis=0)
    return _profile(luma, centre, _MOUTH)


def eyes_profile(luma: Float32) -> Float32:
    """Return brightness from brow to cheek across each eye: float32 [2 n], grey levels about each eye's mean."""
    return np.concatenate([_profile(luma, centre, _EYE) for centre in TEMPLATE[:2]])


def match_expression(profiles: Float32, truth: Float32, seconds: Float64) -> ExpressionMatch:
    """Compare how a feature opens and closes over a track with how the truth's does.

    From both, a moving mean in time (Gaussian, `SLOW_SECONDS`) is taken off. The first principal component of what is
    left of the truth is the opening; both are projected on it, and the figures are the correlation of the two
    projections and their slope. A video that does not move at all where the truth does has 0 and 0.

    Args:
        profiles: [n, d] of the video, as `mouth_profile` or `eyes_profile` gave them.
        truth: [n, d], the truth's profiles of the same frames.
        seconds: [n], times of the frames, rising.

    Raises:
        RestorationError: the shapes do not fit.
    """
    if profiles.shape != truth.shape or profiles.ndim != 2 or seconds.shape != profiles.shape[:1]:  # noqa: PLR2004
        raise RestorationError(
            f"profiles are {list(profiles.shape)} and {list(truth.shape)} at {list(seconds.shape)} times; "
            "wanted [n, d] twice at [n]"
        )
    if len(seconds) < LEAST_FRAMES:
        return ExpressionMatch(None, None, "too short")
    # The direction in which the truth's profile changes most is the opening of mouth or eyes.
    wanted = _quick(truth, seconds)
    _, strengths, directions = np.linalg.svd(wanted, full_matrices=False)
    if strengths[0] < LEAST_LEVELS * np.sqrt(wanted.size):
        return ExpressionMatch(None, None, "too still")
    opening, followed = wanted @ directions[0], _quick(profiles, seconds) @ directions[0]
    opening, followed = opening - opening.mean(), followed - followed.mean()
    shared, energy = float(opening @ followed), float(opening @ opening)
    own = float(followed @ followed)
    if own <= np.finfo(np.float32).eps * energy:  # rounding of a video that does not move
        return ExpressionMatch(0.0, 0.0)
    return ExpressionMatch(float(np.clip(shared / np.sqrt(energy * own), -1, 1)), shared / energy)


def _profile(luma: Float32, centre: Float64, box: tuple[float, float, float]) -> Float32:
    side = luma.shape[0]
    x, y = centre * side
    across, above, below = (share * side for share in box)
    rows = slice(round(y - above), round(y + below))
    columns = slice(round(x - across), round(x + across))
    means = luma[rows, columns].mean(axis=1, keepdims=True)
    smooth = cv2.GaussianBlur(means, (1, 0), sigmaX=0.1, sigmaY=_BLUR_SHARE * side)
    profile: Float32 = np.asarray(smooth, np.float32).ravel()
    profile -= profile.mean()
    return profile


def _quick(profiles: Float32, seconds: Float64) -> Float64:
    """Subtract the moving mean in time from [n, d]; float64."""
    wide = profiles.astype(np.float64)
    weights = np.exp(-0.5 * np.square((seconds[:, None] - seconds[None]) / SLOW_SECONDS))
    quick: Float64 = wide - weights @ wide / weights.sum(axis=1, keepdims=True)
    return quick
