"""A face in a frame, with no network."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from vidrestore.types import FaceTrack, Frame, FrameFaces


@pytest.fixture
def make_item() -> Callable[..., FrameFaces[FaceTrack]]:
    """Build a smooth frame with faces at the given (x, y, size, angle in radians)."""

    def build(
        *faces: tuple[float, float, float, float], width: int = 320, height: int = 240, pixel_format: str = "yuv420p"
    ) -> FrameFaces[FaceTrack]:
        rows, columns = np.indices((height, width))
        luma = (60 + 60 * np.sin(columns / 25) + 60 * np.cos(rows / 31) + 40).clip(45, 235).astype(np.uint8)
        chroma = np.full(((height + 1) // 2, (width + 1) // 2), 118, np.uint8)
        planes = (luma, chroma, chroma.copy()) if pixel_format == "yuv420p" else (luma,)
        for plane in planes:
            plane.setflags(write=False)
        frame = Frame(0, 0, Fraction(1, 25), 1, width, height, pixel_format, planes)
        tracks = tuple(_track(index, *face) for index, face in enumerate(faces))
        return FrameFaces(frame, tracks)

    return build


def _track(number: int, x: float, y: float, size: float, angle: float) -> FaceTrack:
    turn = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    to_display = np.hstack([turn, (np.array([x, y]) - turn @ np.array([0.5, 0.5]))[:, None]])
    return FaceTrack(number, to_display, size, 0.99, np.eye(4))
