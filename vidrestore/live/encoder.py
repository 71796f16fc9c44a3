"""The encoder of a live stream: one for all its outputs, without delay, with keyframes on demand."""

import io
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av

from vidrestore.errors import OutputError
from vidrestore.live.packets import CodecParameters, Packet
from vidrestore.live.pictures import TICKS
from vidrestore.live.timeline import SECOND
from vidrestore.media.coded_picture import CodedPictures, configure_encoder
from vidrestore.media.config import EncodeConfig
from vidrestore.media.encoding import EncodingPlan, plan_encoding
from vidrestore.media.probe import VideoInfo
from vidrestore.types import Frame

_KEY_FRAME = 1
"""FFmpeg's picture type of an intra frame."""
_USUAL_RATE = Fraction(25)
_MOST_RATE = Fraction(120)


class LiveEncoder:
    """Turns each frame into one packet at once: no B-frames, no look-ahead.

    Args:
        info: description of the first frame.
        config: encoder options; options for low latency are added for the encoders that know them.
        keyframe_seconds: time between two keyframes.

    Raises:
        ConfigError, OutputError: the encoder does not take what is asked.
    """

    def __init__(self, info: VideoInfo, config: EncodeConfig, *, keyframe_seconds: float) -> None:
        rate = _rate(info)
        info = replace(info, time_base=Fraction(1, TICKS), average_rate=rate)
        key = max(1, round(rate * Fraction(keyframe_seconds)))
        own = _QUICK.get(config.codec, ())
        config = replace(config, options=(f"g={key}", *own, *config.options))
        self._plan = plan_encoding(info, config)
        self._pictures = CodedPictures(info, self._plan)
        self._codec = _opened(info, self._plan)
        self._wants_key = True
        self.track = _track(info, self._plan)
        """Codec parameters for the outputs."""
        self.rate = rate

    @property
    def notes(self) -> tuple[str, ...]:
        """Properties that the result does not keep, one sentence each."""
        return self._plan.notes

    def demand_key_frame(self) -> None:
        """Make the next frame a keyframe, with which a viewer can begin."""
        self._wants_key = True

    def encode(self, frame: Frame, *, arrived: int) -> list[Packet]:
        """Encode a frame, whose time is in units of 1/90000 s and later than the last one's; return its packets."""
        picture = self._pictures.make(frame)
        if self._wants_key:
            picture.pict_type = _KEY_FRAME
            self._wants_key = False
        try:
            packets = self._codec.encode(picture)
        except (av.FFmpegError, ValueError) as error:
            raise OutputError(f"{self._plan.codec} failed on a frame: {error}") from error
        return [self._packet(packet, arrived) for packet in packets]

    def _packet(self, packet: "av.Packet[Any]", arrived: int) -> Packet:
        pts, dts = packet.pts or 0, packet.dts if packet.dts is not None else packet.pts or 0
        return Packet(
            "video",
            self.track,
            bytes(packet),
            round(pts * SECOND / TICKS),
            round(dts * SECOND / TICKS),
            round(SECOND / self.rate),
            keyframe=packet.is_keyframe,
            arrived=arrived,
        )


def _rate(info: VideoInfo) -> Fraction:
    """Return a plausible frame rate: cameras and RTSP servers may claim 90000 frames a second."""
    rate = info.average_rate
    return rate if rate and 1 <= rate <= _MOST_RATE else _USUAL_RATE


def _opened(info: VideoInfo, plan: EncodingPlan) -> av.VideoCodecContext:
    codec = av.CodecContext.create(plan.codec, "w")
    assert isinstance(codec, av.VideoCodecContext), "the plan checked that the codec is a video codec"  # noqa: S101
    configure_encoder(codec, info, plan)
    codec.framerate = info.average_rate or _USUAL_RATE
    codec.options = dict(plan.options)
    try:
        codec.open()
    except (av.FFmpegError, OSError, ValueError) as error:
        raise OutputError(
            f"{plan.codec} does not take {info.width}x{info.height} {plan.pixel_format}: {error}; use another codec"
        ) from error
    return codec


def _track(info: VideoInfo, plan: EncodingPlan) -> CodecParameters:
    """Describe the track by means of a separate encoder, which may encode a black frame."""
    with av.open(io.BytesIO(), "w", format="matroska") as container:
        stream = container.add_stream(plan.codec, rate=info.average_rate, options=dict(plan.options))
        assert isinstance(stream, av.VideoStream), "the plan checked that the codec is a video codec"  # noqa: S101
        configure_encoder(stream.codec_context, info, plan)
        black = av.VideoFrame(info.width, info.height, plan.pixel_format)
        black.pts, black.time_base = 0, info.time_base
        packets = [*stream.encode(black), *stream.encode(None)]
        container.start_encoding()
        return CodecParameters.of(stream, packets[0])


_QUICK: dict[str, tuple[str, ...]] = {
    "libx264": ("tune=zerolatency", "bf=0", "forced-idr=1", "sc_threshold=0"),
    "libx265": ("tune=zerolatency", "bf=0", "forced-idr=1"),
    "h264_nvenc": ("preset=p3", "tune=ull", "delay=0", "zerolatency=1", "forced-idr=1", "bf=0"),
    "hevc_nvenc": ("preset=p3", "tune=ull", "delay=0", "zerolatency=1", "forced-idr=1", "bf=0"),
    "libvpx-vp9": ("lag-in-frames=0", "error-resilient=1"),
}
