"""Live streams on Ray: each in a process of its own, all on the same face workers."""

import threading
import time
from collections import deque
from types import TracebackType
from typing import Any, Self

import cv2
import ray

from vidrestore.errors import VidrestoreError, WorkerError
from vidrestore.inference.allocator import keep_freed_memory
from vidrestore.inference.live_inference import live_models
from vidrestore.inference.worker import LiveInferenceWorker, ModelInfo
from vidrestore.live.addresses import parse_source, parse_target
from vidrestore.live.fallback import GuardCounts
from vidrestore.live.status import StreamStatus
from vidrestore.live.stream import LiveStream
from vidrestore.restoration.config import RestoreConfig
from vidrestore.runtime.config import RayConfig
from vidrestore.runtime.ray.connection import fetch
from vidrestore.runtime.ray.inference_pool import Actor, InferencePool
from vidrestore.runtime.streams import OnEvent, StreamSpec

_ray: Any = ray
_ANSWER_SECONDS = 5.0
_PREVIEW_SECONDS = 1.0
"""Time to wait for a preview: a later one is of no use, and blocks one of the few threads that submit."""
_MOST_EVENTS = 200
_MOST_WORKERS = 64
"""Maximum number of face workers where the configuration leaves it open; one per GPU is started."""


class StreamWorker:
    """Runs one stream; its methods are called from several threads at a time."""

    def __init__(self, spec: StreamSpec, face_workers: list[Actor], description: ModelInfo, number: int) -> None:
        cv2.setNumThreads(1)
        keep_freed_memory()
        self._events: deque[str] = deque(maxlen=_MOST_EVENTS)
        counts = GuardCounts()
        worker = face_workers[number % len(face_workers)]

        def submit(method: str, batch: Any) -> Any:  # noqa: ANN401  of Ray's futures
            return getattr(worker, method).remote(_ray.put(list(batch))).future()

        self._stream = LiveStream(
            spec.name,
            parse_source(spec.source),
            [parse_target(target) for target in spec.targets],
            spec.config,
            live_models(submit, description, spec.config, counts),
            workers=counts,
            on_event=self._events.append,
        )

    def run(self) -> None:
        """Run the stream until it ends."""
        self._stream.run()

    def stop(self) -> None:
        """Ask it to end."""
        self._stream.stop()

    def status(self) -> tuple[StreamStatus, list[str]]:
        """Return the status, and the events since the last call."""
        events = [self._events.popleft() for _ in range(len(self._events))]
        return self._stream.status(), events

    def preview(self) -> bytes | None:
        """Return the latest frame before and after, as JPEG."""
        return self._stream.preview()


class RayStream:
    """The driver's end of a stream that runs in an actor."""

    def __init__(self, spec: StreamSpec, worker: Actor, on_event: OnEvent) -> None:
        self.problem: VidrestoreError | None = None
        self._name = spec.name
        self._worker = worker
        self._on_event = on_event
        self._done = worker.run.remote()
        self._future = self._done.future()
        self._ended = False

    def running(self) -> bool:
        """Return whether the stream is still running."""
        if not self._ended and self._future.done():
            self._ended = True
            try:
                fetch(self._done)
            except VidrestoreError as error:
                self.problem = error
        return not self._ended

    def status(self) -> StreamStatus | None:
        """Return the status; None while the process is dead or does not answer."""
        try:
            status, events = fetch(self._worker.status.remote(), timeout=_ANSWER_SECONDS)
        except WorkerError:
            return None
        for event in events:
            self._on_event(self._name, event)
        found: StreamStatus = status
        return found

    def preview(self) -> bytes | None:
        """Return the latest frame before and after, as JPEG."""
        try:
            image: bytes | None = fetch(self._worker.preview.remote(), timeout=_PREVIEW_SECONDS)
        except WorkerError:
            return None
        return image

    def stop(self) -> None:
        """Ask it to end."""
        self._worker.stop.remote()

    def join(self, timeout: float) -> bool:
        """Wait until it has ended; whether it has."""
        ended = threading.Event()
        self._future.add_done_callback(lambda _: ended.set())
        finished = ended.wait(timeout)
        self.running()
        return finished

    def kill(self) -> None:
        """Kill the process of the stream."""
        _ray.kill(self._worker)


class RayStreamRunner:
    """Runs streams on Ray actors; use as a context manager, which stops what it started.

    Args:
        config: options of the face workers that all streams share.
        ray_config: where the actors run.
        on_event: called with every change of every stream.

    Raises:
        WorkerError: no cluster at the address, or no room in it.
    """

    def __init__(self, config: RestoreConfig, ray_config: RayConfig, on_event: OnEvent) -> None:
        self._pool = InferencePool(config, ray_config, most=_MOST_WORKERS, face_worker=LiveInferenceWorker)
        try:
            self._description = self._pool.describe()
        except BaseException:
            self._pool.stop()
            raise
        self._ray = ray_config
        self._on_event = on_event
        self._streams: list[RayStream] = []
        self._begun = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in self._streams:
            stream.kill()
        self._pool.stop()

    def start(self, spec: StreamSpec) -> RayStream:
        """Begin a stream in a process of its own."""
        self._on_event(spec.name, f"faces are restored by {self._description.model}")
        actor = _ray.remote(StreamWorker).options(num_cpus=self._ray.cpus_per_segment_worker, max_concurrency=4)
        worker = actor.remote(spec.with_absolute_paths(), self._pool.workers, self._description, self._begun)
        self._begun += 1
        stream = RayStream(spec, worker, self._on_event)
        self._streams = [one for one in self._streams if one.running()] + [stream]
        return stream

    def batches(self) -> dict[str, tuple[int, int]]:
        """Return calls of each network of all face workers so far, and items in them."""
        found: dict[str, tuple[int, int]] = {}
        asked = [worker.batches.remote() for worker in self._pool.workers]
        deadline = time.monotonic() + _ANSWER_SECONDS  # for all of them: several may be gone
        for reference in asked:
            try:
                answer = fetch(reference, timeout=max(0.1, deadline - time.monotonic()))
            except WorkerError:
                continue  # it is being restarted, and counts from zero
            for work, (calls, items) in answer.items():
                before = found.get(work, (0, 0))
                found[work] = (before[0] + calls, before[1] + items)
        return found
