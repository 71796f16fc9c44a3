"""Sprites of objects that get between a lens and a face: bars, microphones, cups, cards, cloth, heads, twigs.

numpy and OpenCV only. Some are in their own colours, some (`blob`, `head`) are to be painted.
"""

import cv2
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
    relief,
    smooth,
    tinted,
)
from vidrestore.types import Float32


def bar(random: np.random.Generator) -> Sprite:
    """Draw a bar, pole, strap or frame that crosses from the bottom edge to the top one."""
    half = float(random.choice([random.uniform(0.04, 0.12), random.uniform(0.12, 0.5)]))
    shape = plane(half - np.abs(X))
    return Sprite(_fill(random, half), cover(shape))


def stick(random: np.random.Generator) -> Sprite:
    """Draw a pen, brush, straw or cane from the bottom edge; its tip may be of another colour."""
    half = random.uniform(0.025, 0.11)
    top = random.uniform(-0.85, -0.2)
    shape = capsule((0, top), (0, 1.6), half * random.uniform(0.4, 1.1), half)
    colours = _fill(random, half)
    if random.random() < 0.5:  # noqa: PLR2004  a coin
        tip = cover(plane(top + random.uniform(0.05, 0.4) - Y))
        colours = mixed(colours, tinted(_round(half), colour(random)), tip)
    return Sprite(plane(np.clip(colours, 0, 1)), cover(shape))


def microphone(random: np.random.Generator) -> Sprite:
    """Draw a ball of mesh or foam on a handle that leaves through the bottom edge."""
    radius, tall = random.uniform(0.15, 0.42), random.uniform(0.9, 1.5)
    y = -0.45
    ball = ellipse((0, y), radius, radius * tall)
    half = radius * random.uniform(0.3, 0.75)
    handle = capsule((0, y + radius), (0, 1.6), half * 1.15, half)
    dark = random.random() < 0.75  # noqa: PLR2004  most are
    paint = (0.12, 0.12, 0.13) if dark else colour(random)
    shade = relief(random, plane(np.sqrt(np.clip(ball, 0, None)) * radius**0.5), ambient=0.4)
    pitch = random.uniform(25, 60)
    shade = plane(shade * (1 + random.uniform(0, 0.5) * np.sin(pitch * (X + Y)) * np.sin(pitch * (X - Y))))
    shade = plane(
        shade + random.uniform(0, 1.5) * np.exp(-((X + 0.4 * radius) ** 2 + (Y - y + 0.4 * radius) ** 2) * 60)
    )
    grip = tinted(_round(half), colour(random) if random.random() < 0.3 else (0.1, 0.1, 0.1))  # noqa: PLR2004
    colours = mixed(grip, tinted(plane(shade * (1 + 0.1 * noise(random, 3))), paint), cover(ball))
    shape = plane(np.maximum(ball, handle))
    if random.random() < 0.3:  # noqa: PLR2004  a station's sign
        sign = box((0, y + radius * tall + 0.2), half + 0.12, 0.18, 0.03)
        colours = mixed(colours, _page(random), cover(sign))
        shape = plane(np.maximum(shape, sign))
    return Sprite(plane(np.clip(colours, 0, 1)), cover(shape))


def cup(random: np.random.Generator) -> Sprite:
    """Draw a cup, can, glass bottle or bowl, perhaps with a handle and a label."""
    half, tall = random.uniform(0.25, 0.55), random.uniform(0.35, 0.75)
    taper = 1 - random.uniform(0, 0.35) * (Y + tall) / (2 * tall)
    shape = plane(np.minimum(half * taper - np.abs(X), tall - np.abs(Y + 0.04 * (1 - (X / half) ** 2))))
    colours = _fill(random, half)
    rim = plane(np.exp(-(((Y + tall - 0.08) / 0.03) ** 2)))
    colours = mixed(colours, np.full_like(colours, random.uniform(0, 1)), plane(0.6 * rim))
    if random.random() < 0.5:  # noqa: PLR2004  a coin
        colours = mixed(colours, plane(_page(random) * _round(half)[..., None]), cover(box((0, 0.1), 1, 0.3 * tall)))
    if random.random() < 0.4:  # noqa: PLR2004  mugs
        ring = plane(0.05 - np.abs(np.hypot(X - half, (Y - 0.05) / 1.3) - 0.22))
        shape = plane(np.maximum(shape, ring))
    return Sprite(plane(np.clip(colours, 0, 1)), cover(shape))


