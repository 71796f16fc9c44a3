"""Drawn pictures of people whose landmarks are known, and pictures without people: to measure how faces are found."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from vidrestore.errors import InputError
from vidrestore.faces.alignment import residual, similarity
from vidrestore.restoration.face.selection import FACE_WIDTH
from vidrestore.types import Detection, Float64, UInt8

Find = Callable[[Sequence[UInt8]], Sequence[tuple[Detection, ...]]]

_SIDES: Final = (160, 192, 224, 256, 288)
"""Sides in pixels at which a portrait is looked at for its landmarks; the median of these looks counts."""
_SURE: Final = 0.99
_GOOD_FIT: Final = 0.045
_SOFT: Final = 0.12
"""Width of the soft edge of a pasted head, in its radii."""
_ROOM: Final = 1.9
"""Distance between two people, in widths of the larger face."""
_TRIES: Final = 200


@dataclass(frozen=True, slots=True)
class Portrait:
    """A picture of one upright face."""

    picture: UInt8 = field(repr=False)
    """uint8 [h, w, 3] RGB."""
    landmarks: Float64 = field(repr=False)
    """float64 [5, 2], pixels of the picture."""


@dataclass(frozen=True, slots=True)
class Person:
    """A face in a drawn picture."""

    landmarks: Float64 = field(repr=False)
    """float64 [5, 2], pixels of the picture."""
    width: float
    """Pixels from ear to ear."""

    @property
    def eye_distance(self) -> float:
        """Distance of the eyes, pixels."""
        return float(np.hypot(*(self.landmarks[1] - self.landmarks[0])))


@dataclass(frozen=True, slots=True)
class Crowd:
    """A drawn picture and the people in it."""

    picture: UInt8 = field(repr=False)
    people: tuple[Person, ...]


def load_portraits(folder: Path, find: Find, *, most: int) -> list[Portrait]:
    """Read the first usable portraits of a folder; the landmarks are what `find` sees at good sizes, upright.

    A picture is left out where the looks at it do not agree on one certain face that fits the template.

    Raises:
        InputError: the folder holds no such picture.
    """
    portraits: list[Portrait] = []
    for path in sorted(folder.iterdir()):
        read = cv2.imread(str(path)) if path.is_file() else None
        if read is None:
            continue
        portrait = _portrait(np.asarray(cv2.cvtColor(read, cv2.COLOR_BGR2RGB), np.uint8), find)
        portraits += [portrait] if portrait else []
        if len(portraits) == most:
            break
    if not portraits:
        raise InputError(f"{folder} holds no picture of one upright face; name a folder of portraits")
    return portraits


def _portrait(picture: UInt8, find: Find) -> Portrait | None:
    looks = []
    for side in _SIDES:
        scale = side / max(picture.shape[:2])
        small = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        margin = side // 4
        framed = cv2.copyMakeBorder(small, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
        (faces,) = find([np.asarray(framed, np.uint8)])
        if not faces or faces[0].score < _SURE:
            return None
        looks.append((faces[0].landmarks - margin + 0.5) / scale - 0.5)
    landmarks = np.median(looks, axis=0).astype(np.float64)
    return Portrait(picture, landmarks) if residual(landmarks) < _GOOD_FIT else None


def draw_background(random: np.random.Generator, width: int, height: int) -> UInt8:
    """Draw a blurred room of walls, boxes and discs, uint8 [height, width, 3] RGB."""
    low, high = random.uniform(20, 120, 3), random.uniform(90, 220, 3)
    slope = np.linspace(0, 1, height)[:, None, None]
    picture = np.broadcast_to(low + slope * (high - low), (height, width, 3)).astype(np.uint8).copy()
    for _ in range(24):
        colour = tuple(int(value) for value in random.integers(20, 230, 3))
        x, y = int(random.integers(width)), int(random.integers(height))
        size = int(random.uniform(0.02, 0.25) * height) + 1
        if random.random() < 0.7:  # noqa: PLR2004  most are boxes
            cv2.rectangle(picture, (x, y), (x + size, y + int(size * random.uniform(0.3, 3))), colour, -1)
        else:
            cv2.circle(picture, (x, y), size // 2, colour, -1)
    picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), 1 + height / 400), np.uint8)
    grained: UInt8 = np.clip(picture + random.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)
    return grained


def draw_crowd(
    portraits: Sequence[Portrait],
    random: np.random.Generator,
    *,
    width: int,
    height: int,
    faces: Sequence[tuple[float, float]],
) -> Crowd:
    """Paste people with soft edges into a drawn background.

    Args:
        portraits: who they are, drawn at random.
        random: decides who stands where.
        width: of the picture, pixels.
        height: of the picture, pixels.
        faces: width in pixels, and clockwise degrees, of every face. A face wider than half the picture's shorter side
            lies near the middle; where no room is left, a face is left out.
    """
    picture = draw_background(random, width, height)
    taken: list[tuple[float, float, float]] = []
    people: list[Person] = []
    for face, degrees in faces:
        place = _place(random, face, width, height, taken)
        if place is None:
            continue
        taken.append((*place, face))
        portrait = portraits[int(random.integers(len(portraits)))]
        matrix = _matrix(portrait, face, degrees, place)
        _paste(picture, portrait, matrix)
        people.append(Person(portrait.landmarks @ matrix[:, :2].T + matrix[:, 2], face))
    return Crowd(picture, tuple(people))


def _place(
    random: np.random.Generator, face: float, width: int, height: int, taken: list[tuple[float, float, float]]
) -> tuple[float, float] | None:
    for _ in range(_TRIES):
        x, y = (_along(random, side, face) for side in (width, height))
        if all(np.hypot(x - left, y - top) > _ROOM * max(face, other) for left, top, other in taken):
            return x, y
    return None


def _along(random: np.random.Generator, side: int, face: float) -> float:
    if 2 * face > side:
        return float(side * random.uniform(0.45, 0.55))
    return float(random.uniform(face, side - face))


def _matrix(portrait: Portrait, face: float, degrees: float, place: tuple[float, float]) -> Float64:
    log_size, angle, x, y = similarity(portrait.landmarks)
    scale = face / (FACE_WIDTH * float(np.exp(log_size)))
    turn = np.radians(degrees) - angle
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.column_stack([linear, np.array(place) - linear @ [x, y]])


def _paste(picture: UInt8, portrait: Portrait, matrix: Float64) -> None:
    source = portrait.picture
    height, width = source.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    radius = np.hypot((x - width / 2 + 0.5) / (0.5 * width), (y - height / 2 + 0.5) / (0.5 * height))
    alpha = np.clip((1 - radius) / _SOFT, 0, 1).astype(np.float32)
    scale = float(np.sqrt(np.linalg.det(matrix[:, :2])))
    if scale < 1:
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        source = np.asarray(cv2.resize(source, small, interpolation=cv2.INTER_AREA), np.uint8)
        alpha = cv2.resize(alpha, small, interpolation=cv2.INTER_AREA)
        ratio = np.array([width / small[0], height / small[1]])
        matrix = np.column_stack([matrix[:, :2] * ratio, matrix[:, 2] + matrix[:, :2] @ ((ratio - 1) / 2)])
    size = (picture.shape[1], picture.shape[0])
    laid = cv2.warpAffine(source, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    share = cv2.warpAffine(alpha, matrix, size, flags=cv2.INTER_LINEAR)[..., None]
    picture[...] = np.rint(picture + share * (laid.astype(np.float32) - picture)).astype(np.uint8)


def draw_without_people(random: np.random.Generator, *, width: int, height: int) -> Iterator[tuple[str, UInt8]]:
    """Draw what detectors take for faces: yield names and pictures, uint8 [height, width, 3] RGB."""
    yield "a room", draw_background(random, width, height)
    noise = random.integers(0, 255, (height // 8 + 1, width // 8 + 1, 3)).astype(np.uint8)
    yield "blocks", np.ascontiguousarray(noise.repeat(8, 0).repeat(8, 1)[:height, :width])
    y, x = np.mgrid[:height, :width]
    waves = 127 + 120 * np.sin(x / 9) * np.sin(y / 11)
    yield "waves", np.repeat(waves.astype(np.uint8)[..., None], 3, axis=2)
    yield "drawn heads", _dotted(random, draw_background(random, width, height))
    leaves = draw_background(random, width, height)
    for _ in range(600):
        middle = (int(random.integers(width)), int(random.integers(height)))
        axes = (int(random.integers(3, 30)), int(random.integers(3, 16)))
        green = (int(random.integers(20, 120)), int(random.integers(60, 200)), int(random.integers(10, 80)))
        cv2.ellipse(leaves, middle, axes, float(random.uniform(0, 360)), 0, 360, green, -1, cv2.LINE_AA)
    yield "leaves", leaves


def _dotted(random: np.random.Generator, picture: UInt8) -> UInt8:
    """Draw ovals in the colour of skin with two or three dots in them."""
    height, width = picture.shape[:2]
    for _ in range(12):
        size = int(random.uniform(0.03, 0.2) * height) + 4
        x, y = int(random.integers(width)), int(random.integers(height))
        cv2.ellipse(picture, (x, y), (size // 2, int(size * 0.65)), 0, 0, 360, (205, 160, 130), -1, cv2.LINE_AA)
        for side in (-1, 1):
            cv2.circle(
                picture, (x + side * size // 5, y - size // 8), max(1, size // 14), (40, 30, 30), -1, cv2.LINE_AA
            )
        if random.random() < 0.5:  # noqa: PLR2004  half have a mouth
            cv2.line(picture, (x - size // 6, y + size // 3), (x + size // 6, y + size // 3), (120, 50, 50), 2)
    return picture
