"""Presence: how fully a face is in a frame, given the frames with detector runs and those with a detection of it."""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from vidrestore.faces.motion import SHORTEST_STEP_SECONDS


def nanoseconds(seconds: float | Fraction) -> int:
    """Return whole nanoseconds, whose sums and differences are exact."""
    return round(seconds * 1_000_000_000)


_SHORTEST_STEP = nanoseconds(SHORTEST_STEP_SECONDS)


class Clock:
    """Times of frames by ordinal, in nanoseconds that always rise; the caller bounds its memory with `forget`.

    Times that repeat or fall in damaged files count as the shortest step. Differences between two frames depend on
    them and those between them alone, wherever the stream began.
    """

    def __init__(self, first: int = 0) -> None:
        self.first = first
        """Ordinal of the oldest frame that is remembered."""
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
    """Rules that decide when detections make a face; times in nanoseconds."""

    min_hits: int
    """Minimum number of detections in the window; all detector runs of the window where it has fewer."""
    max_gap: int
    """Longest gap to fill, from the first frame in it to the next detection."""
    coast: int
    """Time that a face stays after its last detection."""
    fade: int
    """Duration of the fade before a face ends; at least 1."""
    lookahead: int
    """Time that the window reaches ahead."""
    lookahead_frames: int
    """Maximum number of frames that the window reaches ahead; longer gaps are not filled either."""


def time_since_update(hits: Sequence[int], runs: Sequence[int], ordinal: int) -> int:
    """Count the detector runs without the face since its last detection, up to and including frame `ordinal`."""
    found = hits[: bisect_right(hits, ordinal)]
    return bisect_right(runs, ordinal) - bisect_right(runs, found[-1]) if found else 0


def presence_weight(
    hits: Sequence[int], runs: Sequence[int], ordinal: int, *, clock: Clock, rules: TrackLifecycleRules
) -> int:
    """Return how fully a face is present in frame `ordinal`: 0 where it is absent, `rules.fade` where it is in full.

    It is present where it was detected; between two detector runs that both found it; before the first and after the
    last run of a shot that found it; in a gap that is short enough; and for a while after its last detection. It fades
    before the end that the window shows: over `rules.fade`, or over the time since the end came into the window, where
    that is shorter.

    Args:
        hits: ordinals of the frames in the window with a detection of the face, rising.
        runs: ordinals of the frames in the window with a detector run, rising; they contain the hits.
        ordinal: the frame in question.
        clock: times of all frames of the window, and of no earlier ones.
        rules: the rules of presence.
    """
    if not hits or len(hits) < min(rules.min_hits, len(runs)):
        return 0
    # Before the first detection: absent, unless no detector run preceded it in the window.
    following = bisect_right(hits, ordinal)
    if following == 0 and runs[0] != hits[0]:
        return 0
    # Walk over gaps that are filled, to the last detection before the face ends; no fade if that is far enough ahead.
    at, now = max(following - 1, 0), clock[ordinal]
    while at + 1 < len(hits) and _is_filled(hits[at], hits[at + 1], runs, clock, rules):
        at += 1
        if clock[hits[at]] - now >= rules.fade:
            return rules.fade
    # No detector run failed after it: the face has no end in the window.
    last = hits[at]
    failed = bisect_right(runs, last)
    if failed == len(runs):
        return rules.fade
    end = max(clock[last + 1], clock[last] + rules.coast)
    if end <= now:
        return 0
    # Go back to the last frame whose window did not show the failed run yet: the fade cannot begin before it.
    unaware = ordinal
    while unaware > clock.first and end - clock[unaware] < rules.fade and _sees(unaware, runs[failed], clock, rules):
        unaware -= 1
    # At the first frame of a shot nothing was shown before: a face that ends soon after begins in full.
    return min(rules.fade, (end - now) * rules.fade // min(rules.fade, end - clock[unaware]))


def _is_filled(before: int, after: int, runs: Sequence[int], clock: Clock, rules: TrackLifecycleRules) -> bool:
    """Return whether a face that was detected in two frames, and not between them, counts as present between them."""
    if bisect_right(runs, after - 1) == bisect_right(runs, before):
        return True
    return clock[after] - clock[before + 1] <= rules.max_gap and after - before - 1 <= rules.lookahead_frames


def _sees(ordinal: int, later: int, clock: Clock, rules: TrackLifecycleRules) -> bool:
    return clock[later] - clock[ordinal] <= rules.lookahead and later - ordinal <= rules.lookahead_frames