def card(random: np.random.Generator) -> Sprite:
    """Draw a sheet of paper, book, phone, sign or board."""
    half, tall = random.uniform(0.3, 0.8), random.uniform(0.3, 0.8)
    shape = box((0, 0), half, tall, random.uniform(0, 0.12))
    colours = _page(random) if random.random() < 0.6 else _fill(random, half)  # noqa: PLR2004  printed or plain
    if random.random() < 0.5:  # noqa: PLR2004  a margin
        inner = box((0, 0), half - 0.06, tall - 0.06, 0.02)
        colours = mixed(tinted(np.ones_like(X), colour(random)), colours, cover(inner))
    light = 1 + random.normal(0, 0.2) * X + random.normal(0, 0.2) * Y
    colours = plane(np.clip(colours * light[..., None], 0, 1))
    if random.random() < 0.25:  # noqa: PLR2004  the back of a phone
        lens = np.maximum.reduce([ellipse((-half + 0.15, -tall + 0.15 + d), 0.06, 0.06) for d in (0.0, 0.17)])
        colours = mixed(colours, np.full_like(colours, 0.05), cover(plane(lens)))
    return Sprite(colours, cover(shape))


def ball(random: np.random.Generator) -> Sprite:
    """Draw a ball, fruit or balloon."""
    half = random.uniform(0.3, 0.75)
    shape = ellipse((0, 0), half, half * random.uniform(0.8, 1.25))
    shade = relief(random, plane(np.sqrt(np.clip(shape * 2 * half, 0, None))), ambient=0.35)
    if random.random() < 0.5:  # noqa: PLR2004  a coin
        return Sprite(
            plane(np.clip(tinted(plane(shade + 0.05 * noise(random, 6)), colour(random)), 0, 1)), cover(shape)
        )
    return Sprite(plane(np.clip(_fill(random, half) * shade[..., None], 0, 1)), cover(shape))


def blob(random: np.random.Generator) -> Sprite:
    """Draw something shapeless, afloat, with folds: cloth, fur, a bag. To be painted."""
    depth = _outline(random, random.uniform(0.35, 0.7))
    return Sprite(_cloth(random, depth), cover(depth))


def curtain(random: np.random.Generator) -> Sprite:
    """Draw cloth or a wall that comes in from the bottom edge with an uneven border. To be painted."""
    waves = sum(random.normal(0, 0.12 / k) * np.sin(k * 2.5 * X + random.uniform(0, 6)) for k in range(1, 6))
    depth = plane(Y - random.uniform(-0.3, 0.3) - waves - random.normal(0, 0.3) * X)
    return Sprite(_cloth(random, depth), cover(depth))


def head(random: np.random.Generator) -> Sprite:
    """Draw the back of a head on shoulders, from the bottom edge. To be painted."""
    width = random.uniform(0.3, 0.5)
    skull = ellipse((0, -0.1), width, width * random.uniform(1.1, 1.4))
    neck = capsule((0, 0.1), (0, 0.8), width * 0.6, width * 0.65)
    shoulders = plane(np.minimum(0.98 - np.abs(X), Y - 0.55 - 0.35 * X**2))
    depth = plane(np.maximum.reduce([skull, neck, shoulders]))
    hair = plane(1 + 0.25 * noise(random, 3, stretch=6) + 0.15 * noise(random, 12))
    light = relief(random, plane(smooth(plane(np.sqrt(np.clip(depth, 0, None))), 3)))
    ratio = plane(hair * light * random.uniform(0.3, 1))[..., None] * np.ones(3, np.float32)
    cloth = tinted(plane(light * (1 + 0.1 * noise(random, 6))), colour(random)) * 2
    ragged = plane(depth + 0.02 * noise(random, 3))
    return Sprite(plane(np.clip(mixed(ratio, cloth, cover(shoulders)) / 2, 0, 1)), cover(ragged))


