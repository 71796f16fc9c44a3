"""The measurement: systems take turns, so that a noisy host is noisy for all of them alike."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.checks import check_films, check_networks, require
from benchmarks.clips import repeat
from benchmarks.machine import describe_checkout, describe_machine
from benchmarks.results import Benchmark, Check, Clip, Quartiles, Row, Run, stage_speeds, times
from benchmarks.systems import LightestReference, OurFlow, ReferenceAsShipped, System, open_ours
from vidrestore.errors import ConfigError
from vidrestore.faces.config import DetectorConfig
from vidrestore.jobs.config import JobConfig
from vidrestore.media.reader import probe
from vidrestore.models import zoo
from vidrestore.models.devices import choose_device
from vidrestore.report import installed_versions
from vidrestore.restoration.config import RestorerConfig, VideoRestoreConfig
from vidrestore.restoration.face.restorer import choose_dtype
from vidrestore.runtime.config import Runtime

OnStep = Callable[[str], None]

_COMPARED_FRAMES = 4


def _on_cpu() -> VideoRestoreConfig:
    return VideoRestoreConfig(detector=DetectorConfig(device="cpu"), restorer=RestorerConfig(device="cpu"))


@dataclass(frozen=True, slots=True)
class BenchmarkConfig:
    """Extent of the measurement.

    Raises:
        ConfigError: a number is out of range.
    """

    runs: int = 5
    """Timed runs of each system, after one that is not timed."""
    frames: int | None = None
    """Frames of the video: cut short, or repeated from the beginning; None takes it as it is."""
    as_shipped_runs: int = 2
    """Timed runs of the reference as shipped; 0 leaves it out."""
    as_shipped_frames: int = 10
    """Frames of each of them."""
    runtimes: tuple[Runtime, ...] = ("local", "ray")
    restore: VideoRestoreConfig = field(default_factory=_on_cpu)
    """Our restoration, as users run it, on the CPU like the reference."""

    def __post_init__(self) -> None:
        if self.runs < 1 or self.as_shipped_runs < 0 or self.as_shipped_frames < 1 or not self.runtimes:
            raise ConfigError(f"{self}: runs and as_shipped_frames are at least 1, and there is a runtime")
        if self.frames is not None and self.frames < 1:
            raise ConfigError(f"frames is {self.frames}; restore at least 1")


def measure(film: Path, config: BenchmarkConfig | None = None, *, on_step: OnStep = lambda _: None) -> Benchmark:
    """Check that all systems do the same work, then time them in turns.

    Args:
        film: a video that shows faces at a constant frame rate.
        config: extent of the measurement.
        on_step: called with a description of the next step.

    Raises:
        RestorationError: a check failed, or the video shows no face; nothing was timed then.
        VidrestoreError: as restoring does.
    """
    config = config or BenchmarkConfig()
    checkout = describe_checkout()
    with TemporaryDirectory(prefix="vidrestore-benchmark-") as folder, ExitStack() as stack:
        source = _source(film, config, Path(folder))
        on_step("loading and starting everything")
        lightest = LightestReference(zoo.resolve(config.restore.restorer.model), rounds=config.runs)
        ours = [stack.enter_context(_start(runtime, config)) for runtime in config.runtimes]
        on_step("warming up and comparing")
        checks = _compare(source, config, lightest, ours, Path(folder))
        systems: list[System] = [*ours, lightest, *_as_shipped(source, config, lightest, Path(folder))]
        runs = _race(systems, source, Path(folder), on_step)
        return Benchmark(
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            commit=checkout.commit,
            dirty=checkout.dirty,
            machine=describe_machine(),
            versions=installed_versions(),
            clip=_clip(film, source, runs[lightest.name][0].frames),
            checks=tuple(checks),
            rows=tuple(_rows(systems, runs)),
        )


def _source(film: Path, config: BenchmarkConfig, folder: Path) -> Path:
    if config.frames is None:
        return film
    shortened = folder / f"source{film.suffix}"
    repeat(film, shortened, frames=config.frames)
    return shortened


def _start(runtime: Runtime, config: BenchmarkConfig) -> AbstractContextManager[OurFlow]:
    restorer = config.restore.restorer
    dtype = choose_dtype(restorer.precision, choose_device(restorer.device))
    precision = str(dtype).removeprefix("torch.")
    return open_ours(JobConfig(restore=config.restore, runtime=runtime), precision=precision, rounds=config.runs)


def _compare(
    source: Path, config: BenchmarkConfig, lightest: LightestReference, ours: Iterable[OurFlow], folder: Path
) -> list[Check]:
    """Run every system once, which also warms it up, and compare the results."""
    crops = lightest.flow.crops(source, frames=_COMPARED_FRAMES)
    checks = require(check_networks(lightest.flow, config.restore.restorer, crops))
    rival = folder / "reference.mp4"
    lightest.run(source, rival)
    for flow in ours:
        result = folder / f"{flow.name}.mp4"
        flow.run(source, result)
        checks += require(check_films(result, rival, source, lightest.faces, system=flow.name))
    return checks


def _as_shipped(
    source: Path, config: BenchmarkConfig, lightest: LightestReference, folder: Path
) -> list[ReferenceAsShipped]:
    if not config.as_shipped_runs:
        return []
    weights = zoo.resolve(config.restore.restorer.model)
    rounds, frames = min(config.as_shipped_runs, config.runs), config.as_shipped_frames
    flow = ReferenceAsShipped(weights, lightest.faces, rounds=rounds, frames=frames)
    flow.run(source, folder / "warm-up.mp4", frames=1)
    return [flow]


def _race(systems: Sequence[System], source: Path, folder: Path, on_step: OnStep) -> dict[str, list[Run]]:
    """Run every system once a round, every other round in the opposite order."""
    runs: dict[str, list[Run]] = {system.name: [] for system in systems}
    rounds = max(system.rounds for system in systems)
    for number in range(rounds):
        for system in systems if number % 2 == 0 else reversed(systems):
            if number < system.rounds:
                run = system.run(source, folder / "timed.mp4")
                runs[system.name].append(run)
                on_step(f"round {number + 1} of {rounds}: {system.name} {run.frames_per_second:.2f} frames/s")
    return runs


def _rows(systems: Sequence[System], runs: Mapping[str, Sequence[Run]]) -> Iterable[Row]:
    references = [system.name for system in systems if system.is_reference]
    for system in systems:
        own = runs[system.name]
        yield Row(
            name=system.name,
            what=system.what,
            is_reference=system.is_reference,
            start_seconds=system.start_seconds,
            runs=tuple(own),
            frames_per_second=Quartiles.of(run.frames_per_second for run in own),
            stage_frames_per_second=stage_speeds(own),
            times_reference={name: times(own, runs[name]) for name in references if name != system.name},
        )


def _clip(film: Path, source: Path, frames: int) -> Clip:
    info = probe(source)
    return Clip(film.name, frames, info.width, info.height, zoo.sha256_of(source))
