"""Temporal blend: each pixel of a face becomes the weighted mean of the same point in neighbouring frames.

The neighbours are warped onto the frame along the video's own motion (`restoration.temporal.flow`). The weight of a
neighbour's pixel is the product of four factors: how near the frame is in time; whether the path there and back
closes; whether the video's patterns in both differ by no more than its noise; and whether the averaged images agree
there at low frequencies. The last two separate what is not the same: an open and a closed eye, a lip and a tooth, a
hand in front of a cheek. Both leave brightness out, so that a lamp that flickers does not stop the blend. Where
nothing agrees, the frame's own pixels remain.
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

PATTERN_SIGMAS = (0.8, 4.0)
"""Standard deviations in grid pixels of the band in which the video's patterns are compared: what is finer is noise,
what is coarser is light."""
PATTERN_WINDOW = 7
"""Side in grid pixels of the square over which differences of patterns are averaged."""
NOISE_FACTOR = 1.5
"""Multiple of the crop's median difference that counts as the video's noise."""
MOST_NOISE_LEVELS = 6.0
"""Upper limit of that median in grey levels: a larger one means that most of the crop shows something else."""
LEAST_SIDE = 128
"""Smallest side in pixels to which a crop is halved for work over time."""
COLOUR_SIGMA = 1.0
"""Standard deviation in grid pixels of the blur before restored faces are compared: finer detail flickers."""


@dataclass(frozen=True, slots=True)
class BlendView:
    """An image of a face in one frame, and its features that are compared with those of its neighbours."""

    image: UInt8 = field(repr=False)
    """uint8 [S, S, 3] RGB: the image to average, the original crop or the restored one."""
    low: Float32 = field(repr=False)
    """float32 [32, 32, 3] RGB: low frequencies of the image."""
    structure: Float32 = field(repr=False)
    """float32 [S, S, 3] RGB around 0: the image without its low frequencies, which are light and colour."""
    traits: Float32 = field(repr=False)
    """float32 [g, g, 4]: three planes of the image, RGB around 0, without fine detail and light; and the pattern of
    the video, grey levels around 0, without noise and light."""


def working(crop: UInt8, to_crop: Float64) -> UInt8:
    """Return a crop at its size for work over time: halved while over four times as fine as the frame, down to 128.

    It stays twice as fine as the frame: otherwise the video's noise would lie too near the frequencies that halving
    removes, and could not be averaged.

    Args:
        crop: uint8 [S, S, 3] RGB.
        to_crop: float64 [2, 3], frame pixels -> crop pixels.
    """
    side = working_side(crop.shape[0], to_crop, least=LEAST_SIDE)
    if side == crop.shape[0]:
        return crop
    return np.asarray(cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def changed(crop: UInt8, before: UInt8, after: Float32) -> Float32:
    """Apply the change of a crop's `working` form to the crop, float32 [S, S, 3]; `after` where sizes are equal."""
    if before.shape == crop.shape:
        return after
    side = crop.shape[0]
    change = cv2.resize(after - before, (side, side), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.add(change, crop, dtype=cv2.CV_32F), dtype=np.float32)


def view_of(image: UInt8, original: UInt8) -> BlendView:
    """Compute the features of a face from the image to average and the original crop, both uint8 [S, S, 3] RGB."""
    levels = grid_grey(original).astype(np.float32)
    finer, coarser = (cv2.GaussianBlur(levels, (0, 0), sigma) for sigma in PATTERN_SIGMAS)
    low, grid = low_frequencies(image), levels.shape
    structure = np.asarray(cv2.subtract(image, enlarge(low, image.shape[0]), dtype=cv2.CV_32F), dtype=np.float32)
    small = cv2.resize(image, grid, interpolation=cv2.INTER_AREA)
    level = cv2.subtract(small, cv2.resize(low, grid, interpolation=cv2.INTER_LINEAR), dtype=cv2.CV_32F)
    colour = cv2.GaussianBlur(level, (0, 0), COLOUR_SIGMA)
    return BlendView(image, low, structure, np.asarray(cv2.merge([colour, finer - coarser]), dtype=np.float32))


