"""Which order is next, and what a failure means: the rules of a batch, without a clock, a cluster or a disk."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from vidrestore import storage
from vidrestore.errors import RestorationError, StorageError, VidrestoreError, WorkerError
from vidrestore.jobs.films import FilmState, Stage
from vidrestore.jobs.journal import Dropped, Entry, Finished, PartDone, Planned, Trouble
from vidrestore.media.reader import SegmentRange
from vidrestore.runtime.crew import Done, Event, Failed
from vidrestore.runtime.orders import (
    DamagedParts,
    FilmPlan,
    Joined,
    JoinOrder,
    Order,
    PartReport,
    PlanOrder,
    RestoreOrder,
)

OnError = Literal["fail", "passthrough"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What the foreman goes by."""

    out: str
    """Address of the output folder."""
    parts: str
    """Address of the folder for parts."""
    scratch: str
    """Address of a folder on the disk of the output folder."""
    retries: int
    """How often an order is given anew after its worker died."""
    on_error: OnError
    segment_cost: float
    segment_seconds: float | None
    films_ahead: int
    """Planned films that may wait, so that what is known of them stays small."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """An order, and what it is for."""

    film: int
    what: str
    order: Order
    number: int | None = None
    """Of the segment."""


class Foreman:
    """Hands out orders and takes in what became of them.

    Planning goes before joining and joining before restoring; of segments the costliest goes first, over all films.

    Args:
        films: all of them, with what an earlier run has done already filled in.
        rules: what to go by.
        write: called with each entry before anything builds on it.
    """

    def __init__(self, films: list[FilmState], rules: Rules, write: Callable[[Entry], None]) -> None:
        self.films = films
        self._rules = rules
        self._write = write
        self._to_plan = [(-film.task.bytes, number) for number, film in enumerate(films) if film.stage is Stage.NEW]
        heapq.heapify(self._to_plan)
        self._to_join: list[int] = []
        self._to_restore: list[tuple[float, int, int]] = []
        self._open: dict[int, Assignment] = {}
        self._tickets = 0
        for number, film in enumerate(films):
            if film.stage is Stage.RESTORING:
                self._queue(number)

    @property
    def finished(self) -> bool:
        """Whether every film is done or has failed."""
        return not self._open and all(film.stage in {Stage.DONE, Stage.FAILED} for film in self.films)

    @property
    def backlog(self) -> int:
        """Orders that could be given now."""
        return len(self._to_restore) + len(self._to_join) + (len(self._to_plan) if self._may_plan() else 0)

    def next(self, node: str) -> tuple[int, Assignment] | None:
        """The best order for a worker of a machine, with a ticket; None when there is nothing to do now."""
        assignment = self._next_plan() or self._next_join() or self._next_segment(node)
        if assignment is None:
            return None
        self.films[assignment.film].nodes.add(node)
        self._tickets += 1
        self._open[self._tickets] = assignment
        return self._tickets, assignment

    def take(self, event: Event) -> Assignment:
        """Learn what became of an order."""
        assignment = self._open.pop(event.ticket)
        if isinstance(event, Done):
            self._done(assignment, event)
        else:
            self._failed(assignment, event)
        return assignment

    def _may_plan(self) -> bool:
        waiting = sum(film.stage in {Stage.PLANNING, Stage.RESTORING} for film in self.films)
        return waiting < self._rules.films_ahead

    def _next_plan(self) -> Assignment | None:
        if not self._to_plan or not self._may_plan():
            return None
        number = heapq.heappop(self._to_plan)[1]
        film, rules = self.films[number], self._rules
        film.stage = Stage.PLANNING
        order = PlanOrder(
            film.task.source,
            film.mark,
            film.task.destination,
            film.task.config,
            rules.segment_cost,
            rules.segment_seconds,
        )
        return Assignment(number, "plan", order)

    def _next_join(self) -> Assignment | None:
        if not self._to_join:
            return None
        number = self._to_join.pop(0)
        film = self.films[number]
        parts = [film.parts[index] for index in range(len(film.plan.spans))]
        order = JoinOrder(
            film.task.source,
            film.mark,
            tuple((self._part(film, part.number), part.report.sha256) for part in parts),
            self._rules.out,
            film.task.destination,
            sum(part.report.segment.frames_written for part in parts),
            self._rules.scratch,
        )
        return Assignment(number, "join", order)

    def _next_segment(self, node: str) -> Assignment | None:
        """The costliest; where sources must be fetched, rather one of a film that this machine has fetched."""
        while self._to_restore:
            found = heapq.heappop(self._to_restore)
            if self.films[found[1]].stage is not Stage.FAILED:
                break
        else:
            return None
        film = self.films[found[1]]
        if storage.is_remote(film.task.source) and node not in film.nodes:
            near = [entry for entry in self._to_restore if node in self.films[entry[1]].nodes]
            near = [entry for entry in near if self.films[entry[1]].stage is Stage.RESTORING]
            if near:
                heapq.heappush(self._to_restore, found)
                found = min(near)
                self._to_restore.remove(found)
                heapq.heapify(self._to_restore)
        _, number, index = found
        film = self.films[number]
        order = RestoreOrder(
            film.task.source,
            film.mark,
            film.plan.spans[index],
            self._part(film, index),
            film.task.config,
            index in film.passthrough,
        )
        return Assignment(number, f"segment {index}", order, index)

    def _queue(self, number: int) -> None:
        """Put what a planned film still wants into the queues."""
        film = self.films[number]
        film.stage = Stage.RESTORING
        missing = [index for index in range(len(film.plan.spans)) if index not in film.parts]
        for index in missing:
            heapq.heappush(self._to_restore, (-film.plan.cost(index), number, index))
        if not missing:
            film.stage = Stage.JOINING
            self._to_join.append(number)

    def _done(self, assignment: Assignment, event: Done) -> None:
        film, outcome = self.films[assignment.film], event.outcome
        if film.stage is Stage.FAILED:
            return
        if isinstance(outcome, FilmPlan):
            self._planned(assignment.film, outcome)
        elif isinstance(outcome, PartReport):
            self._restored(assignment, outcome, event.seconds)
        elif isinstance(outcome, Joined):
            assert film.planned is not None, "a film that is joined is planned"  # noqa: S101
            finished = Finished(film.task.destination, film.planned.key, outcome, film.unrestored_frames)
            self._write(finished)
            film.finished, film.stage = finished, Stage.DONE
            self._forget_parts(film)
        elif isinstance(outcome, DamagedParts):
            self._damaged(assignment.film, outcome.numbers)

    def _planned(self, number: int, plan: FilmPlan) -> None:
        film = self.films[number]
        before = film.planned
        planned = Planned(film.task.destination, film.source, film.mark, film.options, plan)
        if before is not None and before.key == planned.key:
            planned = replace(planned, plan=before.plan)  # what is done of it was cut as it was then
        else:
            film.parts.clear()
        self._write(planned)
        film.planned = planned
        if film.finished is not None and film.finished.key == planned.key:
            film.stage, film.resumed = Stage.DONE, True  # the source was touched, and is what it was
            film.resumed_frames = plan.frames
            return
        film.finished = None
        film.note_resumed()
        self._queue(number)

    def _restored(self, assignment: Assignment, report: PartReport, seconds: float) -> None:
        film, index = self.films[assignment.film], assignment.number
        assert film.planned is not None, "a segment is of a planned film"  # noqa: S101
        assert index is not None, "it has a number"  # noqa: S101
        if self._is_stale(assignment):
            return
        held, read = film.plan.frames_in_spans[index], report.segment.read
        if len(film.plan.spans) > 1 and held != read.frames + read.undecodable_packets + read.empty_packets:
            self._leave_whole(assignment.film, f"segment {index} held {read.frames} frames where {held} were counted")
            return
        attempts = film.attempts.get(assignment.what, 0) + 1
        passed = index in film.passthrough
        done = PartDone(film.task.destination, film.planned.key, index, report, seconds, attempts, passed)
        self._write(done)
        film.parts[index] = done
        if all(number in film.parts for number in range(len(film.plan.spans))):
            film.stage = Stage.JOINING
            self._to_join.append(assignment.film)

    def _leave_whole(self, number: int, reason: str) -> None:
        """Do a film in one piece, for its packets do not tell what becomes of its frames."""
        film = self.films[number]
        assert film.planned is not None, "it was cut"  # noqa: S101
        plan = replace(film.plan, spans=(SegmentRange(),), frames_in_spans=(film.plan.frames,), uncut=reason)
        film.planned = replace(film.planned, plan=plan)
        self._write(film.planned)
        film.parts.clear()
        self._to_restore = [entry for entry in self._to_restore if entry[1] != number]
        heapq.heapify(self._to_restore)
        self._queue(number)

    def _damaged(self, number: int, numbers: tuple[int, ...]) -> None:
        film = self.films[number]
        assert film.planned is not None, "a film that is joined is planned"  # noqa: S101
        film.attempts["join"] = film.attempts.get("join", 0) + 1
        self._write(Dropped(film.task.destination, film.planned.key, numbers))
        if film.attempts["join"] > self._rules.retries:
            self._fail(film, f"its parts are damaged again and again: check the disk under {self._rules.parts}")
            return
        for index in numbers:
            film.parts.pop(index, None)
        self._queue(number)

    def _failed(self, assignment: Assignment, event: Failed) -> None:
        film = self.films[assignment.film]
        attempt = film.attempts.get(assignment.what, 0) + (not event.blameless)
        film.attempts[assignment.what] = attempt
        message = event.error.message
        trouble = Trouble(
            film.task.destination, assignment.what, attempt, message, event.died, event.node, event.seconds
        )
        self._write(trouble)
        film.troubles.append(trouble)
        if film.stage is Stage.FAILED or self._is_stale(assignment):
            return
        if event.blameless or (_may_pass(event.error) and attempt <= self._rules.retries):
            self._again(assignment)
        elif self._may_let_through(assignment, event.error):
            assert assignment.number is not None, "it is a segment"  # noqa: S101
            film.passthrough.add(assignment.number)
            film.attempts[assignment.what] = 0
            self._again(assignment)
        else:
            tried = f" (tried {attempt} times)" if attempt > 1 else ""
            self._fail(film, f"{assignment.what}: {message}{tried}")

    def _is_stale(self, assignment: Assignment) -> bool:
        """Whether the film has been cut otherwise since a segment of it was given out."""
        if not isinstance(assignment.order, RestoreOrder) or assignment.number is None:
            return False
        spans = self.films[assignment.film].plan.spans
        return assignment.number >= len(spans) or assignment.order.span != spans[assignment.number]

    def _may_let_through(self, assignment: Assignment, error: VidrestoreError) -> bool:
        film = self.films[assignment.film]
        wanted = self._rules.on_error == "passthrough" and assignment.number is not None
        return (
            wanted and assignment.number not in film.passthrough and isinstance(error, WorkerError | RestorationError)
        )

    def _again(self, assignment: Assignment) -> None:
        film = self.films[assignment.film]
        if assignment.number is not None:
            entry = (-film.plan.cost(assignment.number), assignment.film, assignment.number)
            heapq.heappush(self._to_restore, entry)
        elif assignment.what == "plan":
            film.stage = Stage.NEW
            heapq.heappush(self._to_plan, (-film.task.bytes, assignment.film))
        else:
            self._to_join.append(assignment.film)

    def _fail(self, film: FilmState, message: str) -> None:
        film.stage, film.error = Stage.FAILED, message

    def _part(self, film: FilmState, number: int) -> str:
        """Address of a segment's part: in this job's folder, whatever a journal says of where it was."""
        return storage.beside(self._rules.parts, film.part_name(number))

    def _forget_parts(self, film: FilmState) -> None:
        for number in film.parts:
            storage.remove_file(self._part(film, number))


def _may_pass(error: VidrestoreError) -> bool:
    """Whether trying again may help: workers and stores fail for many reasons, but a file stays as bad as it is."""
    return isinstance(error, WorkerError | StorageError)
