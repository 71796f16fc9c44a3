"""Results of a benchmark: values that survive a round trip through JSON, and merge with those of other calls."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from benchmarks.machine import Host
from benchmarks.usage import Usage
from vidrestore.errors import InputError
from vidrestore.files import replace_text
from vidrestore.report_json import from_json, to_json

REST = "open and close"
"""Name of a run's work outside its stages."""


@dataclass(frozen=True, slots=True)
class Quartiles:
    """The middle half of a few measurements."""

    lower: float
    median: float
    upper: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Return the quartiles of one measurement or more, interpolated between neighbours."""
        measured = list(values)
        assert measured, "a row without runs has no quartiles"  # noqa: S101  the caller ran something
        if len(measured) == 1:
            return cls(measured[0], measured[0], measured[0])
        return cls(*statistics.quantiles(measured, n=4, method="inclusive"))


@dataclass(frozen=True, slots=True)
class Run:
    """One timed pass over a video."""

    seconds: float
    """Ours: from the start of the process to its end. The reference's: without loading its networks."""
    frames: int
    faces: int
    """Faces restored, summed over the frames."""
    stage_seconds: dict[str, float]
    """Busy seconds of each stage, in the order in which stages work; waiting counts for the stage that waits."""

    @property
    def frames_per_second(self) -> float:
        """Speed from end to end."""
        return self.frames / self.seconds

    @property
    def faces_per_second(self) -> float:
        """Faces restored per second, from end to end."""
        return self.faces / self.seconds


@dataclass(frozen=True, slots=True)
class Clip:
    """The restored video."""

    name: str
    frames: int
    width: int
    """Width in pixels."""
    height: int
    """Height in pixels."""
    faces: int
    """Faces in each frame."""
    sha256: str


@dataclass(frozen=True, slots=True)
class Row:
    """One system on one video and one device."""

    system: str
    what: str
    """Description of what was run, in one sentence."""
    is_reference: bool
    device: str
    network: str
    """Name of the weights."""
    clip: Clip
    runs: tuple[Run, ...]
    usages: tuple[Usage, ...]
    """Use of the machine in each of the runs."""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What a later measurement of the same replaces."""
        return self.network, self.device, self.clip.name, self.system

    @property
    def frames_per_second(self) -> Quartiles:
        """Quartiles of the runs' speeds."""
        return Quartiles.of(run.frames_per_second for run in self.runs)

    @property
    def faces_per_second(self) -> Quartiles:
        """Quartiles of the runs' speeds in faces."""
        return Quartiles.of(run.faces_per_second for run in self.runs)


@dataclass(frozen=True, slots=True)
class Limit:
    """How fast one part can be by itself."""

    name: str
    device: str
    """Device that the part runs on; `cpu` for codecs."""
    network: str
    """Name of the weights, empty where none take part."""
    clip: str
    """Name of the video, empty where none takes part."""
    rates: Quartiles
    unit: str
    """What is counted a second: frames, faces, FLOP, bytes."""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What a later measurement of the same replaces."""
        return self.network, self.device, self.clip, self.name


@dataclass(frozen=True, slots=True)
class Check:
    """A condition that had to hold before a number was written."""

    what: str
    value: float
    limit: float
    unit: str
    at_least: bool
    """Whether the limit is a floor; otherwise it is a ceiling."""

    @property
    def passed(self) -> bool:
        """Whether the value keeps the limit."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Memory of one `vidrestore restore`, its workers included, shared pages counted once."""

    runtime: str
    minutes: float
    """Length of the video."""
    frames: int
    seconds: float
    peak_bytes: int
    median_bytes: int
    samples: int


@dataclass(frozen=True, slots=True)
class Session:
    """Everything that one call of the benchmark measured, and where."""

    date: str
    """Date of the measurement, ISO 8601, UTC."""
    commit: str
    """Commit of the checkout, or `unknown`."""
    dirty: bool
    """Whether the checkout differed from the commit."""
    machine: Host
    versions: dict[str, str]
    checks: tuple[Check, ...] = ()
    rows: tuple[Row, ...] = ()
    limits: tuple[Limit, ...] = ()
    memory: tuple[MemoryUse, ...] = ()


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What several calls measured: of the same row, the latest."""

    sessions: tuple[Session, ...] = ()

    @property
    def rows(self) -> list[Row]:
        """All rows."""
        return [row for session in self.sessions for row in session.rows]

    @property
    def limits(self) -> list[Limit]:
        """All limits."""
        return [limit for session in self.sessions for limit in session.limits]

    @property
    def memory(self) -> list[MemoryUse]:
        """All measurements of memory over lengths."""
        return [use for session in self.sessions for use in session.memory]

    def joined(self, later: Iterable[Session]) -> "Benchmark":
        """Return these sessions and later ones, which replace what they measured again."""
        sessions = list(self.sessions)
        for session in later:
            rows, limits = {row.key for row in session.rows}, {limit.key for limit in session.limits}
            kept = [
                replace(
                    one,
                    rows=tuple(row for row in one.rows if row.key not in rows),
                    limits=tuple(limit for limit in one.limits if limit.key not in limits),
                    memory=() if session.memory else one.memory,
                )
                for one in sessions
                if one.date != session.date
            ]
            sessions = [one for one in kept if one.rows or one.limits or one.memory] + [session]
        return Benchmark(tuple(sessions))

    def to_json(self) -> str:
        """Serialise to JSON."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str) -> "Benchmark":
        """Read what `to_json` wrote.

        Raises:
            InputError: the text is something else.
        """
        return from_json(cls, text, what="a benchmark")

    @classmethod
    def read(cls, path: Path) -> "Benchmark":
        """Read the file that `write` wrote.

        Raises:
            InputError: the file cannot be read or holds something else.
        """
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"cannot read the benchmark {path}: {error.strerror}; run one first") from error

    def write(self, path: Path) -> None:
        """Write the JSON next to its place and rename it there.

        Raises:
            OutputError: the folder cannot be written.
        """
        replace_text(path, self.to_json())


def with_rest(stage_seconds: Mapping[str, float], seconds: float) -> dict[str, float]:
    """Return the stages' seconds, and those of opening and completing files."""
    return {**stage_seconds, REST: max(0.0, seconds - sum(stage_seconds.values()))}


def stage_milliseconds(runs: Sequence[Run]) -> dict[str, float]:
    """Return the median busy milliseconds a frame of each stage that takes time."""
    stages = {stage: None for run in runs for stage in run.stage_seconds}
    medians = {
        stage: statistics.median(1000 * run.stage_seconds.get(stage, 0.0) / run.frames for run in runs)
        for stage in stages
    }
    return {stage: median for stage, median in medians.items() if median > 0}
