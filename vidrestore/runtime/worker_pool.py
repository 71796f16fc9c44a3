"""A pool of workers that run tasks, and may die, come and go; and a pool of one worker in this process."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias

from vidrestore.errors import Interrupted, VidrestoreError, WorkerError
from vidrestore.inference.local import load_models
from vidrestore.restoration.config import VideoRestoreConfig
from vidrestore.restoration.pipeline import InferenceModels

_log = logging.getLogger("vidrestore.runtime")


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a task."""

    frames: int = 0
    faces: int = 0


OnProgress: TypeAlias = Callable[[Progress], None]


class Task(Protocol):
    """A piece of work that any worker can run, and another can repeat when the first one dies; it can be pickled."""

    @property
    def reports_progress(self) -> bool:
        """Whether frames are reported while it runs: then a worker that reports none has stalled."""
        ...

    def run(self, models: InferenceModels, on_progress: OnProgress) -> Any:  # noqa: ANN401  the submitter of a task knows
        """Do the work; `models` are where detection and restoration run.

        Raises:
            VidrestoreError: it cannot be done; nothing is left under the name of what it should have made.
        """
        ...


@dataclass(frozen=True, slots=True)
class WorkerRef:
    """A worker that can take a task."""

    number: int
    node: str
    """The host that it runs on."""


@dataclass(frozen=True, slots=True)
class TaskDone:
    """A task that succeeded."""

    task_id: int
    result: Any
    node: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """A task that failed."""

    task_id: int
    error: VidrestoreError
    worker_lost: bool
    """Whether its worker died or was lost with its node."""
    node: str
    seconds: float
    preempted: bool = False
    """Whether the pool itself ended the task to make room; that does not count as a failed attempt."""


Event: TypeAlias = TaskDone | TaskFailed


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """A pool at one moment."""

    workers: int
    busy: int
    face_workers: int
    """Inference workers, which hold the networks."""
    nodes: int
    network_seconds: float = 0.0
    """Time for which the networks of all inference workers have run so far."""


class WorkerPool(Protocol):
    """Workers, each of which runs one task at a time. Nothing waits but `poll`."""

    @property
    def name(self) -> str:
        """`local` or `ray`."""
        ...

    @property
    def model_sha256(self) -> str:
        """SHA-256 of the weights in use."""
        ...

    @property
    def capacity(self) -> int:
        """Workers that could run at the same time."""
        ...

    def idle_workers(self) -> list[WorkerRef]:
        """Workers that wait for a task."""
        ...

    def submit(self, worker: WorkerRef, task_id: int, task: Task) -> None:
        """Hand a task to an idle worker; `poll` returns its outcome under the same number."""
        ...

    def poll(self, seconds: float) -> list[Event]:
        """Return what has ended since the last call; wait at most `seconds` for something to end."""
        ...

    def progress(self) -> dict[int, Progress]:
        """Return how far each running task is, by its number."""
        ...

    def reconcile(self, pending: int) -> None:
        """Start, replace and stop workers, given how many tasks wait for one."""
        ...

    def status(self) -> PoolStatus:
        """Describe the pool now."""
        ...


PoolFactory: TypeAlias = Callable[[], AbstractContextManager[WorkerPool]]


class LocalWorkerPool:
    """One worker, in a thread of this process.

    Leaving the context stops the running task at its next frame.

    Args:
        models: where detection and restoration run.
        model_sha256: SHA-256 of the weights in use.
    """

    name = "local"
    capacity = 1

    def __init__(self, models: InferenceModels, model_sha256: str) -> None:
        self.model_sha256 = model_sha256
        self._models = models
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="worker")
        self._running: tuple[int, Future[Any]] | None = None
        self._progress = Progress()
        self._stopping = threading.Event()
        self._since = 0.0

    @classmethod
    def load(cls, config: VideoRestoreConfig) -> Self:
        """Load the networks into this process for a pool."""
        models, info = load_models(config)
        return cls(models, info.model_sha256)

    def idle_workers(self) -> list[WorkerRef]:
        """Return the one worker, if it is idle."""
        return [] if self._running else [WorkerRef(0, "here")]

    def submit(self, worker: WorkerRef, task_id: int, task: Task) -> None:
        """Start the task."""
        assert not self._running, f"worker {worker.number} is busy"  # noqa: S101
        self._progress, self._since = Progress(), time.monotonic()
        self._running = task_id, self._thread.submit(task.run, self._models, self._note)

    def poll(self, seconds: float) -> list[Event]:
        """Wait for the one task."""
        if not self._running:
            return []
        task_id, future = self._running
        if not wait([future], timeout=seconds).done:
            return []
        self._running = None
        try:
            return [TaskDone(task_id, future.result(), "here", time.monotonic() - self._since)]
        except VidrestoreError as error:
            failure = error
        except Exception as error:  # noqa: BLE001  as on Ray: an unexpected error costs one video, not the others
            _log.debug("a task failed unexpectedly", exc_info=error)
            failure = WorkerError(f"a worker failed: {type(error).__name__}: {error}")
        return [TaskFailed(task_id, failure, worker_lost=False, node="here", seconds=time.monotonic() - self._since)]

    def progress(self) -> dict[int, Progress]:
        """Return how far the one task is."""
        return {self._running[0]: self._progress} if self._running else {}

    def reconcile(self, pending: int) -> None:
        """Do nothing: the one worker is always there."""

    def status(self) -> PoolStatus:
        """Describe the one worker."""
        return PoolStatus(workers=1, busy=int(self._running is not None), face_workers=1, nodes=1)

    def _note(self, progress: Progress) -> None:
        if self._stopping.is_set():
            raise Interrupted("the pool was closed")
        self._progress = progress

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop what is running, and wait for it."""
        self._stopping.set()
        self._thread.shutdown(wait=True, cancel_futures=True)
