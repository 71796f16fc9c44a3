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

from vidrestore.restoration.face.colour_match import enlarge, low_frequencies
from vidrestore.restoration.face.cropper import working_side
from vidrestore.restoration.temporal.flow import grid_grey, sampling_grid, warp
from vidrestore.restoration.temporal.window import Neighbour
from vidrestore.types import Float32, Float64, UInt8

_PATTERN_SIGMAS = (0.8, 4.0)
"""Grid pixels: the film's patterns between these two scales are compared; finer is noise, coarser is light."""
_PATTERN_WINDOW = 7
"""Side in grid pixels of the square over which their differences are averaged."""
_NOISE_FACTOR = 1.5
"""Multiple of the crop's median difference that passes as the film's noise."""
_MOST_NOISE_LEVELS = 6.0
"""Grey levels of that median, at most: more says that most of the crop shows something else."""
_LEAST_SIDE = 128
"""Pixels of the smallest crop that is worked at."""
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


def working(crop: UInt8, to_crop: Float64) -> UInt8:
    """A crop as finely as it is worked at over time: halved while it is over four times as fine as the film, to 128.

    It stays twice as fine as the film, or the film's noise would lie too near what was halved away to be averaged.

    Args:
        crop: uint8 [S, S, 3] RGB.
        to_crop: float64 [2, 3], frame pixels -> crop pixels.
    """
    side = working_side(crop.shape[0], to_crop, least=_LEAST_SIDE)
    if side == crop.shape[0]:
        return crop
    return np.asarray(cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def changed(crop: UInt8, before: UInt8, after: Float32) -> Float32:
    """A crop float32 [S, S, 3] with what was changed of its `working` form; exactly `after` where that is the crop."""
    if before.shape == crop.shape:
        return after
    side = crop.shape[0]
    change = cv2.resize(after - before, (side, side), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.add(change, crop, dtype=cv2.CV_32F), dtype=np.float32)


def view_of(picture: UInt8, film: UInt8) -> BlendView:
    """Prepare a picture of a face: what is averaged and the crop of the film, both uint8 [S, S, 3] RGB."""
    levels = grid_grey(film).astype(np.float32)
    finer, coarser = (cv2.GaussianBlur(levels, (0, 0), sigma) for sigma in _PATTERN_SIGMAS)
    low, grid = low_frequencies(picture), levels.shape
    structure = np.asarray(cv2.subtract(picture, enlarge(low, picture.shape[0]), dtype=cv2.CV_32F), dtype=np.float32)
    small = cv2.resize(picture, grid, interpolation=cv2.INTER_AREA)
    level = cv2.subtract(small, cv2.resize(low, grid, interpolation=cv2.INTER_LINEAR), dtype=cv2.CV_32F)
    look = cv2.GaussianBlur(level, (0, 0), _LOOK_SIGMA)
    return BlendView(picture, low, structure, np.asarray(cv2.merge([look, finer - coarser]), dtype=np.float32))


class Blender:
    """Averages pictures of a face over frames; keeps its working memory, so one thread at a time may use it.

    Fresh arrays of this size come from the system page by page, which costs several times the arithmetic.

    Args:
        texture_tolerance: grey levels of the film by which patterns may differ beyond noise; there a weight is 1/e.
        colour_tolerance: levels by which the pictures may differ at low frequencies; there a weight is 1/e.
    """

    def __init__(self, *, texture_tolerance: float, colour_tolerance: float) -> None:
        self._pattern_levels = texture_tolerance
        self._look_levels = colour_tolerance
        self._buffers: dict[int, _Buffers] = {}

    def mean(self, own: BlendView, neighbours: Iterable[Neighbour[BlendView]]) -> Float32:
        """Mean float32 [S, S, 3] RGB of a picture over frames, with the low frequencies of the frame itself.

        Args:
            own: the face in this frame, whose weight is 1 everywhere.
            neighbours: the face in other frames, in an order that does not vary: sums of floats depend on it.

        Returns:
            Exactly `own.picture` in pixels where the neighbours equal it or none counts; valid until the next call.
        """
        room = self._room(own.picture.shape[0], own.traits.shape[0])
        room.change[:] = 0
        room.total[:] = 1
        for near in neighbours:
            self._add(own, near, room)
        np.divide(room.change, cv2.merge([room.total] * 3, room.weight_planes), out=room.change)
        mean = cv2.add(room.change, own.picture, room.change, dtype=cv2.CV_32F)
        return np.asarray(mean, dtype=np.float32)

    def _add(self, own: BlendView, near: Neighbour[BlendView], room: "_Buffers") -> None:
        side, moved = own.picture.shape[0], room.moved
        weights = self._small_weights(own, near, room)
        cv2.resize(weights, (side, side), room.weights, interpolation=cv2.INTER_LINEAR)
        places = sampling_grid(near.path.shift, side, out=room.places)
        warp(_sized(near.features.structure, side), places, border=cv2.BORDER_REPLICATE, out=moved)
        cv2.subtract(moved, own.structure, moved)
        cv2.accumulateProduct(moved, cv2.merge([room.weights] * 3, room.weight_planes), room.change)
        cv2.add(room.total, room.weights, room.total)

    def _small_weights(self, own: BlendView, near: Neighbour[BlendView], room: "_Buffers") -> Float32:
        """float32 [g, g], 0..1: how much each pixel of a neighbour counts."""
        traits, look, pattern = room.traits, room.look, room.pattern
        places = sampling_grid(near.path.shift, own.traits.shape[0], out=room.grid_places)
        cv2.absdiff(warp(_sized(near.features.traits, own.traits.shape[0]), places, out=traits), own.traits, traits)
        red, green, blue, change = cv2.split(traits)
        cv2.blur(change, (_PATTERN_WINDOW, _PATTERN_WINDOW), pattern)
        noise = _NOISE_FACTOR * min(float(np.median(pattern[::4, ::4])), _MOST_NOISE_LEVELS)
        np.maximum(pattern - np.float32(noise), 0, out=pattern)
        pattern *= np.float32(1 / self._pattern_levels)
        cv2.max(cv2.max(red, green, look), blue, look)
        look *= np.float32(1 / self._look_levels)
        np.multiply(pattern, pattern, out=pattern)
        np.multiply(look, look, out=look)
        look += pattern
        np.exp(np.negative(look, out=look), out=look)
        confidence = near.path.confidence
        if confidence.shape != look.shape:  # a face that is worked at more coarsely than its motion is known
            confidence = np.asarray(cv2.resize(confidence, look.shape, interpolation=cv2.INTER_AREA), dtype=np.float32)
        look *= confidence
        look *= np.float32(near.temporal_weight)
        return look

    def _room(self, side: int, grid: int) -> "_Buffers":
        if side not in self._buffers:
            self._buffers[side] = _Buffers.of(side, grid)
        return self._buffers[side]


@dataclass(frozen=True, slots=True)
class _Buffers:
    """Working memory for pictures of one size; a crop of 512 has three that it may be worked at."""

    change: Float32
    moved: Float32
    weight_planes: Float32
    total: Float32
    weights: Float32
    places: Float32
    traits: Float32
    grid_places: Float32
    look: Float32
    pattern: Float32

    @classmethod
    def of(cls, side: int, grid: int) -> "_Buffers":
        large = [(side, side, 3)] * 3 + [(side, side)] * 2 + [(side, side, 2)]
        small = [(grid, grid, 4), (grid, grid, 2), (grid, grid), (grid, grid)]
        return cls(*(np.empty(shape, np.float32) for shape in large + small))


def _sized(picture: Float32, side: int) -> Float32:
    """As fine as the frame's own picture: the face may have grown or shrunk past a bound of `working`."""
    if picture.shape[0] == side:
        return picture
    way = cv2.INTER_AREA if picture.shape[0] > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (side, side), interpolation=way), dtype=np.float32)
