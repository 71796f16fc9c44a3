"""The compared systems: our runtimes and the reference flow, behind one way to run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Protocol

from benchmarks.reference import Faces, ReferenceFlow
from benchmarks.results import Run, with_rest
from vidrestore.jobs.config import JobConfig
from vidrestore.jobs.pools import open_pool
from vidrestore.jobs.restore import restore_video
from vidrestore.runtime.worker_pool import WorkerPool

_OURS = "every stage of vidrestore in the runtime {runtime}, {precision}, encoding included."
_POLL_SECONDS = 0.05
_LIGHTEST = (
    "decode, facexlib's `FaceRestoreHelper` (RetinaFace mobilenet0.25, square mask) and spandrel's GFP-GAN frame by "
    "frame, batch 1, fp32, the same weights, x264 crf 17 medium."
)
_AS_SHIPPED = (
    "the same with GFP-GAN's own defaults, RetinaFace ResNet-50 and ParseNet's mask; both ran with random weights and "
    "their results were not used (theirs cannot be had offline, and the cost does not depend on the values)."
)


class System(Protocol):
    """A way to restore a video, with its networks loaded."""

    name: str
    what: str
    """Description in one sentence, for the table."""
    is_reference: bool
    rounds: int
    """Number of the timed rounds that it takes part in."""

    @property
    def start_seconds(self) -> float:
        """Seconds of loading and starting, outside the runs."""
        ...

    def run(self, source: Path, destination: Path) -> Run:
        """Restore a video once."""
        ...


class OurFlow:
    """One of our runtimes, with its workers started: a run is a whole restoration, from the probe to the result."""

    is_reference = False

    def __init__(self, pool: WorkerPool, job: JobConfig, *, precision: str, start_seconds: float, rounds: int) -> None:
        self.name = f"vidrestore, {pool.name}"
        self.what = _OURS.format(runtime=pool.name, precision=precision)
        self.rounds = rounds
        self.start_seconds = start_seconds
        self._pool = pool
        self._job = replace(job, overwrite=True)

    def run(self, source: Path, destination: Path) -> Run:
        """Restore a video once."""
        started = perf_counter()
        report = restore_video(source, destination, self._job, open_pool=lambda: nullcontext(self._pool))
        seconds = perf_counter() - started
        stages = with_rest(report.seconds_per_stage, seconds)
        return Run(seconds, report.frames_written, report.faces_restored, stages)


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
        """Restore a video once."""
        run, self.faces = self.flow.run(source, destination)
        return run


class ReferenceAsShipped:
    """The reference flow with its own defaults, on the first frames only, since it is slow.

    Args:
        weights: weights of GFP-GAN.
        faces: faces of each frame of the video.
        rounds: number of rounds in which it takes part.
        frames: number of frames after which it stops.
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
        """Restore the first frames of a video once: the usual number, or so many."""
        return self._flow.run(source, destination, frames=frames or self._frames)[0]


@contextmanager
def open_ours(job: JobConfig, *, precision: str, rounds: int) -> Iterator[OurFlow]:
    """Start a runtime; leaving the context stops it."""
    started = perf_counter()
    with open_pool(job) as pool:
        while not pool.idle_workers():
            pool.poll(_POLL_SECONDS)
        seconds = perf_counter() - started
        yield OurFlow(pool, job, precision=precision, start_seconds=seconds, rounds=rounds)