def twigs(random: np.random.Generator) -> Sprite:
    """Draw branches with leaves, wires or grass from the bottom edge."""
    fine = np.zeros((SIDE * 2, SIDE * 2), np.uint8)
    leaves = np.zeros_like(fine)
    leafy = random.random() < 0.6  # noqa: PLR2004  the others are wires
    for _ in range(int(random.integers(1, 4))):
        point = np.array([random.uniform(0.25, 0.75) * 2 * SIDE, 2.0 * SIDE])
        heading, thick = random.normal(0, 0.25), int(random.integers(3, 12))
        for _ in range(int(random.integers(8, 16))):
            ahead = point + 17 * np.array([np.sin(heading), -np.cos(heading)])
            cv2.line(fine, _pixel(point), _pixel(ahead), 255, thick, cv2.LINE_AA)
            if leafy and random.random() < 0.5:  # noqa: PLR2004  a coin
                size, turn = int(random.integers(10, 34)), float(random.uniform(0, 180))
                cv2.ellipse(leaves, _pixel(ahead), (size, size // 2), turn, 0, 360, 255, -1, cv2.LINE_AA)
            point, heading = ahead, float(np.clip(heading + random.normal(0, 0.25), -0.9, 0.9))
    wood, leaf = (
        plane(cv2.resize(drawn, (SIDE, SIDE), interpolation=cv2.INTER_AREA)) / 255 for drawn in (fine, leaves)
    )
    green = (random.uniform(0.1, 0.6), random.uniform(0.2, 0.6), random.uniform(0.02, 0.25))
    grain = plane(1 + 0.2 * noise(random, 5))
    colours = mixed(tinted(grain, colour(random)), tinted(grain, green), plane(leaf))
    return Sprite(plane(np.clip(colours, 0, 1)), plane(np.maximum(wood, leaf)))


def _pixel(point: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[int, int]:
    return int(point[0]), int(point[1])


def _outline(random: np.random.Generator, radius: float) -> Float32:
    """Compute the depth in a closed uneven curve round the middle."""
    angle = np.arctan2(Y, X)
    waves = sum(random.normal(0, 0.22 / k) * np.cos(k * angle + random.uniform(0, 6)) for k in range(1, 7))
    return plane(np.minimum(radius * np.clip(1 + waves, 0.3, 1.35), 0.95) - np.hypot(X, Y))


def _cloth(random: np.random.Generator, depth: Float32) -> Float32:
    """Draw folds, weave and a dark or light rim, to be multiplied by a paint: float32 [P, P, 3]."""
    turn = random.uniform(0, np.pi)
    along = np.cos(turn) * X + np.sin(turn) * Y + 0.12 * noise(random, 40)
    folds = random.uniform(0, 0.3) * np.sin(random.uniform(3, 16) * along + random.uniform(0, 6))
    weave = random.uniform(0, 0.12) * np.sin(random.uniform(40, 120) * X) * np.sin(random.uniform(40, 120) * Y)
    fur = random.uniform(0, 0.15) * noise(random, random.uniform(2, 5), stretch=random.uniform(1, 5))
    rim = random.normal(0, 0.2) * np.exp(-np.clip(depth, 0, None) / 0.06)
    ratio = np.clip(1 + folds + weave + fur + rim, 0.1, 2)
    return plane(np.clip(ratio[..., None] * np.ones(3) / 2, 0, 1))


def _round(half: float) -> Float32:
    """Compute the shade of an upright cylinder with this half width: dark flanks, a highlight."""
    across = np.clip(np.abs(X) / half, 0, 1)
    highlight = 0.5 * np.exp(-(((X / half + 0.35) / 0.18) ** 2))
    return plane(0.35 + 0.65 * np.sqrt(1 - across**2) + highlight)


def _fill(random: np.random.Generator, half: float) -> Float32:
    """Draw a filling, plain, graded, round, striped, worn or patterned: float32 [P, P, 3]."""
    shade = np.ones((SIDE, SIDE), np.float32)
    if random.random() < 0.5:  # noqa: PLR2004  each of these is for some
        shade *= _round(half)
    if random.random() < 0.5:  # noqa: PLR2004
        shade *= plane(1 + random.normal(0, 0.3) * X + random.normal(0, 0.15) * Y)
    if random.random() < 0.5:  # noqa: PLR2004
        shade *= plane(1 + random.uniform(0, 0.2) * noise(random, random.uniform(2, 30), stretch=random.uniform(1, 4)))
    colours = tinted(shade, colour(random))
    if random.random() < 0.35:  # noqa: PLR2004
        slope = random.choice([-1.0, 0.0, 1.0])
        stripes = cover(plane(0.3 * np.sin(random.uniform(4, 22) * (Y + slope * X) + random.uniform(0, 6))))
        colours = mixed(colours, tinted(shade, colour(random)), stripes)
    return plane(np.clip(colours, 0, 1))


def _page(random: np.random.Generator) -> Float32:
    """Draw lines of words, and perhaps a picture among them: float32 [P, P, 3]."""
    words = np.zeros((SIDE, SIDE), np.float32)
    height = int(random.integers(2, 9))
    for top in range(4, SIDE - height, round(height * random.uniform(1.5, 2.5))):
        left = 4
        while left < SIDE - 8:
            length = int(random.integers(3, 7)) * height // 2 + 2
            words[top : top + height, left : left + length] = random.uniform(0.5, 1)
            left += length + max(1, height // 2)
    words *= plane(1 + 0.4 * noise(random, 2))
    paper, ink = colour(random), colour(random)
    if random.random() < 0.5:  # noqa: PLR2004  white paper, as a rule
        paper, ink = (0.9, 0.89, 0.86), (0.1, 0.1, 0.12)
    colours = mixed(tinted(np.ones_like(X), paper), tinted(np.ones_like(X), ink), plane(np.clip(words, 0, 1)))
    if random.random() < 0.4:  # noqa: PLR2004  pictures
        place = box((random.normal(0, 0.3), random.normal(0, 0.3)), random.uniform(0.1, 0.5), random.uniform(0.1, 0.4))
        picture = np.stack([noise(random, 12) for _ in range(3)], axis=-1) * 0.25 + np.array(colour(random))
        colours = mixed(colours, plane(np.clip(picture, 0, 1)), cover(place))
    return plane(np.clip(colours, 0, 1))
