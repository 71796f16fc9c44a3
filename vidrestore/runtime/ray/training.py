"""One training on several processes, through Ray Train: every worker runs the same job on its share of the batch.

Ray Train's own driver is a task of its own, so that its log handlers, signal handlers and warnings stay out of the
caller's process, and so that ending the task ends the whole group.
"""

import json
import os
import shutil
import socket
from concurrent.futures import wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import ray
import ray.train
import torch
from ray.train.torch import get_device
from ray.train.v2.api.callback import UserCallback
from ray.train.v2.api.config import FailureConfig, RunConfig, ScalingConfig
from ray.train.v2.api.exceptions import ControllerError, TrainingFailedError, WorkerGroupError
from ray.train.v2.torch.torch_trainer import TorchTrainer

from vidrestore.errors import ConfigError, InputError, OutputError, VidrestoreError, WorkerError
from vidrestore.runtime.ray.connection import connect, disconnect, fetch, first_line
from vidrestore.training.job import TrainingConfig, machine_of, train_prior, train_restorer
from vidrestore.training.loop.run import OnLog

What = Literal["restorer", "prior"]

_ray: Any = ray
_POLL_SECONDS = 0.25
_STORAGE = "ray"
"""Ray Train's folder below the training's; a worker that sees it shares our file system."""


@dataclass(frozen=True, slots=True)
class _Job:
    """Configuration of every worker; paths are absolute, since Ray Train changes the working directory."""

    config: TrainingConfig
    faces: Path
    folder: Path
    what: What
    workers: int
    gpus_per_worker: float
    prior: Path | None
    start: Path | None
    retries: int


def train_on_ray(
    config: TrainingConfig,
    faces: Path,
    folder: Path,
    *,
    what: What,
    workers: int,
    gpus_per_worker: float | None = None,
    address: str | None = None,
    prior: Path | None = None,
    start: Path | None = None,
    retries: int = 3,
    on_log: OnLog | None = None,
) -> Path:
    """Train as `train_prior` or `train_restorer` does, on several workers; resumes from `folder`.

    The workers share each batch, and average gradients over NCCL on GPUs and gloo on CPUs. All hosts must see `faces`,
    `folder` and the other files under the same paths: a shared file system. Worker 0 alone writes to `folder`, and
    the others wait while it evaluates. When a worker dies, Ray restarts the group from the last checkpoint.

    Args:
        config: The training; `batch` is that of all workers together.
        faces: A folder of aligned faces.
        folder: Log, checkpoints and weights.
        what: Which of the two networks.
        workers: Processes.
        gpus_per_worker: None means one where the cluster has any, otherwise none.
        address: Address of a running cluster (`auto`, `HOST:PORT`); None starts Ray here and stops it afterwards.
        prior: As in `train_restorer`.
        start: As in `train_restorer` and `train_prior`.
        retries: How often the group is restarted after a worker died. Errors of the job itself are not retried.
        on_log: Called with every line of the log, a moment after it was written.

    Returns:
        The weights, in `folder`.

    Raises:
        WorkerError: No cluster, no room in it, or workers died more often than `retries` allows.
        VidrestoreError: As the job raises it, type and message kept.
    """
    if workers < 1 or retries < 0 or (gpus_per_worker or 0) < 0:
        raise ConfigError(
            f"workers is {workers}, retries {retries}, gpus_per_worker {gpus_per_worker}; give at least 1, 0 and 0"
        )
    machine_of(config, "cpu", world=workers)  # a batch that cannot be shared is best refused before Ray starts
    folder = folder.resolve()
    storage = _fresh_storage(folder)
    started_here = connect(address, least_cpus=workers)
    try:
        job = _Job(
            _with_absolute_files(config),
            faces.resolve(),
            folder,
            what,
            workers,
            _gpus_of_each(gpus_per_worker, workers, started_here=started_here),
            prior and prior.resolve(),
            start and start.resolve(),
            retries,
        )
        return _watch(job, on_log)
    finally:
        if started_here:
            disconnect()
        shutil.rmtree(storage, ignore_errors=True)


def _fresh_storage(folder: Path) -> Path:
    storage = folder / _STORAGE
    shutil.rmtree(storage, ignore_errors=True)
    try:
        storage.mkdir(parents=True)
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror}") from error
    return storage


def _with_absolute_files(config: TrainingConfig) -> TrainingConfig:
    named = TrainingConfig()

    def absolute(text: str, name: str) -> str:
        return text if text == name or not Path(text).is_file() else str(Path(text).resolve())

    return replace(
        config,
        perceptual=absolute(config.perceptual, named.perceptual),
        identity=absolute(config.identity, named.identity),
    )


