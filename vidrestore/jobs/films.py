"""How far each film of a job is, and what a journal remembers of it."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from vidrestore.jobs.journal import Dropped, Entry, Finished, PartDone, Planned, Trouble
from vidrestore.jobs.names import as_text
from vidrestore.jobs.plausible import is_plausible_end, is_plausible_part, is_plausible_plan
from vidrestore.jobs.tasks import FilmTask
from vidrestore.runtime.orders import FilmPlan


class Stage(Enum):
    """How far a film is."""

    NEW = "waiting"
    PLANNING = "planning"
    RESTORING = "restoring"
    JOINING = "joining"
    DONE = "done"
    FAILED = "failed"


@dataclass(slots=True)
class FilmState:
    """A film on its way."""

    task: FilmTask
    mark: str
    options: str
    """sha256 of what the result depends on besides the source."""
    stage: Stage = Stage.NEW
    planned: Planned | None = None
    parts: dict[int, PartDone] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    """Failed ones, by what."""
    passthrough: set[int] = field(default_factory=set)
    finished: Finished | None = None
    """With the same source and options as now."""
    left: Finished | None = None
    """Whatever an earlier run left at the destination."""
    made_of: dict[int, PartDone] = field(default_factory=dict)
    """The parts of what an earlier run finished; their files are gone."""
    claimed: bool = False
    """Whether an earlier run of this job was to write the destination."""
    error: str | None = None
    resumed: bool = False
    """Whether it was done before this run."""
    resumed_parts: int = 0
    troubles: list[Trouble] = field(default_factory=list)
    """Of this run."""
    nodes: set[str] = field(default_factory=set)
    """Machines that have read its source."""

    resumed_frames: int = 0
    """Done before this run."""

    @property
    def source(self) -> str:
        """Address of the source as text: bytes of a name that are not UTF-8 are written as escapes."""
        return as_text(self.task.source)

    @property
    def plan(self) -> FilmPlan:
        """Of a film that is planned."""
        assert self.planned is not None, "it is planned"  # noqa: S101
        return self.planned.plan

    def part_name(self, number: int) -> str:
        """What the part of a segment is called: another name for every film, cut, option and way of being made."""
        return self._part_name(number, passthrough=number in self.passthrough)

    def _part_name(self, number: int, *, passthrough: bool) -> str:
        told = (self.task.destination, self.planned and self.planned.key, self.plan.spans[number], passthrough)
        return f"{hashlib.sha256(repr(told).encode()).hexdigest()[:40]}.mp4"

    def recall(self, entry: Entry) -> bool:
        """Learn from the journal what was done of this film; entries come in their order.

        Returns:
            Whether the entry tells what can be; otherwise it is as if it had not been written.
        """
        if isinstance(entry, Planned):
            return self._recall_plan(entry)
        if isinstance(entry, Finished):
            return self._recall_end(entry)
        if isinstance(entry, PartDone | Dropped) and self.planned is not None and entry.key == self.planned.key:
            return self._recall_parts(entry)
        return True

    def note_resumed(self) -> None:
        """Remember how much was done before this run."""
        self.resumed_parts = len(self.parts)
        self.resumed_frames = sum(part.report.segment.frames_written for part in self.parts.values())

    def _recall_plan(self, entry: Planned) -> bool:
        if not is_plausible_plan(entry.plan):
            return False
        self.claimed, self.left = True, None
        if self.planned is None or (self.planned.key, self.planned.plan.spans) != (entry.key, entry.plan.spans):
            self.parts.clear()
            self.passthrough.clear()
        same = entry.options == self.options and entry.source == self.source
        self.planned = entry if same else None
        return True

    def _recall_end(self, entry: Finished) -> bool:
        if not is_plausible_end(entry):
            return False
        self.left = entry
        self.finished = entry if self.planned is not None and entry.key == self.planned.key else None
        self.made_of, self.parts = self.parts, {}  # their files are removed when their film is joined
        return True

    def _recall_parts(self, entry: PartDone | Dropped) -> bool:
        if isinstance(entry, Dropped):
            for number in entry.numbers:
                self.parts.pop(number, None)
            return True
        if not is_plausible_part(entry, self.plan):
            return False
        if entry.report.part.rpartition("/")[2] != self._part_name(entry.number, passthrough=entry.passthrough):
            return False
        self.parts[entry.number] = entry
        if entry.passthrough:
            self.passthrough.add(entry.number)
        else:
            self.passthrough.discard(entry.number)
        return True

    @property
    def unrestored_frames(self) -> int:
        """Of segments whose frames went through as they were."""
        return sum(part.report.segment.frames_written for part in self.parts.values() if part.passthrough)


def recall(films: Iterable[FilmState], entries: Iterable[Entry]) -> int:
    """Fill in what a journal says is done; what does not fit a film as it is now is as if it had not been.

    Returns:
        How many entries about these films told what cannot be.
    """
    by_destination = {film.task.destination: film for film in films if film.stage is Stage.NEW}
    impossible = 0
    for entry in entries:
        film = by_destination.get(entry.destination)
        if film is not None:
            impossible += not film.recall(entry)
    for film in by_destination.values():
        if film.planned is not None and film.planned.mark == film.mark and film.finished is None:
            film.stage = Stage.RESTORING
            film.note_resumed()
    return impossible
