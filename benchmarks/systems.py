"""Those who race: our runtimes and the reference flow, behind one way to run."""

import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Protocol

from benchmarks.reference import Faces, ReferenceFlow
from benchmarks.results import Run, with_rest
from vidrestore.runtime.film import JobConfig, Runner, open_runner
from vidrestore.runtime.segment import Segment

_OURS = "every stage of vidrestore in the runtime {runtime}, {precision}, encoding included."
_IN_WORKER = " The start of each run's worker counts to the start-up."
_LIGHTEST = (
    "decode, facexlib's `FaceRestoreHelper` (RetinaFace mobilenet0.25, square mask) and spandrel's GFP-GAN frame by "
    "frame, batch 1, fp32, the same weights, x264 crf 17 medium."
)
_AS_SHIPPED = (
    "the same with GFP-GAN's own defaults, RetinaFace ResNet-50 and ParseNet's mask; both ran with random weights and "
    "their results were not used (theirs cannot be had offline, and the cost does not depend on the values)."
)


class System(Protocol):
    """A way to restore a film, with its networks loaded."""

    name: str
    what: str
    """In one sentence, for the table."""
    is_reference: bool
    rounds: int
    """How many of the timed rounds it takes part in."""

    @property
    def start_seconds(self) -> float:
        """What loading and starting took, outside the runs."""
        ...

    def run(self, source: Path, destination: Path) -> Run:
        """Restore a film once."""
        ...


class OurFlow:
    """One of our runtimes, started.

    Each run on Ray has a worker process of its own, whose start is charged to `start_seconds`: the clock starts when
    the worker first says how far it is, which it does as soon as it can work.
    """

    is_reference = False

    def __init__(self, runner: Runner, *, precision: str, start_seconds: float, rounds: int) -> None:
        self.name = f"vidrestore, {runner.name}"
        self._on_ray = runner.name == "ray"
        self.what = _OURS.format(runtime=runner.name, precision=precision) + (_IN_WORKER if self._on_ray else "")
        self.rounds = rounds
        self._runner = runner
        self._start_seconds = start_seconds
        self._worker_starts: list[float] = []

    @property
    def start_seconds(self) -> float:
        """Of the runtime, and of a run's worker."""
        return self._start_seconds + statistics.median(self._worker_starts or [0.0])

    def run(self, source: Path, destination: Path) -> Run:
        """Restore a film once."""
        heard: list[float] = []
        called = perf_counter()
        report = self._runner.run(Segment(source, destination), lambda _: heard.append(perf_counter()))
        report.part.replace(destination)
        finished = perf_counter()
        started = heard[0] if self._on_ray else called
        self._worker_starts.append(started - called)
        # a film so short that it was over when the worker was first heard took what its stages took
        seconds = max(finished - started, sum(report.seconds.values()))
        faces = report.counts.get("faces", 0)
        return Run(seconds, report.frames_written, faces, with_rest(report.seconds, seconds))


class LightestReference:
    """The reference flow with the least that it can do; remembers the faces of its last run."""

    name = "lightest reference"
    what = _LIGHTEST
    is_reference = True

    def __init__(self, weights: Path, *, rounds: int) -> None:
        started = perf_counter()
        self.flow = ReferenceFlow(weights)
        self.start_seconds = perf_counter() - started
        self.rounds = rounds
        self.faces: list[Faces] = []

    def run(self, source: Path, destination: Path) -> Run:
        """Restore a film once."""
        run, self.faces = self.flow.run(source, destination)
        return run


class ReferenceAsShipped:
    """The reference flow with its own defaults, on the first frames only, for it is slow.

    Args:
        weights: of GFP-GAN.
        faces: of each frame of the film.
        rounds: in which it takes part.
        frames: after which it stops.
    """

    name = "reference as shipped"
    what = _AS_SHIPPED
    is_reference = True

    def __init__(self, weights: Path, faces: Sequence[Faces], *, rounds: int, frames: int) -> None:
        started = perf_counter()
        self._flow = ReferenceFlow(weights, known_faces=faces)
        self.start_seconds = perf_counter() - started
        self.rounds = rounds
        self._frames = frames

    def run(self, source: Path, destination: Path, *, frames: int | None = None) -> Run:
        """Restore the first frames of a film once: the usual number, or so many."""
        return self._flow.run(source, destination, frames=frames or self._frames)[0]


@contextmanager
def open_ours(job: JobConfig, *, precision: str, rounds: int) -> Iterator[OurFlow]:
    """Start a runtime; leaving the context stops it."""
    started = perf_counter()
    with open_runner(job) as runner:
        yield OurFlow(runner, precision=precision, start_seconds=perf_counter() - started, rounds=rounds)
