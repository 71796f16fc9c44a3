"""Coded packets on their way from an encoder, or from the source, to the outputs."""

from dataclasses import dataclass, field
from typing import Literal

from vidrestore.live.codec_parameters import CodecParameters

Kind = Literal["video", "audio"]


@dataclass(frozen=True, slots=True)
class Packet:
    """One coded picture or piece of sound, with its time on the output's clock."""

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
    """Nanoseconds of the monotonic clock: when the source's frame was there; 0 for a picture that was made here."""
