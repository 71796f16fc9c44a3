"""Text subtitles rewritten for a container that does not hold the source's kind."""

from collections.abc import Iterator
from typing import Any

import av
from av.subtitles.stream import SubtitleStream

from vidrestore.media.probe import codec_context
from vidrestore.media.timestamps import time_base_of

TEXT_CODECS = frozenset({"subrip", "ass", "ssa", "mov_text", "webvtt", "text"})
"""FFmpeg's names of subtitles that are text; the others are images."""
TEXT_CODEC_OF = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}
"""Container -> the text subtitles that it holds."""


class SubtitleConverter:
    """Turns the packets of one text subtitle stream into another codec: text, line breaks and simple styles stay."""

    def __init__(self, source: SubtitleStream, target: SubtitleStream) -> None:
        self._source = source
        self._target = target
        self.unreadable = 0
        """Packets that the decoder refused."""
        source.codec_context.open(strict=False)  # the decoder writes the header that the encoder wants when it opens
        target.codec_context.subtitle_header = source.codec_context.subtitle_header or None
        target.time_base = time_base_of(source)

    def convert(self, packet: "av.Packet[Any]") -> "Iterator[av.Packet[Any]]":
        """Convert a packet, at the same time; yield nothing for MP4's empty packets, which only fill gaps."""
        assert codec_context(self._source), "only streams with a decoder are planned to be converted"  # noqa: S101
        try:
            subtitles = self._source.codec_context.decode2(packet)
            if subtitles is None or not len(subtitles):
                return
            converted = self._target.codec_context.encode_subtitle(subtitles)
        except (av.FFmpegError, ValueError):
            self.unreadable += 1
            return
        converted.stream = self._target
        converted.time_base = packet.time_base
        converted.pts = converted.dts = packet.pts
        converted.duration = packet.duration
        yield converted
