"""Plans what becomes of every stream of a source in the container of the result, before work starts."""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

import av
from av.codec import Codec
from av.container import InputContainer, OutputContainer
from av.stream import Discard, Stream

from vidrestore.errors import OutputError
from vidrestore.media.opening import open_source, video_stream
from vidrestore.media.output import CONTAINERS, container_format
from vidrestore.media.probe import StreamInfo, codec_context, stream_info
from vidrestore.media.remux.subtitles import TEXT_CODEC_OF, TEXT_CODECS

_IN_TRANSPORT_STREAMS = frozenset(
    {"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "av1", "aac", "mp2", "mp3", "ac3", "eac3", "opus", "dts"}
    | {"truehd", "s302m", "dvb_subtitle", "dvb_teletext", "hdmv_pgs_subtitle", "klv", "scte_35", "timed_id3"}
)
"""Codecs that can be read back: FFmpeg's MPEG-TS muxer takes any, and writes unknown ones unreadably."""
_EMPTY = "it is empty"
MIME_TYPES = {"mjpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "bmp": "image/bmp", "gif": "image/gif"}


class Action(Enum):
    """Fate of a stream in the result."""

    REPLACE = "replaced"
    """The video that is restored."""
    COPY = "copied"
    CONVERT = "converted"
    ATTACH = "attached"
    """The stream is written into the header: fonts, and cover art in Matroska."""
    REMAKE = "rewritten"
    """QuickTime's time code and chapter tracks, which the muxer writes itself."""
    LEAVE_OUT = "left out"


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """The plan for one stream."""

    stream: StreamInfo
    action: Action
    codec: str
    """The codec in the destination."""
    reason: str = ""

    def __str__(self) -> str:
        """Describe the plan in one line for the run report."""
        stream = self.stream
        language = f" [{stream.language}]" if stream.language else ""
        kind = "cover art" if stream.cover else stream.type
        became = f" as {self.codec}" if self.codec != stream.codec else ""
        return f"{kind} {stream.index} ({stream.codec}){language}{became}{': ' if self.reason else ''}{self.reason}"


@dataclass(frozen=True, slots=True)
class RemuxPlan:
    """The plan for every stream of a source in one container."""

    container: str
    """FFmpeg's name of the muxer."""
    streams: tuple[StreamPlan, ...]

    def of(self, *actions: Action) -> tuple[StreamPlan, ...]:
        """Return the streams with which one of `actions` is done."""
        return tuple(stream for stream in self.streams if stream.action in actions)


def check_remux(source: str | Path, destination: str | Path, *, video_codec: str | None = None) -> RemuxPlan:
    """Plan what becomes of each stream of `source` in the container that `destination`'s extension names.

    `video_codec` is FFmpeg's name of the encoder of the restored video; give it to have it checked too.
    Callable before the restoration starts. Raises InputError for a source that is not a video, OutputError for an
    unknown extension, and for audio or video that the container cannot hold: audio is never re-encoded.
    """
    source, destination = Path(source), Path(destination)
    container = container_format(destination)
    with open_source(source) as opened:
        video = video_stream(source, opened)
        _check_video(destination, container, video_codec)
        plans = tuple(
            _checked_for_content(source, _plan(stream, container, is_restored=stream.index == video.index))
            for stream in opened.streams
        )
        _check_audio(source, destination, opened, plans)
    return RemuxPlan(container, plans)


def _plan(stream: Stream, container: str, *, is_restored: bool) -> StreamPlan:
    info = stream_info(stream)
    if is_restored:
        return StreamPlan(info, Action.REPLACE, info.codec)
    for rule in (_plan_cover, _plan_attachment, _plan_data, _plan_subtitles):
        if (plan := rule(stream, info, container)) is not None:
            return plan
    reason = why_not_held(stream, container)
    return StreamPlan(info, Action.LEAVE_OUT if reason else Action.COPY, info.codec, reason or "")


def _checked_for_content(source: Path, plan: StreamPlan) -> StreamPlan:
    """Return the plan of a stream, which is left out where it could not be written because nothing is in it.

    FFmpeg knows too little of audio that never begins for any container to take it.
    """
    sound = plan.action is Action.LEAVE_OUT and plan.stream.type == "audio"
    if not sound and not (plan.action is Action.ATTACH and plan.stream.cover):
        return plan
    with open_source(source) as opened:
        for stream in opened.streams:
            if stream.index != plan.stream.index:
                stream.discard = Discard.all
        try:
            is_empty = not any(packet.size for packet in opened.demux(opened.streams[plan.stream.index]))
        except (av.FFmpegError, OSError):
            is_empty = True
    return replace(plan, action=Action.LEAVE_OUT, reason=_EMPTY) if is_empty else plan


def _plan_cover(_: Stream, info: StreamInfo, container: str) -> StreamPlan | None:
    if not info.cover:
        return None
    if container == "matroska" and info.codec in MIME_TYPES:
        return StreamPlan(info, Action.ATTACH, info.codec)
    if container == "mp4" and info.codec in MIME_TYPES:
        return StreamPlan(info, Action.COPY, info.codec)
    return StreamPlan(info, Action.LEAVE_OUT, info.codec, f"{container} has no place for cover art; .mp4 and .mkv have")


def _plan_attachment(_: Stream, info: StreamInfo, container: str) -> StreamPlan | None:
    if info.type != "attachment":
        return None
    if container == "matroska":
        return StreamPlan(info, Action.ATTACH, info.codec)
    return StreamPlan(info, Action.LEAVE_OUT, info.codec, f"{container} has no attachments; .mkv has")


def _plan_data(stream: Stream, info: StreamInfo, container: str) -> StreamPlan | None:
    if info.type not in {"data", "unknown"}:
        return None
    if info.codec == "bin_data" and stream.discard is Discard.all:
        return StreamPlan(info, Action.REMAKE, info.codec, "chapter titles are rewritten")
    if "timecode" in stream.metadata:
        return _plan_timecode(stream, info, container)
    if container == "mpegts" and info.codec in _IN_TRANSPORT_STREAMS and why_not_held(stream, container) is None:
        return StreamPlan(info, Action.COPY, info.codec)
    # in MP4 FFmpeg writes data tracks that make the whole file unreadable
    return StreamPlan(info, Action.LEAVE_OUT, info.codec, f"{container} would not hold it readably")


def _plan_timecode(stream: Stream, info: StreamInfo, container: str) -> StreamPlan:
    if container not in {"mp4", "mov"}:
        return StreamPlan(info, Action.LEAVE_OUT, info.codec, f"{container} has no time code track")
    if stream.container.chapters():
        # FFmpeg's muxer lets a track refer to one other track only
        return StreamPlan(info, Action.LEAVE_OUT, info.codec, "a time code track would take the place of the chapters")
    return StreamPlan(info, Action.REMAKE, "tmcd", "the time code is rewritten from its start")


def _plan_subtitles(stream: Stream, info: StreamInfo, container: str) -> StreamPlan | None:
    if info.type != "subtitle":
        return None
    reason = why_not_held(stream, container)
    if reason is None:
        return StreamPlan(info, Action.COPY, info.codec)
    target = TEXT_CODEC_OF.get(container)
    if info.codec in TEXT_CODECS and target:
        return StreamPlan(info, Action.CONVERT, target, "text and simple styles are kept")
    return StreamPlan(info, Action.LEAVE_OUT, info.codec, reason)


def why_not_held(stream: Stream, container: str) -> str | None:
    """Say why a container cannot hold a stream as it is, None when it can: by writing a header to memory."""
    context = codec_context(stream)
    if context is None and stream.type != "data":
        return "this build of FFmpeg does not know its codec"
    if container == "mpegts" and stream_info(stream).codec not in _IN_TRANSPORT_STREAMS:
        return f"{container} does not hold {stream_info(stream).codec}"
    held = _try(container, lambda trial: trial.add_stream_from_template(stream))
    return None if held else f"{container} does not hold {stream_info(stream).codec}"


def _try(container: str, add: Callable[[OutputContainer], object]) -> bool:
    try:
        trial = av.open(io.BytesIO(), "w", format=container)
        add(trial)
        trial.start_encoding()
        trial.close()
    except (av.FFmpegError, ValueError, OSError):
        return False
    return True


def _check_video(destination: Path, container: str, encoder: str | None) -> None:
    if encoder is None:
        return

    def add(trial: OutputContainer) -> None:
        options = {"x265-params": "log-level=none"} if encoder == "libx265" else {}
        stream = trial.add_stream(encoder, rate=25, options=options)
        assert isinstance(stream, av.VideoStream), f"{encoder} is a video encoder"  # noqa: S101
        formats = Codec(encoder, "w").video_formats
        stream.width, stream.height, stream.pix_fmt = 64, 64, formats[0].name if formats else "yuv420p"

    def held_by(name: str) -> bool:
        known = name != "mpegts" or Codec(encoder, "w").canonical_name in _IN_TRANSPORT_STREAMS
        return known and _try(name, add)

    if not held_by(container):
        raise OutputError(
            f"{destination.suffix} does not hold video of {encoder}; {_better(destination, held_by)}, "
            f"or use another codec"
        )


def _check_audio(source: Path, destination: Path, opened: InputContainer, plans: tuple[StreamPlan, ...]) -> None:
    refused = [
        plan
        for plan in plans
        if plan.action is Action.LEAVE_OUT and plan.stream.type == "audio" and plan.reason != _EMPTY
    ]
    if not refused:
        return
    streams = opened.streams.audio

    def holds_all(name: str) -> bool:
        return all(why_not_held(stream, name) is None for stream in streams)

    raise OutputError(
        f"the audio of {source} does not fit into {destination.suffix} ({'; '.join(map(str, refused))}), "
        f"and is not re-encoded; "
        f"{_better(destination, holds_all)}"
    )


def _better(destination: Path, fits: Callable[[str], bool]) -> str:
    extensions = [extension for extension, name in CONTAINERS.items() if fits(name)]
    if not extensions:
        return "no container here holds it: convert it first"
    return f"name the result {destination.with_suffix(extensions[0]).name} (these hold it: {', '.join(extensions)})"