def _gpus_of_each(wanted: float | None, workers: int, *, started_here: bool) -> float:
    there = float(_ray.cluster_resources().get("GPU", 0))
    share = float(min(1, there)) if wanted is None else float(wanted)
    if started_here and share * workers > there:  # a cluster may grow, this host will not
        raise WorkerError(
            f"{workers} workers with {share:g} GPUs each want more than the {there:g} of this host; "
            "give fewer workers, or the address of a cluster"
        )
    return share


def _watch(job: _Job, on_log: OnLog | None) -> Path:
    """Wait for the end, and pass on new lines of the log meanwhile."""
    log = _Log(job.folder / "metrics.jsonl")
    finished = _ray.remote(_drive).options(num_cpus=0, max_retries=0).remote(job)
    try:
        done = finished.future()
        while not wait([done], timeout=_POLL_SECONDS).done:
            log.report_new_lines(on_log)
        log.report_new_lines(on_log)
        return Path(fetch(finished))
    except BaseException:
        _ray.cancel(finished, force=True)  # the group belongs to the task and ends with it
        raise


class _Log:
    """The lines that worker 0 adds to its log; those of steps repeated after a restart are passed on once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file, self._offset = -1, 0
        self._reported = (-1, False)
        self.report_new_lines(None)

    def report_new_lines(self, on_log: OnLog | None) -> None:
        """Pass on whole lines that were not passed on yet."""
        try:
            with self._path.open("rb") as file:
                if (number := os.fstat(file.fileno()).st_ino) != self._file:
                    self._file, self._offset = number, 0  # a run that resumes writes a new file
                file.seek(self._offset)
                news = file.read()
        except FileNotFoundError:
            return
        whole = news[: news.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            values: dict[str, float] = json.loads(line)
            step = int(values.pop("step"))
            mark = (step, any(name.startswith("evaluation/") for name in values))
            if mark > self._reported:
                self._reported = mark
                if on_log is not None:
                    on_log(step, values)


def _drive(job: _Job) -> str:
    """Run Ray Train's driver, in a task."""
    trainer = TorchTrainer(
        _work,
        train_loop_config={"job": job},
        scaling_config=ScalingConfig(
            num_workers=job.workers,
            use_gpu=job.gpus_per_worker > 0,
            resources_per_worker={"CPU": 1.0} | ({"GPU": job.gpus_per_worker} if job.gpus_per_worker else {}),
        ),
        run_config=RunConfig(
            name="run",
            storage_path=str(job.folder / _STORAGE),
            failure_config=FailureConfig(max_failures=job.retries, controller_failure_limit=job.retries),
            callbacks=[_StopAtOwnErrors()],
        ),
    )
    try:
        result: Any = trainer.fit()  # annotated with the result of Ray Train's older interface
        return str(result.return_value)
    except TrainingFailedError as error:
        raise _translated(error) from None


class _StopAtOwnErrors(UserCallback):
    """Callback that ends the run at an error of the job, which would recur; only lost workers are retried."""

    def after_exception(self, run_context: object, worker_exceptions: dict[int, Exception]) -> None:
        """Raise the error of the first worker; Ray Train does not retry what a callback raises."""
        del run_context
        for _, error in sorted(worker_exceptions.items()):
            if isinstance(error, VidrestoreError):
                raise error


def _translated(error: BaseException) -> VidrestoreError:
    while isinstance(error, ControllerError):
        error = error.controller_failure
    if isinstance(error, VidrestoreError):
        return error
    if isinstance(error, WorkerGroupError):
        failures = [f"worker {rank}: {first_line(cause)}" for rank, cause in sorted(error.worker_failures.items())]
        return WorkerError(f"the training on Ray failed too often; {'; '.join(failures)}")
    return WorkerError(f"Ray could not run the training: {first_line(error)}")


def _work(settings: dict[str, _Job]) -> str:
    """Run one worker's share of the job."""
    job = settings["job"]
    context = ray.train.get_context()
    _check_shared(job)
    # Ray hides no GPU from a worker that wants none, and gives each one thread.
    device = get_device() if job.gpus_per_worker else torch.device("cpu")
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // context.get_local_world_size()))
    machine = machine_of(job.config, device, rank=context.get_world_rank(), world=context.get_world_size())
    if job.what == "prior":
        return str(train_prior(job.config, job.faces, job.folder, machine, start=job.start))
    return str(train_restorer(job.config, job.faces, job.folder, machine, prior=job.prior, start=job.start))


def _check_shared(job: _Job) -> None:
    if not (job.folder / _STORAGE).is_dir():
        raise OutputError(
            f"the worker on {socket.gethostname()} does not see {job.folder}; put it on a file system that all "
            "hosts share"
        )
    if not job.faces.is_dir():
        raise InputError(
            f"{job.faces} is no folder on {socket.gethostname()}; wanted one of aligned faces, on a file system that "
            "all hosts share"
        )
