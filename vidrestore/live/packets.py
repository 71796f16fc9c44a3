"""Encoded packets on their way from an encoder, or from the source, to the outputs, with their codec parameters."""

import io
from dataclasses import dataclass, field
from typing import Any, Literal

import av
from av.container import InputContainer
from av.stream import Stream

from vidrestore.errors import OutputError

Kind = Literal["video", "audio"]

_MPEG_SOUND = {"mp1", "mp2", "mp3"}
"""Codecs that share one number in a transport stream; the packets show which it is."""
_SNIFF = {"probesize": "32", "analyzeduration": "0", "format_whitelist": "nut,matroska"}


class CodecParameters:
    """Codec parameters that outlive their source: a header and one packet, held in memory.

    Video is held in NUT, which keeps the header as the encoder wrote it: muxers must know whether packets have start
    codes. Audio is held in Matroska, which makes one header of those in the packets of AAC from a transport stream; in
    NUT where Matroska does not hold it.

    Args:
        memory: result of `describe`; `of` does both.
    """

    def __init__(self, memory: bytes) -> None:
        self.memory = memory
        """The container as bytes, which may be sent to another process."""
        self._container: InputContainer = av.open(io.BytesIO(memory), mode="r", options=_SNIFF)
        self.stream: Stream = self._container.streams[0]
        """A template for `add_stream_from_template`."""
        codec = self.stream.codec_context
        self.codec = codec.codec.canonical_name
        form = (codec.sample_rate, codec.layout.nb_channels) if isinstance(codec, av.AudioCodecContext) else None
        self.key = (self.codec, form, codec.extradata)
        """A key that is equal for tracks that may replace each other in the same output."""

    @classmethod
    def of(cls, source: Stream, packet: "av.Packet[Any]") -> "CodecParameters":
        """Describe a stream, which may be closed afterwards, by one of its packets, whose times do not matter.

        Raises:
            OutputError: neither container holds this codec.
        """
        codec, reason = source.codec_context.codec.canonical_name, ""
        for container in ("nut",) if source.type == "video" else ("matroska", "nut"):
            try:
                track = cls(_described(source, packet, container))
            except (av.FFmpegError, ValueError, OSError) as error:
                reason = str(error)
                continue
            if track.codec == codec or {track.codec, codec} <= _MPEG_SOUND:
                return track
            reason = f"{container} takes it for {track.codec}"
        raise OutputError(f"{codec} cannot be passed through: {reason}")


def _described(source: Stream, packet: "av.Packet[Any]", container: str) -> bytes:
    memory = io.BytesIO()
    with av.open(memory, "w", format=container) as written:
        stream = written.add_stream_from_template(source)
        first = av.Packet(bytes(packet))
        first.pts = first.dts = 0
        first.is_keyframe = True
        first.stream = stream
        written.mux(first)
    return memory.getvalue()


@dataclass(frozen=True, slots=True)
class Packet:
    """One encoded frame or packet of audio, with its time on the output's clock."""

    kind: Kind
    track: CodecParameters = field(repr=False)
    data: bytes = field(repr=False)
    pts: int
    """Nanoseconds."""
    dts: int
    """Nanoseconds."""
    duration: int
    """Nanoseconds; 0 where it is not known."""
    keyframe: bool
    arrived: int
    """Arrival of the source's frame, in nanoseconds of the monotonic clock; 0 for a frame that was made here."""
