"""Times of frames and packets: FFmpeg's fractions, presentation times that grow, and decoding times from these."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol, TypeAlias

import av
import numpy as np
import numpy.typing as npt
from av.stream import Stream

Ticks: TypeAlias = npt.NDArray[np.int64]
"""int64 [packets], in units of the video's time base."""


class Ratio(Protocol):
    """PyAV's rational number: `Fraction` or None in PyAV 18, a type of its own in PyAV 19."""

    @property
    def numerator(self) -> int:
        """Number above the line."""
        ...

    @property
    def denominator(self) -> int:
        """Number below the line; 0 where nothing was set."""
        ...


def to_fraction(ratio: Ratio | None) -> Fraction | None:
    """Return the same number as a `Fraction`; None where it is unset, which FFmpeg writes as 0/1 or 0/0."""
    if ratio is None or not ratio.numerator or not ratio.denominator:
        return None
    return Fraction(ratio.numerator, ratio.denominator)


def time_base_of(timed: "Stream | av.Packet[Any]") -> Fraction:
    """Return the seconds in one unit of time of a stream or packet that is read, or written after its header."""
    time_base = to_fraction(timed.time_base)
    assert time_base, "FFmpeg gives every stream of a file a time base"  # noqa: S101
    return time_base


class GrowingTimestamps:
    """Gives every frame of a stream a time later than the one before, and counts what it had to change.

    A valid time is never touched. A missing one is the decoding time where that is later than the last frame, and
    otherwise the last frame plus its duration. A small step back becomes the next tick, so that the frames after it
    keep their own times; a jump back of a second or more (joined recordings) goes on at the frames' own pace.
    """

    def __init__(self, time_base: Fraction, *, first: int, step: int) -> None:
        """Take the unit of time, the time of a first frame without one, and a frame's duration when none is known."""
        self._second = max(1, int(1 / time_base))
        self._first = first
        self._step = max(1, step)
        self._last: int | None = None
        self._passed = 0
        self._gaps = 0
        self.longest = 0
        """Longest time between two frames so far."""
        self.invented = 0
        self.reordered = 0

    @property
    def end(self) -> int:
        """Time when the last frame so far leaves the screen."""
        return self._first if self._last is None else self._last + self._step

    @property
    def mean_step(self) -> Fraction:
        """Mean time between two frames so far; the one known beforehand when there was no second frame."""
        return Fraction(self._passed, self._gaps) if self._gaps else Fraction(self._step)

    def next(self, pts: int | None, dts: int | None, duration: int) -> int:
        """Return the time of the next frame in decoder output order, all in the stream's unit."""
        last = self._last
        time = self._invent(dts) if pts is None else pts
        if last is not None and time <= last:
            self.reordered += 1
            time = last + (1 if last - time < self._second else self._step)
        if last is not None:
            self._passed += time - last
            self._gaps += 1
            self.longest = max(self.longest, time - last)
            self._step = time - last if duration <= 0 else duration
        elif duration > 0:
            self._step = duration
        self._last = time
        return time

    def _invent(self, dts: int | None) -> int:
        self.invented += 1
        if self._last is None:
            return self._first if dts is None else dts
        return dts if dts is not None and dts > self._last else self._last + self._step


@dataclass(frozen=True, slots=True)
class PacketTimes:
    """Times of one packet, in units of the video's time base."""

    pts: int
    dts: int
    duration: int


@dataclass(frozen=True, slots=True, eq=False)
class VideoTimes:
    """Times of all packets of a video, in decoding order; holds 24 bytes per packet."""

    pts: Ticks
    dts: Ticks
    durations: Ticks

    def __len__(self) -> int:
        return len(self.pts)

    def __iter__(self) -> Iterator[PacketTimes]:
        for pts, dts, duration in zip(self.pts, self.dts, self.durations, strict=True):
            yield PacketTimes(int(pts), int(dts), int(duration))


def packet_times(pts: Sequence[int] | Ticks, *, last_duration: int) -> VideoTimes:
    """Return the times of a video's packets, given their presentation times in decoding order.

    Each part's encoder starts its decoding times a little before its first frame, so that those of two parts can
    overlap. Recomputed from the presentation times they do not depend on where the video was split.

    Decoding times grow strictly, and none is later than its packet's presentation time; a duration is the distance to
    the next frame, and `last_duration` for the last one. ValueError when two frames share a time.
    """
    decoded = np.array(pts, dtype=np.int64)
    order = np.argsort(decoded)
    shown = decoded[order]
    steps = np.diff(shown, append=shown[-1:] + last_duration)
    if not steps[:-1].all():
        raise ValueError("two frames have the same time")
    # The frame shown at position p is decoded at position order[p]. Delay = the largest number of positions by which a
    # frame is decoded after its place in the order of presentation: decoding times are the sorted presentation times,
    # moved back by that many places, with earlier times in front.
    delay = int(np.max(order - np.arange(len(order)), initial=0))
    lead = int(steps[0]) if len(steps) > 1 else 1
    early = shown[:1] - lead * np.arange(delay, 0, -1)
    durations = np.empty_like(steps)
    durations[order] = steps
    return VideoTimes(decoded, np.concatenate([early, shown])[: len(decoded)], durations)
