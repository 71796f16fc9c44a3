"""The crew of a Ray cluster: workers of any number of machines, which may be killed, lost, added and taken away."""

import logging
import socket
import time
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import cv2
import ray
from ray.autoscaler.sdk import request_resources
from ray.exceptions import RayActorError

from vidrestore.errors import VidrestoreError, WorkerError
from vidrestore.restoration.pipeline import RestoreConfig
from vidrestore.runtime.allocator import keep_freed_memory
from vidrestore.runtime.crew import CrewStatus, Done, Event, Failed, FreeWorker
from vidrestore.runtime.face_pool import Actor, FacePool, RayConfig
from vidrestore.runtime.on_ray import face_parts
from vidrestore.runtime.orders import Order, Outcome, RestoreOrder, carry_out
from vidrestore.runtime.ray_connection import fetch, first_line
from vidrestore.runtime.segment import Progress
from vidrestore.runtime.workers import Description, FaceWorker

_ray: Any = ray
_log = logging.getLogger(__name__)
_PROGRESS_SECONDS = 1.0
_COUNT_SECONDS = 2.0
_IDLE_SECONDS = 20.0
_STARTS = 8
"""Times as long as between two frames it may take until the first, and what tells no frames."""
_AGAIN_SECONDS = 30.0
"""After which a worker is hired again where one could not begin: a machine without the package stays without it."""
_PATIENCE_SECONDS = 15.0
"""For which a face worker may not answer before workers make room for it: starting takes some seconds."""
_MOST_ANNOUNCED = 4096
_NODE_DIGITS = 8
_MOST_FACE_WORKERS = 1 << 16


class CrewWorker:
    """Carries out orders; a second thread tells how far it is."""

    def __init__(self) -> None:
        cv2.setNumThreads(1)
        keep_freed_memory()
        self._progress = Progress()

    def node(self) -> str:
        """Where it is."""
        return f"{socket.gethostname()}/{_ray.get_runtime_context().get_node_id()[:_NODE_DIGITS]}"

    def carry_out(
        self, order: Order, face_workers: list[Actor], description: Description, in_flight: int
    ) -> tuple[Outcome, float]:
        """Do what an order says; with how long it took."""
        self._progress = Progress()
        started = time.perf_counter()
        outcome = carry_out(order, face_parts(face_workers, description, in_flight=in_flight), self._note)
        return outcome, time.perf_counter() - started

    def progress(self) -> Progress:
        """Tell how far the order is."""
        return self._progress

    def _note(self, progress: Progress) -> None:
        self._progress = progress


@dataclass(slots=True)
class _Worker:
    """The driver's end of one."""

    actor: Actor
    number: int
    arrival: Any
    """A future of its node's name."""
    node: str = ""
    """Empty until it has a place."""
    ticket: int | None = None
    order: Order | None = None
    done: Any = None
    """The reference of its outcome ..."""
    outcome: Any = None
    """... and one future of it: each new one would leave a callback behind."""
    since: float = field(default_factory=time.monotonic)
    """Began its order, or its idleness."""
    asked: Any = None
    """A future of its progress."""
    progress: Progress = field(default_factory=Progress)
    moved: float = 0.0
    """When its progress last changed."""
    gives_way: bool = False
    """Whether it was ended to make room."""


