"""Who carries out the orders of a batch: a crew, whose workers may die, come and go; and a crew of one, right here."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, TypeAlias

from vidrestore.errors import VidrestoreError, WorkerError
from vidrestore.restoration.pipeline import InferenceModels
from vidrestore.runtime.orders import Order, Outcome, carry_out
from vidrestore.runtime.segment import Progress


@dataclass(frozen=True, slots=True)
class FreeWorker:
    """A worker that can take an order."""

    number: int
    node: str
    """The machine it is on."""


@dataclass(frozen=True, slots=True)
class Done:
    """An order that was carried out."""

    ticket: int
    outcome: Outcome
    node: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """An order that was not."""

    ticket: int
    error: VidrestoreError
    died: bool
    """Whether whoever did it died of it, or was lost with its machine."""
    node: str
    seconds: float
    blameless: bool = False
    """Whether the crew itself ended it, to make room: the order is as good as before."""


Event: TypeAlias = Done | Failed


@dataclass(frozen=True, slots=True)
class CrewStatus:
    """A crew at a moment."""

    workers: int
    busy: int
    face_workers: int
    nodes: int
    network_seconds: float = 0.0
    """For which the networks of all face workers have run so far."""


class Crew(Protocol):
    """Workers, each of which carries out one order at a time. Never waits but in `poll`."""

    @property
    def name(self) -> str:
        """`local` or `ray`."""
        ...

    @property
    def model_sha256(self) -> str:
        """Of the weights in use."""
        ...

    def free(self) -> list[FreeWorker]:
        """Those that wait for an order."""
        ...

    def give(self, worker: FreeWorker, ticket: int, order: Order) -> None:
        """Hand an order to a free worker; its fate is told by `poll` under the ticket."""
        ...

    def poll(self, seconds: float) -> list[Event]:
        """What has ended since the last call; waits for something to end, at most so long."""
        ...

    def progress(self) -> dict[int, Progress]:
        """How far each order is that is under way, by ticket."""
        ...

    def tend(self, backlog: int) -> None:
        """Hire, replace and dismiss; `backlog` is how many orders wait for a worker."""
        ...

    def status(self) -> CrewStatus:
        """The crew now."""
        ...


OpenCrew: TypeAlias = Callable[[], AbstractContextManager[Crew]]


class LocalCrew:
    """One worker, in a thread of this process.

    Args:
        parts: where detection and restoration run.
        model_sha256: of the weights in use.
    """

    name = "local"

    def __init__(self, parts: InferenceModels, model_sha256: str) -> None:
        self.model_sha256 = model_sha256
        self._parts = parts
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="segment")
        self._busy: tuple[int, Future[Outcome]] | None = None
        self._progress = Progress()
        self._since = 0.0

    def free(self) -> list[FreeWorker]:
        """This one, if it is."""
        return [] if self._busy else [FreeWorker(0, "here")]

    def give(self, worker: FreeWorker, ticket: int, order: Order) -> None:
        """Begin."""
        assert not self._busy, f"worker {worker.number} is at work"  # noqa: S101
        self._progress, self._since = Progress(), time.monotonic()
        self._busy = ticket, self._thread.submit(carry_out, order, self._parts, self._note)

    def poll(self, seconds: float) -> list[Event]:
        """Wait for the one order."""
        if not self._busy:
            return []
        ticket, future = self._busy
        if not wait([future], timeout=seconds).done:
            return []
        self._busy = None
        try:
            return [Done(ticket, future.result(), "here", time.monotonic() - self._since)]
        except VidrestoreError as error:
            failure = error
        except Exception as error:  # noqa: BLE001  as on Ray: what nobody foresaw costs a film, not the others
            failure = WorkerError(f"a worker failed: {type(error).__name__}: {error}")
        return [Failed(ticket, failure, died=False, node="here", seconds=time.monotonic() - self._since)]

    def progress(self) -> dict[int, Progress]:
        """Of the one order."""
        return {self._busy[0]: self._progress} if self._busy else {}

    def tend(self, backlog: int) -> None:
        """There is nobody to hire."""

    def status(self) -> CrewStatus:
        """One worker."""
        return CrewStatus(workers=1, busy=int(self._busy is not None), face_workers=1, nodes=1)

    def _note(self, progress: Progress) -> None:
        self._progress = progress

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for what is under way: a thread cannot be stopped."""
        self._thread.shutdown(wait=True, cancel_futures=True)
