"""Presentation times that grow, whatever the file says: for frames without a time, and times that step back."""

from fractions import Fraction


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