class RayCrew:
    """Workers on Ray; use as a context manager, which stops what it started.

    As many as the cluster has room for beside the face workers; an autoscaler is told how many could be used. Idle
    workers are dismissed, so that it can take machines away. No worker waits for room as an actor of Ray: it would take
    the place of a face worker that died, and then wait for its answers. Where a face worker finds no room because a
    machine is gone, workers give up theirs.

    Args:
        config: of the face workers, which all films share.
        ray_config: where the actors run.
        most: workers at most; 0 means as many as there is room for.
        stall_seconds: time without a frame after which a worker is taken for dead.
        face_worker: what answers the crops.

    Raises:
        WorkerError: no cluster at the address, or no room in it.
    """

    name = "ray"

    def __init__(
        self,
        config: RestoreConfig,
        ray_config: RayConfig,
        *,
        most: int = 0,
        stall_seconds: float = 900.0,
        face_worker: type = FaceWorker,
    ) -> None:
        self._ray = ray_config
        self._most = most
        self._stall = stall_seconds
        self._pool = FacePool(config, ray_config, most=_MOST_FACE_WORKERS, face_worker=face_worker)
        self._workers: dict[int, _Worker] = {}
        self._hired = 0
        self._counted = -_COUNT_SECONDS
        self._room = 1
        self._announced = 0
        self._made_room = 0.0
        self._squeezed = 0
        """Workers that may be there while a face worker finds no room; 0: all."""
        self._hire_again = 0.0
        self._placed = time.monotonic()
        try:
            self.tend(1)
            self._description = self._pool.describe()
            self._pool.await_all([next(iter(self._workers.values())).actor.node.remote()])
        except BaseException:
            self._stop()
            raise

    @property
    def model_sha256(self) -> str:
        """Of the weights in use."""
        return self._description.model_sha256

    def free(self) -> list[FreeWorker]:
        """Those that have a place and no order."""
        for worker in self._workers.values():
            if not worker.node and worker.arrival.done() and worker.arrival.exception() is None:
                worker.node = worker.arrival.result()
                worker.since = time.monotonic()
        return [
            FreeWorker(worker.number, worker.node)
            for worker in self._workers.values()
            if worker.node and worker.ticket is None
        ]

    def give(self, worker: FreeWorker, ticket: int, order: Order) -> None:
        """Send an order."""
        chosen = self._workers[worker.number]
        faces, flight = self._pool.workers, self._ray.batches_in_flight
        chosen.done = chosen.actor.carry_out.remote(order, faces, self._description, flight)
        chosen.outcome = chosen.done.future()
        chosen.ticket, chosen.order = ticket, order
        chosen.since = chosen.moved = time.monotonic()
        chosen.progress, chosen.asked = Progress(), None

    def poll(self, seconds: float) -> list[Event]:
        """What ended; a worker that died is forgotten, `tend` hires another."""
        under_way = {worker.outcome: worker for worker in self._workers.values() if worker.ticket is not None}
        if not under_way:
            time.sleep(seconds)
            return []
        finished = wait(under_way, timeout=seconds, return_when=FIRST_COMPLETED).done
        return [self._end(under_way[future]) for future in finished]

    def _end(self, worker: _Worker) -> Event:
        ticket, node, began = worker.ticket, worker.node, worker.since
        assert ticket is not None, "it was at work"  # noqa: S101
        worker.ticket, reference, worker.done, worker.outcome = None, worker.done, None, None
        worker.since = time.monotonic()
        try:
            outcome, seconds = fetch(reference)
        except VidrestoreError as error:
            died = isinstance(error.__cause__, RayActorError)
            if died and not self._answers(worker):
                del self._workers[worker.number]
            return Failed(ticket, error, died, node, worker.since - began, blameless=worker.gives_way)
        return Done(ticket, outcome, node, seconds)

    def _answers(self, worker: _Worker) -> bool:
        """Whether it lives: an order may also fail because a face worker died."""
        try:
            _ray.get(worker.actor.progress.remote(), timeout=5)
        except Exception:  # noqa: BLE001  whatever it is, there is no answer
            _ray.kill(worker.actor)
            return False
        return True

    def progress(self) -> dict[int, Progress]:
        """As last told."""
        return {worker.ticket: worker.progress for worker in self._workers.values() if worker.ticket is not None}

    def tend(self, backlog: int) -> None:
        """Hire what there is room for, dismiss the idle, look after the face workers."""
        now = time.monotonic()
        self._ask(now)
        if now - self._counted > _COUNT_SECONDS:
            self._counted = now
            self._pool.tend()
            self._room = self._count_room()
            self._make_room(now)
            self._dismiss_lost(now)
        for worker in list(self._workers.values()):
            idle = worker.ticket is None and worker.node and not backlog and now - worker.since > _IDLE_SECONDS
            if idle and len(self._workers) > 1:
                self._dismiss(worker)
        busy = sum(worker.ticket is not None for worker in self._workers.values())
        useful = max(1, busy + backlog)
        while len(self._workers) < min(self._room, useful) and now >= self._hire_again:
            self._hire()
        if self._ray.address is not None and useful != self._announced:
            self._announced = useful
            share = self._ray.cpus_per_segment_worker
            request_resources(bundles=[{"CPU": share}] * min(useful, self._most or useful, _MOST_ANNOUNCED))

    def _make_room(self, now: float) -> None:
        """Take back the place of the worker that has least to lose, while a face worker finds no CPU to start on."""
        if self._pool.silent_seconds() < _PATIENCE_SECONDS:
            self._squeezed = 0
            return
        if self._squeezed:
            self._room = min(self._room, self._squeezed)
        short = float(_ray.available_resources().get("CPU", 0)) < self._ray.cpus_per_face_worker
        if not short or now - self._made_room < _PATIENCE_SECONDS or len(self._workers) < 2:  # noqa: PLR2004
            return
        self._made_room = now
        self._squeezed = len(self._workers) - 1
        least = max(self._workers.values(), key=lambda worker: (not worker.node, worker.ticket is None, worker.since))
        if least.ticket is None:
            self._dismiss(least)
        else:
            least.gives_way = True
            _ray.kill(least.actor)  # its order is given again
        self._room = min(self._room, self._squeezed)

    def _dismiss_lost(self, now: float) -> None:
        """Workers that could not begin, and idle ones of machines that are gone.

        Raises:
            WorkerError: not one worker has had a place for as long as starting may take.
        """
        alive = {node["NodeID"][:_NODE_DIGITS] for node in _ray.nodes() if node["Alive"]}
        for worker in list(self._workers.values()):
            if worker.node and worker.ticket is None and worker.node.rpartition("/")[2] not in alive:
                self._dismiss(worker)
            elif not worker.node and worker.arrival.done() and (problem := worker.arrival.exception()) is not None:
                _log.warning(
                    "a worker could not begin, the next tries in %d s: %s", _AGAIN_SECONDS, first_line(problem)
                )
                self._hire_again = now + _AGAIN_SECONDS
                self._dismiss(worker)
        if any(worker.node for worker in self._workers.values()):
            self._placed = now
        elif now - self._placed > self._ray.start_timeout_seconds:
            raise WorkerError(
                f"no worker has had a place for {self._ray.start_timeout_seconds:.0f} s: `ray status` tells why; what "
                "is done is kept, run the same command again to go on"
            )

    def _dismiss(self, worker: _Worker) -> None:
        _ray.kill(worker.actor)
        del self._workers[worker.number]

    def _count_room(self) -> int:
        """Workers that fit beside the face workers."""
        if self._most:
            return self._most
        cpus = float(_ray.cluster_resources().get("CPU", 0))
        taken = self._pool.size * self._ray.cpus_per_face_worker
        fitting = int((cpus - taken) / self._ray.cpus_per_segment_worker) if self._ray.cpus_per_segment_worker else 1
        return max(1, fitting)

    def _hire(self) -> None:
        options = {
            "num_cpus": self._ray.cpus_per_segment_worker,
            "max_concurrency": 3,
            "scheduling_strategy": self._ray.strategy,
        }
        actor = _ray.remote(CrewWorker).options(**options).remote()
        self._workers[self._hired] = _Worker(actor, self._hired, actor.node.remote().future())
        self._hired += 1

    def _ask(self, now: float) -> None:
        """Collect what the workers tell of their progress, and ask anew; whoever stalls is killed."""
        for worker in self._workers.values():
            if worker.ticket is None:
                continue
            if worker.asked is not None and worker.asked.done():
                if worker.asked.exception() is None and worker.asked.result() != worker.progress:
                    worker.progress, worker.moved = worker.asked.result(), now
                worker.asked = None
            if self._stalls(worker, now):
                _ray.kill(worker.actor)
            elif worker.asked is None and now - worker.since > _PROGRESS_SECONDS:
                worker.asked = worker.actor.progress.remote().future()

    def _stalls(self, worker: _Worker, now: float) -> bool:
        """Plans and joins tell no progress, and before its first frame a segment may have a source to fetch."""
        begun = isinstance(worker.order, RestoreOrder) and worker.progress.frames
        return now - worker.moved > (self._stall if begun else _STARTS * self._stall)

    def status(self) -> CrewStatus:
        """Counted every few seconds."""
        placed = [worker for worker in self._workers.values() if worker.node]
        return CrewStatus(
            workers=len(placed),
            busy=sum(worker.ticket is not None for worker in placed),
            face_workers=len(self._pool.workers),
            nodes=len({worker.node for worker in placed}),
            network_seconds=self._pool.network_seconds(),
        )

    def _stop(self) -> None:
        if self._announced:
            request_resources(bundles=[])
        if not self._pool.started_ray:
            for worker in self._workers.values():
                _ray.kill(worker.actor)
        self._pool.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the workers, and Ray if it was started here."""
        self._stop()
