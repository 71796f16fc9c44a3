"""Optical flow between the crops of a face in different frames.

Motion is estimated from the original crops, never from the restored ones: a network's flicker looks like motion. In the
space of aligned crops a face hardly moves, so a coarse and cheap flow suffices: dense inverse search (DIS, Kroeger et
al. 2016) at no more than 128 x 128 with four-pixel cells is as accurate as the finest settings. Only neighbouring
frames are searched: longer paths are composed, which leaves less flicker than a search over two frames, and the trust
of a path is the product of the trust of its steps. Measurements: docs/benchmarks/parts.md. Crops of 24 px are the
smallest that DIS takes.

All coordinates are on a grid of g x g pixels laid over the crop, see `types.FlowField`.
"""

from functools import lru_cache

import cv2
import numpy as np

from vidrestore.types import Float32, FlowField, FlowPair, UInt8

_LONGEST_SIDE = 128
"""Largest side of the grid in pixels: half a 256 px crop."""
_FINEST_SCALE = 2
"""Finest scale of DIS, with cells of 4 x 4 grid pixels: finer ones follow the noise of the video and cost far more."""
RETURN_PIXELS = 1.0
"""Distance in grid pixels between a point and its image there and back at which trust falls to 1/e."""


def grid_side(side: int) -> int:
    """Return the side of the grid for crops of a given side: half of it, at most 128."""
    return min(_LONGEST_SIDE, side // 2)


def grid_grey(crop: UInt8) -> UInt8:
    """Average a crop uint8 [S, S, 3] RGB down to the grey image uint8 [g, g] from which flow is computed."""
    side = grid_side(crop.shape[0])
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def link(earlier: UInt8, later: UInt8) -> FlowPair:
    """Find the motion between two grey images uint8 [g, g] of neighbouring frames, in both directions.

    Two equal images give exactly no motion, with trust 1. Trust falls where the path there and back does not end
    where it began: there something is hidden in one of the two.
    """
    dis = _dense_inverse_search()
    still = np.zeros((*later.shape, 2), np.float32)
    backward = np.asarray(dis.calc(later, earlier, still.copy()), dtype=np.float32)
    forward = np.asarray(dis.calc(earlier, later, still), dtype=np.float32)
    return FlowPair(FlowField(backward, _trust(backward, forward)), FlowField(forward, _trust(forward, backward)))


def compose(first: FlowField, second: FlowField) -> FlowField:
    """Compose two flows, `first` and from there `second`; a path that leaves the crop has trust 0."""
    places = sampling_grid(first.shift)
    return FlowField(first.shift + warp(second.shift, places), first.confidence * warp(second.confidence, places))


def sampling_grid(shift: Float32, side: int | None = None, *, out: Float32 | None = None) -> Float32:
    """Return where every pixel's point lies in the other crop.

    Args:
        shift: float32 [g, g, 2], see `types.FlowField`.
        side: side of the square of pixels to return; that of the grid when not given.
        out: float32 [side, side, 2] to write to.

    Returns:
        float32 [side, side, 2], (x, y) in pixels of that square, centres at integers; exact where nothing moves.
    """
    grid = shift.shape[0]
    if side is not None and side != grid:
        shift = np.asarray(cv2.resize(shift, (side, side), out, interpolation=cv2.INTER_LINEAR), dtype=np.float32)
        shift *= np.float32(side / grid)
    return np.add(shift, _coordinates(side or grid), out=out)


def warp(image: Float32, places: Float32, *, border: int = cv2.BORDER_CONSTANT, out: Float32 | None = None) -> Float32:
    """Sample an image float32 [h, w] or [h, w, c] at places float32 [h, w, 2] in its own pixels, bilinearly.

    Beyond its border the image counts as zero, unless `border` is another of OpenCV's border modes. The result is
    written to `out` where that is given.
    """
    # OpenCV's stubs know only coordinates in two planes; an empty array for the second is not taken as none.
    drawn = cv2.remap(image, places, None, cv2.INTER_LINEAR, out, border)  # type: ignore[call-overload]
    return np.asarray(drawn, dtype=np.float32)


def _trust(there: Float32, back: Float32) -> Float32:
    miss = there + warp(back, sampling_grid(there), border=cv2.BORDER_REPLICATE)
    across, down = cv2.split(miss)
    confidence: Float32 = np.exp((across * across + down * down) / np.float32(-(RETURN_PIXELS**2)))
    return confidence


def _dense_inverse_search() -> cv2.DISOpticalFlow:
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    dis.setFinestScale(_FINEST_SCALE)
    # DIS propagates motion between cells only within a stripe, and makes as many stripes as there are threads.
    dis.setUseSpatialPropagation(False)
    return dis


@lru_cache(maxsize=8)
def _coordinates(side: int) -> Float32:
    """Return the coordinates (x, y) of every pixel, float32 [side, side, 2], read-only."""
    rows, columns = np.indices((side, side), dtype=np.float32)
    places = np.dstack([columns, rows])
    places.setflags(write=False)
    return places
