"""Hands and arms as sprites to be painted in a skin tone: limbs by depth, light by relief; numpy and OpenCV only."""

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from vidrestore.training.occluders.sprite_shapes import (
    SIDE,
    Colour,
    Point,
    Sprite,
    X,
    Y,
    capsule,
    colour,
    cover,
    ellipse,
    mixed,
    noise,
    plane,
    relief,
    smooth,
    tinted,
)
from vidrestore.types import Float32

_KNUCKLES: Final[tuple[Point, ...]] = ((-0.25, 0.08), (-0.08, 0.02), (0.09, 0.05), (0.25, 0.14))
"""Start of index, middle, ring and little finger."""
_LENGTHS: Final = (0.62, 0.70, 0.64, 0.5)
_PHALANGES: Final = (0.45, 0.31, 0.24)
"""Lengths of the phalanges as shares of a finger's length."""
_WRIST: Final[Point] = (0.0, 0.8)
_THUMB_ROOT: Final[Point] = (-0.22, 0.52)


@dataclass(slots=True)
class _Surface:
    """A hand while it is built."""

    depth: Float32 = field(default_factory=lambda: np.full((SIDE, SIDE), -9, np.float32))
    """Depth in the outline; negative outside."""
    height: Float32 = field(default_factory=lambda: np.zeros((SIDE, SIDE), np.float32))
    """Height towards the viewer."""
    marks: Float32 = field(default_factory=lambda: np.ones((SIDE, SIDE, 3), np.float32))
    """Factors of the skin's colour, RGB: creases, nails, blood."""

    def add(self, limb: Float32, *, lift: float = 0.0) -> None:
        """Lay a limb, by its depth, over what is there."""
        radius = max(float(limb.max()), 1e-3)
        inside = np.clip(limb, 0, None)
        dome = np.sqrt(np.clip(inside * (2 * radius - inside), 0, None))
        self.height = plane(np.where(limb > 0, np.maximum(self.height, dome + lift), self.height))
        self.depth = plane(np.maximum(self.depth, limb))


def hand(random: np.random.Generator) -> Sprite:
    """Draw a hand from a wrist or forearm at the bottom edge, fingers up: open, pointing, closed or in between."""
    surface = _Surface()
    girth = random.uniform(0.85, 1.2)
    _add_palm(surface, girth)
    pose = random.choice(["open", "together", "pointing", "fist", "any"], p=[0.3, 0.25, 0.15, 0.1, 0.2])
    folded = {"open": 0.0, "together": 0.0, "pointing": 0.65, "fist": 1.0, "any": 0.35}[str(pose)]
    spread = random.uniform(-0.04, 0.03) if pose == "together" else random.uniform(0.0, 0.2)
    lean, bend = random.normal(0, 0.12), random.normal(0, 0.12)
    nail = _nail(random)
    for index in range(4):
        if random.random() < folded:
            _add_folded(surface, random, index, girth)
            continue
        heading = lean + spread * (index - 1.5) + random.normal(0, 0.035)
        length = _LENGTHS[index] * random.uniform(0.9, 1.1) * (1.0 if random.random() < 0.7 else 0.75)  # noqa: PLR2004
        joints = _joints(_KNUCKLES[index], heading, bend + random.normal(0, 0.04), length)
        _add_finger(surface, joints, (0.105 - 0.012 * (index == 3)) * girth, nail)  # noqa: PLR2004
    if random.random() < 0.85:  # noqa: PLR2004  most show it
        heading = -random.uniform(0.15, 1.15)
        joints = _joints(_THUMB_ROOT, heading, random.uniform(-0.1, 0.3), random.uniform(0.5, 0.62))
        _add_finger(surface, joints, 0.125 * girth, nail, lift=random.uniform(0, 0.1))
    return _skin(surface, random)


def arm(random: np.random.Generator) -> Sprite:
    """Draw a bare or sleeved arm that crosses from the bottom edge to the top one."""
    surface = _Surface()
    radius, bulge = random.uniform(0.14, 0.36), random.uniform(0.85, 1.15)
    surface.add(capsule((0, -1.5), (0, 0), radius, radius * bulge))
    surface.add(capsule((0, 0), (0, 1.5), radius * bulge, radius))
    return _skin(surface, random)


def finger(random: np.random.Generator) -> Sprite:
    """Draw one or two big fingers from the bottom edge, as in front of a lens or at a mouth."""
    surface = _Surface()
    radius = random.uniform(0.12, 0.26)
    count = int(random.integers(1, 3))
    nail = _nail(random)
    for number in range(count):
        start = ((number - (count - 1) / 2) * 2.05 * radius, 1.1)
        joints = _joints(start, random.normal(0, 0.06), random.normal(0, 0.1), random.uniform(1.3, 1.8))
        _add_finger(surface, joints, radius, nail)
    return _skin(surface, random)


def _add_palm(surface: _Surface, girth: float) -> None:
    for knuckle in _KNUCKLES:
        foot = (_WRIST[0] + 0.55 * knuckle[0], _WRIST[1])
        surface.add(capsule(knuckle, foot, 0.125 * girth, 0.14 * girth), lift=0.02)
    surface.add(ellipse((0, 0.42), 0.35 * girth, 0.4))
    surface.add(capsule(_THUMB_ROOT, (-0.05, 0.75), 0.15 * girth, 0.16 * girth), lift=0.02)
    surface.height = smooth(surface.height, 4)
    surface.add(capsule(_WRIST, (0, 1.6), 0.21 * girth, 0.25 * girth))


