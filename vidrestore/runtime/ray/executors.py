"""Inference workers on Ray, as the executors of a restoration.

A task runs decode to encode in one process, and its frames never leave it. Previews and crops travel through the object
store to inference workers, which join those of many tasks into full batches. Results are those of one process.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import ray

from vidrestore.inference.worker import ModelInfo
from vidrestore.report import Recorder
from vidrestore.restoration.clips.clip import FaceClip, RestoredClip
from vidrestore.restoration.pipeline import InferenceModels
from vidrestore.runtime.ray.connection import fetch
from vidrestore.runtime.ray.inference_pool import Actor
from vidrestore.types import Detection, Float32, StyledCrop, UInt8

In = TypeVar("In")
Out = TypeVar("Out")

_ray: Any = ray


def actor_models(workers: Sequence[Actor], info: ModelInfo, *, in_flight: int) -> InferenceModels:
    """Return executors of a restoration that call the networks of inference workers."""
    return InferenceModels(
        ActorExecutor[UInt8, tuple[Detection, ...]](workers, "detect", in_flight=in_flight),
        ActorExecutor[UInt8, UInt8](workers, "restore", in_flight=in_flight),
        crop_size=info.crop_size,
        batch_size=info.batch_size,
        encoder=ActorExecutor[UInt8, Float32](workers, "encode", in_flight=in_flight),
        styled_restorer=ActorExecutor[StyledCrop, UInt8](workers, "restore_coded", in_flight=in_flight),
        clips=ActorExecutor[FaceClip, RestoredClip](workers, "restore_clips", in_flight=in_flight)
        if info.restores_clips
        else None,
        visibility=ActorExecutor[UInt8, UInt8](workers, "see", in_flight=in_flight),
    )


class ActorExecutor(Generic[In, Out]):
    """An executor that hands batches to the least busy of several actors and keeps their order.

    Reads ahead `in_flight` batches beyond the one asked for.
    """

    def __init__(
        self, actors: Sequence[Actor], method: str, *, in_flight: int, recorder: Recorder | None = None
    ) -> None:
        self._actors = actors
        self._recorder = recorder or Recorder()
        self._method = method
        self._in_flight = in_flight
        # Callers begin at different actors, so that all are at work when each caller has little to do.
        self._next = os.getpid()

    def recorded(self, recorder: Recorder) -> "ActorExecutor[In, Out]":
        """Return an executor that charges the waiting for the actors to a recorder, as `wait`."""
        return ActorExecutor(self._actors, self._method, in_flight=self._in_flight, recorder=recorder)

    def map(self, batches: Iterable[Sequence[In]], /) -> Iterator[Sequence[Out]]:
        """Send every batch, a bounded number at a time; an empty batch needs no actor."""
        pending: deque[tuple[int, Any]] = deque()
        for batch in batches:
            pending.append(self._send(batch, pending))
            if len(pending) > self._in_flight:
                yield self._result(pending.popleft()[1])
        while pending:
            yield self._result(pending.popleft()[1])

    def _send(self, batch: Sequence[In], pending: Iterable[tuple[int, Any]]) -> tuple[int, Any]:
        if not batch:
            return -1, []
        load = [0] * len(self._actors)
        for actor, _ in pending:
            if actor >= 0:
                load[actor] += 1
        count = len(self._actors)
        chosen = min(range(count), key=lambda actor: (load[actor], (actor - self._next) % count))
        self._next = chosen + 1
        # An array passed inline is pickled into the call; in the object store it is shared.
        stored = _ray.put(list(batch))
        return chosen, getattr(self._actors[chosen], self._method).remote(stored)

    def _result(self, pending: Any) -> Any:  # noqa: ANN401  an object reference, or the result itself
        if isinstance(pending, list):
            return pending
        with self._recorder.timing("wait"):
            return fetch(pending)
