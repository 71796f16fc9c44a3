"""Encoded packets on their way from an encoder, or from the source, to the outputs."""

from dataclasses import dataclass, field
from typing import Literal

from vidrestore.live.codec_parameters import CodecParameters

Kind = Literal["video", "audio"]


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
