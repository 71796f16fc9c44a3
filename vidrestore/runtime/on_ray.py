"""The same stages on Ray actors: the only module that imports ray.

`SegmentWorker` (CPU) runs a whole segment, decode to encode; frames never leave it. `FaceWorker` (GPU where there is
one) holds the networks and answers every segment worker, joining their crops into full batches. Previews and crops
travel through the object store. Results are those of the local runtime.
"""

import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import cv2
import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from vidrestore.engine import Parts, RestoreConfig
from vidrestore.errors import ConfigError, VidrestoreError, WorkerError
from vidrestore.faces.detector import FaceDetector
from vidrestore.restoration.restorer import FaceRestorer
from vidrestore.runtime.coalescer import Coalescer
from vidrestore.runtime.segment import Progress, Segment, SegmentReport, restore_segment
from vidrestore.types import Detection, UInt8

In = TypeVar("In")
Out = TypeVar("Out")

Actor = Any
"""A handle of an actor; Ray's own annotations do not know an actor's methods."""

_ray: Any = ray
_POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class RayConfig:
    """Where the actors are and what they may use."""

    address: str | None = None
    """Of a running cluster (`auto`, `HOST:PORT`, `ray://...`); None starts Ray here and stops it afterwards."""
    face_workers: int = 0
    """Actors that hold the networks; 0 means one for each GPU of the cluster, or one where there is none."""
    cpus_per_face_worker: float = 1.0
    gpus_per_face_worker: float | None = None
    """None means one whole GPU where the cluster has any, otherwise none."""
    cpus_per_segment_worker: float = 1.0
    batches_in_flight: int = 2
    """Batches that a segment worker has under way at a time, for each kind of work."""
    batching_wait_seconds: float = 0.003
    """How long a batch that is not full waits for crops of other segments."""
    retries: int = 2
    """How often a segment is begun anew after its worker died."""
    start_timeout_seconds: float = 120.0
    """How long to wait for actors before saying that the cluster has no room."""

    def __post_init__(self) -> None:
        if self.face_workers < 0 or self.batches_in_flight < 1 or self.retries < 0:
            message = f"{self}: face_workers and retries must be at least 0, batches_in_flight at least 1"
            raise ConfigError(message)


@dataclass(frozen=True, slots=True)
class Description:
    """What a face worker has loaded."""

    crop_size: int
    batch_size: int
    model_sha256: str


class FaceWorker:
    """Holds the detector and GFP-GAN; an asynchronous actor that any number of segment workers call.

    The networks are loaded by the first call, not by the constructor: an error there would reach the caller as the
    actor's death instead of as what it is.
    """

    def __init__(self, config: RestoreConfig, *, threads: int, wait_seconds: float) -> None:
        # Ray sets OMP_NUM_THREADS to the actor's num_cpus, which would leave torch with one thread on a CPU.
        self._config = replace(
            config,
            restorer=replace(config.restorer, threads=config.restorer.threads or threads),
            detector=replace(config.detector, threads=config.detector.threads or threads),
        )
        self._wait_seconds = wait_seconds
        self._one_at_a_time = ThreadPoolExecutor(1, thread_name_prefix="networks")

    @cached_property
    def _restorer(self) -> FaceRestorer:
        return FaceRestorer(self._config.restorer)

    @cached_property
    def _restore(self) -> Coalescer[UInt8, UInt8]:
        full = self._restorer.batch_size
        return Coalescer(self._restorer, self._one_at_a_time, full=full, wait_seconds=self._wait_seconds)

    @cached_property
    def _detect(self) -> Coalescer[UInt8, tuple[Detection, ...]]:
        full, detector = self._config.look.batch_size, FaceDetector(self._config.detector)
        return Coalescer(detector, self._one_at_a_time, full=full, wait_seconds=self._wait_seconds)

    async def describe(self) -> Description:
        """Load what is not loaded yet, and say what it is."""
        _ = self._restore, self._detect
        return Description(self._restorer.crop_size, self._restorer.batch_size, self._restorer.model_sha256)

    async def detect(self, previews: list[UInt8]) -> Sequence[tuple[Detection, ...]]:
        """Find faces in previews."""
        return await self._detect(previews)

    async def restore(self, crops: list[UInt8]) -> Sequence[UInt8]:
        """Restore crops."""
        return await self._restore(crops)


class SegmentWorker:
    """Runs segments from decode to encode; a second thread tells how far it is."""

    def __init__(
        self, config: RestoreConfig, face_workers: list[Actor], description: Description, in_flight: int
    ) -> None:
        cv2.setNumThreads(1)
        self._config = config
        self._progress = Progress()
        self._parts = Parts(
            OnActors[UInt8, tuple[Detection, ...]](face_workers, "detect", in_flight=in_flight),
            OnActors[UInt8, UInt8](face_workers, "restore", in_flight=in_flight),
            crop_size=description.crop_size,
            batch_size=description.batch_size,
        )

    def run(self, segment: Segment) -> SegmentReport:
        """Restore one segment."""
        self._progress = Progress()
        return restore_segment(segment, self._parts, self._config, self._note)

    def progress(self) -> Progress:
        """Tell how far the segment is."""
        return self._progress

    def _note(self, progress: Progress) -> None:
        self._progress = progress


