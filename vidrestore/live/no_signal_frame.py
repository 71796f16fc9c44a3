"""The frame that a viewer sees while a source is away: the last one, and after a while a sign that it is old."""

from dataclasses import replace

import cv2
import numpy as np

from vidrestore.media.pixel_formats import EIGHT_BITS, bit_depth, is_rgb
from vidrestore.types import Float32, Frame

_DIM = 0.45
"""Brightness of the dimmed frame, as a share of the original's."""


def no_signal_frame(frame: Frame, words: str) -> Frame:
    """Return the frame, dimmed, with words across its middle; its planes are copies, its time is the frame's."""
    depth = bit_depth(frame.pixel_format)
    white, black = (1 << depth) - 1, 0
    if not frame.colour.full_range and not is_rgb(frame.pixel_format):
        white, black = 235 << (depth - 8), 16 << (depth - 8)
    bright = len(frame.planes) if is_rgb(frame.pixel_format) else 1
    written = [
        _written((plane.astype(np.float32) - black) * _DIM + black, words, white) for plane in frame.planes[:bright]
    ]
    deep = depth > EIGHT_BITS
    bright_planes = (plane.astype(np.uint16) if deep else plane.astype(np.uint8) for plane in written)
    return replace(frame, planes=(*bright_planes, *frame.planes[bright:]))


def _written(plane: Float32, words: str, white: int) -> Float32:
    height, width = plane.shape[:2]
    (text_width, text_height), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 1)
    scale = min(0.8 * width / text_width, height / 12 / text_height)
    place = (round((width - text_width * scale) / 2), round(height / 2))
    ink = np.zeros((height, width), np.uint8)
    cv2.putText(ink, words, place, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, max(1, round(scale * 2)), cv2.LINE_AA)
    share = ink.reshape(height, width, *[1] * (plane.ndim - 2)) / np.float32(255)
    return np.asarray(plane * (1 - share) + white * share, dtype=np.float32)
