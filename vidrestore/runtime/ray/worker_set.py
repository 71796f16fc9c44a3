"""The segment workers of a cluster: started, stopped, watched and reaped. The worker pool decides how many."""

import logging
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import ray

from vidrestore.errors import VidrestoreError, WorkerError
from vidrestore.inference.allocator import keep_freed_memory
from vidrestore.inference.worker import ModelInfo
from vidrestore.runtime.config import RayConfig
from vidrestore.runtime.ray.connection import fetch, first_line, is_worker_lost
from vidrestore.runtime.ray.executors import actor_models
from vidrestore.runtime.ray.inference_pool import Actor
from vidrestore.runtime.worker_pool import Event, Progress, Task, TaskDone, TaskFailed

_ray: Any = ray
_log = logging.getLogger("vidrestore.runtime")
_PROGRESS_SECONDS = 1.0
_START_FACTOR = 8
"""Factor on `stall_seconds` until the first frame, and for tasks that report no frames."""
_RETRY_SECONDS = 30.0
"""Time after which a worker is started where one failed to: a node without the package stays without it."""
_NODE_DIGITS = 8


class TaskWorker:
    """Runs tasks; a second thread answers questions about progress."""

    def __init__(self) -> None:
        cv2.setNumThreads(1)
        keep_freed_memory()
        self._progress = Progress()

    def node(self) -> str:
        """Return the node that it runs on."""
        return f"{socket.gethostname()}/{_ray.get_runtime_context().get_node_id()[:_NODE_DIGITS]}"

    def run(self, task: Task, inference_workers: list[Actor], info: ModelInfo, in_flight: int) -> tuple[Any, float]:
        """Run a task; return its result, and how long it took."""
        self._progress = Progress()
        started = time.perf_counter()
        result = task.run(actor_models(inference_workers, info, in_flight=in_flight), self._note)
        return result, time.perf_counter() - started

    def progress(self) -> Progress:
        """Return the progress of the task."""
        return self._progress

    def _note(self, progress: Progress) -> None:
        self._progress = progress


@dataclass(slots=True)
class Worker:
    """The driver's end of a worker."""

    actor: Actor
    number: int
    arrival: Any
    """Future of the name of its node."""
    node: str = ""
    """Name of its node, empty until it is placed."""
    task_id: int | None = None
    task: Task | None = None
    reference: Any = None
    """Reference of the task's result."""
    result: Any = None
    """Future of the reference, made once: each new one would leave a callback behind."""
    since: float = field(default_factory=time.monotonic)
    """Time when its task, or its idleness, began."""
    asked: Any = None
    """Future of its progress."""
    progress: Progress = field(default_factory=Progress)
    moved: float = 0.0
    """Time when its progress last changed."""
    preempted: bool = False
    """Whether it was stopped to make room."""

    @property
    def is_idle(self) -> bool:
        """Whether it is placed and has no task."""
        return bool(self.node) and self.task_id is None


