"""Range of colour: a restored face has no more colour than the video has where the face is.

Where a video is black and white, every chroma sample is the same; where it is toned, chroma follows from luma. So each
plane of colour is fitted as a straight line over luma, and what remains is the video's own colour. That of the restored
face is limited to the same range, with some room where there is real colour. No decision between colour and black and
white is needed, and none can flip: a range of nothing leaves exactly the line, in code values of any depth, and the
range of a coloured face hardly ever limits anything.
"""

from typing import Final

import cv2
import numpy as np

from vidrestore.media.colour import Box, average_to_grid, luma_of, plane_region, plane_steps, sampling
from vidrestore.types import Float32, Frame

_ROOM: Final = 0.5
"""Share by which the range of colour may be exceeded, beyond what rounding and codecs leave of grey."""
_GREY_CODES: Final = 2.0
"""Departure in code values of 8 bits up to which colour may be rounding: there it may not be exceeded."""
_EXACT_CODES: Final = 0.25
"""Departure in code values of any depth that is none: samples are whole numbers, and a fit has a rounding error."""


_BEYOND: Final = 0.5
"""Share of the video's range of luma by which the line is continued: no video says what lies far beyond."""
_ROUNDING: Final = 1 / 12
"""Variance of rounding to whole code values."""


def within_video_colours(values: list[Float32], frame: Frame, box: Box) -> list[Float32]:
    """Limit the colours of a restored face to those that the video has around it.

    Args:
        values: code values of the restored face, see `media.colour.code_values`.
        frame: the frame of the video.
        box: where the face is, not empty, aligned by `align_box`.

    Returns:
        Code values in the same form; luma, and all of a grey frame, as they were.
    """
    family = sampling(frame.pixel_format).family
    if family == "gray":
        return values
    if family == "rgb":
        return [np.dstack(_limited(_channels(values[0]), _channels(_region(frame, 0, box)), frame))]
    planes = [_region(frame, plane, box) for plane in range(len(frame.planes))]
    return _limited(values, planes, frame)


def _channels(image: Float32) -> list[Float32]:
    return [np.ascontiguousarray(image[..., channel]) for channel in range(image.shape[2])]


def _region(frame: Frame, plane: int, box: Box) -> Float32:
    return np.ascontiguousarray(plane_region(frame, plane, box), dtype=np.float32)


def _limited(face: list[Float32], video: list[Float32], frame: Frame) -> list[Float32]:
    first = 1 if sampling(frame.pixel_format).family == "yuv" else 0
    light, guide = luma_of(face, frame), average_to_grid(luma_of(video, frame), plane_steps(frame, first))
    coloured = [
        _near_line(one, light, other, guide, frame) for one, other in zip(face[first:], video[first:], strict=True)
    ]
    return [*face[:first], *coloured]


def _near_line(values: Float32, light: Float32, samples: Float32, guide: Float32, frame: Frame) -> Float32:
    """Limit how far values depart from the line of the video's samples over its luma."""
    slope, constant = _line(guide, samples)
    low, high, *_ = cv2.minMaxLoc(samples - (slope * guide + constant))
    darkest, brightest, *_ = cv2.minMaxLoc(guide)
    beyond = _BEYOND * (brightest - darkest)
    line = slope * np.clip(light, np.float32(darkest - beyond), np.float32(brightest + beyond)) + constant
    departure = np.clip(values - line, _limit(low, frame), _limit(high, frame))
    return np.asarray(line + departure, dtype=np.float32)


def _line(guide: Float32, samples: Float32) -> tuple[np.float32, np.float32]:
    """Return slope and constant of the least-squares line; next to none where luma is as even as rounding leaves it."""
    middle, mean = guide.mean(dtype=np.float64), samples.mean(dtype=np.float64)
    across = guide - middle
    square = float(np.square(across).sum())
    slope = float((across * (samples - mean)).sum()) / (square + _ROUNDING * guide.size)
    return np.float32(slope), np.float32(mean - slope * middle)


def _limit(departure: float, frame: Frame) -> np.float32:
    """Return the limit for the largest departure to one side."""
    grey = _GREY_CODES * 2.0 ** (sampling(frame.pixel_format).bits - 8)
    size = abs(departure)
    size = 0.0 if size < _EXACT_CODES else size + _ROOM * max(0.0, size - grey)
    return np.float32(np.copysign(size, departure))