class OnActors(Generic[In, Out]):
    """An executor that hands batches to the least busy of several actors and keeps their order.

    Reads ahead `in_flight` batches beyond the one asked for.
    """

    def __init__(self, actors: Sequence[Actor], method: str, *, in_flight: int) -> None:
        self._actors = actors
        self._method = method
        self._in_flight = in_flight

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
        chosen = load.index(min(load))
        # An array passed inline is pickled into the call; in the object store it is shared.
        stored = _ray.put(list(batch))
        return chosen, getattr(self._actors[chosen], self._method).remote(stored)


def _result(pending: Any) -> Any:  # noqa: ANN401  an object reference, or the result itself
    return pending if isinstance(pending, list) else _get(pending)


def _get(reference: Any, timeout: float | None = None) -> Any:  # noqa: ANN401  Ray's references carry no type
    """Wait for a result, and raise what the actor raised as what it was.

    It waits on a future of Python's: an interrupt in Ray's own waiting would surface as a SystemError.

    Raises:
        VidrestoreError: as raised in the actor.
        WorkerError: the actor died or could not be scheduled, or failed in a way nobody foresaw.
    """
    try:
        return reference.future().result(timeout=timeout)
    except TimeoutError as error:
        message = f"no worker answered in {timeout:.0f} s; has the cluster room for it? `ray status` tells"
        raise WorkerError(message) from error
    except RayTaskError as error:
        if isinstance(error.cause, VidrestoreError):
            raise error.cause from None
        message = f"a worker failed: {type(error.cause).__name__}: {error.cause}"
        raise WorkerError(message) from error
    except RayActorError as error:
        message = f"a worker process died: {_first_line(error)}"
        raise WorkerError(message) from error
    except RayError as error:
        message = f"Ray could not run the work: {_first_line(error)}"
        raise WorkerError(message) from error


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


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
        self._started_here = _connect(ray_config)
        self._face_workers: list[Actor] = []
        try:
            self._face_workers = self._start_face_workers()
            self._description = self._describe()
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
        while True:
            worker = self._start_segment_worker()
            try:
                return self._watch(worker, segment, on_progress)
            except WorkerError:
                if not _is_dead(worker) or self.retries >= self._ray.retries:
                    raise
                self.retries += 1
            finally:
                _ray.kill(worker)

    def _watch(self, worker: Actor, segment: Segment, on_progress: Callable[[Progress], None]) -> SegmentReport:
        finished = worker.run.remote(segment)
        done = finished.future()
        while not wait([done], timeout=_POLL_SECONDS).done:
            on_progress(_get(worker.progress.remote()))
        report: SegmentReport = _get(finished)
        on_progress(Progress(report.frames_written, report.counts.get("faces", 0)))
        return report

    def _start_face_workers(self) -> list[Actor]:
        gpus = _ray.cluster_resources().get("GPU", 0)
        share = self._ray.gpus_per_face_worker
        share = (1.0 if gpus else 0.0) if share is None else share
        count = self._ray.face_workers or max(1, int(gpus / share) if share else 1)
        threads = max(1, len(os.sched_getaffinity(0)) // count)
        actor = _ray.remote(FaceWorker).options(
            num_cpus=self._ray.cpus_per_face_worker, num_gpus=share, max_restarts=3, max_task_retries=3
        )
        patience = self._ray.batching_wait_seconds
        return [actor.remote(self._config, threads=threads, wait_seconds=patience) for _ in range(count)]

    def _describe(self) -> Description:
        references = [worker.describe.remote() for worker in self._face_workers]
        deadline = time.monotonic() + self._ray.start_timeout_seconds
        descriptions: list[Description] = [
            _get(reference, timeout=max(1, deadline - time.monotonic())) for reference in references
        ]
        return descriptions[0]

    def _start_segment_worker(self) -> Actor:
        actor = _ray.remote(SegmentWorker).options(num_cpus=self._ray.cpus_per_segment_worker, max_concurrency=2)
        return actor.remote(self._config, self._face_workers, self._description, self._ray.batches_in_flight)

    def _stop(self) -> None:
        if self._started_here:
            _ray.shutdown()
            return
        for worker in self._face_workers:
            _ray.kill(worker)

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


def _connect(config: RayConfig) -> bool:
    """Join a cluster or start one here; tells whether it was started here."""
    if _ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    with _own_signal_handlers():
        _init(config)
    return config.address is None


def _init(config: RayConfig) -> None:
    try:
        if config.address:
            _ray.init(address=config.address, log_to_driver=False, logging_level=logging.ERROR)
        else:
            # A face worker and a segment worker must fit even on a machine with one core.
            cpus = max(2, len(os.sched_getaffinity(0)))
            _ray.init(num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (RayError, ConnectionError, RuntimeError, ValueError) as error:
        message = f"cannot reach Ray at {config.address or 'this machine'}: {_first_line(error)}"
        raise WorkerError(message) from error


@contextmanager
def _own_signal_handlers() -> Iterator[None]:
    """Keep the program's handlers: Ray's own for SIGTERM prints a stack and ends the process on the spot."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
