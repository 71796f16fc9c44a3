"""Encodes frames into a part: the video stream alone, with exact times."""

import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.container import OutputContainer

from vidrestore.errors import OutputError
from vidrestore.media.coded_picture import CodedPictures, configure_encoder
from vidrestore.media.config import EncodeConfig
from vidrestore.media.encoding import EncodingPlan, plan_encoding
from vidrestore.media.gaps import longest_gap, why_too_long
from vidrestore.media.output import translate_write_errors
from vidrestore.media.probe import VideoInfo
from vidrestore.types import Frame

_log = logging.getLogger(__name__)

PART_CONTAINERS = ("mp4", "mov")
"""Containers in order of preference: MP4 keeps exact times, durations, colour tags and the aspect ratio; MOV holds
ProRes and DNxHD, which MP4 does not. Matroska rounds times to milliseconds, and NUT loses them (see
`output.CONTAINERS`)."""
ORIGIN = "origin_pts="
"""Prefix of a part's comment with its start time: a part that starts before zero starts at zero."""

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
        self._pictures = CodedPictures(info, self._plan)
        self._first_pts: int | None = None
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._origin = 0
        self.frames = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """Properties that the result does not keep, one sentence each."""
        return self._plan.notes

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._container, self._stream = _open(self._path, self._info, self._plan, stack)
            self._resources = stack.pop_all()
        _log.debug("writing %s: %s", self._path, self._plan)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            # the block's own error matters; completing the file may fail for the same reason
            with suppress(av.FFmpegError, OSError):
                self._resources.close()
            return
        with translate_write_errors(self._path), self._resources:
            if self.frames:
                self._mux(self._stream.encode(None))

    def write(self, frame: Frame) -> None:
        """Encode one frame; frames come in the order of their times.

        Raises OutputError when the frame is not of the announced size, format or time base, when its time is not
        later than the last one's or too much later for a part, and when the disk is full.
        """
        self._check(frame)
        if self.frames == 0 and frame.pts < 0:
            self._origin = frame.pts
            self._container.metadata["comment"] = f"{ORIGIN}{frame.pts}"
        if self._first_pts is None:
            self._first_pts = frame.pts
        self._last_pts = frame.pts
        with translate_write_errors(self._path):
            picture = self._pictures.make(frame)
            picture.pts = frame.pts - self._origin
            self._mux(self._stream.encode(picture))
        self.frames += 1

    def _mux(self, packets: "Sequence[av.Packet[av.VideoStream]]") -> None:
        for packet in packets:
            packet.dts = self._last_dts = self._sound_dts(packet.pts or 0, packet.dts)
            self._container.mux_one(packet)

    def _sound_dts(self, pts: int, dts: int | None) -> int:
        """Return the encoder's decoding time; x265 returns uninitialised ones for videos of one or two frames."""
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
        if self._last_pts is not None and frame.pts - self._last_pts > longest_gap(frame.time_base):
            gap = why_too_long(frame.pts - self._last_pts, frame.time_base)
            raise OutputError(f"the video {gap}")


def check_encoding(info: VideoInfo, config: EncodeConfig) -> EncodingPlan:
    """Open the encoder once, without a file; return the plan that `VideoWriter` will follow.

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
        stream.time_base = info.time_base
        configure_encoder(stream.codec_context, info, plan)
        _open_encoder(stream, info, plan)
        return container, stream
    raise OutputError(f"{plan.codec} fits none of the containers for parts ({', '.join(PART_CONTAINERS)}); use another")


def _open_encoder(stream: av.VideoStream, info: VideoInfo, plan: EncodingPlan) -> None:
    try:
        stream.codec_context.open()
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        options = ", ".join(f"{key}={value}" for key, value in plan.options)
        raise OutputError(
            f"{plan.codec} does not take {info.width}x{info.height} {plan.pixel_format} with {options or 'no options'} "
            f"({reason}); use --lossless, which holds any frame, or another codec"
        ) from error
