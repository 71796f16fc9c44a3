"""A pool of workers that run tasks, and may die, come and go; and a pool of threads of this process."""

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias

import cv2

from vidrestore.errors import Interrupted, VidrestoreError, WorkerError
from vidrestore.restoration.config import VideoRestoreConfig
from vidrestore.restoration.pipeline import InferenceModels
from vidrestore.runtime.shared_models import Device, shared

_log = logging.getLogger("vidrestore.runtime")
_HERE = "here"
_Loaded: TypeAlias = tuple[InferenceModels, str]
"""Networks, and the SHA-256 of their weights."""


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

    @property
    def cores_per_worker(self) -> float:
        """Number of cores that each of them may count on."""
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
    """Workers in threads of this process, which share its networks.

    Leaving the context stops the running tasks at their next frame. Meanwhile the threads share those of OpenCV.

    Args:
        models: where detection and restoration run.
        model_sha256: SHA-256 of the weights in use.
        workers: number of threads.
    """

    name = "local"

    def __init__(self, models: InferenceModels, model_sha256: str, *, workers: int = 1) -> None:
        loaded: Future[_Loaded] = Future()
        loaded.set_result((models, model_sha256))
        self._start(loaded, workers)

    @classmethod
    def load(cls, config: VideoRestoreConfig, *, workers: int = 1) -> Self:
        """Begin to load the networks into this process; `model_sha256` and the first task wait until they are there."""
        pool = cls.__new__(cls)
        loader = ThreadPoolExecutor(1, thread_name_prefix="loader")
        pool._start(loader.submit(_load, config), workers)  # noqa: SLF001  another constructor of the same class
        loader.shutdown(wait=False)
        return pool

    def _start(self, loaded: "Future[_Loaded]", workers: int) -> None:
        self.capacity = workers
        self.cores_per_worker = len(os.sched_getaffinity(0)) / workers
        self._opencv_threads = cv2.getNumThreads()
        cv2.setNumThreads(max(1, self._opencv_threads // workers))
        self._loaded = loaded
        self._device = Device()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="worker")
        self._running: dict[int, _Running] = {}
        self._stopping = threading.Event()

    @cached_property
    def _models(self) -> InferenceModels:
        return shared(self._loaded.result()[0], self._device)

    @property
    def model_sha256(self) -> str:
        """SHA-256 of the weights in use.

        Raises:
            VidrestoreError: the networks cannot be loaded.
        """
        return self._loaded.result()[1]

    def idle_workers(self) -> list[WorkerRef]:
        """Return the threads without a task."""
        busy = {task.worker for task in self._running.values()}
        return [WorkerRef(number, _HERE) for number in range(self.capacity) if number not in busy]

    def submit(self, worker: WorkerRef, task_id: int, task: Task) -> None:
        """Start the task."""
        running = _Running(worker.number)

        def note(progress: Progress) -> None:
            if self._stopping.is_set():
                raise Interrupted("the pool was closed")
            running.progress = progress

        running.future = self._threads.submit(task.run, self._models, note)
        self._running[task_id] = running

    def poll(self, seconds: float) -> list[Event]:
        """Return what ended."""
        futures = [running.future for running in self._running.values()]
        if not futures:
            return []
        finished = wait(futures, timeout=seconds, return_when=FIRST_COMPLETED).done
        ended = [task_id for task_id, running in self._running.items() if running.future in finished]
        return [_outcome(task_id, self._running.pop(task_id)) for task_id in ended]

    def progress(self) -> dict[int, Progress]:
        """Return how far the tasks are."""
        return {task_id: running.progress for task_id, running in self._running.items()}

    def reconcile(self, pending: int) -> None:
        """Do nothing: the threads are always there."""

    def status(self) -> PoolStatus:
        """Describe the threads."""
        return PoolStatus(
            workers=self.capacity,
            busy=len(self._running),
            face_workers=1,
            nodes=1,
            network_seconds=self._device.seconds,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop what is running, and wait for it."""
        self._stopping.set()
        self._threads.shutdown(wait=True, cancel_futures=True)
        wait([self._loaded])
        cv2.setNumThreads(self._opencv_threads)


@dataclass(slots=True)
class _Running:
    """A task of a thread."""

    worker: int
    future: "Future[Any]" = field(default_factory=Future)
    progress: Progress = field(default_factory=Progress)
    since: float = field(default_factory=time.monotonic)


def _load(config: VideoRestoreConfig) -> _Loaded:
    from vidrestore.inference.local import load_models  # noqa: PLC0415  torch; segment workers of Ray have no use for it

    models, info = load_models(config)
    return models, info.model_sha256


def _outcome(task_id: int, running: _Running) -> Event:
    try:
        return TaskDone(task_id, running.future.result(), _HERE, time.monotonic() - running.since)
    except VidrestoreError as error:
        failure = error
    except Exception as error:  # noqa: BLE001  as on Ray: an unexpected error costs one video, not the others
        _log.debug("a task failed unexpectedly", exc_info=error)
        failure = WorkerError(f"a worker failed: {type(error).__name__}: {error}")
    return TaskFailed(task_id, failure, worker_lost=False, node=_HERE, seconds=time.monotonic() - running.since)
