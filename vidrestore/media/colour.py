"""Regions of native planes to RGB and back: the only place where a video's pixels change colour space.

A frame is never converted whole. `region_to_rgb` reads a face's surroundings as 8-bit R'G'B' for the network.
`code_values` computes what a restored face would be in the frame's planes, and `alpha_blend` blends it in under a mask,
in the frame's own sampling and depth; every sample whose mask is zero stays as it was, bit for bit.

Matrices and ranges follow ITU-T H.273: luma coefficients (Kr, Kb) by matrix code point, narrow range with luma
16..235 and chroma 16..240 scaled by the bit depth, full range with 0..2^n - 1. Chroma is taken as sited in the
middle of its block, in both directions alike, so that a round trip does not move it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidrestore.errors import InputError
from vidrestore.media.pixel_formats import EIGHT_BITS, NATIVE_FORMATS, bit_depth, chroma_size
from vidrestore.types import Float32, Frame, UInt8

Writable = NDArray[np.uint8] | NDArray[np.uint16]

_REFERENCE_SIDE = 8
"""Side of the luma plane that `chroma_size` refers to."""
_STANDARD_DEFINITION_HEIGHT = 576
_KR_KB = {
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.470BG
    6: (0.299, 0.114),  # SMPTE 170M
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020 non-constant luminance
    10: (0.2627, 0.0593),  # BT.2020 constant luminance, read as non-constant: right to a few code values
}


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of frame pixels: `left <= x < right`, `top <= y < bottom`."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    @property
    def empty(self) -> bool:
        """Whether no pixel is inside."""
        return self.width <= 0 or self.height <= 0


@dataclass(frozen=True, slots=True)
class Sampling:
    """Layout and range of the samples of a native pixel format."""

    family: str
    """`yuv`, `gray`, `gbr` (planar) or `rgb` (packed)."""
    bits: int
    step_x: int
    """Luma columns per chroma column."""
    step_y: int
    """Luma rows per chroma row."""

    @property
    def peak(self) -> int:
        """The largest code value."""
        return (1 << self.bits) - 1


@cache
def sampling(pixel_format: str) -> Sampling:
    """Describe a native pixel format.

    Raises:
        InputError: the format is none in which the reader returns frames.
    """
    if pixel_format not in NATIVE_FORMATS:
        raise InputError(f"pixel format {pixel_format} is not one that frames are carried in; convert it to yuv444p")
    family = next(name for name in ("yuv", "gray", "gbr", "rgb") if pixel_format.startswith(name))
    columns, rows = chroma_size(pixel_format)
    steps = (1, 1) if family != "yuv" else (_REFERENCE_SIDE // columns, _REFERENCE_SIDE // rows)
    return Sampling(family, bit_depth(pixel_format), *steps)


def align_box(box: Box, frame: Frame) -> Box:
    """Grow a box to whole chroma samples and clip it to the frame; it may come out empty."""
    shape = sampling(frame.pixel_format)
    left, top = max(box.left, 0), max(box.top, 0)
    right, bottom = min(box.right, frame.width), min(box.bottom, frame.height)
    return Box(
        left // shape.step_x * shape.step_x,
        top // shape.step_y * shape.step_y,
        min(-(-right // shape.step_x) * shape.step_x, frame.width),
        min(-(-bottom // shape.step_y) * shape.step_y, frame.height),
    )


def region_to_rgb(frame: Frame, box: Box, *, size: tuple[int, int] | None = None) -> UInt8:
    """Read a region as gamma-coded RGB.

    Args:
        frame: any native frame.
        box: not empty, aligned by `align_box`.
        size: (width, height), smaller than the box: each plane is averaged down to it in its own sampling, which is
            cheaper than converting everything first, and rounds once less.

    Returns:
        uint8 [box.height, box.width, 3], or of the size, R'G'B'.
    """
    planes = [plane_region(frame, plane, box) for plane in range(len(frame.planes))]
    if size is not None:
        planes = [cv2.resize(np.asarray(plane), size, interpolation=cv2.INTER_AREA) for plane in planes]
    return planes_to_rgb(tuple(planes), frame)


def planes_to_rgb(planes: tuple[NDArray[np.generic], ...], frame: Frame) -> UInt8:
    """Turn planes of the frame's format and colour, of any size, into RGB the size of the first plane."""
    shape = sampling(frame.pixel_format)
    if shape.family == "rgb":
        return to_uint8(planes[0].astype(np.float32) * (255 / shape.peak))
    if shape.family == "gbr":
        green, blue, red = planes
        return to_uint8(np.dstack([red, green, blue]).astype(np.float32) * (255 / shape.peak))
    luma = np.ascontiguousarray(planes[0])
    if shape.family == "gray":
        scale, offset = _luma_scale(shape, full_range=frame.colour.full_range)
        grey = (luma.astype(np.float32) - offset) * np.float32(255 / scale)
        return to_uint8(np.repeat(grey[..., None], 3, axis=2))
    chroma = [_enlarged(plane, luma.shape[1], luma.shape[0]) for plane in planes[1:3]]
    matrix, offset_vector = _to_rgb_matrix(shape, _matrix_of(frame), full_range=frame.colour.full_range)
    constants = -matrix @ offset_vector
    parts = [luma, *chroma]
    colours = [_weighted_sum(parts, weights, constant) for weights, constant in zip(matrix, constants, strict=True)]
    return np.asarray(cv2.merge(colours), dtype=np.uint8)


