"""The connection to Ray: joined or started here, with Ray's errors as ours."""

import atexit
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from vidrestore.errors import VidrestoreError, WorkerError
from vidrestore.exception_hooks import log_plainly
from vidrestore.runtime.ray.own_ray import QUIETLY, own_ray

_ray: Any = ray
_CONNECT_SECONDS = 5.0
_ours = ExitStack()
"""Stack that ends the Ray started by this process."""
atexit.register(_ours.close)


def connect(address: str | None, *, least_cpus: int = 2) -> bool:
    """Join the cluster at an address, or start Ray on this host where none is given.

    The current folder of the whole process changes meanwhile: workers must not import from it.

    Args:
        address: `auto`, `HOST:PORT` or `ray://...`; None starts Ray here.
        least_cpus: minimum CPUs of a Ray of our own. A face worker and a segment worker must fit even on a host with
            one core.

    Returns:
        Whether Ray was started here, and is to be ended by `disconnect`.

    Raises:
        WorkerError: no cluster at the address.
    """
    if _ray.is_initialized():
        return False
    _ours.close()  # what is left of one that somebody else shut down
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    with _own_signal_handlers():
        _init(address, least_cpus)
    log_plainly("ray")  # it prints errors of tasks that nobody waits for, with all that is in their text
    return address is None


def disconnect() -> None:
    """Leave Ray; one that `connect` started ends, with all that it kept on disk."""
    _ours.close()
    _ray.shutdown()


@contextmanager
def fake_cluster(cpus: int, gpus: int) -> Iterator[None]:
    """Run Ray on this host with a pretended number of CPUs and GPUs, for measurements; nothing may be connected."""
    with own_ray(num_cpus=cpus, num_gpus=gpus):
        yield


def fetch(reference: Any, timeout: float | None = None) -> Any:  # noqa: ANN401  Ray's references carry no type
    """Wait for a result; an error of the actor is raised with its own type.

    It waits on a future of Python's: an interrupt while Ray itself waits would surface as a SystemError.

    Raises:
        VidrestoreError: as raised in the actor.
        WorkerError: the actor died or could not be scheduled, or failed unexpectedly.
    """
    try:
        return reference.future().result(timeout=timeout)
    except RayTaskError as error:
        if isinstance(error.cause, VidrestoreError):
            raise error.cause from None
        message = f"a worker failed: {type(error.cause).__name__}: {error.cause}"
        raise WorkerError(message) from error
    except RayActorError as error:
        message = f"a worker process died: {first_line(error)}"
        raise WorkerError(message) from error
    except RayError as error:
        message = f"Ray could not run the work: {first_line(error)}"
        raise WorkerError(message) from error
    except TimeoutError as error:
        message = "a worker did not answer in time; has the cluster room for it? `ray status` tells"
        raise WorkerError(message) from error


def is_worker_lost(error: VidrestoreError) -> bool:
    """Return whether an error of `fetch` means that the worker died or was lost."""
    return isinstance(error.__cause__, RayActorError)


def first_line(error: BaseException) -> str:
    """Return the message of an error, without the stack that Ray puts below it."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _init(address: str | None, least_cpus: int) -> None:
    try:
        _check_reachable(address)
        if address:
            with chdir("/"):  # Ray's workers import first of all from the folder that is the current one now
                _ray.init(address=address, **QUIETLY)
        else:
            _ours.enter_context(own_ray(num_cpus=max(least_cpus, len(os.sched_getaffinity(0)))))
    except (RayError, OSError, RuntimeError, ValueError) as error:
        # Given HOST:PORT, Ray 2.60 decides too late that it has a token to show.
        advice = "; is it there? With token authentication use 'auto', or set RAY_AUTH_MODE=token" if address else ""
        message = f"cannot reach Ray at {address or 'this machine'}: {first_line(error)}{advice}"
        raise WorkerError(message) from error


def _check_reachable(address: str | None) -> None:
    """Try to connect to HOST:PORT first: Ray itself tries for minutes."""
    host, separator, port = (address or "").rpartition(":")
    if separator and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()


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
