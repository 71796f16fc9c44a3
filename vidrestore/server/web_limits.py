"""Limits on what visitors of the web page may take from the streams, and counts of what was refused.

Rates of addresses, the share of the process's file handles, and answers that many share.
"""

import asyncio
import resource
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Generic, Literal, TypeVar

T = TypeVar("T")
Reason = Literal[
    "rate", "full", "displaced", "deadline", "handles", "malformed", "host", "cross-site", "token", "guessing", "fault"
]
REASONS: dict[Reason, str] = {
    "rate": "too many at once from one address",
    "full": "no connection was free",
    "displaced": "no request came, and another needed the connection",
    "deadline": "request and response took too long",
    "handles": "file handles are running out",
    "malformed": "no HTTP request",
    "host": "for a host name that is not allowed",
    "cross-site": "sent by a page of another site",
    "token": "without the token",
    "guessing": "too many wrong tokens",
    "fault": "the page itself failed",
}
_SILENCE_SECONDS = 60.0
_WORTH_A_LINE = 10
"""Refusals below which nothing is logged: browsers open connections ahead, and people mistype."""
_MOST_ADDRESSES = 4096
_ENOUGH_FILES = 65536
_LARGEST_RESERVE = 256


class WebCounts:
    """Open connections, and refusals so far, by reason."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.open = 0
        self.refused: Counter[Reason] = Counter()
        self.last_fault = ""
        self._reported: Counter[Reason] = Counter()
        self._clock = clock
        self._quiet_until = 0.0

    def news(self) -> str | None:
        """Return a line about refusals since the last one; None if they were few, or a minute has not passed."""
        fresh = self.refused - self._reported
        worth = fresh["fault"] or fresh.total() >= _WORTH_A_LINE
        if not worth or self._clock() < self._quiet_until:
            return None
        self._quiet_until = self._clock() + _SILENCE_SECONDS
        self._reported = self.refused.copy()
        text = ", ".join(f"{count} ({REASONS[reason]})" for reason, count in fresh.most_common())
        fault = f"; last fault: {self.last_fault}" if fresh["fault"] else ""
        return f"the web page refused {fresh.total()} connections or requests: {text}{fault}"


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
        if len(self._due) > _MOST_ADDRESSES:
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


def raise_file_limit() -> None:
    """Raise the soft limit on open files to the hard one; the usual 1024 dates from before `poll`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH_FILES if hard == resource.RLIM_INFINITY else min(_ENOUGH_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def highest_page_handle() -> int:
    """Return the highest file descriptor that a connection to the page may have.

    The kernel hands out the lowest number that is free: at this number, all below are in use, and what is left up to
    the limit is the reserve of sources and outputs.
    """
    return _file_limit() - min(_LARGEST_RESERVE, _file_limit() // 4)


def page_share(wanted: int) -> int:
    """Return how many of the wanted connections the page may hold: an eighth of the limit on open files at most."""
    return max(1, min(wanted, _file_limit() // 8))


def _file_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _ENOUGH_FILES if soft == resource.RLIM_INFINITY else soft


class SharedAnswer(Generic[T]):
    """The result of a slow function, computed once for all who wait for it and kept for a moment; for one event loop.

    Args:
        compute: called in the executor, never twice at a time.
        executor: runs `compute`.
        seconds: how long an answer is kept.
    """

    def __init__(self, compute: Callable[[], T], executor: Executor, *, seconds: float) -> None:
        self._compute = compute
        self._executor = executor
        self._seconds = seconds
        self._asked: asyncio.Future[T] | None = None
        self._stale_at = 0.0

    async def get(self) -> T:
        """Return the answer, not much older than `seconds`.

        Raises:
            Exception: whatever the function raised, for all who waited.
        """
        if self._asked is None or (self._asked.done() and time.monotonic() >= self._stale_at):
            self._asked = asyncio.get_running_loop().run_in_executor(self._executor, self._compute)
            self._asked.add_done_callback(self._keep)
        return await asyncio.shield(self._asked)  # one who leaves does not cancel it for others

    def _keep(self, _: "asyncio.Future[T]") -> None:
        self._stale_at = time.monotonic() + self._seconds
