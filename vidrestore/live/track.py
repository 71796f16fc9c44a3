"""What a muxer must know of a coded stream, kept apart from the connection or the encoder that it came from."""

import io
from typing import Any

import av
from av.container import InputContainer
from av.stream import Stream

from vidrestore.errors import OutputError

_SNIFF = {"probesize": "32", "analyzeduration": "0"}


class Track:
    """Codec parameters that outlive their source: a header and one packet, held in memory.

    Pictures in NUT, which keeps the header as the encoder wrote it: muxers must know whether packets have start codes.
    Sound in Matroska, which makes one header of those in the packets of AAC from a transport stream.

    Args:
        source: the stream to describe; it may be closed afterwards.
        packet: one packet of it, whose times do not matter.

    Raises:
        OutputError: the container has no place for this codec.
    """

    def __init__(self, source: Stream, packet: "av.Packet[Any]") -> None:
        memory = io.BytesIO()
        codec = source.codec_context
        name = codec.codec.canonical_name
        try:
            with av.open(memory, "w", format="nut" if source.type == "video" else "matroska") as container:
                stream = container.add_stream_from_template(source)
                first = av.Packet(bytes(packet))
                first.pts = first.dts = 0
                first.is_keyframe = True
                first.stream = stream
                container.mux(first)
            memory.seek(0)
            self._container: InputContainer = av.open(memory, mode="r", options=_SNIFF)
        except (av.FFmpegError, ValueError, OSError) as error:
            raise OutputError(f"{name} cannot be passed through: {error}") from error
        self.stream: Stream = self._container.streams[0]
        """A template for `add_stream_from_template`."""
        self.key = (name, getattr(codec, "sample_rate", None), self.stream.codec_context.extradata)
        """Equal where one track may take the place of another in the same output."""
        self.codec = name

    def close(self) -> None:
        """Free the memory; templates are of no use afterwards."""
        self._container.close()
