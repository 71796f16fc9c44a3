"""Landmark jitter: landmarks of a video against the truth's, over three frames."""

import math

import numpy as np

from vidrestore.errors import RestorationError
from vidrestore.types import Float32, Float64

FRAMES = 3
"""Consecutive frames that a second difference needs."""


def landmark_jitter(offsets: Float32 | Float64, eye_distance: float) -> float:
    """Return the second difference over three consecutive frames, per cent of the eye distance, 0 or more; 0 is steady.

    The root mean square over the five points of |o(t - 2) - 2 o(t - 1) + o(t)|. What moves evenly does not count, and
    what the truth does is not in the offsets: a constant error and a drift are no jitter.

    Args:
        offsets: [3, 5, 2], pixels: a video's landmarks less the truth's, in consecutive frames.
        eye_distance: in the same pixels, above 0.

    Raises:
        RestorationError: the offsets have another shape, or the distance is not above 0.
    """
    if offsets.shape != (FRAMES, 5, 2) or not eye_distance > 0:
        raise RestorationError(
            f"offsets are {list(offsets.shape)} and the eyes {eye_distance} px apart; wanted [3, 5, 2] and more than 0"
        )
    wide = offsets.astype(np.float64)
    second = wide[0] - 2 * wide[1] + wide[2]
    return 100 * math.sqrt(float(np.square(second).sum(axis=1).mean())) / eye_distance
