"""Colour lock: restored faces keep the colours and the light of the video.

A network gives a face the colours of the faces that it learnt from, a little differently in every frame. Every frame's
difference at low frequencies between the original crop and the restored one is measured. Its mean over neighbouring
frames is the network's bias, of which the fraction `colour_lock` is removed; a single frame's departure from that mean
is flicker, which is removed in full. So a face follows a lamp that flickers in the video, and not the network.
"""

from collections.abc import Iterable

import cv2
import numpy as np

from vidrestore.types import Float32, UInt8

CELLS = 32
"""Side in pixels of the small image that holds the low frequencies, whatever the size of the crop."""
SIGMA_CELLS = 4.0
"""Standard deviation of the low-pass: an eighth of the crop's side."""


def low_frequencies(image: UInt8 | Float32) -> Float32:
    """Return the low frequencies, float32 [32, 32, 3], of an image [S, S, 3], in the image's units."""
    small = cv2.resize(image, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(np.asarray(small, dtype=np.float32), (0, 0), SIGMA_CELLS), dtype=np.float32)


def enlarge(low: Float32, side: int) -> Float32:
    """Enlarge low frequencies, float32 [32, 32, 3], to an image float32 [side, side, 3]."""
    return np.asarray(cv2.resize(low, (side, side), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def steady_difference(own: Float32, neighbours: Iterable[tuple[float, Float32]]) -> Float32:
    """Return the weighted mean, float32 [32, 32, 3], of original less restored colours over neighbouring frames.

    Args:
        own: float32 [32, 32, 3], low frequencies of the original crop less those of the restored one, in the frame
            itself, whose weight is 1.
        neighbours: weight and such a difference of each neighbouring frame. Equal differences give exactly `own`.
    """
    departure, total = np.zeros_like(own), 1.0
    for weight, other in neighbours:
        departure += np.float32(weight) * (other - own)
        total += weight
    return own + departure / np.float32(total)
