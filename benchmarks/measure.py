"""The measurement: systems take turns, so that a noisy host is noisy for all of them alike."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.checks import check_command, check_networks, check_run, check_videos, require
from benchmarks.clips import repeat
from benchmarks.limits import codec_limits, device_limits
from benchmarks.machine import describe_checkout, describe_machine
from benchmarks.reference import ReferenceFlow
from benchmarks.reference_networks import write_random_weights
from benchmarks.results import Check, Clip, Row, Run, Session
from benchmarks.systems import START_FRAMES, SYSTEMS, Setting, System, restore
from benchmarks.usage import Usage
from benchmarks.videos import SHAPES, VideoShape, make_video
from vidrestore.errors import ConfigError
from vidrestore.models import zoo
from vidrestore.report import installed_versions
from vidrestore.restoration.config import RestorerConfig

OnStep = Callable[[str], None]
OnSession = Callable[[Session], None]

RANDOM = "random-512"
"""Name of a network of the official shape with random weights, which is made on the spot."""
NETWORK_ROW, CODECS_ROW = "network", "codecs"
_COMPARED_FRAMES = 24
_COMPARED_CROPS = 2


@dataclass(frozen=True, slots=True)
class BenchmarkConfig:
    """Extent of the measurement.

    Raises:
        ConfigError: a number is out of range, or a pattern fits no row.
    """

    rows: tuple[str, ...] = ("640x360-1:*", NETWORK_ROW)
    """Patterns of `VIDEO:SYSTEM`, and `network` and `codecs` for the limits alone; a video's codecs are measured with
    its rows."""
    device: str = "cpu"
    model: str = "embedded"
    """Name or file of the weights, or `random-512`."""
    runs: int = 3
    """Timed runs of each system, after the checks, which warm up."""
    frames: int = 300
    """Length of the videos."""
    reference_frames: int = 60
    """Frames after which the reference stops."""
    batches: tuple[int, ...] = (1, 8)
    """Batches of the network alone."""

    def __post_init__(self) -> None:
        if min(self.runs, self.frames, self.reference_frames, *self.batches) < 1:
            raise ConfigError(f"{self}: runs, frames, reference_frames and batches are at least 1")
        for pattern in self.rows:
            if not any(fnmatchcase(name, pattern) for name in row_names()):
                raise ConfigError(f"no row fits {pattern!r}; rows are {', '.join(row_names())}, and * stands for any")

    def wants(self, name: str) -> bool:
        """Return whether a row is chosen."""
        return any(fnmatchcase(name, pattern) for pattern in self.rows)

    def systems(self, shape: VideoShape) -> list[System]:
        """Return the systems to run on a video."""
        return [system for name, system in SYSTEMS.items() if self.wants(f"{shape.name}:{name}")]


def row_names() -> list[str]:
    """Return the names of all rows."""
    return [*(f"{shape.name}:{name}" for shape in SHAPES for name in SYSTEMS), NETWORK_ROW, CODECS_ROW]


def measure(
    video: Path, config: BenchmarkConfig, *, on_step: OnStep = lambda _: None, on_session: OnSession = lambda _: None
) -> Session:
    """Check that all systems do the same work, then time them in turns.

    Args:
        video: shows one face, in the middle, from which all videos are made.
        config: extent of the measurement.
        on_step: called with a description of each step.
        on_session: called with everything so far whenever more was measured.

    Raises:
        RestorationError: a check failed; what it concerns was not passed on.
        VidrestoreError: as restoring does.
    """
    checkout = describe_checkout()
    session = Session(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=checkout.commit,
        dirty=checkout.dirty,
        machine=describe_machine(),
        versions=installed_versions(),
    )
    with TemporaryDirectory(prefix="vidrestore-benchmark-") as folder:
        for grown in _sessions(session, video, config, Path(folder), on_step):
            session = grown
            on_session(session)
    return session


def _sessions(
    session: Session, video: Path, config: BenchmarkConfig, folder: Path, on_step: OnStep
) -> Iterator[Session]:
    """Yield the session as it grows."""
    weights, network = _weights(config, folder)
    setting = Setting(config.device, weights, config.reference_frames)
    if config.wants(NETWORK_ROW):
        on_step(f"{config.device} and the network alone")
        for limit in device_limits(config.device, weights, network, batches=config.batches):
            on_step(f"  {limit.name}: {limit.rates.median:.4g} {limit.unit}/s")
            session = replace(session, limits=(*session.limits, limit))
            yield session
    shapes = [shape for shape in SHAPES if config.systems(shape)]
    if shapes:
        on_step("comparing with the reference flow")
        session = replace(session, checks=tuple(require(_same_work(video, setting, folder))))
    for shape in shapes or (SHAPES if config.wants(CODECS_ROW) else ()):
        on_step(f"making {shape.name}, {config.frames} frames")
        source = folder / f"{shape.name}.mp4"
        make_video(video, source, shape, frames=config.frames)
        if config.wants(CODECS_ROW):
            limits = tuple(codec_limits(source, shape.name, ("medium", "veryfast")))
            session = replace(session, limits=(*session.limits, *limits))
            yield session
        before = session
        for rows, checks in _race(source, shape, network, setting, config, on_step):
            session = replace(before, rows=(*before.rows, *rows), checks=(*before.checks, *checks))
            yield session


def _weights(config: BenchmarkConfig, folder: Path) -> tuple[Path, str]:
    """Return the file of the weights, and the name that rows carry."""
    if config.model == RANDOM:
        path = folder / f"{RANDOM}.safetensors"
        write_random_weights(path)
        return path, "512 px, official shape, random weights"
    return zoo.resolve(config.model), Path(config.model).name


def _same_work(video: Path, setting: Setting, folder: Path) -> Iterator[Check]:
    """Compare the networks on the same crops, and two short videos, restored with the embedded weights."""
    shape = SHAPES[0]
    source = folder / "compared.mp4"
    make_video(video, source, shape, frames=_COMPARED_FRAMES)
    embedded = replace(setting, weights=zoo.resolve("embedded"))
    for one in dict.fromkeys((embedded, setting)):
        flow = ReferenceFlow(one.weights)
        crops = flow.crops(source, frames=_COMPARED_CROPS)
        restorer = RestorerConfig(model=str(one.weights), device=one.device)
        yield from check_networks(flow, restorer, crops, trained=one == embedded)
    rival, ours = folder / "compared-reference.mp4", folder / "compared-ours.mp4"
    _, faces = ReferenceFlow(embedded.weights).run(source, rival)
    restore(source, ours, embedded, options=())
    yield from check_videos(ours, rival, source, faces, system="vidrestore")


def _race(
    source: Path, shape: VideoShape, network: str, setting: Setting, config: BenchmarkConfig, on_step: OnStep
) -> Iterator[tuple[list[Row], list[Check]]]:
    """Check our command on the video, run every system once a round, and yield the rows after each round.

    Every other round goes in the opposite order.
    """
    systems = config.systems(shape)
    if not systems:
        return
    checks: list[Check] = []
    short = _cut(source, shape, _COMPARED_FRAMES)
    if any(not system.is_reference for system in systems):
        on_step(f"checking {shape.name}")
        checks = require(check_command(short, shape, setting))
    clips = {system.name: _source(source, shape, system) for system in systems}
    runs: dict[str, list[tuple[Run, Usage]]] = {system.name: [] for system in systems}
    for number in range(config.runs):
        for system in systems if number % 2 == 0 else reversed(systems):
            clip = clips[system.name]
            done = _once(system, clip, shape, setting)
            runs[system.name].append(done)
            on_step(
                f"round {number + 1} of {config.runs}, {shape.name}: {system.name} {done[0].seconds:.2f} s, "
                f"{done[0].frames_per_second:.2f} frames/s, {_busy(done[1])}"
            )
        yield [_row(one, clips[one.name], shape, network, setting, runs[one.name]) for one in systems], checks


def _once(system: System, source: Path, shape: VideoShape, setting: Setting) -> tuple[Run, Usage]:
    """Run a system once, and check what it made."""
    destination = source.with_name("timed.mp4")
    done = system.run(source, destination, setting)
    frames = setting.reference_frames if system.is_reference else None
    require(check_run(done[0], source, destination, shape, frames=frames))
    destination.unlink()
    return done


def _busy(usage: Usage) -> str:
    return "no GPU" if usage.gpu_busy_percent is None else f"GPU busy {usage.gpu_busy_percent:.0f} %"


def _source(source: Path, shape: VideoShape, system: System) -> Path:
    return _cut(source, shape, START_FRAMES) if system is SYSTEMS["start"] else source


def _cut(source: Path, shape: VideoShape, frames: int) -> Path:
    destination = source.with_name(f"{shape.name}-{frames}.mp4")
    repeat(source, destination, frames=frames)
    return destination


def _row(
    system: System,
    source: Path,
    shape: VideoShape,
    network: str,
    setting: Setting,
    done: Sequence[tuple[Run, Usage]],
) -> Row:
    width, height = shape.pixels
    clip = Clip(shape.name, done[0][0].frames, width, height, shape.faces, zoo.sha256_of(source))
    return Row(
        system=system.name,
        what=system.what,
        is_reference=system.is_reference,
        device=setting.device,
        network=network,
        clip=clip,
        runs=tuple(run for run, _ in done),
        usages=tuple(usage for _, usage in done),
    )
