"""The description of a video that is known before its frames are read."""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import SupportsBytes

import av
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideData

from vidrestore.media.pixel_formats import Layout, is_rgb
from vidrestore.media.timestamps import time_base_of, to_fraction
from vidrestore.types import Colour

UNSPECIFIED = 2
_TITLES = ("title", "name", "filename")
"""Keys under which containers keep the title of a stream."""
LIMITED_RANGE = 1
FULL_RANGE = 2
INTERLACED_ORDERS = {2: "tff", 3: "bff", 4: "tff", 5: "bff"}
"""FFmpeg's field orders of interlaced streams -> the field that comes first."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One stream of a container."""

    index: int
    type: str
    """video, audio, subtitle, data, attachment or unknown."""
    codec: str
    """FFmpeg's name of the codec, "unknown" where it has none."""
    language: str | None
    title: str | None
    disposition: int
    """FFmpeg's disposition bits."""
    cover: bool
    """Whether it is cover art, not a video."""


@dataclass(frozen=True, slots=True)
class MasteringDisplay:
    """The screen on which a HDR10 video was graded (SMPTE ST 2086)."""

    primaries: tuple[tuple[Fraction, Fraction], ...]
    """CIE 1931 (x, y) of red, green and blue."""
    white_point: tuple[Fraction, Fraction]
    minimum_luminance: Fraction
    """cd/m2."""
    maximum_luminance: Fraction
    """cd/m2."""


@dataclass(frozen=True, slots=True)
class ContentLight:
    """Peak brightness of a HDR10 video (CTA-861.3)."""

    maximum: int
    """MaxCLL, cd/m2."""
    maximum_frame_average: int
    """MaxFALL, cd/m2."""


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """The first video stream of a file, as its container and its first frame describe it."""

    path: Path
    container: str
    """FFmpeg's name of the demuxer, such as "mov,mp4,m4a,3gp,3g2,mj2"."""
    codec: str
    stream_index: int
    width: int
    """Width of the frame, before rotation and sample aspect ratio."""
    height: int
    source_pixel_format: str
    """FFmpeg's name of the decoder's pixel format."""
    pixel_format: str
    """The native format of every frame that the reader returns."""
    time_base: Fraction
    start_pts: int
    """Time of the first frame, in units of `time_base`."""
    average_rate: Fraction | None
    """Frames per second."""
    frames: int | None
    """The container's count, which can be wrong; None when it does not say."""
    duration: Fraction | None
    """Seconds."""
    rotation: int
    """Degrees a viewer turns the frame, counter-clockwise: 0, 90, 180 or 270."""
    mirrored: bool
    """Whether a viewer swaps left and right before turning it."""
    display_matrix: tuple[int, ...] | None
    """The nine numbers that both were read from, as FFmpeg holds them."""
    sample_aspect_ratio: Fraction
    colour: Colour
    interlaced: bool
    field_order: str | None
    """"tff" or "bff" when the stream says which field comes first."""
    bit_rate: int | None
    """Bits per second."""
    mastering_display: MasteringDisplay | None
    content_light: ContentLight | None
    streams: tuple[StreamInfo, ...]
    chapters: int
    metadata: tuple[tuple[str, str], ...]
    """Metadata of the container, sorted by key."""
    notes: tuple[str, ...] = ()
    """Properties of the video that are not returned or not exact, one sentence each."""


def describe(
    path: Path, container: InputContainer, stream: av.VideoStream, frame: av.VideoFrame, layout: Layout, start: int
) -> VideoInfo:
    """Collect what `stream` and its first decoded `frame` say; `start` is that frame's time in stream units."""
    order = INTERLACED_ORDERS.get(stream.codec_context.field_order)
    return VideoInfo(
        path=path,
        container=container.format.name,
        codec=stream.codec_context.codec.canonical_name,
        stream_index=stream.index,
        width=frame.width,
        height=frame.height,
        source_pixel_format=frame.format.name,
        pixel_format=layout.native,
        time_base=time_base_of(stream),
        start_pts=start,
        average_rate=to_fraction(stream.average_rate) or to_fraction(stream.guessed_rate),
        frames=stream.frames or None,
        duration=_duration(container, stream),
        rotation=rotation_of(frame),
        mirrored=is_mirrored(frame),
        display_matrix=_display_matrix(frame),
        sample_aspect_ratio=aspect_of(stream),
        colour=colour_of(frame, stream, layout),
        interlaced=frame.interlaced_frame or order is not None,
        field_order=order,
        bit_rate=stream.bit_rate,
        mastering_display=_mastering_display(frame),
        content_light=_content_light(frame),
        streams=tuple(map(stream_info, container.streams)),
        chapters=len(container.chapters()),
        metadata=tuple(sorted((_printable(key), _printable(value)) for key, value in container.metadata.items())),
        notes=_notes(frame.format.name, layout),
    )


