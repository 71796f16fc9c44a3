"""Batches from many callers: requests that arrive close together share one call of a batch stage."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

from vidrestore.stages import BatchStage

In = TypeVar("In")
Out = TypeVar("Out")


class DynamicBatcher(Generic[In, Out]):
    """Joins the requests of several streams, so that a GPU is full even when each stream has one face.

    Holds no more than its callers have in flight, since each waits for its result. A request that fails in a batch with
    others is tried once more alone, so that one caller's bad data fails no other.

    Args:
        stage: what to call.
        threads: where to call it, off the event loop; give a single thread to a single device.
        full: items at which a call starts without waiting.
        max_delay_seconds: how long a batch that is not full waits for other requests.
    """

    def __init__(self, stage: BatchStage[In, Out], threads: Executor, *, full: int, max_delay_seconds: float) -> None:
        self._stage = stage
        self._threads = threads
        self._full = full
        self._wait_seconds = max_delay_seconds
        self._waiting: deque[tuple[Sequence[In], asyncio.Future[Sequence[Out]]]] = deque()
        self._serving: asyncio.Task[None] | None = None
        self.calls = 0
        """Number of calls of the stage so far."""
        self.seconds = 0.0
        """Total duration of these calls."""
        self.items = 0
        """Number of items in these calls; `items / calls` is the mean batch."""

    async def __call__(self, items: Sequence[In]) -> Sequence[Out]:
        """Return one result per item, in order; raises what the stage raises."""
        future: asyncio.Future[Sequence[Out]] = asyncio.get_running_loop().create_future()
        self._waiting.append((items, future))
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve())
        return await future

    async def _serve(self) -> None:
        while self._waiting:
            if sum(len(items) for items, _ in self._waiting) < self._full:
                await asyncio.sleep(self._wait_seconds)
            requests = [self._waiting.popleft()]
            while self._waiting and sum(len(items) for items, _ in requests) < self._full:
                requests.append(self._waiting.popleft())
            await self._answer(requests)

    def _run(self, items: Sequence[In]) -> Sequence[Out]:
        started = time.perf_counter()
        try:
            return self._stage(items)
        finally:
            self.seconds += time.perf_counter() - started

    async def _answer(self, requests: Sequence[tuple[Sequence[In], asyncio.Future[Sequence[Out]]]]) -> None:
        joined = [item for items, _ in requests for item in items]
        self.calls += 1
        self.items += len(joined)
        try:
            results = await asyncio.get_running_loop().run_in_executor(self._threads, self._run, joined)
        except Exception as error:  # noqa: BLE001  any error is passed to the caller
            if len(requests) > 1:
                for request in requests:
                    await self._answer([request])
            elif not requests[0][1].done():
                requests[0][1].set_exception(error)
            return
        start = 0
        for items, future in requests:
            if not future.done():
                future.set_result(results[start : start + len(items)])
            start += len(items)
