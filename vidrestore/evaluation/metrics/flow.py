"""Dense flow between two frames of the truth, and where it is reliable."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import cv2
import numpy as np

from vidrestore.evaluation.metrics.regions import Region
from vidrestore.types import Float32, UInt8

_SLACK_SHARE, _SLACK_SQUARED_PIXELS = 0.01, 0.5
"""Tolerances of the check of Sundberg et al. 2011, with which Ruder et al. 2016 and Lai et al. 2018 find occlusions."""
SHORTEST_SIDE: Final = 16
"""Shortest side in pixels; smaller pictures do not hold the patches that the flow matches."""


@dataclass(frozen=True, slots=True)
class Motion:
    """Motion of the truth from the frame before to this one."""

    to_before: Float32 = field(repr=False)
    """float32 [h, w, 2], (x, y) in pixels: what is at p now was at p + to_before[p]. Exactly 0 where nothing moved."""
    visible: Region = field(repr=False)
    """Pixels that were visible before as well: within the picture, and flow forth and back agree."""


def motion_between(before: UInt8, now: UInt8) -> Motion:
    """Compute the motion between two grey pictures, uint8 [h, w], by dense inverse search (Kroeger et al. 2016)."""
    back = flow_between(now, before)
    return Motion(back, agreement(back, flow_between(before, now)))


def flow_between(start: UInt8, end: UInt8) -> Float32:
    """Compute float32 [h, w, 2], (x, y) in pixels: what is at p in `start`, uint8 [h, w], is at p + flow[p] in `end`.

    Pictures with a side below `SHORTEST_SIDE`, and identical ones, have no motion.
    """
    if min(start.shape) < SHORTEST_SIDE or np.array_equal(start, end):
        return np.zeros((*start.shape, 2), np.float32)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    nothing: Float32 = np.zeros((*start.shape, 2), np.float32)
    pictures = np.ascontiguousarray(start), np.ascontiguousarray(end)  # it refuses views
    return np.asarray(search.calc(*pictures, nothing), np.float32)


def agreement(back: Float32, forth: Float32) -> Region:
    """Return where a flow and its reverse, both [h, w, 2], undo each other: elsewhere something is hidden.

    |back + forth'|^2 <= 0.01 (|back|^2 + |forth'|^2) + 0.5 px^2, where forth' is `forth` at the end of `back`, and that
    end lies within the picture.
    """
    there = warp(forth, back)
    off = np.square(back + there).sum(axis=2)
    most = _SLACK_SHARE * (np.square(back).sum(axis=2) + np.square(there).sum(axis=2)) + _SLACK_SQUARED_PIXELS
    ends = back + _grid(*back.shape[:2])
    height, width = back.shape[:2]
    within = (ends >= 0).all(axis=2) & (ends[..., 0] <= width - 1) & (ends[..., 1] <= height - 1)
    agrees: Region = (off <= most) & within
    return agrees


def warp(picture: Float32, flow: Float32) -> Float32:
    """Sample `picture` [h, w] or [h, w, c] at p + flow[p] for every p, bilinear; its edge is repeated beyond it."""
    places = flow + _grid(*flow.shape[:2])
    across, down = np.ascontiguousarray(places[..., 0]), np.ascontiguousarray(places[..., 1])
    moved = cv2.remap(picture, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


@lru_cache(maxsize=2)
def _grid(height: int, width: int) -> Float32:
    """Return every pixel's own place (x, y), float32 [h, w, 2]."""
    rows, columns = np.indices((height, width), np.float32)
    grid: Float32 = np.dstack([columns, rows])
    grid.setflags(write=False)
    return grid
