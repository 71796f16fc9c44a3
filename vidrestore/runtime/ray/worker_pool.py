"""A pool of workers on a Ray cluster: on any number of nodes, which may be lost, added and taken away."""

import time
from concurrent.futures import FIRST_COMPLETED, wait
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import ray
from ray.autoscaler.sdk import request_resources

from vidrestore.inference.worker import InferenceWorker, ModelInfo
from vidrestore.restoration.config import VideoRestoreConfig
from vidrestore.runtime.config import RayConfig
from vidrestore.runtime.ray.inference_pool import InferencePool
from vidrestore.runtime.ray.worker_set import WorkerSet
from vidrestore.runtime.worker_pool import Event, PoolStatus, Progress, Task, WorkerRef

_ray: Any = ray
_COUNT_SECONDS = 2.0
_IDLE_SECONDS = 20.0
_PATIENCE_SECONDS = 15.0
"""Time without an answer of an inference worker after which workers make room for it: starting takes seconds."""
_MAX_ANNOUNCED = 4096
_MAX_INFERENCE_WORKERS = 1 << 16


class _Autoscaler:
    """Requests workers from the autoscaler of the cluster; only clusters that we join have one."""

    def __init__(self, ray_config: RayConfig, *, most: int) -> None:
        self._ray = ray_config
        self._most = most
        self._announced = 0

    def announce(self, useful: int) -> None:
        if self._ray.address is None or useful == self._announced:
            return
        self._announced = useful
        bundle = {"CPU": self._ray.cpus_per_segment_worker}
        request_resources(bundles=[bundle] * min(useful, self._most or useful, _MAX_ANNOUNCED))

    def withdraw(self) -> None:
        if self._announced:
            request_resources(bundles=[])