def _joints(start: Point, heading: float, bend: float, length: float) -> list[Point]:
    """Return four points of a finger; `heading` in radians from upwards, `bend` is added to it at each joint."""
    points = [start]
    for share in _PHALANGES:
        x, y = points[-1]
        points.append((x + length * share * float(np.sin(heading)), y - length * share * float(np.cos(heading))))
        heading += bend
    return points


def _add_finger(
    surface: _Surface, joints: list[Point], radius: float, nail: Colour | None, *, lift: float = 0.0
) -> None:
    radii = (radius, radius * 0.96, radius * 0.88, radius * 0.72)
    for number in range(3):
        limb = capsule(joints[number], joints[number + 1], radii[number], radii[number + 1])
        surface.add(limb, lift=lift)
        if number:
            _add_crease(surface, joints[number - 1], joints[number], radii[number])
    if nail is not None:
        _add_nail(surface, joints[2], joints[3], radius * 0.62, nail)
    near_tip = np.exp(-((X - joints[3][0]) ** 2 + (Y - joints[3][1]) ** 2) / (2 * radius**2))
    surface.marks = plane(surface.marks * (1 - near_tip[..., None] * np.array([-0.03, 0.06, 0.05])))


def _direction(start: Point, end: Point) -> Point:
    """Return a direction of unit length."""
    x, y = end[0] - start[0], end[1] - start[1]
    length = max(math.hypot(x, y), 1e-6)
    return x / length, y / length


def _add_crease(surface: _Surface, before: Point, joint: Point, radius: float) -> None:
    """Draw a dark line across a finger at its joint."""
    along = _direction(before, joint)
    down = (X - joint[0]) * along[0] + (Y - joint[1]) * along[1]
    across = (X - joint[0]) * -along[1] + (Y - joint[1]) * along[0]
    dark = 0.22 * np.exp(-((down / 0.018) ** 2)) * (np.abs(across) < 0.75 * radius)
    surface.marks = plane(surface.marks * (1 - dark[..., None]))


def _nail(random: np.random.Generator) -> Colour | None:
    """Return the colour of nails, half of the paint's factor; None for a palm, which shows none."""
    if random.random() < 0.45:  # noqa: PLR2004  palms
        return None
    return colour(random) if random.random() < 0.2 else (0.58, 0.5, 0.5)  # noqa: PLR2004  varnish on some


def _add_nail(surface: _Surface, before: Point, tip: Point, radius: float, paint: Colour) -> None:
    along = _direction(before, tip)
    down = (X - tip[0]) * along[0] + (Y - tip[1]) * along[1] - 0.1 * radius
    across = (X - tip[0]) * -along[1] + (Y - tip[1]) * along[0]
    inside = cover(plane((1 - np.hypot(across / radius, down / (1.35 * radius))) * radius))
    surface.marks = mixed(surface.marks, plane(2 * np.asarray(paint, np.float32) * np.ones_like(surface.marks)), inside)


def _add_folded(surface: _Surface, random: np.random.Generator, index: int, girth: float) -> None:
    """Draw a finger folded into the palm: its first phalanx from the front, and the second lies over it."""
    x, y = _KNUCKLES[index]
    top = y - random.uniform(0.02, 0.1)
    radius = 0.115 * girth
    surface.add(capsule((x, y + 0.1), (x, top), radius, radius), lift=0.04)
    surface.add(capsule((x, top + 0.05), (x * 0.9, y + random.uniform(0.16, 0.3)), radius, radius * 0.85), lift=0.1)


def _skin(surface: _Surface, random: np.random.Generator) -> Sprite:
    """Draw light, blotches and grain on a hand, and perhaps a sleeve."""
    light = relief(random, smooth(surface.height, 1.2))
    rim = 1 - random.uniform(0, 0.3) * np.exp(-np.clip(surface.depth, 0, None) / 0.03)
    blotches = 1 + 0.05 * noise(random, 20) + 0.025 * noise(random, 4)
    red = 1 + 0.03 * noise(random, 16)[..., None] * np.array([1, -0.6, -0.5])
    ratio = surface.marks * red * (light * rim * blotches)[..., None]
    if random.random() < 0.3:  # noqa: PLR2004  sleeves
        ratio = _sleeved(plane(ratio), surface, light, random)
    return Sprite(plane(np.clip(ratio / 2, 0, 1)), cover(surface.depth))


def _sleeved(ratio: Float32, surface: _Surface, light: Float32, random: np.random.Generator) -> Float32:
    start = random.uniform(0.7, 0.9)
    edge = start + 0.03 * np.sin(6 * X + random.uniform(0, 6))
    cloth = tinted(plane(light * (1 + 0.12 * noise(random, 9, stretch=2))), colour(random)) * 2
    wider = capsule((0, start + 0.2), (0, 2.0), 0.33, 0.34)
    below = cover(plane(Y - edge))
    surface.depth = plane(np.where(below > 0, np.maximum(surface.depth, np.minimum(wider, Y - edge)), surface.depth))
    return mixed(ratio, plane(cloth), below)
