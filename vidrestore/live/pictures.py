"""Decoded frames on the output's clock, all of the first one's size and format."""

from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.reformatter import Interpolation

from vidrestore.live.source_errors import SourceRefused
from vidrestore.live.timeline import SECOND
from vidrestore.media.picture_size import is_too_large, why_too_large
from vidrestore.media.pixel_formats import Layout, bit_depth, is_rgb, layout_of, plane_shapes, views
from vidrestore.media.probe import FULL_RANGE, VideoInfo, aspect_of, colour_of, describe, is_mirrored, rotation_of
from vidrestore.types import Frame, Planes

TICKS = 90_000
"""Units of a frame's time in a second."""
_TIME_BASE = Fraction(1, TICKS)
_SMOOTH = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


class Pictures:
    """Makes frames; one that changes size or format in mid-stream is fitted into the first one's, with bars.

    A viewer, and a recording, would otherwise have to start again. A source that sends larger frames than `max_pixels`
    is given up.
    """

    def __init__(self, *, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._info: VideoInfo | None = None
        self._last = -1
        self._index = 0
        self.adapted = 0
        """Number of frames that were fitted."""

    def take(
        self, picture: av.VideoFrame, stream: av.VideoStream, container: InputContainer, label: Path, time: int
    ) -> tuple[Frame, VideoInfo]:
        """Return a decoded frame of the output's size and format, and the description of the first one.

        Args:
            picture: the frame as decoded.
            stream: its stream, whose colour tags count where the frame has none.
            container: its container, which describes the first frame.
            label: name of the source, without secrets.
            time: nanoseconds of the output's clock. Times of frames rise by one unit at least.

        Raises:
            SourceRefused: the frame is too large, or of a format that cannot be read.
        """
        if is_too_large(picture.width, picture.height, max_pixels=self._max_pixels):
            raise SourceRefused(f"{label} {why_too_large(picture.width, picture.height, max_pixels=self._max_pixels)}")
        layout = _layout(picture, label)
        if self._info is None:
            self._info = describe(label, container, stream, picture, layout, 0)
        info = self._info
        pts = max(self._last + 1, round(time * TICKS / SECOND))
        frame = Frame(
            index=self._index,
            pts=pts,
            time_base=_TIME_BASE,
            duration=0,
            width=info.width,
            height=info.height,
            pixel_format=info.pixel_format,
            planes=self._planes(picture, layout, info),
            colour=colour_of(picture, stream, layout) if layout.native == info.pixel_format else info.colour,
            rotation=rotation_of(picture),
            mirrored=is_mirrored(picture),
            sample_aspect_ratio=aspect_of(stream),
            interlaced=picture.interlaced_frame,
        )
        self._last, self._index = pts, self._index + 1
        return frame, info

    def _planes(self, picture: av.VideoFrame, layout: Layout, info: VideoInfo) -> Planes:
        same = (picture.width, picture.height, layout.native) == (info.width, info.height, info.pixel_format)
        if same and not layout.converted:
            return views(picture, info.pixel_format)
        if same:
            return views(_scaled(picture, picture.width, picture.height, layout.viewed_as), info.pixel_format)
        self.adapted += 1
        return _fitted(picture, info)


def _layout(picture: av.VideoFrame, label: Path) -> Layout:
    try:
        return layout_of(picture.format.name)
    except ValueError as error:
        raise SourceRefused(f"{label} decodes to frames that cannot be read: {error}") from error


def _fitted(picture: av.VideoFrame, info: VideoInfo) -> Planes:
    """Scale the whole frame to fit between black bars; chroma planes are cut at their own sampling."""
    scale = min(info.width / picture.width, info.height / picture.height)
    wide, high = (max(8, round(side * scale / 8) * 8) for side in (picture.width, picture.height))
    wide, high = min(wide, info.width), min(high, info.height)
    small = views(_scaled(picture, wide, high, info.pixel_format), info.pixel_format)
    canvas = views(av.VideoFrame(info.width, info.height, info.pixel_format), info.pixel_format)
    shapes = plane_shapes(info.pixel_format, info.width, info.height)
    for index, (plane, part, shape) in enumerate(zip(canvas, small, shapes, strict=True)):
        plane.flags.writeable = True
        plane[...] = _black(index, info)
        top = (info.height - high) // 2 * shape[0] // info.height
        left = (info.width - wide) // 2 * shape[1] // info.width
        plane[top : top + part.shape[0], left : left + part.shape[1]] = part
        plane.flags.writeable = False
    return canvas


def _black(plane: int, info: VideoInfo) -> int:
    if is_rgb(info.pixel_format):
        return 0
    depth = bit_depth(info.pixel_format)
    if plane == 0:
        return 0 if info.colour.full_range else 16 << (depth - 8)
    return 1 << (depth - 1)


def _scaled(picture: av.VideoFrame, width: int, height: int, pixel_format: str) -> av.VideoFrame:
    """Scale and convert a frame; ranges stay as they are where only samples move."""
    return picture.reformat(
        width,
        height,
        pixel_format,
        interpolation=_SMOOTH,
        src_color_range=FULL_RANGE,
        dst_color_range=FULL_RANGE,
        threads=1,
    )
