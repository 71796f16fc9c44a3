"""Colour lock: restored faces keep the colours and the light of the video.

A network gives a face the colours of the faces that it learnt from, a little differently in every frame. The lock takes
them from the video, as far as the video shows them:

- **Low frequencies** of colour and light, coarser than an eighth of the crop. What differs between the original crop
  and the restored one is measured in every frame. Its mean over neighbouring frames is the network's bias, of which the
  fraction `colour_lock` is removed; a single frame's departure from that mean is flicker, which is removed in full. So
  a face follows a lamp that flickers in the video, and not the network.
- **Finer colour**, down to a sixty-fourth of the crop (an iris has three such cells), where eyes turn blue and teeth
  green. The face must have the video's chroma once it is blurred like the video's, but how blurred and how noisy that
  is differs: little in a clean file, much on tape. Both are estimated from the crop itself, in octaves: the blur by a
  robust regression of the video's chroma on the restored face's, the noise by the median of what is left, less the
  error that networks make in good light. The video's deviations are then weighed as Wiener's filter does. Detail that
  the video does not resolve stays the network's, and so does luma.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from vidrestore.faces.alignment import face_distance
from vidrestore.types import Float32, UInt8

CELLS = 32
"""Side in pixels of the small image that holds the low frequencies, whatever the size of the crop."""
SIGMA_CELLS = 4.0
"""Standard deviation of the low-pass: an eighth of the crop's side."""

CHROMA_CELLS = 64
"""Side in pixels of the small image in which finer colours are compared."""
OCTAVE_SIGMAS = (1.0, 2.0, 4.0)
"""Standard deviations in its pixels of the low-passes that follow one another and separate octaves of chroma."""
NETWORK_ERRORS = (1.0, 0.55, 0.36, 0.2)
"""Deviation in chroma levels, in each octave, of a network's colours from a clean video: it counts as no noise."""
NOISE_PEAK = 3.0
"""Multiple of the noise's power that noise alone hardly exceeds somewhere."""
BLUR_ERROR = 1.0
"""How far the blur of a place may differ from the face's, as a multiple of what the blur takes away."""
POWER_WINDOW = 5
"""Side of the square of cells over which the power of differences is averaged."""
LEAST_SATURATION = 0.1
"""Least saturation of the video, as a share of the restored face's, against which its blur is judged."""
GAIN_STEPS = 3
"""Rounds of the regression; after the first, cells weigh less the worse they fit."""
OUTLIER = 4.0
"""Multiple of the median squared error at which a cell weighs half."""
ROUNDING = 0.05
"""Squared error of rounding to whole levels, after averaging."""
LEAST_SQUARE = 1e-3
"""Sum of squares below which there is no colour to compare with."""
TO_CHROMA: Float32 = np.array([[-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)
"""From R, G, B to Cb and Cr of BT.601, in levels around 0."""
FROM_CHROMA: Float32 = np.array([[0, 1.402], [-0.344136, -0.714136], [1.772, 0]], np.float32)
"""From Cb and Cr to R, G, B of luma 0."""


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


def resolved_chroma(original: UInt8 | Float32, restored: UInt8 | Float32) -> Float32:
    """Return the change of a restored face that gives it the finer colours of the video, as far as they are resolved.

    Args:
        original: [S, S, 3] RGB, 0..255: the face in the video.
        restored: the same face restored, of the same shape.

    Returns:
        float32 [g, g, 3] RGB levels without luma and without low frequencies; g is 64, or S where that is less.
    """
    video, face = _octaves(original), _octaves(restored)
    inside = face_cells(video[0].shape[0])
    gains = [_robust_gain(one[inside], other[inside]) for one, other in zip(video, face, strict=True)]
    saturation = max(gains[-1], LEAST_SATURATION)
    change = np.zeros_like(video[0])
    for one, other, gain, error in zip(video, face, gains, NETWORK_ERRORS, strict=True):
        resolved = min(1.0, gain / saturation)
        difference = one - np.float32(resolved) * other
        around, shown = _power(difference), _power(other)
        typical, usual = float(np.median(around[inside])), error * error
        noise = max(0.0, typical - usual)
        blurred = np.float32((BLUR_ERROR * (1 - resolved)) ** 2) * shown
        excess = around - blurred - np.float32(NOISE_PEAK * noise)
        signal = np.maximum(np.float32(usual * usual / max(typical, usual)), excess)
        change += (signal / (signal + blurred + np.float32(noise)))[..., None] * difference
    return np.asarray(cv2.transform(change, FROM_CHROMA), dtype=np.float32)


@lru_cache(maxsize=8)
def face_cells(side: int) -> NDArray[np.bool_]:
    """Return which cells of a grid over the crop lie on the face: bool [side, side], read-only."""
    inside: NDArray[np.bool_] = face_distance(side) < 1
    inside.setflags(write=False)
    return inside


def _octaves(image: UInt8 | Float32) -> list[Float32]:
    """Return the chroma of an image in octaves, the finest first: float32 [g, g, 2] each, without low frequencies."""
    image = np.asarray(image, dtype=np.float32)  # otherwise OpenCV rounds the mean of levels
    side = min(CHROMA_CELLS, image.shape[0])
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    levels = [np.asarray(cv2.transform(small, TO_CHROMA), dtype=np.float32)]
    levels += _blurred(levels[0])
    levels.append(np.asarray(cv2.transform(enlarge(low_frequencies(image), side), TO_CHROMA), dtype=np.float32))
    return [fine - coarse for fine, coarse in pairwise(levels)]


def _blurred(chroma: Float32) -> Iterator[Float32]:
    for sigma in OCTAVE_SIGMAS:
        chroma = np.asarray(cv2.GaussianBlur(chroma, (0, 0), sigma), dtype=np.float32)
        yield chroma


def _power(chroma: Float32) -> Float32:
    power = np.square(chroma).sum(axis=2)
    return np.asarray(cv2.blur(power, (POWER_WINDOW, POWER_WINDOW)), dtype=np.float32)


def _robust_gain(video: Float32, face: Float32) -> float:
    """Return the factor, 0..1, of a face's chroma in the video's, both [n, 2]; a few wrong cells count little."""
    product, square = (video * face).sum(axis=1), np.square(face).sum(axis=1)
    weights, gain = np.ones_like(product), 0.0
    for step in range(GAIN_STEPS):
        if step:
            error = np.square(video - np.float32(gain) * face).sum(axis=1)
            weights = 1 / (1 + np.square(error / np.float32(OUTLIER * (float(np.median(error)) + ROUNDING))))
        gain = float(np.dot(weights, product)) / (float(np.dot(weights, square)) + LEAST_SQUARE)
        gain = min(1.0, max(0.0, gain))
    return gain
