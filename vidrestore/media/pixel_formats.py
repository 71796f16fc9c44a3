"""The pixel formats that travel through the system untouched, and the conversion of the others to one of them.

A *native* format is planar (or packed 8-bit RGB) with 8- to 16-bit little-endian samples. Every other format has
one native format with the same subsampling and depth, so that nothing but the layout changes.
"""

import math
from dataclasses import dataclass
from functools import cache

import av
import numpy as np
from av.video.plane import VideoPlane
from numpy.typing import NDArray

from vidrestore.types import Planes

EIGHT_BITS = 8

Plane = NDArray[np.uint8] | NDArray[np.uint16]

_DEEP = (9, 10, 12, 14, 16)

NATIVE_FORMATS: tuple[str, ...] = (
    "gray",
    *(f"gray{bits}le" for bits in _DEEP),
    *(f"yuv{chroma}p" for chroma in ("410", "411", "420", "422", "440", "444")),
    *(f"yuv{chroma}p{bits}le" for chroma in ("420", "422", "444") for bits in _DEEP),
    *(f"yuv440p{bits}le" for bits in (10, 12)),
    "rgb24",
    "gbrp",
    *(f"gbrp{bits}le" for bits in _DEEP),
)
"""FFmpeg's names of the formats that a `Frame` may have."""

_CHROMA = {(8, 8): "444", (4, 8): "422", (4, 4): "420", (8, 4): "440", (2, 8): "411", (2, 2): "410"}


@dataclass(frozen=True, slots=True)
class Layout:
    """Layout in which frames of one source format are returned."""

    native: str
    """The native format, one of `NATIVE_FORMATS`."""
    viewed_as: str
    """The format whose first planes are the native planes: the source's own, or the one that swscale makes."""
    converted: bool
    """Whether swscale rearranges the samples; when not, planes are views of decoder memory."""
    alpha: bool
    """Whether the source format has an alpha channel, which is not returned."""
    full_range: bool
    """Whether the format itself says full range (the yuvj family)."""
    exact: bool = True
    """Whether every source value survives: not for floating point, XYZ and Bayer mosaics."""


@cache
def layout_of(source: str) -> Layout:
    """Return the layout in which frames of FFmpeg's pixel format `source` are returned.

    Raises ValueError when the format is not one that a CPU can read (a hardware surface).
    """
    description = av.VideoFormat(source, EIGHT_BITS, EIGHT_BITS)
    if not description.components:
        raise ValueError(f"{source} is a hardware surface")
    if source in NATIVE_FORMATS:
        return Layout(source, source, converted=False, alpha=False, full_range=False)
    if source.startswith("yuvj"):
        return Layout(source.replace("yuvj", "yuv"), source, converted=False, alpha=False, full_range=True)
    alpha = any(component.is_alpha for component in description.components) or description.has_palette
    native = _nearest(source, description)
    viewed_as = native
    if source.startswith(("yuva", "gbrap")) and native.startswith(("yuv", "gbrp")):
        # swscale rounds when it drops the alpha plane of a deep frame; leaving it out is exact and costs nothing
        viewed_as = native.replace("yuv", "yuva").replace("gbrp", "gbrap")
    inexact = source.startswith(("xyz", "bayer")) or _is_float(source)
    return Layout(native, viewed_as, converted=viewed_as != source, alpha=alpha, full_range=False, exact=not inexact)


def _is_float(source: str) -> bool:
    return "f16" in source or "f32" in source


def _nearest(source: str, description: av.VideoFormat) -> str:
    depth = 16 if _is_float(source) else max(component.bits for component in description.components)
    colours = [component for component in description.components if not component.is_alpha]
    if description.is_rgb or description.has_palette or source.startswith(("xyz", "bayer")):
        packed = "gbrp" if source.startswith("gbr") else "rgb24"
        return packed if depth <= EIGHT_BITS else _deep("gbrp", depth)
    if len(colours) == 1:
        return "gray" if depth <= EIGHT_BITS else _deep("gray", depth)
    chroma = _CHROMA[colours[1].width, colours[1].height]
    if chroma in {"410", "411", "440"} and depth > EIGHT_BITS and f"yuv{chroma}p{depth}le" not in NATIVE_FORMATS:
        chroma = "444"
    return f"yuv{chroma}p" if depth <= EIGHT_BITS else _deep(f"yuv{chroma}p", depth)


def _deep(family: str, depth: int) -> str:
    return next(name for bits in _DEEP if bits >= depth and (name := f"{family}{bits}le") in NATIVE_FORMATS)


def bit_depth(pixel_format: str) -> int:
    """Return the bits of one sample of a format."""
    return max(component.bits for component in av.VideoFormat(pixel_format, EIGHT_BITS, EIGHT_BITS).components)


def is_rgb(pixel_format: str) -> bool:
    """Return whether a format holds red, green and blue rather than luma and chroma."""
    return av.VideoFormat(pixel_format, EIGHT_BITS, EIGHT_BITS).is_rgb


def chroma_size(pixel_format: str) -> tuple[int, int]:
    """Return width and height of the chroma planes for a luma plane of 8 x 8; (0, 0) for grey, (8, 8) for RGB."""
    components = av.VideoFormat(pixel_format, EIGHT_BITS, EIGHT_BITS).components
    return (components[1].width, components[1].height) if len(components) > 1 else (0, 0)


def plane_shapes(pixel_format: str, width: int, height: int) -> tuple[tuple[int, ...], ...]:
    """Return the shapes [height, width] (or [height, width, 3]) of the planes of a native format, in its order."""
    if pixel_format == "rgb24":
        return ((height, width, 3),)
    components = sorted(av.VideoFormat(pixel_format, width, height).components, key=lambda item: item.plane)
    return tuple((component.height, component.width) for component in components)


def frame_bytes(pixel_format: str, width: int, height: int) -> int:
    """Return the bytes of the planes of a frame of a native format."""
    samples = sum(math.prod(shape) for shape in plane_shapes(pixel_format, width, height))
    return samples * (1 if bit_depth(pixel_format) <= EIGHT_BITS else 2)


def views(frame: av.VideoFrame, native: str) -> Planes:
    """Return read-only views of the first planes of `frame`, as planes of the native format `native`.

    Each is uint8 or uint16 [height, width], or uint8 [height, width, 3] for rgb24. They share the frame's memory
    and keep it alive.
    """
    planes = _writable(frame, native)
    for plane in planes:
        plane.flags.writeable = False
    return planes


def fill(frame: av.VideoFrame, planes: Planes) -> None:
    """Copy the planes of a native frame into a new frame of the same format and size."""
    for target, plane in zip(_writable(frame, frame.format.name), planes, strict=True):
        target[...] = plane


def _writable(frame: av.VideoFrame, native: str) -> Planes:
    deep = bit_depth(native) > EIGHT_BITS
    shapes = plane_shapes(native, frame.width, frame.height)
    return tuple(_view(plane, shape, deep) for plane, shape in zip(frame.planes, shapes, strict=False))


def _view(plane: VideoPlane, shape: tuple[int, ...], deep: bool) -> Plane:  # noqa: FBT001  private, and named
    raw = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(shape[0], -1)
    rows: Plane = raw.view(np.uint16) if deep else raw
    # a bottom-up frame (raw AVI) has its rows in memory from the last to the first
    upright = rows[::-1] if plane.line_size < 0 else rows
    return upright[:, : math.prod(shape[1:])].reshape(shape)