def code_values(rgb: UInt8 | Float32, frame: Frame) -> list[Float32]:
    """Compute the code values of an image in a frame's format and colour, unrounded, one array per plane.

    Args:
        rgb: [h, w, 3], R'G'B', 0..255.
        frame: frame that defines the planes.

    Returns:
        float32 [h, w] each, chroma as fine as luma; packed RGB as [h, w, 3].
    """
    shape = sampling(frame.pixel_format)
    rgb = np.asarray(rgb, dtype=np.float32)
    if shape.family == "rgb":
        return [rgb * np.float32(shape.peak / 255)]
    if shape.family == "gbr":
        scaled = rgb * np.float32(shape.peak / 255)
        return [scaled[..., 1], scaled[..., 2], scaled[..., 0]]
    to_rgb, offset = _to_rgb_matrix(shape, _matrix_of(frame), full_range=frame.colour.full_range)
    affine = np.hstack([np.linalg.inv(to_rgb), offset[:, None]])
    return [_plane(rgb, row) for row in (affine[:1] if shape.family == "gray" else affine)]


def luma_of(planes: Sequence[Float32], frame: Frame) -> Float32:
    """Return the luma of code values in a frame's format, in code values: float32 [h, w].

    Args:
        planes: float32 [h, w] each, of one size where they are R, G and B; packed RGB as three planes.
        frame: frame that defines the planes.
    """
    family = sampling(frame.pixel_format).family
    if family in {"yuv", "gray"}:
        return planes[0]
    kr, kb = _KR_KB[_matrix_of(frame)]
    red, green, blue = planes if family == "rgb" else (planes[2], planes[0], planes[1])
    return np.asarray(kr * red + (1 - kr - kb) * green + kb * blue, dtype=np.float32)


def plane_region(frame: Frame, plane: int, box: Box) -> NDArray[np.generic]:
    """Return a view of a plane's samples in a box that `align_box` aligned; packed RGB has a channel axis."""
    return frame.planes[plane][_slices(box, plane_steps(frame, plane))]


def plane_steps(frame: Frame, plane: int) -> tuple[int, int]:
    """Return the frame pixels, across and down, per sample of a plane."""
    shape = sampling(frame.pixel_format)
    return (shape.step_x, shape.step_y) if shape.family == "yuv" and plane > 0 else (1, 1)


