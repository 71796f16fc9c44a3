"""What lies on a strip of film or is torn into it: dust and fibres, fresh in every frame, and scratches that stay."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from vidrestore.degradation.medium.rng import Purpose, rng_for
from vidrestore.types import Float32, UInt8

_SUBPIXEL_BITS = 4
_CORNERS = 9
_FIBRE_SHARE = 0.12
"""Share of the specks that are fibres: hairs and threads."""
_FIBRE_LENGTH = (8.0, 20.0)
"""Length of a fibre in radii of a speck."""
_FIBRE_STEPS = 8
_SMALLEST_RADIUS = 0.6
"""Smallest radius in pixels: less would not be seen."""
_DUST_OPACITY = (0.55, 0.95)
_SCRATCH_OPACITY = (0.25, 0.7)
_SCRATCH_SIGMA = (0.35, 0.8)
"""Sigma across a scratch in pixels."""
_SCRATCH_WANDER = 0.004
"""How far a scratch sways to each side, as a share of the picture's width."""
_SCRATCH_SWAY = (0.02, 0.12)
"""Radians a frame."""
_SCRATCH_GAPS = 12
"""Knots along the height between which a scratch's strength changes."""
_PALE, _DARK = 240, 12
_EPOCH = 64
"""Number of frames whose scratches are drawn at once, so that any frame finds its own without those before it."""


@dataclass(frozen=True, slots=True)
class Scratch:
    """A vertical line that a grain of dirt drew along the strip."""

    first: int
    """Index of the first frame."""
    frames: int
    place: float
    """Horizontal place, 0..1 of the width."""
    phase: float
    sway: float
    """Radians a frame."""
    opacity: float
    sigma: float
    """Sigma across, pixels."""


def add_dust(
    picture: UInt8, generator: np.random.Generator, *, mean: float, sizes: tuple[float, float], pale: bool
) -> UInt8:
    """Lay specks and fibres on one picture.

    Args:
        picture: uint8 [h, w, 3] RGB.
        generator: the frame's own.
        mean: specks of a frame, on average (Poisson).
        sizes: smallest and largest radius as shares of the height; small ones are the more likely.
        pale: whether the dust lay on the negative, and is white, or on the print, and is black.
    """
    specks = int(generator.poisson(mean))
    if not specks:
        return picture
    opacity: Float32 = np.zeros(picture.shape[:2], np.float32)
    for _ in range(specks):
        drawn = np.zeros(picture.shape[:2], np.uint8)
        _draw_speck(drawn, generator, sizes)
        opacity = np.maximum(opacity, drawn * np.float32(generator.uniform(*_DUST_OPACITY) / 255))
    return _towards(picture, opacity[..., None], pale=pale)


def _draw_speck(mask: UInt8, generator: np.random.Generator, sizes: tuple[float, float]) -> None:
    height, width = mask.shape
    radius = max(_SMALLEST_RADIUS, height * math.exp(generator.uniform(*np.log(sizes))))
    middle = generator.uniform((0, 0), (width, height))
    unit = 1 << _SUBPIXEL_BITS
    if generator.random() < _FIBRE_SHARE:
        turns = generator.uniform(0, 2 * math.pi) + np.cumsum(generator.normal(0, 0.35, _FIBRE_STEPS))
        step = radius * generator.uniform(*_FIBRE_LENGTH) / _FIBRE_STEPS
        points = middle + np.cumsum(step * np.stack([np.cos(turns), np.sin(turns)], 1), axis=0)
        corners = np.rint(points * unit).astype(np.int32)
        cv2.polylines(mask, [corners], False, 255, 1, cv2.LINE_AA, _SUBPIXEL_BITS)  # noqa: FBT003  OpenCV's "closed"
        return
    angles = np.linspace(0, 2 * math.pi, _CORNERS, endpoint=False)
    reach = radius * generator.uniform(0.5, 1.3, _CORNERS)
    points = middle + np.stack([reach * np.cos(angles), reach * np.sin(angles) * generator.uniform(0.5, 1)], 1)
    cv2.fillPoly(mask, [np.rint(points * unit).astype(np.int32)], 255, cv2.LINE_AA, _SUBPIXEL_BITS)


def scratches_at(seed: int, index: int, *, starts: float, lasting: tuple[int, int]) -> Iterator[Scratch]:
    """Return the scratches in frame `index`.

    Args:
        seed: the video's seed.
        index: the frame's index.
        starts: scratches that begin in a frame, on average (Poisson).
        lasting: fewest and most frames of one.
    """
    if not starts:
        return
    # Scratches are drawn per epoch from the epoch's own generator. A scratch of this frame began at most `lasting[1]`
    # frames ago: only the epochs since then are drawn.
    for epoch in range(max(0, index - lasting[1] + 1) // _EPOCH, index // _EPOCH + 1):
        generator = rng_for(seed, Purpose.SCRATCHES, epoch)
        for _ in range(int(generator.poisson(starts * _EPOCH))):
            scratch = Scratch(
                first=epoch * _EPOCH + int(generator.integers(_EPOCH)),
                frames=int(generator.integers(*lasting, endpoint=True)),
                place=float(generator.random()),
                phase=float(generator.uniform(0, 2 * math.pi)),
                sway=float(generator.uniform(*_SCRATCH_SWAY)),
                opacity=float(generator.uniform(*_SCRATCH_OPACITY)),
                sigma=float(generator.uniform(*_SCRATCH_SIGMA)),
            )
            if scratch.first <= index < scratch.first + scratch.frames:
                yield scratch


def add_scratch(picture: UInt8, scratch: Scratch, generator: np.random.Generator, *, index: int, pale: bool) -> UInt8:
    """Draw one scratch through a picture, uint8 [h, w, 3] RGB, where it is in frame `index`."""
    height, width = picture.shape[:2]
    sway = _SCRATCH_WANDER * math.sin(scratch.phase + scratch.sway * index)
    across = np.arange(width) - (scratch.place + sway) * width - generator.normal(0, 0.3)
    line = np.exp(-0.5 * (across / scratch.sigma) ** 2)
    knots = generator.uniform(0.2, 1, (_SCRATCH_GAPS, 1)).astype(np.float32)
    strength = cv2.resize(knots, (1, height), interpolation=cv2.INTER_LINEAR).reshape(height, 1)
    opacity = np.asarray(scratch.opacity * strength * line[None], np.float32)
    return _towards(picture, opacity[..., None], pale=pale)


def _towards(picture: UInt8, opacity: Float32, *, pale: bool) -> UInt8:
    """Blend towards white or black by `opacity`, float32 [h, w, 1]."""
    there = picture.astype(np.float32)
    return np.rint(there + opacity * ((_PALE if pale else _DARK) - there)).astype(np.uint8)
