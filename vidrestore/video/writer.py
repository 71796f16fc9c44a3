"""Encoding frames into a part: the video stream alone, with exact times."""

import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.reformatter import Interpolation, VideoReformatter

from vidrestore.errors import OutputError
from vidrestore.types import Colour, Frame
from vidrestore.video.encoding import EncodeConfig, EncodingPlan, plan_encoding
from vidrestore.video.info import FULL_RANGE, LIMITED_RANGE, VideoInfo
from vidrestore.video.output import writing
from vidrestore.video.pixel_formats import EIGHT_BITS, bit_depth, fill, is_rgb, plane_shapes

PART_CONTAINERS = ("mp4", "mov")
"""In order of preference: MP4 keeps exact times, durations, colour tags and the aspect ratio; MOV holds ProRes and
DNxHD, which MP4 does not. Matroska rounds times to milliseconds, and NUT loses them (see `output.CONTAINERS`)."""
ORIGIN = "origin_pts="
"""A part that starts before zero starts at zero, and says in its comment where it belongs."""

_EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.BITEXACT
_FIELD_ORDERS = {"tff": 2, "bff": 3}
_USUAL_RATE = Fraction(25)


class VideoWriter:
    """Encodes frames of the video that `info` describes into the file `path`, a part for `join`.

    Use as a context manager. Times, colour tags, range, sample aspect ratio and interlacing are kept. Entering raises
    ConfigError or OutputError when the encoder cannot do what is asked; `notes` then says what is not kept, one
    sentence each. Leaving flushes the encoder and completes the file; after an exception the file is not usable.
    """

    def __init__(self, path: str | Path, info: VideoInfo, config: EncodeConfig | None = None) -> None:
        self._path = Path(path)
        self._info = info
        self._plan = plan_encoding(info, config or EncodeConfig())
        self._resources = ExitStack()
        self._reformatter = VideoReformatter()
        self._first_pts: int | None = None
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._origin = 0
        self.frames = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What the result does not keep, one sentence each."""
        return self._plan.notes

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._container, self._stream = _open(self._path, self._info, self._plan, stack)
            self._resources = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            # the block's own error matters; completing the file may fail for the same reason
            with suppress(av.FFmpegError, OSError):
                self._resources.close()
            return
        with writing(self._path), self._resources:
            if self.frames:
                self._mux(self._stream.encode(None))

    def write(self, frame: Frame) -> None:
        """Encode one frame; frames come in the order of their times.

        Raises OutputError when the frame is not of the announced size, format or time base, when its time is not
        later than the last one's, and when the disk is full.
        """
        self._check(frame)
        if self.frames == 0 and frame.pts < 0:
            self._origin = frame.pts
            self._container.metadata["comment"] = f"{ORIGIN}{frame.pts}"
        if self._first_pts is None:
            self._first_pts = frame.pts
        self._last_pts = frame.pts
        with writing(self._path):
            self._mux(self._stream.encode(self._picture(frame)))
        self.frames += 1

    def _mux(self, packets: "Sequence[av.Packet[av.VideoStream]]") -> None:
        for packet in packets:
            packet.dts = self._last_dts = self._sound_dts(packet.pts or 0, packet.dts)
            self._container.mux_one(packet)

    def _sound_dts(self, pts: int, dts: int | None) -> int:
        """The encoder's decoding time; x265 gives memory's leftovers in films of one or two frames."""
        assert self._first_pts is not None, "packets come after the first frame"  # noqa: S101
        assert self._last_pts is not None, "packets come after the first frame"  # noqa: S101
        first, last = self._first_pts - self._origin, self._last_pts - self._origin
        earliest = 2 * first - last if self._last_dts is None else self._last_dts + 1
        return dts if dts is not None and earliest <= dts <= pts else max(earliest, min(pts, first))

    def _check(self, frame: Frame) -> None:
        came = (frame.width, frame.height, frame.pixel_format, frame.time_base)
        wanted = (self._info.width, self._info.height, self._info.pixel_format, self._info.time_base)
        if came != wanted:
            texts = [f"{w}x{h} {name} in units of {unit} s" for w, h, name, unit in (came, wanted)]
            raise OutputError(f"frame {frame.index} is {texts[0]}, but {self._path} was opened for {texts[1]}")
        if self._last_pts is not None and frame.pts <= self._last_pts:
            raise OutputError(
                f"frame {frame.index} has the time {frame.pts}, which is not later than {self._last_pts} before it; "
                f"write frames in order"
            )

    def _picture(self, frame: Frame) -> av.VideoFrame:
        picture = av.VideoFrame(frame.width, frame.height, frame.pixel_format)
        fill(picture, frame.planes)
        _tag(picture, frame.colour)
        plan = self._plan
        if (plan.pixel_format, plan.colour.full_range) != (frame.pixel_format, self._info.colour.full_range):
            picture = self._convert(picture, frame)
            _tag(picture, frame.colour if plan.colour == self._info.colour else plan.colour)
        picture.pts = frame.pts - self._origin
        picture.time_base = frame.time_base
        picture.duration = frame.duration
        picture.pict_type = 0
        return picture

    def _convert(self, picture: av.VideoFrame, frame: Frame) -> av.VideoFrame:
        plan = self._plan
        if frame.pixel_format.startswith("gray") and not plan.pixel_format.startswith("gray"):
            return _grey(frame, plan)
        to_luma = is_rgb(frame.pixel_format) and not is_rgb(plan.pixel_format)
        own_range = FULL_RANGE if frame.colour.full_range else LIMITED_RANGE
        matrix = 5 if plan.colour.matrix == 6 else plan.colour.matrix  # noqa: PLR2004  swscale's number
        return self._reformatter.reformat(
            picture,
            format=plan.pixel_format,
            interpolation=_EXACT,
            dst_colorspace=matrix if to_luma else None,
            src_color_range=own_range,
            dst_color_range=FULL_RANGE if plan.colour.full_range else LIMITED_RANGE,
            threads=1,
        )


def _grey(frame: Frame, plan: EncodingPlan) -> av.VideoFrame:
    """A grey picture with colour planes that say grey: swscale takes all grey for full range."""
    picture = av.VideoFrame(frame.width, frame.height, plan.pixel_format)
    grey, depth = bit_depth(frame.pixel_format), bit_depth(plan.pixel_format)
    black = 16 << (grey - 8)
    luma = frame.planes[0].astype(np.float64)
    if frame.colour.full_range and not plan.colour.full_range:
        luma = black + luma * (219 << (grey - 8)) / ((1 << grey) - 1)
    scale = ((1 << depth) - 1) / ((1 << grey) - 1) if plan.colour.full_range else 2.0 ** (depth - grey)
    neutral = [np.full(shape, 1 << (depth - 1)) for shape in plane_shapes(plan.pixel_format, frame.width, frame.height)]
    planes = [np.round(luma * scale), *neutral[1:]]
    deep = depth > EIGHT_BITS
    fill(picture, tuple(plane.astype(np.uint16) if deep else plane.astype(np.uint8) for plane in planes))
    return picture


def check_encoding(info: VideoInfo, config: EncodeConfig) -> EncodingPlan:
    """Open the encoder once, without a file; returns the plan that `VideoWriter` will follow.

    Raises ConfigError or OutputError exactly where the writer would: callable before hours of work.
    """
    plan = plan_encoding(info, config)
    with ExitStack() as stack:
        _open(Path(os.devnull), info, plan, stack)
    return plan


def _open(path: Path, info: VideoInfo, plan: EncodingPlan, stack: ExitStack) -> tuple[OutputContainer, av.VideoStream]:
    if plan.codec == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")  # its own log goes to stderr; 1 is errors only
    for container_format in PART_CONTAINERS:
        container = av.open(
            os.path.abspath(path),  # noqa: PTH100  a name such as "12:30.mp4" would be taken for a protocol
            "w",
            format=container_format,
            # the start of a track is an edit in units of the movie's time scale: 1/1000 s unless said
            container_options={"movie_timescale": str(info.time_base.denominator)},
        )
        try:
            stream = container.add_stream(plan.codec, rate=info.average_rate or _USUAL_RATE, options=dict(plan.options))
        except ValueError:
            container.close()
            continue
        stack.enter_context(container)
        assert isinstance(stream, av.VideoStream), "the plan checked that the codec is a video codec"  # noqa: S101
        _configure(stream, info, plan)
        _open_encoder(stream, info, plan)
        return container, stream
    raise OutputError(f"{plan.codec} fits none of the containers for parts ({', '.join(PART_CONTAINERS)}); use another")


def _configure(stream: av.VideoStream, info: VideoInfo, plan: EncodingPlan) -> None:
    stream.time_base = info.time_base
    codec = stream.codec_context
    codec.time_base = info.time_base
    codec.width, codec.height, codec.pix_fmt = info.width, info.height, plan.pixel_format
    codec.sample_aspect_ratio = info.sample_aspect_ratio
    codec.thread_count = plan.threads
    codec.flags |= Flags.global_header | Flags.frame_duration
    _tag(codec, plan.colour)
    if plan.interlaced:
        codec.field_order = _FIELD_ORDERS[plan.interlaced]


def _open_encoder(stream: av.VideoStream, info: VideoInfo, plan: EncodingPlan) -> None:
    try:
        stream.codec_context.open()
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        options = ", ".join(f"{key}={value}" for key, value in plan.options)
        raise OutputError(
            f"{plan.codec} does not take {info.width}x{info.height} {plan.pixel_format} with {options or 'no options'} "
            f"({reason}); use --lossless, which holds any picture, or another codec"
        ) from error


def _tag(target: av.VideoFrame | av.VideoCodecContext, colour: Colour) -> None:
    target.colorspace = colour.matrix
    target.color_primaries = colour.primaries
    target.color_trc = colour.transfer
    target.color_range = FULL_RANGE if colour.full_range else LIMITED_RANGE
