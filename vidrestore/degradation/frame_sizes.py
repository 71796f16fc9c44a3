"""Conversion between a video's full-size frames and the small upright images that the damage is applied to."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from vidrestore.degradation.medium.clip import ENLARGEMENTS, SMALLEST_SIDE, MediumParameters, rise
from vidrestore.degradation.medium.imaging import enlarge
from vidrestore.media.colour import Box, alpha_blend, code_values, planes_to_rgb
from vidrestore.media.pixel_formats import EIGHT_BITS, bit_depth, plane_shapes
from vidrestore.types import Frame, Planes, UInt8


def small_size(frame: Frame, scale: float) -> tuple[int, int]:
    """Return width and height of the coded picture divided by `scale`, but not below the codecs' smallest."""
    width, height = (max(SMALLEST_SIDE, min(side, round(side / scale))) for side in (frame.width, frame.height))
    return width, height


def shrink_frame(frame: Frame, *, scale: float) -> UInt8:
    """Shrink a frame in native planes to uint8 [h, w, 3] RGB, upright; every pixel is the mean of what it covers.

    The planes are shrunk before they become RGB: a full-size RGB picture never exists.
    """
    width, height = small_size(frame, scale)
    picture = planes_to_rgb(tuple(_shrunk(plane, width, height) for plane in frame.planes), frame)
    picture = picture[:, ::-1] if frame.mirrored else picture
    return np.ascontiguousarray(np.rot90(picture, frame.rotation // 90))


def enlarge_picture(picture: UInt8, like: Frame, parameters: MediumParameters) -> Frame:
    """Enlarge uint8 [h, w, 3] RGB, upright, to a frame of the size, format, depth, colours and time of `like`.

    Luma and chroma are each enlarged to their own plane: in two steps chroma would be softened twice.
    """
    turned = np.rot90(picture, -(like.rotation // 90))
    turned = np.ascontiguousarray(turned[:, ::-1] if like.mirrored else turned)
    across, down = _turned_offset(like.rotation, rise(parameters))
    offset = (-across if like.mirrored else across, down)
    peak = (1 << bit_depth(like.pixel_format)) - 1
    planes = []
    for small, shape in zip(
        _unsampled_planes(turned, like), plane_shapes(like.pixel_format, like.width, like.height), strict=True
    ):
        interpolation = ENLARGEMENTS[parameters.enlargement]
        plane = enlarge(small, width=shape[1], height=shape[0], interpolation=interpolation, offset=offset)
        planes.append(np.minimum(plane, peak) if plane.dtype == np.uint16 else plane)  # a cubic overshoots
    return replace(like, planes=tuple(planes))


def _shrunk(plane: NDArray[np.generic], width: int, height: int) -> NDArray[np.generic]:
    rows, columns = plane.shape[:2]
    if (rows, columns) == (height, width):
        return plane
    # the mean of what is covered is defined only where several pixels become one; chroma may have to grow instead
    interpolation = cv2.INTER_AREA if rows >= height and columns >= width else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.asarray(plane), (width, height), interpolation=interpolation), plane.dtype)


def _unsampled_planes(picture: UInt8, like: Frame) -> Planes:
    """Convert a picture to planes of the frame's family and depth, all of the picture's size."""
    family, subsampled, depth = like.pixel_format.partition("p")
    unsampled = f"yuv444p{depth}" if family.startswith("yuv") and subsampled else like.pixel_format
    height, width = picture.shape[:2]
    shapes = plane_shapes(unsampled, width, height)
    planes: Planes
    if bit_depth(unsampled) == EIGHT_BITS:
        planes = tuple(np.zeros(shape, np.uint8) for shape in shapes)
    else:
        planes = tuple(np.zeros(shape, np.uint16) for shape in shapes)
    # the frame keeps its size, by which a matrix that it does not name is guessed
    unsampled_like = replace(like, pixel_format=unsampled, planes=())
    all_of_it, everywhere = Box(0, 0, width, height), np.ones((height, width), np.float32)
    for index, values in enumerate(code_values(picture, unsampled_like)):
        alpha_blend(planes[index], unsampled_like, index, all_of_it, values, everywhere)
    return planes


def _turned_offset(rotation: int, down: float) -> tuple[float, float]:
    """Return (x, y) in the coded picture of a step down in the upright one."""
    return {0: (0.0, down), 90: (-down, 0.0), 180: (0.0, -down), 270: (down, 0.0)}[rotation]
