"""Sprites of what belongs to a face though it lies over it: glasses, a fringe, a hat; numpy and OpenCV only.

The sprite's plane is the aligned crop: pupils lie at about (-0.25, -0.06) and (0.25, -0.06).
"""

from typing import Final

import numpy as np

from vidrestore.training.occluders.sprite_shapes import (
    SIDE,
    Sprite,
    X,
    Y,
    box,
    capsule,
    colour,
    cover,
    ellipse,
    mixed,
    noise,
    plane,
    tinted,
)
from vidrestore.types import Float32

_EYES: Final = ((-0.247, -0.06), (0.247, -0.06))


def glasses(random: np.random.Generator) -> Sprite:
    """Draw glasses with clear, tinted, mirroring or dark lenses; the lenses of clear ones are all but open."""
    half_width, half_height = random.uniform(0.16, 0.235), random.uniform(0.1, 0.2)
    thick, drop = random.uniform(0.012, 0.05), random.uniform(-0.01, 0.05)
    lenses = plane(np.maximum.reduce([_lens(random, x, y + drop, half_width, half_height) for x, y in _EYES]))
    bridge = capsule((-0.1, drop - 0.08), (0.1, drop - 0.08), thick, thick)
    temples = [capsule((s * 0.42, drop - 0.08), (s * 0.8, drop - 0.05), thick, thick) for s in (-1, 1)]
    rims = plane(thick - np.abs(lenses))
    rims = plane(np.maximum.reduce([rims, np.where(lenses > 0, -1, bridge), *temples]))
    dark = random.random() < 0.45  # noqa: PLR2004  sunglasses
    tint = random.uniform(0.6, 1) if dark else random.uniform(0, 0.2)
    glass = tinted(plane(np.clip(0.8 + 0.5 * random.normal() * (Y - drop) / half_height, 0.1, 2)), colour(random))
    if dark and random.random() < 0.6:  # noqa: PLR2004  black ones
        glass = plane(glass * 0.12)
    share = plane(cover(lenses) * tint)
    glare = plane(_glare(random) * cover(lenses))
    glass = mixed(glass, np.ones_like(glass), glare)
    share = plane(np.maximum(share, glare))
    frame = colour(random) if random.random() < 0.5 else (0.08, 0.07, 0.07)  # noqa: PLR2004  dark or any
    shine = plane(0.8 + 0.4 * noise(random, 20))
    return Sprite(
        plane(np.clip(mixed(glass, tinted(shine, frame), cover(rims)), 0, 1)), plane(np.maximum(share, cover(rims)))
    )


def fringe(random: np.random.Generator) -> Sprite:
    """Draw strands of hair from the top over the forehead, down to the brows here and there. To be painted."""
    level = random.uniform(-0.75, -0.25)
    parting = random.uniform(-0.4, 0.4)
    waves = 0.06 * noise(random, 20, stretch=50) + 0.04 * noise(random, 5, stretch=50)
    border = level - 0.25 * random.random() * np.exp(-((X - parting) ** 2) / 0.02) + waves + 0.6 * X**2
    strands = plane(1 + 0.25 * noise(random, 2.5, stretch=12) + 0.12 * noise(random, 10))
    depth = plane(border - Y)
    share = plane(np.clip(depth * 14 + 0.5 + 0.35 * noise(random, 2.5, stretch=25), 0, 1))
    return Sprite(plane(np.clip(tinted(strands, (1, 1, 1)) * random.uniform(0.5, 1.3) / 2, 0, 1)), share)


def hat(random: np.random.Generator) -> Sprite:
    """Draw a cap, a woollen hat, a scarf or a helmet's border, down to the forehead."""
    level, curve = random.uniform(-0.75, -0.38), random.uniform(-0.25, 0.45)
    depth = plane(level + curve * X**2 - Y)
    cloth = plane(1 + 0.12 * noise(random, random.uniform(2, 12), stretch=random.uniform(1, 4)))
    colours = tinted(cloth, colour(random))
    if random.random() < 0.6:  # noqa: PLR2004  brim or band
        brim = cover(plane(random.uniform(0.08, 0.25) - depth))
        colours = mixed(colours, tinted(cloth, colour(random)), brim)
    if random.random() < 0.4:  # noqa: PLR2004  with sides that come down
        half = random.uniform(0.7, 0.85)
        depth = plane(np.maximum(depth, np.abs(X) - half - 0.1 * np.cos(3 * Y)))
    return Sprite(plane(np.clip(colours, 0, 1)), cover(depth))


def _lens(random: np.random.Generator, x: float, y: float, half_width: float, half_height: float) -> Float32:
    """Compute the depth in one lens; both are drawn alike by the same numbers."""
    state = random.bit_generator.state
    kind = int(random.integers(3))
    if kind == 0:
        lens = ellipse((x, y), half_width, half_height)
    else:
        lens = box((x, y), half_width, half_height, random.uniform(0.03, 0.8 * half_height))
    if x < 0:
        random.bit_generator.state = state  # the other lens draws the same
    return lens


def _glare(random: np.random.Generator) -> Float32:
    """Draw a window or lamp that lenses mirror, or none: 0..1."""
    if random.random() < 0.6:  # noqa: PLR2004  most mirror little
        return np.zeros((SIDE, SIDE), np.float32)
    band = np.sin(random.uniform(4, 14) * (X + random.normal(0, 0.5) * Y) + random.uniform(0, 6))
    return plane(np.clip(band * 3 - random.uniform(0, 2), 0, 1) * random.uniform(0.3, 1))
