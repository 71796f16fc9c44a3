"""Opens the file that `join` writes: its container, its streams and their metadata, up to the first packet."""

import math
import os
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.stream import AttachmentStream, Stream

from vidrestore.media.coded_format import coded_colour
from vidrestore.media.opening import open_source
from vidrestore.media.probe import FULL_RANGE, LIMITED_RANGE, UNSPECIFIED, VideoInfo
from vidrestore.media.remux.metadata import carried_over, needs_quicktime_keys, stream_metadata
from vidrestore.media.remux.parts import EncodedSegments, open_part
from vidrestore.media.remux.plan import MIME_TYPES, Action, RemuxPlan, StreamPlan
from vidrestore.media.timestamps import time_base_of, to_fraction
from vidrestore.types import Colour

_MOVIE_TIMESCALE = 1000
_HIGHEST_TIMESCALE = 2**31 - 1


def open_output(
    destination: Path,
    source: InputContainer,
    info: VideoInfo,
    encoded: EncodedSegments,
    plan: RemuxPlan,
    stack: ExitStack,
) -> tuple[OutputContainer, dict[int, Stream]]:
    """Open `destination` with a stream for everything that `plan` puts into it; nothing is written yet.

    Returns the container, which `stack` closes, and its streams by the index of the source's.
    """
    part = stack.enter_context(open_part(encoded.paths[0]))
    output = stack.enter_context(
        av.open(
            os.path.abspath(destination),  # noqa: PTH100  a name such as "12:30.mp4" would be taken for a protocol
            "w",
            format=plan.container,
            container_options=_options(source, info, encoded, plan),
        )
    )
    targets: dict[int, Stream] = {}
    for planned in plan.streams:
        target = _add(output, source, part, info, planned, plan.container)
        if target is not None:
            targets[planned.stream.index] = target
    output.metadata.update(carried_over(source.metadata))
    output.set_chapters(_chapters(source))
    _add_timecode(source, targets[info.stream_index], plan)
    return output, targets


def _options(source: InputContainer, info: VideoInfo, encoded: EncodedSegments, plan: RemuxPlan) -> dict[str, str]:
    if plan.container in {"mp4", "mov"}:
        keys = "+use_metadata_tags" if needs_quicktime_keys(source.metadata) else ""
        return {"movflags": f"+faststart{keys}", "movie_timescale": str(_movie_timescale(source, info, encoded))}
    if plan.container in {"matroska", "webm"}:
        # The priming samples of AAC lie before zero, unheard. By default the muxer would move the whole video for them.
        return {"default_mode": "passthrough", "avoid_negative_ts": "disabled"}
    return {}


def _movie_timescale(source: InputContainer, info: VideoInfo, encoded: EncodedSegments) -> int:
    """Return the unit in which MP4 says how late each track starts: one in which all starts are whole."""
    starts = [encoded.start_pts * info.time_base]
    starts += [stream.start_time * time_base_of(stream) for stream in source.streams if stream.start_time]
    scale = math.lcm(_MOVIE_TIMESCALE, *(start.denominator for start in starts if start > 0))
    return scale if scale <= _HIGHEST_TIMESCALE else max(_MOVIE_TIMESCALE, starts[0].denominator)


def _add(
    output: OutputContainer,
    source: InputContainer,
    part: InputContainer,
    info: VideoInfo,
    planned: StreamPlan,
    container: str,
) -> Stream | None:
    stream = source.streams[planned.stream.index]
    match planned.action:
        case Action.REPLACE:
            target: Stream = _add_video(output, part.streams.video[0], info, container)
        case Action.COPY if planned.stream.cover:
            target = output.add_mux_stream(
                planned.codec, width=getattr(stream, "width", 0), height=getattr(stream, "height", 0)
            )
        case Action.COPY:
            target = output.add_stream_from_template(stream, opaque=True)
        case Action.CONVERT:
            target = output.add_stream(planned.codec)
        case Action.ATTACH:
            _attach(output, info.path, stream, planned)
            return None
        case _:
            return None
    target.metadata.update(stream_metadata(stream.metadata, container))
    target.disposition = stream.disposition
    return target


def _add_video(output: OutputContainer, template: av.VideoStream, info: VideoInfo, container: str) -> av.VideoStream:
    stream = output.add_stream_from_template(template, opaque=True)
    codec = stream.codec_context
    codec.framerate = info.average_rate or Fraction(0)
    codec.sample_aspect_ratio = info.sample_aspect_ratio
    stream.time_base = info.time_base
    if template.codec_context.name == "hevc" and container in {"mp4", "mov"}:
        codec.codec_tag = "hvc1"  # the only one that Apple's players take
    if template.codec_context.name == "prores":
        codec.codec_tag = template.codec_context.codec_tag  # it says which of ProRes's kinds this is
    _tag_untagged(codec, coded_colour(info, codec.pix_fmt or info.pixel_format))
    if info.display_matrix is not None:
        stream.set_display_matrix(info.display_matrix)
    return stream


def _tag_untagged(codec: av.VideoCodecContext, colour: Colour) -> None:
    """Write the colour tags that neither the stream nor a part's container can hold."""
    if codec.colorspace == UNSPECIFIED:
        codec.colorspace = colour.matrix
    if codec.color_primaries == UNSPECIFIED:
        codec.color_primaries = colour.primaries
    if codec.color_trc == UNSPECIFIED:
        codec.color_trc = colour.transfer
    if codec.color_range == 0 and codec.name != "prores":
        codec.color_range = FULL_RANGE if colour.full_range else LIMITED_RANGE


def _attach(output: OutputContainer, source: Path, stream: Stream, planned: StreamPlan) -> None:
    if isinstance(stream, AttachmentStream):
        output.add_attachment(stream.name or "attachment", stream.mimetype or "application/octet-stream", stream.data)
        return
    mime = MIME_TYPES[planned.stream.codec]
    name = stream.metadata.get("filename") or f"cover.{mime.partition('/')[2].replace('jpeg', 'jpg')}"
    with open_source(source) as opened:
        picture = next(bytes(packet) for packet in opened.demux(opened.streams[stream.index]) if packet.size)
    output.add_attachment(name, mime, picture)


def _chapters(source: InputContainer) -> Any:  # noqa: ANN401  PyAV names the type in its stubs only
    chapters = source.chapters()
    return [{**one, "time_base": to_fraction(one["time_base"]) or Fraction(1, av.time_base)} for one in chapters]


def _add_timecode(source: InputContainer, video: Stream, plan: RemuxPlan) -> None:
    for planned in plan.of(Action.REMAKE):
        timecode = source.streams[planned.stream.index].metadata.get("timecode")
        if timecode:
            video.metadata["timecode"] = timecode
