"""One answer for all who ask at about the same time."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Generic, TypeVar

T = TypeVar("T")


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
