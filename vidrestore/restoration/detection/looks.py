"""Looks: the pictures of a frame, or of a part of it, that the detector searches.

The detector sees upright faces from about 20 to 300 pixels wide. Smaller ones are enlarged for it, larger ones shrunk,
and those that lie or hang are turned.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import cv2
import numpy as np

from vidrestore.media.colour import Box, align_box, region_to_rgb
from vidrestore.media.geometry import display_size, frame_to_display, preview_scale
from vidrestore.restoration.face.cropper import resized_to_original, scale_factor, to_region
from vidrestore.types import Detection, Float64, Frame, UInt8

CLOSE_SIDE: Final = 256
"""Side in pixels of a close look at one face, and of the look at the whole picture from afar."""
SMALLEST_FACE: Final = 16.0
"""Width in pixels of the narrowest face that is searched in a look: the detector's smallest anchor."""
_EASY_FACE: Final = 24.0
"""Width in pixels from which hardly a face is missed; small videos are enlarged up to it, where that costs little."""
LARGEST_FACE: Final = 320.0
"""Width in pixels from which a face is too large for a look: the detector's largest anchors show a part of it."""
CLOSE_FACE: Final = 80.0
"""Width in pixels of a face in a close look: there landmarks are most exact for the least work."""
_MOST_ENLARGEMENT: Final = 4.0
_MOST_SEARCH_ENLARGEMENT: Final = 2.0
_FAR_MARGIN: Final = 0.25
"""Margin around the picture seen from afar, as a share of its longer side, for faces that reach beyond the edge."""
_TILE: Final = (960, 576)
"""Largest width and height of a tile, pixels."""
_TILE_OVERLAP: Final = 64
"""Pixels that neighbouring tiles share: more than two of the faces that only they show."""
_TILE_STEP: Final = 32
_WORTH: Final = 1.1
"""A search at this multiple of the preview's scale or less would show no more than the preview."""
_MARGIN: Final = 3
"""Frame pixels around a look that interpolation and chroma upsampling may touch."""


@dataclass(frozen=True, slots=True)
class Look:
    """A rectangle of the display, perhaps turned, as a picture of given size."""

    width: int
    """Pixels of the picture."""
    height: int
    to_display: Float64 = field(repr=False)
    """float64 [2, 3], pixels of the picture -> display pixels."""

    @property
    def scale(self) -> float:
        """Pixels of the picture per display pixel."""
        return 1 / scale_factor(self.to_display)

    @property
    def angle(self) -> float:
        """Radians, -pi to pi, that an upright face in the picture is turned clockwise in the display."""
        return math.atan2(self.to_display[1, 0], self.to_display[0, 0])

    def in_display(self, found: Detection) -> Detection:
        """Map a detection from pixels of the picture to display pixels; its box is the upright one around the old."""
        linear, shift = self.to_display[:, :2], self.to_display[:, 2]
        left, top, right, bottom = found.box
        corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]]) @ linear.T + shift
        box = np.concatenate([corners.min(axis=0), corners.max(axis=0)]).astype(np.float32)
        return replace(found, landmarks=(found.landmarks @ linear.T + shift).astype(np.float32), box=box)


def preview_look(frame: Frame, *, longest_side: int) -> Look:
    """Return the look that `make_preview` makes: all of the frame, upright."""
    across, down = preview_scale(frame, longest_side=longest_side)
    wide, high = display_size(frame)
    to_display = np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2]])
    return Look(round(wide / across), round(high / down), to_display)


def turned_looks(look: Look) -> tuple[Look, Look, Look]:
    """Return a look turned counter-clockwise by 90, 180 and 270 degrees, as `numpy.rot90` turns its picture."""
    wide, high = look.width, look.height
    turns = (
        (high, wide, [[0, -1, wide - 1], [1, 0, 0]]),
        (wide, high, [[-1, 0, wide - 1], [0, -1, high - 1]]),
        (high, wide, [[0, 1, 0], [-1, 0, high - 1]]),
    )
    first, second, third = (Look(across, down, _chain(look.to_display, turn)) for across, down, turn in turns)
    return first, second, third


def far_look(frame: Frame) -> Look:
    """Return the look at the whole frame from afar, with a margin around it: for faces as large as the picture."""
    wide, high = display_size(frame)
    scale = CLOSE_SIDE / (max(wide, high) * (1 + 2 * _FAR_MARGIN))
    return _square_look(wide / 2 - 0.5, high / 2 - 0.5, angle=0.0, scale=scale)


def close_look(x: float, y: float, *, width: float, angle: float) -> Look:
    """Return the look at one face that shows it upright and at the best size.

    Args:
        x: middle of the face, display pixels.
        y: middle of the face, display pixels.
        width: of the face, display pixels.
        angle: radians that it is turned clockwise.
    """
    return _square_look(x, y, angle=angle, scale=min(_MOST_ENLARGEMENT, CLOSE_FACE / max(width, 1.0)))


