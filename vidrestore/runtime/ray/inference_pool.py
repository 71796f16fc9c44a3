"""The inference workers of a cluster: started, described and stopped, for videos and live streams."""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import ActorDiedError

from vidrestore.errors import ConfigError, WorkerError
from vidrestore.inference.worker import InferenceWorker, ModelInfo
from vidrestore.models import zoo
from vidrestore.restoration.config import RestoreConfig
from vidrestore.runtime.config import RayConfig
from vidrestore.runtime.ray.connection import connect, disconnect, fetch, first_line

Actor = Any
"""A handle of an actor; Ray's own annotations do not know an actor's methods."""

_ray: Any = ray
_log = logging.getLogger("vidrestore.runtime")
_RETRY_SECONDS = 30.0
"""Time after which a face worker is started again where one failed to start."""


class InferencePool:
    """Inference workers, and Ray itself where it was started for them.

    Args:
        config: options of every stage.
        ray_config: where they run, and how many.
        most: workers to start where `ray_config` leaves it open.
        face_worker: the class of the actors.

    Raises:
        WorkerError: no cluster at the address.
    """

    def __init__(
        self, config: RestoreConfig, ray_config: RayConfig, *, most: int, face_worker: type = InferenceWorker
    ) -> None:
        # Workers run in another folder than the user's.
        self._config = replace(config, restorer=replace(config.restorer, model=zoo.absolute(config.restorer.model)))
        self._ray = ray_config
        self._most = most
        self._face_worker = face_worker
        self._asked: dict[Actor, tuple[Any, float]] = {}
        """Future of each worker's answer, and the time since when it is awaited."""
        self._seconds: dict[Actor, float] = {}
        self._coming: list[tuple[Actor, Any]] = []
        self._retry_at = 0.0
        self._served = time.monotonic()
        self._info: ModelInfo | None = None
        self.started_ray = connect(ray_config.address)
        """Whether Ray was started here, and ends with the pool."""
        self.workers: list[Actor] = []
        try:
            self._share = self._gpus_per_face_worker()
            for _ in range(self._wanted()):
                self.workers.append(self._start_worker())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the workers, and Ray if it was started here."""
        if self.started_ray:
            disconnect()
            return
        for worker in [*self.workers, *(worker for worker, _ in self._coming)]:
            _ray.kill(worker)

    def await_all(self, references: Sequence[Any]) -> None:
        """Wait until actors answer, for as long as starting may take."""
        deadline = time.monotonic() + self._ray.start_timeout_seconds
        for reference in references:
            fetch(reference, timeout=max(0.1, deadline - time.monotonic()))

    def reconcile(self) -> None:
        """Start and replace workers on a cluster whose nodes come and go; call it every few seconds, it does not wait.

        Where there is room for more workers, more are started. One that does not answer for `start_timeout_seconds` is
        given up: its node is gone and no other has room, and calls that wait for it fail.

        Raises:
            WorkerError: no worker has been placed for that long.
        """
        now = time.monotonic()
        silent = [worker for worker in self.workers if not self._answers(worker, now)]
        for worker in silent:
            _ray.kill(worker)
            self.workers.remove(worker)
            self._asked.pop(worker, None)
        self._admit_ready()
        if self.workers:
            self._served = now
        elif now - self._served > self._ray.start_timeout_seconds:
            raise WorkerError(
                f"no inference worker could be scheduled within {self._ray.start_timeout_seconds:.0f} s; see "
                "`ray status`; what is done is kept, run the same command again to continue"
            )
        for _ in range(self._wanted() - self.size if now >= self._retry_at else 0):
            worker = self._start_worker()
            self._coming.append((worker, worker.describe.remote().future()))

    @property
    def size(self) -> int:
        """Number of workers, including those that are starting."""
        return len(self.workers) + len(self._coming)

    def silent_seconds(self) -> float:
        """Longest time for which a worker has not answered, since it is starting or waits for room to start."""
        now = time.monotonic()
        waits = [now - since for answer, since in self._asked.values() if answer is not None and not answer.done()]
        return max(waits, default=0.0)

    def network_seconds(self) -> float:
        """Return the time for which all networks have run, as last reported; a restarted worker counts from zero."""
        return sum(self._seconds.values())

    def _admit_ready(self) -> None:
        """Admit workers that started later and have loaded the same as the others."""
        for worker, info in list(self._coming):
            if not info.done():
                continue
            self._coming.remove((worker, info))
            if info.exception() is None and info.result() == self._info:
                self.workers.append(worker)
            else:
                _ray.kill(worker)
                problem = info.exception()
                reason = first_line(problem) if problem else f"{info.result()} instead of {self._info}"
                _log.warning("inference worker failed to start; retrying in %d s: %s", _RETRY_SECONDS, reason)
                self._retry_at = time.monotonic() + _RETRY_SECONDS

    def _answers(self, worker: Actor, now: float) -> bool:
        answer, since = self._asked.get(worker) or (None, now)
        if answer is None:
            self._asked[worker] = worker.network_seconds.remote().future(), now
        elif answer.done():
            if isinstance(answer.exception(), ActorDiedError):
                return False  # for good: while it may be restarted, Ray says that it is unavailable
            if answer.exception() is None:
                self._seconds[worker] = max(answer.result(), self._seconds.get(worker, 0.0))
            self._asked[worker] = worker.network_seconds.remote().future(), now
        return now - since < self._ray.start_timeout_seconds

    def _wanted(self) -> int:
        share = self._share
        fitting = int(_gpus() / share) if share else sum(bool(node["Alive"]) for node in _ray.nodes())
        return self._ray.face_workers or max(1, min(self._most, fitting))

    def _start_worker(self) -> Actor:
        actor = _ray.remote(self._face_worker).options(
            num_cpus=self._ray.cpus_per_face_worker,
            num_gpus=self._share,
            max_restarts=-1,
            max_task_retries=3,
            scheduling_strategy=self._ray.strategy,
        )
        workers_per_host = math.ceil(self._wanted() / max(1, sum(bool(node["Alive"]) for node in _ray.nodes())))
        patience = self._ray.max_batching_delay_seconds
        return actor.remote(self._config, workers_per_host=workers_per_host, max_delay_seconds=patience)

    def _gpus_per_face_worker(self) -> float:
        device = self._config.restorer.device
        if device.startswith("cuda:"):
            message = f"device is {device!r}, but Ray chooses the GPU; use --device cuda, or --runtime local"
            raise ConfigError(message)
        if self._ray.gpus_per_face_worker is not None:
            return self._ray.gpus_per_face_worker
        return 0.0 if device == "cpu" else float(min(1, _gpus()))

    def describe(self) -> ModelInfo:
        """Wait for a place to run, then, for as long as it takes, for the networks; downloads may take minutes."""
        self.await_all([worker.ready.remote() for worker in self.workers])
        references = [worker.describe.remote() for worker in self.workers]
        descriptions: list[ModelInfo] = [fetch(reference) for reference in references]
        if len(set(descriptions)) > 1:
            message = f"inference workers hold different models ({descriptions}); put the same file on every node"
            raise WorkerError(message)
        self._info = descriptions[0]
        return descriptions[0]


def _gpus() -> float:
    return float(_ray.cluster_resources().get("GPU", 0))
