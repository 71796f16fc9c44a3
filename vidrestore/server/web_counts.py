"""Counts of what the web server refuses, for the metrics and for a line in the log now and then."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Literal

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
