"""Reads a video: a lazy stream of frames in their native planes, with exact times."""

import logging
import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import av
from av.container import InputContainer
from av.video.reformatter import Interpolation

from vidrestore.errors import InputError
from vidrestore.media.losses import LossEstimator, declared_end
from vidrestore.media.opening import is_out_of_memory, needs_too_much_memory, open_source, video_stream
from vidrestore.media.picture_size import MAX_PIXELS, decoder_options, is_too_large, why_too_large
from vidrestore.media.pixel_formats import layout_of, views
from vidrestore.media.probe import VideoInfo, colour_of, describe, is_mirrored, rotation_of
from vidrestore.media.timestamps import GrowingTimestamps, time_base_of, to_fraction
from vidrestore.types import Frame

_log = logging.getLogger(__name__)

_EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.BITEXACT
_FULL = 2
_AHEAD_BYTES = 2**29
"""Memory for the frames that a decoder works at ahead of time, one per thread; up to 4K all threads fit."""
_BYTES_PER_PIXEL = 3
_MOST_THREADS = 16
"""Threads that FFmpeg takes by itself at most."""


@dataclass(frozen=True, slots=True)
class SegmentRange:
    """A stretch of a video, as `segments.plan_spans` cuts it; times in the stream's unit.

    The frames of `begin <= pts < end` are read; those of `start <= pts < stop` count, the others are there for stages
    that look at neighbours. `None` is the video's own beginning or end.
    """

    begin: int | None = None
    start: int | None = None
    stop: int | None = None
    end: int | None = None
    seek: int | None = None
    """Time of a keyframe from which on all frames from `begin` decode soundly."""

    def holds(self, pts: int) -> bool:
        """Return whether a frame counts."""
        return (self.start is None or self.start <= pts) and (self.stop is None or pts < self.stop)


@dataclass(frozen=True, slots=True)
class ReadStatistics:
    """Counts of a source's packets and frames so far."""

    frames: int = 0
    """Frames returned."""
    undecodable_packets: int = 0
    """Packets refused by the decoder; their frames are missing."""
    oversized_pictures: int = 0
    """Frames among these that are larger than `max_pixels`, in the middle of a video of smaller ones."""
    empty_packets: int = 0
    """Packets without data: the video's own way of saying that the last frame stays."""
    corrupt_frames: int = 0
    """Frames returned although the decoder found damage and hid it."""
    invented_timestamps: int = 0
    """Frames that came without a time."""
    reordered_timestamps: int = 0
    """Frames whose time was not later than the one before, and was moved."""
    adapted_frames: int = 0
    """Frames of another size or format than the first, scaled or converted to it."""
    missing_frames: int = 0
    """Frames promised by the container and not there; known at the end only.

    From the container's count where it has one, less what an edit list cuts; in Matroska estimated from the promised
    length, and 0 where nothing is promised.
    """
    read_error: str | None = None
    """Error that stopped reading before the end of the file; None if there was none."""

    def losses(self) -> list[str]:
        """Describe what could not be read."""
        counts = {
            "{} frames are missing": self.missing_frames,
            "{} packets could not be decoded": self.undecodable_packets,
            "of them, {} hold frames larger than restore.max_pixels allows": self.oversized_pictures,
            "{} frames were decoded with damage": self.corrupt_frames,
        }
        losses = [words.format(number) for words, number in counts.items() if number]
        return [*losses, f"reading stopped early: {self.read_error}"] if self.read_error else losses

    def changes(self) -> list[str]:
        """Describe what had to be changed."""
        counts = {
            "{} frames came without a time and were given one": self.invented_timestamps,
            "{} frames were not later than the one before and were moved": self.reordered_timestamps,
            "{} frames changed size or format in mid-video and were scaled to the first one's": self.adapted_frames,
        }
        return [words.format(number) for words, number in counts.items() if number]