class WorkerSet:
    """The workers that were started and not stopped, and what they are doing.

    Args:
        ray_config: what a worker may use.
        stall_seconds: time without a frame after which a worker is taken for dead.
    """

    def __init__(self, ray_config: RayConfig, *, stall_seconds: float) -> None:
        self._ray = ray_config
        self._stall = stall_seconds
        self._workers: dict[int, Worker] = {}
        self._started = 0
        self._retry_at = 0.0
        self._placed = time.monotonic()

    def __len__(self) -> int:
        return len(self._workers)

    def __iter__(self) -> Iterator[Worker]:
        return iter(list(self._workers.values()))

    def __getitem__(self, number: int) -> Worker:
        return self._workers[number]

    @property
    def busy(self) -> int:
        """Number of workers that run a task."""
        return sum(worker.task_id is not None for worker in self._workers.values())

    def may_start(self, now: float) -> bool:
        """Return whether enough time has passed since a worker failed to start."""
        return now >= self._retry_at

    def start(self) -> Worker:
        """Start a worker, wherever there is room."""
        options = {
            "num_cpus": self._ray.cpus_per_segment_worker,
            "max_concurrency": 3,
            "scheduling_strategy": self._ray.strategy,
        }
        actor = _ray.remote(TaskWorker).options(**options).remote()
        worker = Worker(actor, self._started, actor.node.remote().future())
        self._workers[self._started] = worker
        self._started += 1
        return worker

    def stop(self, worker: Worker) -> None:
        """Stop a worker."""
        _ray.kill(worker.actor)
        del self._workers[worker.number]

    def admit_placed(self) -> None:
        """Note where workers run that were placed since."""
        for worker in self._workers.values():
            if not worker.node and worker.arrival.done() and worker.arrival.exception() is None:
                worker.node = worker.arrival.result()
                worker.since = time.monotonic()

    def submit(self, worker: Worker, task_id: int, task: Task, inference_workers: list[Actor], info: ModelInfo) -> None:
        """Send a task to an idle worker."""
        worker.reference = worker.actor.run.remote(task, inference_workers, info, self._ray.batches_in_flight)
        worker.result = worker.reference.future()
        worker.task_id, worker.task = task_id, task
        worker.since = worker.moved = time.monotonic()
        worker.progress, worker.asked = Progress(), None

    def collect(self, worker: Worker) -> Event:
        """Return the outcome of a worker's task; a worker that died is forgotten."""
        task_id, node, began = worker.task_id, worker.node, worker.since
        assert task_id is not None, "it ran a task"  # noqa: S101
        worker.task_id, reference, worker.reference, worker.result = None, worker.reference, None, None
        worker.since = time.monotonic()
        try:
            result, seconds = fetch(reference)
        except VidrestoreError as error:
            is_lost = is_worker_lost(error)
            if is_lost and not self._answers(worker):
                del self._workers[worker.number]
            return TaskFailed(task_id, error, is_lost, node, worker.since - began, preempted=worker.preempted)
        return TaskDone(task_id, result, node, seconds)

    def _answers(self, worker: Worker) -> bool:
        """Return whether a worker is alive: a task may also fail because an inference worker died."""
        try:
            _ray.get(worker.actor.progress.remote(), timeout=5)
        except Exception:  # noqa: BLE001  any error means that there is no answer
            _ray.kill(worker.actor)
            return False
        return True

    def check_heartbeats(self, now: float) -> None:
        """Collect what the workers report of their progress, and ask again; kill workers that stall."""
        for worker in self._workers.values():
            if worker.task_id is None:
                continue
            if worker.asked is not None and worker.asked.done():
                if worker.asked.exception() is None and worker.asked.result() != worker.progress:
                    worker.progress, worker.moved = worker.asked.result(), now
                worker.asked = None
            if self._stalls(worker, now):
                _log.warning("worker %d on %s has stalled; killing it", worker.number, worker.node)
                _ray.kill(worker.actor)
            elif worker.asked is None and now - worker.since > _PROGRESS_SECONDS:
                worker.asked = worker.actor.progress.remote().future()

    def _stalls(self, worker: Worker, now: float) -> bool:
        """Return whether a worker takes too long; before its first frame a segment may have a source to fetch."""
        has_begun = worker.task is not None and worker.task.reports_progress and worker.progress.frames
        return now - worker.moved > (self._stall if has_begun else _START_FACTOR * self._stall)

    def preempt_one(self) -> None:
        """Stop the worker that has least to lose; its task is submitted again."""
        least = max(self._workers.values(), key=lambda one: (not one.node, one.task_id is None, one.since))
        _log.info("stopping worker %d to make room for an inference worker", least.number)
        if least.task_id is None:
            self.stop(least)
        else:
            least.preempted = True
            _ray.kill(least.actor)

    def stop_idle(self, now: float, *, after_seconds: float) -> None:
        """Stop workers that have been idle for long, but for the last one."""
        for worker in self:
            if worker.is_idle and now - worker.since > after_seconds and len(self._workers) > 1:
                self.stop(worker)

    def reap_lost(self, now: float) -> None:
        """Stop workers that failed to start, and idle ones on nodes that are gone.

        Raises:
            WorkerError: not one worker could be placed for as long as starting may take.
        """
        alive = {node["NodeID"][:_NODE_DIGITS] for node in _ray.nodes() if node["Alive"]}
        for worker in self:
            if worker.is_idle and worker.node.rpartition("/")[2] not in alive:
                self.stop(worker)
            elif not worker.node and worker.arrival.done() and (problem := worker.arrival.exception()) is not None:
                _log.warning("worker failed to start; retrying in %d s: %s", _RETRY_SECONDS, first_line(problem))
                self._retry_at = now + _RETRY_SECONDS
                self.stop(worker)
        if any(worker.node for worker in self._workers.values()):
            self._placed = now
        elif now - self._placed > self._ray.start_timeout_seconds:
            raise WorkerError(
                f"no worker could be scheduled within {self._ray.start_timeout_seconds:.0f} s; see `ray status`; what "
                "is done is kept, run the same command again to continue"
            )
