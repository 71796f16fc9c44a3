"""The parts of a video as one sequence of video packets."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer

from vidrestore.errors import InputError, OutputError
from vidrestore.media.opening import open_source
from vidrestore.media.timestamps import Ticks, VideoTimes, packet_times, time_base_of
from vidrestore.media.writer import ORIGIN

_FAR = 100


@dataclass(frozen=True, slots=True)
class EncodedSegments:
    """Parts that follow each other, and the video's own times for their packets; holds 24 bytes per frame."""

    paths: tuple[Path, ...]
    time_base: Fraction
    times: VideoTimes
    """Times in decoding order, in units of `time_base`."""

    @property
    def start_pts(self) -> int:
        """Time of the first frame, in units of `time_base`."""
        return int(self.times.pts.min())

    def packets(self) -> "Iterator[av.Packet[av.VideoStream]]":
        """Yield all packets in decoding order, with the video's times; one part is open at a time."""
        times = iter(self.times)
        for path in self.paths:
            with open_part(path) as container:
                for packet in container.demux(container.streams.video[0]):
                    if packet.size:
                        here = next(times)
                        packet.time_base = self.time_base
                        packet.pts, packet.dts, packet.duration = here.pts, here.dts, here.duration
                        yield packet


def open_part(path: Path) -> InputContainer:
    """Open a part for reading; OutputError when it is missing or incomplete."""
    try:
        return open_source(path)
    except InputError as error:
        raise OutputError(f"a part of the result is not usable: {error.message}") from error


def read_parts(paths: Sequence[Path], time_base: Fraction, *, end_pts: int | None) -> EncodedSegments:
    """Read the times of all packets of the parts, which are in the order of the video.

    `end_pts`, in units of `time_base`, is when the video's last frame leaves the screen, if that is known.
    Raises OutputError when there are none, when they overlap, or when they were encoded with different settings.
    """
    shown = array("q")
    ends: list[int] = []
    headers = set()
    for path in paths:
        with open_part(path) as container:
            stream = container.streams.video[0]
            context = stream.codec_context
            headers.add((context.name, context.width, context.height, context.pix_fmt, context.extradata))
            times, last_duration = _read_times(container, stream, time_base)
        if times and ends and min(times) <= ends[-1]:
            raise OutputError(f"part {path.name} starts at {min(times)}, not after the part before it ({ends[-1]})")
        if times:
            ends.append(max(times))
            shown += times
    if not shown:
        raise OutputError("there is nothing to join: not one frame was restored")
    if len(headers) > 1:
        raise OutputError("the parts were encoded with different settings; encode all of them again")
    ticks = np.frombuffer(shown, np.int64)
    last = _last_duration(ticks, last_duration, end_pts)
    return EncodedSegments(tuple(paths), time_base, packet_times(ticks, last_duration=last))


def _read_times(container: InputContainer, stream: av.VideoStream, time_base: Fraction) -> "tuple[array[int], int]":
    comment = container.metadata.get("comment", "")
    origin = int(comment.removeprefix(ORIGIN)) if comment.startswith(ORIGIN) else 0
    times = array("q")
    duration = 0
    scale = time_base_of(stream) / time_base
    for packet in container.demux(stream):
        if packet.size:
            assert packet.pts is not None, "the writer gives every packet a time"  # noqa: S101
            times.append(round(packet.pts * scale) + origin)
            duration = round((packet.duration or 0) * scale)
    return times, duration


def _last_duration(shown: Ticks, packet_duration: int, end_pts: int | None) -> int:
    steps = np.diff(np.sort(shown))
    longest = int(steps.max(initial=0))
    own = packet_duration or (int(steps[-1]) if len(steps) else 1)
    remaining = 0 if end_pts is None else end_pts - int(shown.max())
    # an end far away belongs to frames that were not restored
    return remaining if 0 < remaining <= _FAR * max(longest, own) else own
