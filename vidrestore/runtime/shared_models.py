"""Networks of this process for several threads: one call at a time, which serves all who wait."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, fields, replace
from typing import Any, Generic, TypeVar

from vidrestore.report import Recorder
from vidrestore.restoration.pipeline import InferenceModels
from vidrestore.stages import Executor, Threaded

In = TypeVar("In")
Out = TypeVar("Out")

_CLIPS_AT_ONCE = 4
"""Number of clips, of some sixty crops each, that are restored in one call: more keep those waiting who are next."""


class Device:
    """What the networks run on: one of them at a time."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.is_busy = False
        self.seconds = 0.0
        """Time for which the networks have run so far."""


@dataclass(eq=False, slots=True)
class _Request(Generic[In, Out]):
    items: Sequence[In]
    result: "Future[Sequence[Out]]" = field(default_factory=Future)


class SharedExecutor(Executor[In, Out]):
    """Runs batches of several threads in place of an executor that only one thread may use.

    Batches that arrive while the device is busy are joined, up to `full` items, by the thread that gets it next:
    results do not depend on the rest of a batch. A batch that fails in company is tried once more alone, so that the
    bad data of one segment fails no other. Reads nothing ahead.

    Args:
        executor: runs the batches.
        device: what all networks of the process share.
        full: number of items that a call has at most, but for a single batch that is larger.
        recorder: charged with the time for which a batch waits for the device, as `wait`.
    """

    def __init__(
        self, executor: Executor[In, Out], device: Device, *, full: int, recorder: Recorder | None = None
    ) -> None:
        self._executor = executor
        self._device = device
        self._full = full
        self._recorder = recorder or Recorder()
        self._waiting: deque[_Request[In, Out]] = deque()

    def recorded(self, recorder: Recorder) -> "SharedExecutor[In, Out]":
        """Return an executor of the same queue that charges the waiting to a recorder."""
        other = SharedExecutor(self._executor, self._device, full=self._full, recorder=recorder)
        other._waiting = self._waiting
        return other

    def map(self, batches: Iterable[Sequence[In]], /) -> Iterator[Sequence[Out]]:
        """Run each batch when its result is asked for; an empty one needs no device."""
        return (self._run(batch) if batch else [] for batch in batches)

    def _run(self, items: Sequence[In]) -> Sequence[Out]:
        request: _Request[In, Out] = _Request(items)
        device = self._device
        with device.changed:
            self._waiting.append(request)
            with self._recorder.timing("wait"):
                device.changed.wait_for(lambda: request.result.done() or not device.is_busy)
            if request.result.done():
                return request.result.result()
            device.is_busy = True
            joined = self._joined(request)
        started = time.perf_counter()
        try:
            self._serve(joined)
        finally:
            with device.changed:
                device.seconds += time.perf_counter() - started
                device.is_busy = False
                device.changed.notify_all()
        return request.result.result()

    def _joined(self, own: _Request[In, Out]) -> list[_Request[In, Out]]:
        """Take a batch off the queue, and those that have room with it, in the order of their arrival."""
        self._waiting.remove(own)
        joined, room = [own], self._full - len(own.items)
        while self._waiting and len(self._waiting[0].items) <= room:
            joined.append(self._waiting.popleft())
            room -= len(joined[-1].items)
        return joined

    def _serve(self, requests: list[_Request[In, Out]]) -> None:
        try:
            (results,) = self._executor.map([[item for request in requests for item in request.items]])
        except BaseException as error:  # noqa: BLE001  it is raised in the thread whose batch it is
            if len(requests) == 1:
                requests[0].result.set_exception(error)
                return
            for request in requests:
                self._serve([request])
            return
        first = 0
        for request in requests:
            request.result.set_result(results[first : first + len(request.items)])
            first += len(request.items)


def shared(models: InferenceModels, device: Device) -> InferenceModels:
    """Return the same networks, for any number of threads."""
    threads = _each_executor(models, lambda one: SharedExecutor(one, device, full=models.batch_size))
    if models.clips is None:
        return threads
    # A call for clips takes long, and nobody who looks for faces may wait for it; a GPU does both at the same time.
    clips = SharedExecutor(models.clips, device, full=_CLIPS_AT_ONCE)
    return replace(
        threads, detector=SharedExecutor(models.detector, Device(), full=models.batch_size), clips=Threaded(clips)
    )


def recorded(models: InferenceModels, recorder: Recorder) -> InferenceModels:
    """Return the same networks, whose waiting for a device or a face worker is charged to a recorder, as `wait`."""
    return _each_executor(models, lambda one: one.recorded(recorder) if hasattr(one, "recorded") else one)


def _each_executor(models: InferenceModels, change: Any) -> InferenceModels:  # noqa: ANN401  of any two types
    parts = {field.name: getattr(models, field.name) for field in fields(models)}
    return replace(models, **{name: change(part) for name, part in parts.items() if hasattr(part, "map")})
