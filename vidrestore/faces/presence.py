"""Whether a face is in a frame, and how fully to show it, given where it was found and where it was looked for."""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from vidrestore.faces.motion import SHORTEST_STEP_SECONDS


def nanoseconds(seconds: float | Fraction) -> int:
    """Whole nanoseconds: sums and differences of them are exact."""
    return round(seconds * 1_000_000_000)


_SHORTEST_STEP = nanoseconds(SHORTEST_STEP_SECONDS)


class Clock:
    """When frames are, by ordinal, in nanoseconds that always rise; the caller bounds it with `forget`.

    Times that repeat or fall in damaged files count as the shortest step. Differences between two frames depend on
    them and those between them alone, wherever the stream began.
    """

    def __init__(self, first: int = 0) -> None:
        self.first = first
        """Number of the oldest frame that is remembered."""
        self._times: deque[int] = deque()
        self._latest = Fraction(0)

    def __len__(self) -> int:
        return len(self._times)

    def __getitem__(self, ordinal: int) -> int:
        assert ordinal >= self.first, "forgotten: a negative index would give a later frame"  # noqa: S101
        return self._times[ordinal - self.first]

    def tick(self, seconds: Fraction) -> None:
        """Add the next frame."""
        step = max(_SHORTEST_STEP, nanoseconds(seconds - self._latest))
        self._times.append(self._times[-1] + step if self._times else 0)
        self._latest = seconds

    def forget(self, ordinal: int, *, span: int, frames: int) -> None:
        """Drop what is more than `span` nanoseconds or `frames` frames before a frame."""
        while self.first < ordinal and (ordinal - self.first > frames or self[ordinal] - self._times[0] > span):
            self._times.popleft()
            self.first += 1


@dataclass(frozen=True, slots=True)
class TrackLifecycleRules:
    """What makes a face of detections; times in nanoseconds."""

    min_hits: int
    """Finds in the window that make a face; all looks of the window where it holds fewer."""
    max_gap: int
    """Longest gap to fill, from the first frame in it to the next find."""
    coast: int
    """Time to go on after the last find."""
    fade: int
    """Time before its end in which a face fades; at least 1."""
    lookahead: int
    """How far ahead the window reaches."""
    lookahead_frames: int
    """How far it reaches at most; longer gaps are not filled either."""


def time_since_update(hits: Sequence[int], looks: Sequence[int], ordinal: int) -> int:
    """Looks in vain since the face was last found, up to and with frame `ordinal`."""
    found = hits[: bisect_right(hits, ordinal)]
    return bisect_right(looks, ordinal) - bisect_right(looks, found[-1]) if found else 0


def presence_weight(
    hits: Sequence[int], looks: Sequence[int], ordinal: int, *, clock: Clock, rules: TrackLifecycleRules
) -> int:
    """How fully a face is present in frame `ordinal`: 0 where it is not, `rules.fade` where it is in full.

    It is present where it was found; between two looks of which neither failed, and beyond the first or last look of
    a shot; in a gap that is short enough; and for a while after it was found last. It fades before the end that the
    window shows: over `rules.fade`, or over the time from when the end came into sight, where that is shorter.

    Args:
        hits: numbers of the frames in the window in which it was found, rising.
        looks: numbers of the frames in the window that were looked at, rising; they contain the hits.
        ordinal: number of the frame in question.
        clock: times of all frames of the window, and of none before.
        rules: what to make of them.
    """
    if not hits or len(hits) < min(rules.min_hits, len(looks)):
        return 0
    following = bisect_right(hits, ordinal)
    if following == 0 and looks[0] != hits[0]:
        return 0
    at, now = max(following - 1, 0), clock[ordinal]
    while at + 1 < len(hits) and _is_filled(hits[at], hits[at + 1], looks, clock, rules):
        at += 1
        if clock[hits[at]] - now >= rules.fade:
            return rules.fade
    last = hits[at]
    failed = bisect_right(looks, last)
    if failed == len(looks):
        return rules.fade
    end = max(clock[last + 1], clock[last] + rules.coast)
    if end <= now:
        return 0
    unaware = ordinal
    while unaware > clock.first and end - clock[unaware] < rules.fade and _sees(unaware, looks[failed], clock, rules):
        unaware -= 1
    # At the first frame of a shot nothing was shown before: what ends soon after begins in full.
    return min(rules.fade, (end - now) * rules.fade // min(rules.fade, end - clock[unaware]))


def _is_filled(before: int, after: int, looks: Sequence[int], clock: Clock, rules: TrackLifecycleRules) -> bool:
    """Whether a face found in two frames, and not between them, is there between them."""
    if bisect_right(looks, after - 1) == bisect_right(looks, before):
        return True
    return clock[after] - clock[before + 1] <= rules.max_gap and after - before - 1 <= rules.lookahead_frames


def _sees(ordinal: int, later: int, clock: Clock, rules: TrackLifecycleRules) -> bool:
    return clock[later] - clock[ordinal] <= rules.lookahead and later - ordinal <= rules.lookahead_frames
