"""Results of a benchmark: values that survive a round trip through JSON."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.machine import Host
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
    """One timed pass over a video, from the opened source to the completed file; networks were loaded before."""

    seconds: float
    frames: int
    faces: int
    """Faces restored, summed over the frames."""
    stage_seconds: dict[str, float]
    """Busy seconds of each stage, in the order in which stages work; waiting counts for the stage that waits."""

    @property
    def frames_per_second(self) -> float:
        """Speed from end to end."""
        return self.frames / self.seconds


@dataclass(frozen=True, slots=True)
class Row:
    """One system of the benchmark."""

    name: str
    what: str
    """Description of what was run, in one sentence."""
    is_reference: bool
    start_seconds: float
    """Seconds of loading networks and starting processes, not part of any run."""
    runs: tuple[Run, ...]
    frames_per_second: Quartiles
    stage_frames_per_second: dict[str, float]
    """Median speed of each stage over the runs; a stage that took no time is left out."""
    times_reference: dict[str, Quartiles]
    """Frames per second as a multiple of each reference row's, by its name, taken round by round."""


@dataclass(frozen=True, slots=True)
class Clip:
    """The restored video."""

    name: str
    frames: int
    width: int
    """Width in pixels."""
    height: int
    """Height in pixels."""
    sha256: str


@dataclass(frozen=True, slots=True)
class Check:
    """A condition that had to hold before the clock started."""

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
class Benchmark:
    """Everything that one call of the benchmark measured, and where."""

    date: str
    """Date of the measurement, ISO 8601, UTC."""
    commit: str
    """Commit of the checkout, or `unknown`."""
    dirty: bool
    """Whether the checkout differed from the commit."""
    machine: Host
    versions: dict[str, str]
    clip: Clip
    checks: tuple[Check, ...]
    rows: tuple[Row, ...]
    memory: tuple[MemoryUse, ...] = ()

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


def stage_speeds(runs: Sequence[Run]) -> dict[str, float]:
    """Return the median frames per second of each stage that takes time."""
    stages = {stage: None for run in runs for stage in run.stage_seconds}
    seconds = {stage: [run.stage_seconds.get(stage, 0.0) / run.frames for run in runs] for stage in stages}
    medians = {stage: statistics.median(values) for stage, values in seconds.items()}
    return {stage: 1 / median for stage, median in medians.items() if median > 0}


def times(runs: Sequence[Run], reference: Sequence[Run]) -> Quartiles:
    """Compute how many times faster, round by round: the first run of one with the first of the other, and so on.

    Rounds in which only one of the two took part are left out.
    """
    pairs = zip(runs, reference, strict=False)
    return Quartiles.of(ours.frames_per_second / theirs.frames_per_second for ours, theirs in pairs)
