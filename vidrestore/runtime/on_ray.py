"""The same stages on Ray actors.

`SegmentWorker` (CPU) runs a whole segment, decode to encode; frames never leave it. `FaceWorker` (GPU where there is
one) holds the networks and answers every segment worker, joining their crops into full batches. Previews and crops
travel through the object store. Results are those of the local runtime.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import wait
from dataclasses import replace
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import cv2
import ray
from ray.exceptions import RayActorError, RayError

from vidrestore.errors import WorkerError
from vidrestore.restoration.pipeline import InferenceModels, RestoreConfig
from vidrestore.runtime.allocator import keep_freed_memory
from vidrestore.runtime.face_pool import Actor, FacePool, RayConfig
from vidrestore.runtime.ray_connection import fetch
from vidrestore.runtime.segment import Progress, Segment, SegmentReport, restore_segment
from vidrestore.runtime.workers import Description
from vidrestore.types import Detection, Float32, StyledCrop, UInt8

In = TypeVar("In")
Out = TypeVar("Out")

_ray: Any = ray
_POLL_SECONDS = 0.25


class SegmentWorker:
    """Runs segments from decode to encode; a second thread tells how far it is."""

    def __init__(self, config: RestoreConfig, face_workers: list[Actor], in_flight: int) -> None:
        cv2.setNumThreads(1)
        keep_freed_memory()
        self._config = config
        self._face_workers = face_workers
        self._in_flight = in_flight
        self._progress = Progress()

    def run(self, segment: Segment, description: Description) -> SegmentReport:
        """Restore one segment with face workers that are as described."""
        self._progress = Progress()
        parts = face_parts(self._face_workers, description, in_flight=self._in_flight)
        return restore_segment(segment, parts, self._config, self._note)

    def progress(self) -> Progress:
        """Tell how far the segment is."""
        return self._progress

    def _note(self, progress: Progress) -> None:
        self._progress = progress


def face_parts(face_workers: Sequence[Actor], description: Description, *, in_flight: int) -> InferenceModels:
    """The parts of a restoration that face workers do."""
    return InferenceModels(
        OnActors[UInt8, tuple[Detection, ...]](face_workers, "detect", in_flight=in_flight),
        OnActors[UInt8, UInt8](face_workers, "restore", in_flight=in_flight),
        crop_size=description.crop_size,
        batch_size=description.batch_size,
        encoder=OnActors[UInt8, Float32](face_workers, "encode", in_flight=in_flight),
        styled_restorer=OnActors[StyledCrop, UInt8](face_workers, "restore_coded", in_flight=in_flight),
        visibility=OnActors[UInt8, UInt8](face_workers, "see", in_flight=in_flight),
    )


class OnActors(Generic[In, Out]):
    """An executor that hands batches to the least busy of several actors and keeps their order.

    Reads ahead `in_flight` batches beyond the one asked for.
    """

    def __init__(self, actors: Sequence[Actor], method: str, *, in_flight: int) -> None:
        self._actors = actors
        self._method = method
        self._in_flight = in_flight
        # Callers begin at different actors, so that all are at work when each caller has little to do.
        self._next = os.getpid()

    def map(self, batches: Iterable[Sequence[In]], /) -> Iterator[Sequence[Out]]:
        """Send every batch, a bounded number at a time; an empty batch needs no actor."""
        pending: deque[tuple[int, Any]] = deque()
        for batch in batches:
            pending.append(self._send(batch, pending))
            if len(pending) > self._in_flight:
                yield _result(pending.popleft()[1])
        while pending:
            yield _result(pending.popleft()[1])

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


def _result(pending: Any) -> Any:  # noqa: ANN401  an object reference, or the result itself
    return pending if isinstance(pending, list) else fetch(pending)


class RayRunner:
    """Runs segments on Ray actors; use as a context manager, which stops what it started.

    Args:
        config: of every stage.
        ray_config: where the actors run.

    Raises:
        WorkerError: no cluster at the address, or no room in it.
    """

    name = "ray"

    def __init__(self, config: RestoreConfig, ray_config: RayConfig) -> None:
        self.retries = 0
        self._config = config
        self._ray = ray_config
        # One segment keeps no more batches under way than this, so that more workers would wait in vain.
        self._pool = FacePool(config, ray_config, most=ray_config.batches_in_flight + 1)
        self._spare: Actor | None = None
        try:
            # Starts while the networks load.
            self._spare = self._start_segment_worker()
            self._description = self._pool.describe()
        except BaseException:
            self._stop()
            raise

    @property
    def model_sha256(self) -> str:
        """Of the weights in use."""
        return self._description.model_sha256

    def run(self, segment: Segment, on_progress: Callable[[Progress], None]) -> SegmentReport:
        """Restore one segment on a worker of its own, anew if the worker dies.

        Raises:
            WorkerError: the worker died more often than `retries` allows.
        """
        for attempt in range(self._ray.retries + 1):
            worker, self._spare = self._spare or self._start_segment_worker(), None
            # A worker that was only cut off may still write: each has a part of its own.
            own = replace(segment, part=segment.part.with_name(f"{segment.part.name}-{attempt}"))
            try:
                self._pool.await_all([worker.progress.remote()])
                return self._watch(worker, own, on_progress)
            except WorkerError:
                if not _is_dead(worker) or attempt == self._ray.retries:
                    raise
                self.retries += 1
            finally:
                _ray.kill(worker)
        raise AssertionError  # the last attempt returns or raises

    def _watch(self, worker: Actor, segment: Segment, on_progress: Callable[[Progress], None]) -> SegmentReport:
        finished = worker.run.remote(segment, self._description)
        done = finished.future()
        while not wait([done], timeout=_POLL_SECONDS).done:
            on_progress(fetch(worker.progress.remote()))
        report: SegmentReport = fetch(finished)
        on_progress(Progress(report.frames_written, report.counts.get("faces", 0)))
        return report

    def _start_segment_worker(self) -> Actor:
        actor = _ray.remote(SegmentWorker).options(num_cpus=self._ray.cpus_per_segment_worker, max_concurrency=2)
        return actor.remote(self._config, self._pool.workers, self._ray.batches_in_flight)

    def _stop(self) -> None:
        if self._spare is not None and not self._pool.started_ray:
            _ray.kill(self._spare)
        self._pool.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the workers, and Ray if it was started here."""
        self._stop()


def _is_dead(worker: Actor) -> bool:
    try:
        _ray.get(worker.progress.remote(), timeout=5)
    except RayActorError:
        return True
    except RayError:
        return False
    return False
