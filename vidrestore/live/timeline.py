"""The clock of a stream's output: it goes on through reconnects, resets and drift of the source's clock."""

from collections import deque
from dataclasses import dataclass, field

SECOND = 1_000_000_000
"""Nanoseconds in a second; all times here are whole nanoseconds."""

_JUMP = SECOND
"""Difference between the advance of the source's clock and of ours that means a new clock, not a late packet."""
_WINDOW = 30 * SECOND
"""Time over which the fastest way through the network is remembered; the source's clock may drift in that time."""
_SLEW = 1000
"""An offset rises by at most one part in this many of the time that passes: a millisecond a second."""
_FALL = 20
"""An offset falls by one part in this many, 50 milliseconds a second: audio and video of one moment arrive some tenths
of a second apart, and must not visibly part."""
_LEAP = SECOND // 5
"""A fall of more than this happens at once."""
_EPOCHS = 4


@dataclass(slots=True)
class _Epoch:
    """A stretch of time in which the source's clock ran on."""

    offset: int
    """Our time minus the source's, for the packets that came fastest."""
    noted: int
    """Time of the last update of the offset."""
    fastest: deque[tuple[int, int]] = field(default_factory=deque)
    """(when, offset) of packets, each slower and later than the one before: a running minimum."""

    def note(self, source: int, now: int, *, settled: bool) -> None:
        # Sliding minimum: a packet that came faster than earlier ones makes them irrelevant, so `fastest` rises from
        # head to tail and its head is the minimum of the window. The offset follows that minimum at a limited rate.
        offset, passed = now - source, now - self.noted
        while self.fastest and self.fastest[-1][1] >= offset:
            self.fastest.pop()
        self.fastest.append((now, offset))
        while self.fastest[0][0] < now - _WINDOW:
            self.fastest.popleft()
        best = self.fastest[0][1]
        falls = settled and 0 < self.offset - best <= _LEAP
        self.offset = max(best, self.offset - passed // _FALL) if falls else min(best, self.offset + passed // _SLEW)
        self.noted = now


class Timeline:
    """Maps the times of a source's packets to ours.

    All tracks of a source share one mapping, so that audio and video stay together. The mapped time of a packet lies
    before its arrival by the excess of its transit over the fastest of the last half minute; where a faster one comes,
    the mapping moves there within seconds, so that no jump is seen. A clock that jumps (a camera that restarts, a
    counter that wraps) begins a new epoch; packets of the old one that come after it are still understood. Both clocks
    may drift.

    Args:
        paced: whether the source is read at will and waits until its time has come: `wait` says how long.
    """

    def __init__(self, *, paced: bool = False) -> None:
        self._paced = paced
        self._epochs: deque[_Epoch] = deque(maxlen=_EPOCHS)
        self._last: dict[int, tuple[int, int, _Epoch]] = {}
        self._turns: dict[int, int] = {}
        """Whole periods of each track's counter that `unwrap` adds."""
        self.jumps = 0
        """Times the source's clock jumped within a session."""

    def restart(self) -> None:
        """Forget the source's clock, for the source was opened again."""
        self._epochs.clear()
        self._last.clear()
        self._turns.clear()

    def unwrap(self, track: int, source: int, now: int, *, period: int) -> int:
        """Return the time that a packet's counter of `period` nanoseconds means, by a known clock; 0: it does not wrap.

        RTP counts in 32 bits from anywhere, and FFmpeg may take one track for a whole period ahead of the other.
        """
        if not period:
            return source
        for epoch in reversed(self._epochs):
            turns = round((now - source - epoch.offset) / period)
            if abs(now - source - turns * period - epoch.offset) < _JUMP:
                self._turns[track] = turns
                break
        return source + self._turns.get(track, 0) * period

    def wait(self, track: int, source: int, now: int) -> int:
        """Return the nanoseconds until a packet's time has come, where the source is paced; else 0."""
        if not self._paced:
            return 0
        epoch = self._epoch(track, source, now)
        if now - source - epoch.offset > _JUMP:  # it stood still for longer than the buffer lasted: a new start
            epoch.offset = now - source
            self.jumps += 1
        return max(0, source + epoch.offset - now)

    def map(self, track: int, source: int, now: int, *, settled: bool = True) -> int:
        """Map the time of a packet to ours.

        Args:
            track: index of the source's track.
            source: the packet's time by the source's clock, nanoseconds.
            now: our time at its arrival, nanoseconds.
            settled: whether packets are shown; before that the mapping may change at once.
        """
        epoch = self._epoch(track, source, now)
        if not self._paced:
            epoch.note(source, now, settled=settled)
        self._last[track] = (source, now, epoch)
        return source + epoch.offset

    def _epoch(self, track: int, source: int, now: int) -> _Epoch:
        before = self._last.get(track)
        if before is None:
            return self._near(source, now) or self._begin(source, now)
        # The source's clock should have gone on by as much as ours since this track's last packet, give or take a jump.
        last, then, epoch = before
        if -_JUMP < source - last < max(now - then, 0) + (_JUMP if not self._paced else 10 * _JUMP):
            return self._same(epoch)
        return self._near(source, now) or self._begin(source, now, jumped=True)

    def _near(self, source: int, now: int) -> _Epoch | None:
        near = [epoch for epoch in self._epochs if abs(now - source - epoch.offset) < _JUMP]
        return min(near, key=lambda epoch: abs(now - source - epoch.offset), default=None)

    def _same(self, epoch: _Epoch) -> _Epoch:
        """Return the epoch, or that of another track which turned out to be of the same clock, with the faster transit.

        Where the first packets of one track had waited longer than those of the other, each began an epoch of its own.
        """
        followed = [other for _, _, other in self._last.values() if abs(other.offset - epoch.offset) < _JUMP]
        return min([epoch, *followed], key=lambda one: one.offset)

    def _begin(self, source: int, now: int, *, jumped: bool = False) -> _Epoch:
        self.jumps += jumped
        epoch = _Epoch(now - source, now)
        self._epochs.append(epoch)
        return epoch
