"""One face from several frames: each pixel the mean of what the neighbouring frames show at the same point.

The neighbours are warped onto the frame along the film's own motion (`restoration.flow`). How much a pixel of a
neighbour counts is a product of four: how near the frame is in time; whether the path there and back closes; whether
the film shows the same pattern in both, by more than its noise explains; and whether the averaged pictures look alike
there at low frequencies. The last two keep apart what is not the same: an open and a closed eye, a lip and a tooth, a
hand before a cheek. Both leave brightness out, so that a lamp that flickers does not stop the blend. Where nothing
agrees, the frame's own pixels remain.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np

from vidrestore.restoration.colour_lock import enlarge, low_frequencies
from vidrestore.restoration.flow import grid_grey, positions, warp
from vidrestore.restoration.window import Near
from vidrestore.types import Float32, UInt8

_PATTERN_SIGMAS = (0.8, 4.0)
"""Grid pixels: the film's patterns between these two scales are compared; finer is noise, coarser is light."""
_PATTERN_WINDOW = 7
"""Side in grid pixels of the square over which their differences are averaged."""
_NOISE_FACTOR = 1.5
"""Multiple of the crop's median difference that passes as the film's noise."""
_MOST_NOISE_LEVELS = 6.0
"""Grey levels of that median, at most: more says that most of the crop shows something else."""
_LOOK_SIGMA = 1.0
"""Grid pixels: restored faces are compared without what is finer, for that is what flickers."""


@dataclass(frozen=True, slots=True)
class BlendView:
    """One picture of a face in one frame, and what is compared with its neighbours."""

    picture: UInt8 = field(repr=False)
    """uint8 [S, S, 3] RGB: what is averaged, the film's crop or the restored one."""
    low: Float32 = field(repr=False)
    """float32 [32, 32, 3] RGB: its low frequencies."""
    structure: Float32 = field(repr=False)
    """float32 [S, S, 3] RGB around 0: the picture without its low frequencies, which are light and colour."""
    traits: Float32 = field(repr=False)
    """float32 [g, g, 4]: three planes of the picture, RGB around 0, without fine detail and light; and the pattern of
    the film, grey levels around 0, without noise and light."""


def view_of(picture: UInt8, film: UInt8) -> BlendView:
    """Prepare a picture of a face: what is averaged and the crop of the film, both uint8 [S, S, 3] RGB."""
    levels = grid_grey(film).astype(np.float32)
    finer, coarser = (cv2.GaussianBlur(levels, (0, 0), sigma) for sigma in _PATTERN_SIGMAS)
    low = low_frequencies(picture)
    structure = picture - enlarge(low, picture.shape[0])
    look = cv2.GaussianBlur(cv2.resize(structure, levels.shape, interpolation=cv2.INTER_AREA), (0, 0), _LOOK_SIGMA)
    return BlendView(picture, low, structure, np.dstack([look, finer - coarser]))


def blend(
    own: BlendView, neighbours: Iterable[Near[BlendView]], *, pattern_levels: float, look_levels: float
) -> Float32:
    """Mean float32 [S, S, 3] RGB of a picture over frames, with the low frequencies of the frame itself.

    Args:
        own: the face in this frame, whose weight is 1 everywhere.
        neighbours: the face in other frames, in an order that does not vary: sums of floats depend on it.
        pattern_levels: grey levels of the film by which patterns may differ beyond noise; there a weight is 1/e.
        look_levels: levels by which the pictures may differ at low frequencies; there a weight is 1/e.

    Returns:
        Exactly `own.picture` in pixels where the neighbours equal it or none counts.
    """
    side = own.picture.shape[0]
    change = np.zeros_like(own.structure)
    total = np.ones((side, side), np.float32)
    for near in neighbours:
        small = _weights(own, near, pattern_levels=pattern_levels, look_levels=look_levels)
        weights = np.asarray(cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
        places = positions(near.path.shift, side)
        moved = warp(near.view.structure, places, border=cv2.BORDER_REPLICATE)
        cv2.accumulateProduct(moved - own.structure, cv2.merge([weights] * 3), change)
        total += weights
    return np.asarray(own.picture + change / cv2.merge([total] * 3), dtype=np.float32)


def _weights(own: BlendView, near: Near[BlendView], *, pattern_levels: float, look_levels: float) -> Float32:
    """float32 [g, g], 0..1: how much each pixel of a neighbour counts."""
    other = warp(near.view.traits, positions(near.path.shift))
    red, green, blue, pattern = cv2.split(cv2.absdiff(other, own.traits))
    pattern = cv2.blur(pattern, (_PATTERN_WINDOW, _PATTERN_WINDOW))
    noise = _NOISE_FACTOR * min(float(np.median(pattern[::4, ::4])), _MOST_NOISE_LEVELS)
    departure = np.maximum(pattern - np.float32(noise), 0) / np.float32(pattern_levels)
    look = cv2.max(cv2.max(red, green), blue) / np.float32(look_levels)
    alike: Float32 = np.exp(-(departure * departure + look * look))
    return alike * near.path.trust * np.float32(near.nearness)


def to_uint8(values: Float32) -> UInt8:
    """Round and saturate."""
    return np.asarray(cv2.convertScaleAbs(np.maximum(values, 0)), dtype=np.uint8)
