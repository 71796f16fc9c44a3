"""Geometry between the frame and what a viewer sees: mirroring, rotation and the shape of a pixel."""

import cv2
import numpy as np

from vidrestore.media.colour import planes_to_rgb
from vidrestore.types import Float64, Frame, UInt8

_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


def display_size(frame: Frame) -> tuple[int, int]:
    """Return width and height in display pixels: square, upright, as many rows as are coded."""
    width = max(1, round(frame.width * frame.sample_aspect_ratio))
    return (width, frame.height) if frame.rotation % 180 == 0 else (frame.height, width)


def frame_to_display(frame: Frame) -> Float64:
    """Return the affine map from frame pixels to display pixels.

    Returns:
        float64 [2, 3], (x, y), pixel centres at integers: stretch by the sample aspect ratio, mirror, turn.
    """
    width = max(1, round(frame.width * frame.sample_aspect_ratio))
    height = frame.height
    stretch = width / frame.width
    shift = (stretch - 1) / 2
    turns = {
        0: np.array([[1, 0, 0], [0, 1, 0]]),
        90: np.array([[0, 1, 0], [-1, 0, width - 1]]),
        180: np.array([[-1, 0, width - 1], [0, -1, height - 1]]),
        270: np.array([[0, -1, height - 1], [1, 0, 0]]),
    }
    turn = turns[frame.rotation].astype(np.float64)
    stretching = np.array([[stretch, 0, shift], [0, 1, 0], [0, 0, 1]])
    mirroring = np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1]]) if frame.mirrored else np.eye(3)
    matrix: Float64 = turn @ mirroring @ stretching
    return matrix


def preview_scale(frame: Frame, *, longest_side: int) -> tuple[float, float]:
    """Return display pixels per preview pixel, across and down; never below 1, for a preview does not enlarge.

    Display pixel `(p + 0.5) * scale - 0.5` is what preview pixel `p` shows; the two scales differ by rounding only.
    """
    wide, high = display_size(frame)
    across, down = preview_size(frame, longest_side=longest_side)
    return wide / across, high / down


def preview_size(frame: Frame, *, longest_side: int) -> tuple[int, int]:
    """Return width and height of the preview, pixels."""
    wide, high = display_size(frame)
    shrink = min(1.0, longest_side / max(wide, high))
    return max(1, round(wide * shrink)), max(1, round(high * shrink))


def make_preview(frame: Frame, *, longest_side: int) -> UInt8:
    """Shrink a frame to a small upright image with square pixels.

    Each plane is averaged down in its own sampling, then turned into RGB: a full-size RGB image never exists.

    Args:
        frame: any native frame.
        longest_side: the preview's longer side, pixels; smaller videos are not enlarged.

    Returns:
        uint8 [h, w, 3] RGB.
    """
    across, down = preview_size(frame, longest_side=longest_side)
    wide, high = (across, down) if frame.rotation % 180 == 0 else (down, across)
    planes = tuple(cv2.resize(np.asarray(plane), (wide, high), interpolation=cv2.INTER_AREA) for plane in frame.planes)
    rgb = planes_to_rgb(planes, frame)
    if frame.mirrored:
        rgb = np.ascontiguousarray(rgb[:, ::-1])
    if frame.rotation:
        rgb = cv2.rotate(rgb, _TURNS[frame.rotation]).astype(np.uint8)
    return rgb