def stream_info(stream: av.stream.Stream) -> StreamInfo:
    """Describe one stream of a container."""
    if stream.type == "attachment":
        codec = stream.metadata.get("mimetype", "attachment")
    elif context := codec_context(stream):
        codec = context.codec.canonical_name
    else:
        codec = (stream.name if stream.type == "data" else None) or "unknown"
    return StreamInfo(
        index=stream.index,
        type=stream.type,
        codec=codec,
        language=stream.metadata.get("language"),
        title=next((_printable(stream.metadata[key]) for key in _TITLES if stream.metadata.get(key)), None),
        disposition=int(stream.disposition),
        cover=bool(stream.disposition & av.stream.Disposition.attached_pic),
    )


def _printable(text: str) -> str:
    """Return text as it came, save for bytes that are not UTF-8, which PyAV 19 passes on as lone surrogates."""
    return text.encode("utf-8", "replace").decode("utf-8")


def codec_context(stream: av.stream.Stream) -> av.CodecContext | None:
    """Return the stream's decoder, None where this build of FFmpeg has none (PyAV's own annotation says otherwise)."""
    return getattr(stream, "codec_context", None)


def colour_of(frame: av.VideoFrame, stream: av.VideoStream, layout: Layout) -> Colour:
    """Return the frame's own colour tags, the stream's where it has none."""
    codec = stream.codec_context
    full = layout.full_range or is_rgb(layout.native) or (frame.color_range or codec.color_range) == FULL_RANGE
    return Colour(
        matrix=_tag(frame.colorspace, codec.colorspace),
        primaries=_tag(frame.color_primaries, codec.color_primaries),
        transfer=_tag(frame.color_trc, codec.color_trc),
        full_range=full,
    )


def _tag(own: int, inherited: int) -> int:
    return int(own if own != UNSPECIFIED else inherited)


def rotation_of(frame: av.VideoFrame) -> int:
    """Return the counter-clockwise degrees of the display matrix, to the nearest of 0, 90, 180 and 270.

    Where the matrix mirrors, they are those of what remains once left and right are swapped; FFmpeg's own figure takes
    no notice of mirroring.
    """
    matrix = _display_matrix(frame)
    if matrix is None:
        return 0
    side = -1 if is_mirrored(frame) else 1
    # columns of different lengths: a matrix may scale
    across, down = math.hypot(matrix[0], matrix[3]) or 1, math.hypot(matrix[1], matrix[4]) or 1
    return round(-math.degrees(math.atan2(side * matrix[1] / down, side * matrix[0] / across)) / 90) % 4 * 90


def is_mirrored(frame: av.VideoFrame) -> bool:
    """Return whether the display matrix swaps left and right, or top and bottom."""
    matrix = _display_matrix(frame)
    return matrix is not None and matrix[0] * matrix[4] < matrix[1] * matrix[3]


def aspect_of(stream: av.VideoStream) -> Fraction:
    """Return width over height of a coded pixel; 1 where the stream does not say or says nonsense."""
    ratio = to_fraction(stream.sample_aspect_ratio)
    return ratio if ratio and ratio > 0 else Fraction(1)


def _duration(container: InputContainer, stream: av.VideoStream) -> Fraction | None:
    if stream.duration:
        return stream.duration * time_base_of(stream)
    return Fraction(container.duration, av.time_base) if container.duration else None


def _notes(source: str, layout: Layout) -> tuple[str, ...]:
    notes = []
    if layout.alpha:
        notes.append(f"transparency is not kept: {source} is read as {layout.native}")
    if not layout.exact:
        notes.append(f"sample values are rounded: {source} is read as {layout.native}")
    return tuple(notes)


def _side_data(frame: av.VideoFrame, kind: SideData) -> bytes | None:
    side_data: Mapping[SideData, SupportsBytes] = frame.side_data  # type: ignore[assignment]  # by type, says PyAV's code
    return bytes(side_data[kind]) if kind in side_data else None


def _display_matrix(frame: av.VideoFrame) -> tuple[int, ...] | None:
    data = _side_data(frame, SideData.DISPLAYMATRIX)
    return struct.unpack("=9i", data[:36]) if data else None


def _mastering_display(frame: av.VideoFrame) -> MasteringDisplay | None:
    data = _side_data(frame, SideData.MASTERING_DISPLAY_METADATA)
    if data is None:
        return None
    numbers = struct.unpack("=22i", data[:88])
    if not (numbers[20] and numbers[21] and all(numbers[1:20:2])):
        return None
    values = [Fraction(*numbers[i : i + 2]) for i in range(0, 20, 2)]
    return MasteringDisplay(
        primaries=((values[0], values[1]), (values[2], values[3]), (values[4], values[5])),
        white_point=(values[6], values[7]),
        minimum_luminance=values[8],
        maximum_luminance=values[9],
    )


def _content_light(frame: av.VideoFrame) -> ContentLight | None:
    data = _side_data(frame, SideData.CONTENT_LIGHT_LEVEL)
    return ContentLight(*struct.unpack("=2I", data[:8])) if data else None