class VideoReader:
    """The frames of the first video stream of a file, in presentation order.

    Use as a context manager and iterate once. Holds the frames that the decoder holds back, plus one. Entering raises
    InputError when `path` is not a readable video; `info` is known from then on.

    With a `span` only its frames come out, the same as they would without, and the statistics are of those that count.
    It is for videos whose packets all have a time of their own (`segments.index_video`). Where a container does not
    seek to where it should, the video is decoded from its beginning.

    Videos of more than `max_pixels` pixels per frame are refused; such frames in the middle of a video of smaller ones
    are never decoded, and counted. Without `frame_threads` fewer frames are in memory, and decoding is slower.
    """

    def __init__(
        self,
        path: str | Path,
        span: SegmentRange | None = None,
        *,
        max_pixels: int = MAX_PIXELS,
        frame_threads: bool = True,
    ) -> None:
        self._path = Path(path)
        self._span = span
        self._max_pixels = max_pixels
        self._threads: Literal["AUTO", "SLICE"] = "AUTO" if frame_threads else "SLICE"
        self._resources = ExitStack()
        self._empty = self._undecodable = self._corrupt = self._adapted = self._frames = self._missing = 0
        self._oversized = 0
        self._read_error: str | None = None
        self._problem: str | None = None
        self._decoded = False
        """Whether there was a frame that is restored."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            container = self._open(stack)
            stream = self._stream
            self._pictures = self._decode(container, stream)
            first = self._first = self._first_picture()
            try:
                self._layout = layout_of(first.format.name)
            except ValueError as error:
                raise InputError(f"{self._path} decodes to frames that cannot be read: {error}") from error
            time_base, begin = time_base_of(stream), stream.start_time or 0
            rate = to_fraction(stream.average_rate) or to_fraction(stream.guessed_rate)
            step = round(1 / (rate * time_base)) if rate else 1
            self._timestamps = GrowingTimestamps(time_base, first=begin, step=step)
            start = self._timestamps.next(first.pts, first.dts, first.duration)
            self.info = describe(self._path, container, stream, first, self._layout, start)
            promise = declared_end(self._path, container, stream)
            end = None if stream.duration is None else begin + stream.duration
            self._losses = LossEstimator(self.info, self._timestamps, promise=promise, stream_end=end)
            self._resources = stack.pop_all()
            if self._span is not None and self._span.begin is not None:
                self._go_to(container, self._span.begin, self._span.seek)
        _log.debug("reading %s: %s, %s", self._path, self.info, self._span or "whole")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _log.debug("read %s: %s", self._path, self.statistics)
        self._pictures.close()
        self._resources.close()

    @property
    def statistics(self) -> ReadStatistics:
        """A snapshot of the counts."""
        return ReadStatistics(
            frames=self._frames,
            undecodable_packets=self._undecodable,
            oversized_pictures=self._oversized,
            empty_packets=self._empty,
            corrupt_frames=self._corrupt,
            invented_timestamps=self._timestamps.invented,
            reordered_timestamps=self._timestamps.reordered,
            adapted_frames=self._adapted,
            missing_frames=self._missing,
            read_error=self._read_error,
        )

    def __iter__(self) -> Iterator[Frame]:
        if self._span is not None:
            yield from self._within(self._span)
            return
        if self._frames == 0:
            yield self._frame(self._first, self.info.start_pts)
        for picture in self._pictures:
            yield self._frame(picture, self._timestamps.next(picture.pts, picture.dts, picture.duration))
        self._missing = self._losses.missing(frames=self._frames, empty=self._empty, undecodable=self._undecodable)

    def _within(self, span: SegmentRange) -> Iterator[Frame]:
        """Yield the frames of a span; `_frames` counts those that count."""
        if span.begin is None:
            yield self._frame(self._first, self.info.start_pts)
        for picture in self._pictures:
            if span.begin is not None and (picture.pts is None or picture.pts < span.begin):
                continue
            pts = self._timestamps.next(picture.pts, picture.dts, picture.duration)
            if span.end is not None and pts >= span.end:
                break
            yield self._frame(picture, pts)

    def _go_to(self, container: InputContainer, begin: int, seek: int | None) -> None:
        """Set up the decoder so that the frames from `begin` on come next, among others before them."""
        self._pictures.close()
        for target in (seek, None) if seek is not None else (None,):
            self._undecodable = self._oversized = self._empty = 0
            self._read_error = None
            if target is None or not _seeks(container, target, self._stream):
                container, target = self._open(self._resources), None  # noqa: PLW2901  there is no better place
            pictures = self._decode(container, self._stream)
            first = next(pictures, None)
            if target is None or (first is not None and first.pts is not None and first.pts <= begin):
                self._pictures = _chained(first, pictures)
                return
            pictures.close()

    def _open(self, stack: ExitStack) -> InputContainer:
        container = stack.enter_context(open_source(self._path, max_pixels=self._max_pixels))
        self._stream = video_stream(self._path, container)
        self._stream.thread_type = self._threads
        decoder = self._stream.codec_context
        decoder.options = decoder_options(self._max_pixels)
        self._refuse_larger(decoder.width, decoder.height)
        most = _AHEAD_BYTES // max(1, decoder.width * decoder.height * _BYTES_PER_PIXEL)
        if most < min(_MOST_THREADS, (os.cpu_count() or 1) + 1):
            decoder.thread_count = max(2, most)
        return container

    def _refuse_larger(self, width: int, height: int) -> None:
        if is_too_large(width, height, max_pixels=self._max_pixels):
            raise InputError(f"{self._path} {why_too_large(width, height, max_pixels=self._max_pixels)}")

    def _decode(self, container: InputContainer, stream: av.VideoStream) -> Generator[av.VideoFrame]:
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError) as error:
                # a truncated file: what the decoder still holds is good
                self._read_error = str(error)
                packet = None
            if packet is None:
                break
            if packet.size:
                yield from self._decode_one(stream, packet)
            elif packet.dts is not None:
                # to a decoder an empty packet means the end, and it would take nothing after it
                self._empty += self._counts(packet.pts)
        yield from self._decode_one(stream, None)

    def _decode_one(self, stream: av.VideoStream, packet: "av.Packet[av.VideoStream] | None") -> list[av.VideoFrame]:
        try:
            pictures = stream.decode(packet)
        except EOFError:
            return []
        except (av.FFmpegError, ValueError) as error:
            counts = self._counts(packet.pts if packet is not None else None)
            decoder = stream.codec_context
            self._undecodable += counts
            self._oversized += counts and is_too_large(decoder.width, decoder.height, max_pixels=self._max_pixels)
            problem = needs_too_much_memory(self._path) if is_out_of_memory(error) else str(error)
            self._problem = self._problem or problem
            return []
        return [picture for picture in pictures if self._fits(picture)]

    def _fits(self, picture: av.VideoFrame) -> bool:
        """Return whether a frame is no larger than allowed: container and decoder may state different sizes."""
        if not is_too_large(picture.width, picture.height, max_pixels=self._max_pixels):
            self._decoded = True
            return True
        if not self._decoded:
            self._refuse_larger(picture.width, picture.height)
        counts = self._counts(picture.pts)
        self._undecodable += counts
        self._oversized += counts
        return False

    def _counts(self, pts: int | None) -> bool:
        return self._span is None or (pts is not None and self._span.holds(pts))

    def _first_picture(self) -> av.VideoFrame:
        picture = next(self._pictures, None)
        if picture is None:
            if self._oversized:
                decoder = self._stream.codec_context
                self._refuse_larger(decoder.width, decoder.height)
            reason = self._problem or self._read_error
            because = f" ({reason})" if reason else ""
            raise InputError(
                f"{self._path} has a video stream, but not one frame can be decoded{because}; is it damaged?"
            )
        return picture

    def _frame(self, picture: av.VideoFrame, pts: int) -> Frame:
        counts = self._counts(pts)
        self._corrupt += picture.is_corrupt and counts
        frame = Frame(
            index=self._frames,
            pts=pts,
            time_base=self.info.time_base,
            duration=max(0, picture.duration),
            width=self.info.width,
            height=self.info.height,
            pixel_format=self.info.pixel_format,
            planes=views(self._adapt(picture, counts=counts), self.info.pixel_format),
            colour=colour_of(picture, self._stream, self._layout),
            rotation=rotation_of(picture),
            mirrored=is_mirrored(picture),
            sample_aspect_ratio=self.info.sample_aspect_ratio,
            interlaced=picture.interlaced_frame,
        )
        self._frames += counts
        return frame

    def _adapt(self, picture: av.VideoFrame, *, counts: bool) -> av.VideoFrame:
        """Convert a frame to the layout of the first one."""
        info, layout = self.info, self._layout
        same = (picture.width, picture.height, picture.format.name) == (
            info.width,
            info.height,
            info.source_pixel_format,
        )
        if same and not layout.converted:
            return picture
        self._adapted += counts and not same
        # the same range on both sides, so that swscale moves samples and never rescales them
        return picture.reformat(
            info.width,
            info.height,
            layout.viewed_as,
            interpolation=_EXACT,
            src_color_range=_FULL,
            dst_color_range=_FULL,
            threads=1,
        )


def _seeks(container: InputContainer, target: int, stream: av.VideoStream) -> bool:
    try:
        container.seek(target, stream=stream)
    except (av.FFmpegError, OSError):
        return False
    return True


def _chained(first: av.VideoFrame | None, others: Generator[av.VideoFrame]) -> Generator[av.VideoFrame]:
    if first is not None:
        yield first
    yield from others


def probe(path: str | Path, *, max_pixels: int = MAX_PIXELS, frame_threads: bool = True) -> VideoInfo:
    """Open a video and decode its first frame, in this process; `inspection.inspect` does it with care.

    Raises InputError when `path` is not a readable video, or one of larger frames than `max_pixels`.
    """
    with VideoReader(path, max_pixels=max_pixels, frame_threads=frame_threads) as reader:
        return reader.info
