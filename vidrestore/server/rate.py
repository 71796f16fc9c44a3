"""Rate limits for each of many addresses."""

import time
from collections import OrderedDict
from collections.abc import Callable

_MOST_KEYS = 4096


class Rates:
    """A rate limit for each key: a burst at once, then a steady rate (the generic cell rate algorithm).

    Holds one number for each of the 4096 keys seen last.

    Args:
        per_second: events of a key that are within the rate in the long run.
        burst: events of a key that may come at once.
        clock: returns seconds.
    """

    def __init__(self, per_second: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / per_second
        self._slack = (burst - 1) * self._interval
        self._clock = clock
        self._due: OrderedDict[str, float] = OrderedDict()
        """Time of each key's next event if events came evenly."""

    def seconds_over(self, key: str) -> float:
        """Return the seconds until one more is within the rate; 0 where it is now."""
        now = self._clock()
        return max(0.0, self._due.get(key, now) - self._slack - now)

    def count(self, key: str) -> None:
        """Count one more, within the rate or not."""
        # each event pushes the next due time one interval further; what lies ahead of now is the bucket's content
        self._due[key] = max(self._clock(), self._due.get(key, 0.0)) + self._interval
        self._due.move_to_end(key)
        if len(self._due) > _MOST_KEYS:
            self._due.popitem(last=False)

    def take(self, key: str) -> bool:
        """Return whether one more is within the rate; count it only if it is."""
        within = self.seconds_over(key) == 0
        if within:
            self.count(key)
        return within

    def reserve(self, key: str) -> float:
        """Count one more, and return the seconds after which it is within the rate."""
        seconds = self.seconds_over(key)
        self.count(key)
        return seconds
