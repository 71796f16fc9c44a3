"""The image of an evaluation: a row for each face, from the damaged one through its restorations to the truth."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from vidrestore.errors import OutputError
from vidrestore.files import replace_bytes
from vidrestore.types import UInt8

TILE_PIXELS: Final = 256
_HEADER_PIXELS: Final = 28
_GAP_PIXELS: Final = 2
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, slots=True)
class Grid:
    """Faces side by side."""

    title: str
    """The strength of damage."""
    labels: tuple[str, ...]
    """Labels of the columns."""
    rows: tuple[tuple[UInt8, ...], ...] = field(repr=False)
    """uint8 [S, S, 3] RGB, as many in each row as there are labels."""


def draw(grid: Grid) -> UInt8:
    """Draw one image, uint8 [h, w, 3] RGB: a header with the columns' labels, then a row for each face.

    Faces larger than `TILE_PIXELS` are reduced by area to it; smaller ones stay as they are.
    """
    assert grid.rows, "a grid without faces has no size"  # noqa: S101  an evaluation has a face
    side = min(TILE_PIXELS, grid.rows[0][0].shape[0])
    rows = [_side_by_side([_reduced(face, side) for face in row]) for row in grid.rows]
    labels = [f"{grid.title}: {grid.labels[0]}", *grid.labels[1:]]
    header = _side_by_side([_label(text, side) for text in labels])
    return np.vstack([header, *rows])


def write_grid(grid: Grid, path: Path) -> None:
    """Write the image as PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    drawn, encoded = cv2.imencode(".png", np.ascontiguousarray(draw(grid)[..., ::-1]))
    if not drawn:
        raise OutputError(f"{path}: OpenCV could not encode the picture as PNG; ask for fewer --grid-faces")
    replace_bytes(path, encoded.tobytes())


def _side_by_side(tiles: Sequence[UInt8]) -> UInt8:
    gap = np.zeros((tiles[0].shape[0], _GAP_PIXELS, 3), np.uint8)
    spaced = [part for tile in tiles for part in (tile, gap)]
    row: UInt8 = np.hstack(spaced[:-1])
    return row


def _reduced(face: UInt8, side: int) -> UInt8:
    if face.shape[0] == side:
        return face
    return np.asarray(cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def _label(text: str, width: int) -> UInt8:
    """Draw a label, white on black, shrunk until it fits."""
    tile = np.zeros((_HEADER_PIXELS, width, 3), np.uint8)
    plain = text.encode("ascii", "replace").decode()  # OpenCV's font has no other letters
    (wide, _), _ = cv2.getTextSize(plain, _FONT, 0.5, 1)
    scale = 0.5 * min(1.0, (width - 8) / max(1, wide))
    cv2.putText(tile, plain, (4, 19), _FONT, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return tile