class Blender:
    """Averages images of a face over frames; reuses its buffers, so one thread at a time may use it.

    New arrays of this size come from the system page by page, which costs several times the arithmetic.

    Args:
        texture_tolerance: grey levels by which patterns of the video may differ beyond noise; there a weight is 1/e.
        colour_tolerance: levels by which the images may differ at low frequencies; there a weight is 1/e.
    """

    def __init__(self, *, texture_tolerance: float, colour_tolerance: float) -> None:
        self._pattern_levels = texture_tolerance
        self._colour_levels = colour_tolerance
        self._buffers: dict[int, _Buffers] = {}

    def mean(self, own: BlendView, neighbours: Iterable[Neighbour[BlendView]]) -> Float32:
        """Return the mean image over frames, float32 [S, S, 3] RGB, with the low frequencies of the frame itself.

        Args:
            own: the face in this frame, whose weight is 1 everywhere.
            neighbours: the face in other frames, in an order that does not vary: sums of floats depend on it.

        Returns:
            Exactly `own.image` in pixels where the neighbours equal it or have no weight; valid until the next call.
        """
        room = self._room(own.image.shape[0], own.traits.shape[0])
        room.change[:] = 0
        room.total[:] = 1
        for near in neighbours:
            self._add(own, near, room)
        np.divide(room.change, cv2.merge([room.total] * 3, room.weight_planes), out=room.change)
        mean = cv2.add(room.change, own.image, room.change, dtype=cv2.CV_32F)
        return np.asarray(mean, dtype=np.float32)

    def _add(self, own: BlendView, near: Neighbour[BlendView], room: "_Buffers") -> None:
        side, moved = own.image.shape[0], room.moved
        weights = self._small_weights(own, near, room)
        cv2.resize(weights, (side, side), room.weights, interpolation=cv2.INTER_LINEAR)
        places = sampling_grid(near.path.shift, side, out=room.places)
        warp(_sized(near.features.structure, side), places, border=cv2.BORDER_REPLICATE, out=moved)
        cv2.subtract(moved, own.structure, moved)
        cv2.accumulateProduct(moved, cv2.merge([room.weights] * 3, room.weight_planes), room.change)
        cv2.add(room.total, room.weights, room.total)

    def _small_weights(self, own: BlendView, near: Neighbour[BlendView], room: "_Buffers") -> Float32:
        """Return the weight of each pixel of a neighbour, float32 [g, g], 0..1.

        It is exp(-(pattern^2 + colour^2)) times the flow's trust and the frame's temporal weight.
        """
        # 1. Warp the neighbour's traits onto this frame and take the absolute differences.
        # 2. Pattern: average the difference over a window, subtract the noise (estimated by the median), scale.
        # 3. Colour: take the largest difference of the three channels, scale.
        # 4. Multiply by the flow's confidence and the frame's temporal weight.
        traits, colour, pattern = room.traits, room.colour, room.pattern
        places = sampling_grid(near.path.shift, own.traits.shape[0], out=room.grid_places)
        cv2.absdiff(warp(_sized(near.features.traits, own.traits.shape[0]), places, out=traits), own.traits, traits)
        red, green, blue, change = cv2.split(traits)
        cv2.blur(change, (PATTERN_WINDOW, PATTERN_WINDOW), pattern)
        noise = NOISE_FACTOR * min(float(np.median(pattern[::4, ::4])), MOST_NOISE_LEVELS)
        np.maximum(pattern - np.float32(noise), 0, out=pattern)
        pattern *= np.float32(1 / self._pattern_levels)
        cv2.max(cv2.max(red, green, colour), blue, colour)
        colour *= np.float32(1 / self._colour_levels)
        np.multiply(pattern, pattern, out=pattern)
        np.multiply(colour, colour, out=colour)
        colour += pattern
        np.exp(np.negative(colour, out=colour), out=colour)
        confidence = near.path.confidence
        if confidence.shape != colour.shape:  # the face was halved below the grid of its flow
            confidence = np.asarray(
                cv2.resize(confidence, colour.shape, interpolation=cv2.INTER_AREA), dtype=np.float32
            )
        colour *= confidence
        colour *= np.float32(near.temporal_weight)
        return colour

    def _room(self, side: int, grid: int) -> "_Buffers":
        if side not in self._buffers:
            self._buffers[side] = _Buffers.of(side, grid)
        return self._buffers[side]


@dataclass(frozen=True, slots=True)
class _Buffers:
    """Buffers for images of one size; a crop of 512 px has three possible sizes."""

    change: Float32
    moved: Float32
    weight_planes: Float32
    total: Float32
    weights: Float32
    places: Float32
    traits: Float32
    grid_places: Float32
    colour: Float32
    pattern: Float32

    @classmethod
    def of(cls, side: int, grid: int) -> "_Buffers":
        large = [(side, side, 3)] * 3 + [(side, side)] * 2 + [(side, side, 2)]
        small = [(grid, grid, 4), (grid, grid, 2), (grid, grid), (grid, grid)]
        return cls(*(np.empty(shape, np.float32) for shape in large + small))


def _sized(image: Float32, side: int) -> Float32:
    """Resize to the frame's own size: the face may have grown or shrunk past a bound of `working`."""
    if image.shape[0] == side:
        return image
    way = cv2.INTER_AREA if image.shape[0] > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (side, side), interpolation=way), dtype=np.float32)
