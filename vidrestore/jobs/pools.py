"""The workers of a job, as its configuration asks for them."""

import logging
from typing import TYPE_CHECKING

from vidrestore.jobs.config import JobConfig
from vidrestore.runtime.choice import Machine, choose_runtime, local_workers
from vidrestore.runtime.worker_pool import LocalWorkerPool

if TYPE_CHECKING:
    from vidrestore.runtime.ray.worker_pool import RayWorkerPool

_log = logging.getLogger("vidrestore.jobs")


def open_pool(config: JobConfig, work: float | None = None) -> "LocalWorkerPool | RayWorkerPool":
    """Start the workers that a configuration asks for; leaving their context stops them.

    Args:
        config: of the job.
        work: estimated work in frames of a very small video; None: unknown.
    """
    device = config.restore.restorer.device
    machine = Machine.here(device)
    choice = choose_runtime(config.runtime, config.ray, machine, device=device, work=work)
    _log.info("runtime %s: %s", choice.runtime, choice.reason)
    if choice.runtime == "local":
        return LocalWorkerPool.load(config.restore, workers=local_workers(machine, most=config.workers))
    from vidrestore.runtime.ray.worker_pool import RayWorkerPool  # noqa: PLC0415  a local job imports no Ray

    return RayWorkerPool(config.restore, config.ray, most=config.workers, stall_seconds=config.stall_seconds)
