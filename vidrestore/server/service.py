"""Keeps the streams of a configuration running, until asked to stop."""

import logging
import random
import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace

from vidrestore.errors import VidrestoreError, WorkerError
from vidrestore.live.backoff import Backoff
from vidrestore.live.config import BackoffConfig
from vidrestore.live.status import StreamStatus
from vidrestore.redaction import redact
from vidrestore.runtime.streams import RunningStream, StreamRunner, StreamSpec
from vidrestore.server.logs import LOG

_TICK_SECONDS = 0.5
_HISTORY = 300
"""Number of points, one per second, that are kept of each stream."""
_STOP_SECONDS = 40.0


@dataclass(frozen=True, slots=True)
class Point:
    """A stream at one second."""

    time: float
    """Seconds since 1970."""
    rate_in: float
    rate_out: float
    p50: float | None
    """Median latency, seconds."""
    p95: float | None
    quality_level: int


@dataclass(slots=True)
class _Entry:
    spec: StreamSpec
    running: RunningStream
    status: StreamStatus | None = None
    history: deque[Point] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    restarts: int = 0
    due: float | None = None
    """Monotonic time at which a stream whose worker died is started again."""
    backoff: Backoff = field(default_factory=lambda: Backoff(BackoffConfig(), random.Random()))  # noqa: S311


class Service:
    """Runs streams in a place, watches them, and restarts those whose worker process died.

    Args:
        place: runs the streams.
        specs: the streams.
    """

    def __init__(self, place: StreamRunner, specs: tuple[StreamSpec, ...]) -> None:
        self._place = place
        self._wanted = specs
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()
        self._stopped = False
        self._reload: tuple[StreamSpec, ...] | None = None
        self.problems: dict[str, VidrestoreError] = {}
        """Errors that ended streams, by name."""

    def run(self) -> None:
        """Run until all streams have ended or `stop` is called; then every output is completed."""
        try:
            for spec in self._wanted:
                self._start(spec)
            while not self._stopped:
                self._apply_reload()
                if not self._update():
                    break
                time.sleep(_TICK_SECONDS)
        finally:
            self._end(list(self._entries.values()))

    def stop(self) -> None:
        """Ask all streams to end soon; a signal handler may call it, so it takes no lock."""
        self._stopped = True

    def reload(self, specs: tuple[StreamSpec, ...]) -> None:
        """Run these streams from now on; those that did not change go on undisturbed."""
        self._reload = specs

    def statuses(self) -> list[StreamStatus]:
        """Return the streams as they were a moment ago."""
        with self._lock:
            return [entry.status for entry in self._entries.values() if entry.status is not None]

    def restarts(self, name: str) -> int:
        """Return how often a stream was restarted after its worker died."""
        with self._lock:
            return self._entries[name].restarts if name in self._entries else 0

    def history(self, name: str) -> list[Point]:
        """Return the last minutes of a stream."""
        with self._lock:
            return list(self._entries[name].history) if name in self._entries else []

    def workers(self) -> dict[str, tuple[int, int]]:
        """Return calls of each network of the face workers so far, and items in them."""
        return self._place.batches()

    def preview(self, name: str) -> bytes | None:
        """Return the latest frame of a stream before and after, as JPEG."""
        with self._lock:
            entry = self._entries.get(name)
        return entry.running.preview() if entry else None

    def _start(self, spec: StreamSpec) -> None:
        for warning in spec.warnings():
            LOG.warning("%s", warning, extra={"stream": spec.name})
        entry = _Entry(spec, self._place.start(spec))
        with self._lock:
            self._entries[spec.name] = entry

    def _update(self) -> bool:
        """Update the status of every stream; return whether any is under way, or will be again."""
        alive = False
        for entry in list(self._entries.values()):
            status = entry.running.status()
            with self._lock:
                if status is not None:
                    entry.status, now, latency = status, time.time(), status.latency_now
                    if not entry.history or now - entry.history[-1].time >= 1:
                        rates, quantiles = (status.rate_in, status.rate_out), (latency.get("p50"), latency.get("p95"))
                        entry.history.append(Point(now, *rates, *quantiles, status.quality_level))
                elif entry.status is not None:
                    silent = "its process does not answer"
                    entry.status = replace(entry.status, state="waiting", rate_in=0.0, rate_out=0.0, problem=silent)
            alive |= entry.running.running() or self._revive(entry)
        return alive

    def _revive(self, entry: _Entry) -> bool:
        """Restart a stream whose worker died; return whether that is under way."""
        problem = entry.running.problem
        name = entry.spec.name
        if not isinstance(problem, WorkerError):
            if problem is not None and name not in self.problems:
                self.problems[name] = problem
                LOG.error("%s", redact(problem.message), extra={"stream": name})
            return False
        now = time.monotonic()
        if entry.due is None:
            wait = entry.backoff.next_seconds()
            entry.due = now + wait
            LOG.error("%s; starting again in %.1f s", redact(problem.message), wait, extra={"stream": name})
        elif now >= entry.due:
            entry.due = None
            entry.restarts += 1
            entry.running.kill()
            try:
                entry.running = self._place.start(entry.spec)
            except VidrestoreError as error:
                LOG.error("%s", redact(error.message), extra={"stream": name})
                entry.due = now + entry.backoff.next_seconds()
        return True

    def _apply_reload(self) -> None:
        wanted, self._reload = self._reload, None
        if wanted is None:
            return
        specs = {spec.name: spec for spec in wanted}
        gone = [entry for name, entry in self._entries.items() if specs.get(name) != entry.spec]
        self._end(gone)
        with self._lock:
            for entry in gone:
                del self._entries[entry.spec.name]
        fresh = [spec for name, spec in specs.items() if name not in self._entries]
        for spec in fresh:
            self.problems.pop(spec.name, None)
            try:
                self._start(spec)
            except VidrestoreError as error:
                self.problems[spec.name] = error
                LOG.error("%s", redact(error.message), extra={"stream": spec.name})
        kept = len(specs) - len(fresh)
        LOG.info("reloaded: %d streams ended, %d begun, %d left alone", len(gone), len(fresh), kept)

    def _end(self, entries: list[_Entry]) -> None:
        for entry in entries:
            entry.running.stop()
        deadline = time.monotonic() + _STOP_SECONDS
        for entry in entries:
            if not entry.running.join(max(0.1, deadline - time.monotonic())):
                LOG.log(logging.ERROR, "did not end in time", extra={"stream": entry.spec.name})
            with self._lock:
                entry.status = entry.running.status() or entry.status
            entry.running.kill()
            problem = entry.running.problem
            if problem is not None and entry.spec.name not in self.problems:
                self.problems[entry.spec.name] = problem
