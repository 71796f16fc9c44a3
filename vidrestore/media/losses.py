"""Frames that are missing from a video: what its container promises, less what was read."""

import io
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer

from vidrestore.media.probe import VideoInfo
from vidrestore.media.timestamps import GrowingTimestamps

_TIMED = frozenset({"video", "audio", "subtitle", "data"})
_SEGMENT = bytes.fromhex("18538067")
"""Id of the element that holds the whole of a Matroska file, after its header."""
_LONGEST_HEADER = 4096
"""Bytes."""
_ROUNDED = Fraction(2, 1000)
"""Seconds by which the length in an edit list may be off: it has a coarse unit of its own."""
_FRAMES_SHORT = Fraction(3, 2)
"""Frames by which a video may be shorter than its own promise."""
_SECONDS_SHORT = 1
"""Seconds by which it may be shorter than what its file promises as a whole."""


@dataclass(frozen=True, slots=True)
class Promise:
    """The length of the video that a file promises without counting its frames."""

    end: Fraction
    """Time in seconds when the last frame leaves the screen."""
    certain: bool
    """Whether it is stated for the video itself, and not for the file as a whole."""


def declared_end(path: Path, container: InputContainer, stream: av.VideoStream) -> Promise | None:
    """Return what a Matroska or WebM file promises; None for others, whose length FFmpeg takes from what is there."""
    if "matroska" not in container.format.name:
        return None
    if (own := _seconds_of(stream.metadata.get("DURATION", ""))) is not None:
        return Promise(own, certain=True)
    if not container.duration:
        return None
    others = any(other.type in _TIMED and other.index != stream.index for other in container.streams)
    if others and not _is_cut_off(path):
        # audio may go on after the last frame
        return None
    return Promise(Fraction(container.duration, av.time_base), certain=False)


def _seconds_of(duration: str) -> Fraction | None:
    """Parse Matroska's tag, such as "00:00:02.400000000"; return seconds."""
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", duration.strip("\0 "), re.ASCII)
    return Fraction(match[1]) * 3600 + Fraction(match[2]) * 60 + Fraction(match[3]) if match else None


def _is_cut_off(path: Path) -> bool:
    """Return whether a Matroska file is shorter than its segment says."""
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEADER)
        length = file.seek(0, io.SEEK_END)
    start = head.find(_SEGMENT) + len(_SEGMENT)
    if start < len(_SEGMENT) or start >= len(head) or not head[start]:
        return False
    # the zero bits before the first one say how many bytes follow; all ones mean that the length is not known
    width = 9 - head[start].bit_length()
    mask = (1 << 7 * width) - 1
    size = int.from_bytes(head[start : start + width], "big") & mask
    return size != mask and start + width + size > length


class LossEstimator:
    """Estimates how many frames of a video are missing, once all others were read.

    Args:
        info: the video, as its container describes it.
        timestamps: times of the frames read.
        promise: see `declared_end`.
        stream_end: time at which the container ends the video's track, in the stream's unit; None where it says none.
    """

    def __init__(
        self, info: VideoInfo, timestamps: GrowingTimestamps, *, promise: Promise | None, stream_end: int | None
    ) -> None:
        self._info = info
        self._timestamps = timestamps
        self._promise = promise
        self._stream_end = stream_end

    def missing(self, *, frames: int, empty: int, undecodable: int) -> int:
        """Return the number of missing frames; 0 where nothing is promised.

        Args:
            frames: number of frames read.
            empty: packets without data, which stand for a frame that stays.
            undecodable: packets whose frames are known to be lost.
        """
        if not self._info.frames:
            return self._missing_of_length()
        lacking = self._info.frames - frames - empty
        counted = lacking - undecodable
        if self._stream_end is not None:
            tail = max(0, round((self._stream_end - self._timestamps.end) / self._step))
            # MP4 counts the frames that an edit list cuts, too, and within the length that is left nothing
            # distinguishes a lost frame from a cut one
            counted = min(lacking, tail) if self._is_edited(self._info.frames) else max(counted, min(lacking, tail))
        return max(0, counted)

    def _is_edited(self, promised: int) -> bool:
        """Return whether an edit list makes the video shorter than the frames that the container counts."""
        rate, duration = self._info.average_rate, self._info.duration
        if "mp4" not in self._info.container or not rate or duration is None:
            return False
        return duration + _ROUNDED < promised / rate

    def _missing_of_length(self) -> int:
        """Estimate missing frames from the promised length; the last may stay as long as any before it, unsaid."""
        if self._promise is None:
            return 0
        unit = self._info.time_base
        step = self._step * unit
        shortfall = self._promise.end - self._timestamps.end * unit
        least = step * _FRAMES_SHORT if self._promise.certain else _SECONDS_SHORT
        return round(shortfall / step) if shortfall > max(least, self._timestamps.longest * unit) else 0

    @property
    def _step(self) -> Fraction:
        """Time between two frames in the stream's unit: by the average rate where the frames bear it out."""
        mean = self._timestamps.mean_step
        rate = self._info.average_rate
        promised = 1 / (rate * self._info.time_base) if rate else mean
        # one long frame makes FFmpeg guess absurd rates for Matroska
        return promised if mean / 2 <= promised <= mean * 2 else mean