def search_scale(wide: int, high: int, *, min_face: float) -> float:
    """Return the pixels per display pixel at which faces of `min_face` display pixels are searched.

    The narrowest face has the width of the detector's smallest anchor there, or more, as long as the whole picture of
    `wide` x `high` display pixels fits into one tile.
    """
    face = max(min_face, 1.0)
    in_one_tile = min(_TILE[0] / wide, _TILE[1] / high)
    return min(_MOST_SEARCH_ENLARGEMENT, max(SMALLEST_FACE / face, min(_EASY_FACE / face, in_one_tile)))


def narrowest_face(wide: int, high: int, *, preview_side: int, searched: bool, min_face: float) -> float:
    """Return the width in display pixels from which faces of a video are looked for, `min_face` or more.

    Args:
        wide: of the display, pixels.
        high: of the display, pixels.
        preview_side: longer side of the preview, pixels.
        searched: whether frames are searched now and then, and not their previews alone.
        min_face: width of the smallest wanted face, display pixels.
    """
    scale = min(1.0, preview_side / max(wide, high))
    if searched:
        scale = max(scale, search_scale(wide, high, min_face=min_face))
    return max(min_face, SMALLEST_FACE / scale)


def tiles(frame: Frame, preview: Look, *, min_face: float) -> Iterator[Look]:
    """Yield the looks that show all of a frame at the scale of its smallest wanted faces; none if the preview does."""
    wide, high = display_size(frame)
    scale = search_scale(wide, high, min_face=min_face)
    if scale <= preview.scale * _WORTH:
        return
    spans = [_spans(math.ceil(side * scale), most) for side, most in zip((wide, high), _TILE, strict=True)]
    (width, lefts), (height, tops) = spans
    for top in tops:
        for left in lefts:
            shift = (np.array([left, top]) + 0.5) / scale - 0.5
            yield Look(width, height, np.array([[1 / scale, 0, shift[0]], [0, 1 / scale, shift[1]]]))


def _spans(length: int, most: int) -> tuple[int, list[int]]:
    """Return the side of tiles that cover a length with overlaps, and where they begin."""
    count = 1 if length <= most else math.ceil((length - _TILE_OVERLAP) / (most - _TILE_OVERLAP))
    side = math.ceil((length + (count - 1) * _TILE_OVERLAP) / count / _TILE_STEP) * _TILE_STEP
    last = max(0, length - side)
    return side, [round(last * index / max(1, count - 1)) for index in range(count)]


def cut_look(frame: Frame, look: Look) -> UInt8:
    """Make the picture of a look, uint8 [look.height, look.width, 3] RGB; the frame's border is repeated beyond it.

    A mirrored border would show half faces, which are found as faces.
    """
    to_look = _from_frame(look, frame)
    box = _bounds(to_look, look, frame)
    size = None
    matrix = to_region(to_look, box)
    scale = scale_factor(to_look)
    if scale < 1:
        size = max(1, round(box.width * scale)), max(1, round(box.height * scale))
        matrix = matrix @ resized_to_original(size, (box.width, box.height))
    picture = cv2.warpAffine(
        region_to_rgb(frame, box, size=size),
        matrix,
        (look.width, look.height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(picture, np.uint8)


def _square_look(x: float, y: float, *, angle: float, scale: float) -> Look:
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    linear = np.array([[cosine, -sine], [sine, cosine]])
    middle = (CLOSE_SIDE - 1) / 2
    return Look(CLOSE_SIDE, CLOSE_SIDE, np.column_stack([linear, np.array([x, y]) - linear @ [middle, middle]]))


def _chain(outer: Float64, inner: list[list[int]]) -> Float64:
    chained: Float64 = outer @ np.vstack([np.array(inner, np.float64), [0, 0, 1]])
    return chained


def _from_frame(look: Look, frame: Frame) -> Float64:
    """Return the map float64 [2, 3], frame pixels -> pixels of the look."""
    to_display, display = (np.vstack([one, [0, 0, 1]]) for one in (look.to_display, frame_to_display(frame)))
    matrix: Float64 = np.linalg.inv(to_display) @ display
    return matrix[:2]


def _bounds(to_look: Float64, look: Look, frame: Frame) -> Box:
    """Return the frame pixels that a look covers; where it lies outside the frame, the nearest ones."""
    right, bottom = look.width - 0.5, look.height - 0.5
    corners = np.array([[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]])
    inverse = np.asarray(cv2.invertAffineTransform(to_look), np.float64)
    points = corners @ inverse[:, :2].T + inverse[:, 2]
    most = np.array([frame.width - 1, frame.height - 1])
    first = np.clip(np.floor(points.min(axis=0)), 0, most).astype(int) - _MARGIN
    last = np.clip(np.ceil(points.max(axis=0)), 0, most).astype(int) + 1 + _MARGIN
    return align_box(Box(int(first[0]), int(first[1]), int(last[0]), int(last[1])), frame)
