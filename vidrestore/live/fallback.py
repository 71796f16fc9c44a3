"""Requests to a worker that may be slow or dead: a stream goes on without its answer."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from vidrestore.live.timeline import SECOND
from vidrestore.redaction import redact

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(slots=True)
class GuardCounts:
    """Counts of a worker's failures in a stream."""

    failures: int = 0
    """Requests that it did not answer, or answered with an error."""
    replaced: int = 0
    """Answers that were replaced by neutral ones: the video as it is."""
    last_problem: str = ""


class FallbackExecutor(Generic[In, Out]):
    """An executor that asks for one batch at a time and makes do with a neutral answer when none comes in time.

    After a failure the worker gets no request for a moment, nor while it still has one to answer: until then every
    answer is the neutral one, at once.

    Args:
        ask: sends a batch off; the future may fail in any way.
        neutral: makes the replacement of an answer.
        patience_seconds: time limit of an answer.
        rest_seconds: time without requests after a failure.
        counts: shared by the executors of one stream.
    """

    def __init__(
        self,
        ask: Callable[[Sequence[In]], Future[Sequence[Out]]],
        neutral: Callable[[In], Out],
        *,
        patience_seconds: float,
        rest_seconds: float,
        counts: GuardCounts,
    ) -> None:
        self._ask = ask
        self._neutral = neutral
        self._patience = patience_seconds
        self._rest = round(rest_seconds * SECOND)
        self._resting_until = 0
        self._unanswered: Future[Sequence[Out]] | None = None
        self._counts = counts

    def map(self, batches: Iterable[Sequence[In]], /) -> Iterator[Sequence[Out]]:
        """Answer each batch when its result is asked for; read nothing ahead."""
        return map(self._answer, batches)

    def _answer(self, batch: Sequence[In]) -> Sequence[Out]:
        if not batch:
            return []
        if self._is_free():
            try:
                self._unanswered = self._ask(batch)
                answer = self._unanswered.result(timeout=self._patience)
            except Exception as error:  # noqa: BLE001  whatever a worker dies of, the stream goes on; it is counted
                self._failed(error)
            else:
                self._unanswered = None
                return answer
        self._counts.replaced += len(batch)
        return [self._neutral(item) for item in batch]

    def _is_free(self) -> bool:
        waiting = self._unanswered is not None and not self._unanswered.done()
        return not waiting and time.monotonic_ns() >= self._resting_until

    def _failed(self, error: Exception) -> None:
        self._counts.failures += 1
        said = str(error).strip().splitlines()
        self._counts.last_problem = redact(f"{type(error).__name__}: {said[0] if said else 'no answer in time'}")
        self._resting_until = time.monotonic_ns() + self._rest