def average_to_grid(values: Float32, steps: tuple[int, int]) -> Float32:
    """Average values on the grid of frame pixels down to that of a plane; a last odd row or column counts twice.

    Args:
        values: float32 [h, w], of a box that `align_box` aligned.
        steps: frame pixels, across and down, per sample of the plane.

    Returns:
        float32 [rows, columns] of the plane; the same object where the grids are one.
    """
    if steps == (1, 1):
        return values
    size = (-(-values.shape[1] // steps[0]), -(-values.shape[0] // steps[1]))
    right, below = size[0] * steps[0] - values.shape[1], size[1] * steps[1] - values.shape[0]
    if right or below:
        values = np.asarray(cv2.copyMakeBorder(values, 0, below, 0, right, cv2.BORDER_REPLICATE), dtype=np.float32)
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def alpha_blend(target: Writable, frame: Frame, plane: int, box: Box, new: Float32, share: Float32) -> None:
    """Mix code values into a region of a plane: `old + share * (new - old)`, rounded; nothing changes where share is 0.

    Args:
        target: a writable copy of the frame's plane, changed in place.
        frame: frame that defines the plane.
        plane: index of the plane.
        box: aligned by `align_box`, in frame pixels.
        new: float32, a value for each sample of the plane in the box, see `code_values`; values beyond the range of an
            image (interpolation may overshoot) are clipped.
        share: float32, of the same shape but without a channel axis, 0..1.
    """
    shape = sampling(frame.pixel_format)
    rows, columns = _slices(box, plane_steps(frame, plane))
    region: Writable = target[rows, columns]
    old: Writable = region.copy()
    if new.ndim == 3:  # noqa: PLR2004  packed RGB has a channel axis
        share = np.repeat(share[..., None], 3, axis=2)
    change = np.clip(np.ascontiguousarray(new), *_limits(shape, plane, full_range=frame.colour.full_range))
    cv2.subtract(change, old, change, dtype=cv2.CV_32F)
    cv2.multiply(change, share, change)
    # OpenCV rounds to the nearest, ties to even, and saturates
    mixed = cv2.add(change, old, dtype=cv2.CV_8U if shape.bits == EIGHT_BITS else cv2.CV_16U)
    region[...] = np.minimum(mixed, shape.peak, out=mixed)


def _limits(shape: Sampling, plane: int, *, full_range: bool) -> tuple[np.float32, np.float32]:
    """Return the smallest and the largest code value of an image in a plane (H.273)."""
    full_range = full_range or shape.family in {"rgb", "gbr"}
    luma_scale, offset = _luma_scale(shape, full_range=full_range)
    scale = _chroma_scale(shape, full_range=full_range) if plane else luma_scale
    return np.float32(offset), np.float32(offset + scale)


def _plane(rgb: Float32, row: NDArray[np.float64]) -> Float32:
    """Compute one plane, float32 [h, w], of float32 [h, w, 3] by a row of a colour matrix, weights and constant."""
    return np.asarray(cv2.transform(rgb, row[None]), dtype=np.float32)


def _enlarged(plane: NDArray[np.generic], width: int, height: int) -> NDArray[Any]:
    """Enlarge a chroma plane to the size of luma; as it is where it has that size."""
    if plane.shape == (height, width):
        return np.ascontiguousarray(plane)
    return np.asarray(cv2.resize(plane.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR))


def _weighted_sum(planes: Sequence[NDArray[Any]], weights: NDArray[np.float64], constant: float) -> UInt8:
    """Sum of planes [h, w] of any types and a constant, computed in float32, rounded and saturated as `to_uint8` does.

    It works plane by plane, because three floats per pixel cost more to keep than to compute.
    """
    counting = [pair for pair in zip(planes, weights, strict=True) if pair[1]]
    assert len(counting) > 1, "R, G and B have light, and colour"  # noqa: S101  of every matrix of H.273
    (plane, weight), *between, (last, share) = counting
    for other, its in between:
        plane, weight = np.asarray(cv2.addWeighted(plane, weight, other, its, 0, dtype=cv2.CV_32F)), 1
    return np.asarray(cv2.addWeighted(plane, weight, last, share, constant, dtype=cv2.CV_8U), dtype=np.uint8)


def _matrix_of(frame: Frame) -> int:
    """Return the matrix code point, or what players assume when a video does not say: BT.601 for SD, BT.709 above."""
    if frame.colour.matrix in _KR_KB:
        return frame.colour.matrix
    return 6 if frame.height <= _STANDARD_DEFINITION_HEIGHT else 1


def _luma_scale(shape: Sampling, *, full_range: bool) -> tuple[float, float]:
    return (shape.peak, 0.0) if full_range else (219.0 * 2 ** (shape.bits - 8), 16.0 * 2 ** (shape.bits - 8))


def _chroma_scale(shape: Sampling, *, full_range: bool) -> float:
    return float(shape.peak) if full_range else 224.0 * 2 ** (shape.bits - 8)


@lru_cache(maxsize=64)
def _to_rgb_matrix(
    shape: Sampling, matrix: int, *, full_range: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return matrix [3, 3] and offset [3] with `rgb(0..255) = matrix @ (code values - offset)` (H.273 eq. 38-40)."""
    kr, kb = _KR_KB[matrix]
    kg = 1 - kr - kb
    luma_scale, luma_offset = _luma_scale(shape, full_range=full_range)
    chroma_scale = _chroma_scale(shape, full_range=full_range)
    red = 2 * (1 - kr)
    blue = 2 * (1 - kb)
    coefficients = np.array([[1, 0, red], [1, -blue * kb / kg, -red * kr / kg], [1, blue, 0]])
    scales = np.array([255 / luma_scale, 255 / chroma_scale, 255 / chroma_scale])
    middle = float(1 << (shape.bits - 1))
    return coefficients * scales, np.array([luma_offset, middle, middle])


def _slices(box: Box, steps: tuple[int, int]) -> tuple[slice, slice]:
    step_x, step_y = steps
    return (
        slice(box.top // step_y, -(-box.bottom // step_y)),
        slice(box.left // step_x, -(-box.right // step_x)),
    )


def to_uint8(values: Float32) -> UInt8:
    """Round to the nearest, ties to even, and saturate."""
    return np.asarray(cv2.convertScaleAbs(np.maximum(values, 0)), dtype=np.uint8)
