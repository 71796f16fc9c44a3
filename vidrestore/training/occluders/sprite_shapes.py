"""Building blocks of sprites: distances, noise, light and random colours on a square canvas; numpy and OpenCV only.

A sprite's plane spans [-1, 1] along x and, downwards, y. Planes are float32 [P, P], P being `SIDE`.
"""

from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np

from vidrestore.types import Float32

SIDE: Final = 128
"""Side of a sprite in pixels."""
Point = tuple[float, float]
"""(x, y) in a sprite's plane."""
Colour = tuple[float, float, float]
"""RGB, 0..1."""

_AXIS: Final = ((np.arange(SIDE, dtype=np.float32) + 0.5) * (2 / SIDE) - 1).astype(np.float32)
X: Final = np.broadcast_to(_AXIS[None, :], (SIDE, SIDE))
"""Coordinate x of each pixel of a plane."""
Y: Final = np.broadcast_to(_AXIS[:, None], (SIDE, SIDE))
"""Coordinate y of each pixel of a plane, downwards."""


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """Something with an outline. What touches the bottom (or top) edge is meant to go on beyond it."""

    colours: Float32 = field(repr=False)
    """float32 [P, P, 3] RGB, 0..1. Of sprites that are to be painted: half of what the paint is multiplied by."""
    cover: Float32 = field(repr=False)
    """float32 [P, P], 0..1: how far the sprite covers a pixel."""


def capsule(start: Point, end: Point, start_radius: float, end_radius: float) -> Float32:
    """Compute each pixel's depth in a limb from `start` to `end`; negative outside."""
    along_x, along_y = end[0] - start[0], end[1] - start[1]
    squared = max(along_x**2 + along_y**2, 1e-9)
    share = np.clip(((X - start[0]) * along_x + (Y - start[1]) * along_y) / squared, 0, 1)
    distance = np.hypot(X - start[0] - share * along_x, Y - start[1] - share * along_y)
    return plane(start_radius + (end_radius - start_radius) * share - distance)


def box(centre: Point, half_width: float, half_height: float, corner_radius: float = 0.0) -> Float32:
    """Compute each pixel's depth in an upright rectangle with round corners; negative outside."""
    across = np.abs(X - centre[0]) - half_width + corner_radius
    down = np.abs(Y - centre[1]) - half_height + corner_radius
    outside = np.hypot(np.maximum(across, 0), np.maximum(down, 0)) + np.minimum(np.maximum(across, down), 0)
    return plane(corner_radius - outside)


def ellipse(centre: Point, half_width: float, half_height: float) -> Float32:
    """Compute each pixel's approximate depth in an upright ellipse; negative outside."""
    radius = np.hypot((X - centre[0]) / half_width, (Y - centre[1]) / half_height)
    return plane((1 - radius) * min(half_width, half_height))


def cover(depth: Float32) -> Float32:
    """Convert depth to cover 0..1, with edges smoothed over a pixel."""
    return plane(np.clip(depth * (SIDE / 2) + 0.5, 0, 1))


def noise(random: np.random.Generator, cell_pixels: float, *, stretch: float = 1.0) -> Float32:
    """Draw smooth noise of about mean 0 and deviation 1; `stretch` makes its grain longer downwards."""
    width = max(2, round(SIDE / cell_pixels))
    height = max(2, round(SIDE / cell_pixels / stretch))
    coarse = random.standard_normal((height, width)).astype(np.float32)
    return plane(cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))


def smooth(values: Float32, sigma_pixels: float) -> Float32:
    """Blur a plane."""
    return plane(cv2.GaussianBlur(values, (0, 0), sigma_pixels))


def relief(random: np.random.Generator, height: Float32, *, ambient: float = 0.55) -> Float32:
    """Compute the light on a surface, about 1 on average: from one side, and less of it in creases.

    `height` is in units of the plane, towards the viewer.
    """
    down, across = np.gradient(height * (SIDE / 2))
    turn, rise = random.uniform(0, 2 * np.pi), random.uniform(0.5, 1.1)
    light = (np.cos(turn) * np.cos(rise), np.sin(turn) * np.cos(rise), np.sin(rise))
    facing = (-across * light[0] - down * light[1] + light[2]) / np.sqrt(across**2 + down**2 + 1)
    creases = np.clip((smooth(height, 4) - height) * 2.5, 0, 0.35)
    return plane((ambient + (1.25 - ambient) * np.clip(facing, 0, 1)) * (1 - creases))


def tinted(shade: Float32, colour: Colour) -> Float32:
    """Return a colour under a shade, float32 [P, P, 3]."""
    return plane(shade[..., None] * np.asarray(colour, np.float32))


def mixed(below: Float32, above: Float32, share: Float32) -> Float32:
    """Blend to `above` where `share` is 1, `below` where it is 0: float32 [P, P, 3]."""
    return plane(below + share[..., None] * (above - below))


def colour(random: np.random.Generator) -> Colour:
    """Draw a colour of an object: grey, dark, pale or vivid."""
    value = float(random.uniform(0.03, 1)) ** 1.3
    saturation = float(random.choice([0.04, 0.25, 0.7])) * float(random.uniform(0.3, 1))
    channels = value * (1 - saturation * random.dirichlet((1, 1, 1)) * 2)
    red, green, blue = (float(channel) for channel in np.clip(channels, 0, 1))
    return red, green, blue


def plane(values: object) -> Float32:
    """Convert the values to float32."""
    return np.asarray(values, dtype=np.float32)
