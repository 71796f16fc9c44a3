"""The face workers of a cluster: started, described and stopped for whoever asks them, films or live streams."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray

from vidrestore.engine import RestoreConfig
from vidrestore.errors import ConfigError, WorkerError
from vidrestore.runtime.ray_connection import connect, fetch
from vidrestore.runtime.workers import Description, FaceWorker

Actor = Any
"""A handle of an actor; Ray's own annotations do not know an actor's methods."""

_ray: Any = ray


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


class FacePool:
    """Face workers, and Ray itself where it was started for them.

    Args:
        config: of every stage.
        ray_config: where they run, and how many.
        most: workers to start where `ray_config` leaves it open.

    Raises:
        WorkerError: no cluster at the address.
    """

    def __init__(self, config: RestoreConfig, ray_config: RayConfig, *, most: int) -> None:
        self._config = config
        self._ray = ray_config
        self._most = most
        self.started_ray = connect(ray_config.address)
        """Whether Ray was started here, and ends with the pool."""
        self.workers: list[Actor] = []
        try:
            self.workers = self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the workers, and Ray if it was started here."""
        if self.started_ray:
            _ray.shutdown()
            return
        for worker in self.workers:
            _ray.kill(worker)

    def await_all(self, references: Sequence[Any]) -> None:
        """Wait until actors answer, for as long as starting may take."""
        deadline = time.monotonic() + self._ray.start_timeout_seconds
        for reference in references:
            fetch(reference, timeout=max(0.1, deadline - time.monotonic()))

    def _start(self) -> list[Actor]:
        share = self._gpus_per_face_worker()
        count = self._ray.face_workers or max(1, min(self._most, int(_gpus() / share) if share else 1))
        actor = _ray.remote(FaceWorker).options(
            num_cpus=self._ray.cpus_per_face_worker, num_gpus=share, max_restarts=-1, max_task_retries=3
        )
        patience = self._ray.batching_wait_seconds
        return [actor.remote(self._config, sharing=count, wait_seconds=patience) for _ in range(count)]

    def _gpus_per_face_worker(self) -> float:
        device = self._config.restorer.device
        if device.startswith("cuda:"):
            message = f"device is {device!r}, but Ray chooses the GPU; use --device cuda, or --runtime local"
            raise ConfigError(message)
        if self._ray.gpus_per_face_worker is not None:
            return self._ray.gpus_per_face_worker
        return 0.0 if device == "cpu" else float(min(1, _gpus()))

    def describe(self) -> Description:
        """Wait for a place to run, then, for as long as it takes, for the networks; downloads may take minutes."""
        self.await_all([worker.ready.remote() for worker in self.workers])
        references = [worker.describe.remote() for worker in self.workers]
        descriptions: list[Description] = [fetch(reference) for reference in references]
        if len(set(descriptions)) > 1:
            message = f"face workers hold different models ({descriptions}); put the same file on every machine"
            raise WorkerError(message)
        return descriptions[0]


def _gpus() -> float:
    return float(_ray.cluster_resources().get("GPU", 0))