class RayWorkerPool:
    """Workers on Ray; use as a context manager, which stops what it started.

    Workers and inference workers start side by side, and the constructor does not wait for them: `model_sha256` does.

    As many as the cluster has room for next to the inference workers; the number that could be used is reported to an
    autoscaler. Idle workers are stopped, so that it can remove nodes. No worker waits for room as an actor of Ray: it
    would take the place of an inference worker that died, and then wait for its answers. Where an inference worker
    finds no room because a node is gone, workers give up theirs.

    Args:
        config: options of the inference workers, which all videos share.
        ray_config: where the actors run.
        most: workers at most; 0 means as many as there is room for.
        stall_seconds: time without a frame after which a worker is taken for dead.
        face_worker: the class of the inference workers.

    Raises:
        WorkerError: no cluster at the address.
    """

    name = "ray"

    def __init__(
        self,
        config: VideoRestoreConfig,
        ray_config: RayConfig,
        *,
        most: int = 0,
        stall_seconds: float = 900.0,
        face_worker: type = InferenceWorker,
    ) -> None:
        self._ray = ray_config
        self._most = most
        self._inference = InferencePool(config, ray_config, most=_MAX_INFERENCE_WORKERS, face_worker=face_worker)
        self._workers = WorkerSet(ray_config, stall_seconds=stall_seconds)
        self._autoscaler = _Autoscaler(ray_config, most=most)
        self._counted = -_COUNT_SECONDS
        self._room = 1
        self._preempted_at = 0.0
        self._worker_cap = 0
        """Maximum number of workers while an inference worker finds no room; 0: no limit."""
        try:
            self.reconcile(1)
        except BaseException:
            self._stop()
            raise

    @cached_property
    def _info(self) -> ModelInfo:
        """Wait until the networks are loaded and a worker is placed."""
        info = self._inference.describe()
        self._inference.await_all([next(iter(self._workers)).actor.node.remote()])
        return info

    @property
    def model_sha256(self) -> str:
        """SHA-256 of the weights in use; waits until the networks are loaded and there is a worker.

        Raises:
            VidrestoreError: the networks cannot be loaded, or the cluster has no room.
        """
        return self._info.model_sha256

    @property
    def capacity(self) -> int:
        """Number of workers that there is room for."""
        return self._room

    @property
    def cores_per_worker(self) -> float:
        """Number of cores that Ray reserves for each worker."""
        return self._ray.cpus_per_segment_worker

    def idle_workers(self) -> list[WorkerRef]:
        """Return the workers that are placed and have no task."""
        self._workers.admit_placed()
        return [WorkerRef(worker.number, worker.node) for worker in self._workers if worker.is_idle]

    def submit(self, worker: WorkerRef, task_id: int, task: Task) -> None:
        """Send a task to a worker."""
        self._workers.submit(self._workers[worker.number], task_id, task, self._inference.workers, self._info)

    def poll(self, seconds: float) -> list[Event]:
        """Return what ended; a worker that died is forgotten, and `reconcile` starts another."""
        under_way = {worker.result: worker for worker in self._workers if worker.task_id is not None}
        if not under_way:
            time.sleep(seconds)
            return []
        finished = wait(under_way, timeout=seconds, return_when=FIRST_COMPLETED).done
        return [self._workers.collect(under_way[future]) for future in finished]

    def progress(self) -> dict[int, Progress]:
        """Return how far each task is, as last reported."""
        return {worker.task_id: worker.progress for worker in self._workers if worker.task_id is not None}

    def reconcile(self, pending: int) -> None:
        """Start workers where there is room, stop idle ones, and reconcile the inference workers."""
        now = time.monotonic()
        self._workers.check_heartbeats(now)
        if now - self._counted > _COUNT_SECONDS:
            self._counted = now
            is_started = "_info" in self.__dict__  # before, nobody is late: `_info` waits, for as long as it may take
            if is_started:
                self._inference.reconcile()
            self._room = self._count_room()
            if is_started:
                self._preempt(now)
                self._workers.reap_lost(now)
        if not pending:
            self._workers.stop_idle(now, after_seconds=_IDLE_SECONDS)
        useful = max(1, self._workers.busy + pending)
        while len(self._workers) < min(self._room, useful) and self._workers.may_start(now):
            self._workers.start()
        self._autoscaler.announce(useful)

    def _preempt(self, now: float) -> None:
        """Take back a worker's place while an inference worker finds no CPU to start on."""
        if self._inference.silent_seconds() < _PATIENCE_SECONDS:
            self._worker_cap = 0
            return
        if self._worker_cap:
            self._room = min(self._room, self._worker_cap)
        is_short = float(_ray.available_resources().get("CPU", 0)) < self._ray.cpus_per_face_worker
        if not is_short or now - self._preempted_at < _PATIENCE_SECONDS or len(self._workers) < 2:  # noqa: PLR2004
            return
        self._preempted_at = now
        self._worker_cap = len(self._workers) - 1
        self._workers.preempt_one()
        self._room = min(self._room, self._worker_cap)

    def _count_room(self) -> int:
        """Count the workers that fit next to the inference workers."""
        if self._most:
            return self._most
        cpus = float(_ray.cluster_resources().get("CPU", 0))
        taken = self._inference.size * self._ray.cpus_per_face_worker
        fitting = int((cpus - taken) / self._ray.cpus_per_segment_worker) if self._ray.cpus_per_segment_worker else 1
        return max(1, fitting)

    def status(self) -> PoolStatus:
        """Describe the pool; it is counted every few seconds."""
        placed = [worker for worker in self._workers if worker.node]
        return PoolStatus(
            workers=len(placed),
            busy=sum(worker.task_id is not None for worker in placed),
            face_workers=len(self._inference.workers),
            nodes=len({worker.node for worker in placed}),
            network_seconds=self._inference.network_seconds(),
        )

    def _stop(self) -> None:
        self._autoscaler.withdraw()
        if not self._inference.started_ray:
            for worker in self._workers:
                _ray.kill(worker.actor)
        self._inference.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the workers, and Ray if it was started here."""
        self._stop()
