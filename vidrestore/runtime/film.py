"""The main job: a film in, a restored film out, and nothing under the final name until it is whole."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from vidrestore.errors import InputError, OutputError
from vidrestore.media.inspection import inspect_to_rewrite
from vidrestore.media.output import atomic_output, check_destination, scratch_dir
from vidrestore.media.probe import VideoInfo
from vidrestore.media.remux.mux import RemuxReport, join
from vidrestore.media.remux.plan import check_remux
from vidrestore.media.writer import check_encoding
from vidrestore.report import RunReport, installed_versions
from vidrestore.restoration.pipeline import RestoreConfig
from vidrestore.runtime.face_pool import RayConfig
from vidrestore.runtime.local import LocalRunner
from vidrestore.runtime.on_ray import RayRunner
from vidrestore.runtime.segment import Progress, Segment, SegmentReport

Runtime = Literal["ray", "local"]


class Runner(Protocol):
    """A place that restores segments."""

    retries: int

    @property
    def name(self) -> str:
        """`ray` or `local`."""
        ...

    @property
    def model_sha256(self) -> str:
        """Of the weights in use."""
        ...

    def run(self, segment: Segment, on_progress: Callable[[Progress], None]) -> SegmentReport:
        """Restore one segment into its part file."""
        ...


@dataclass(frozen=True, slots=True)
class JobConfig:
    """Everything about one job: how to restore, where to run, what to accept."""

    restore: RestoreConfig = field(default_factory=RestoreConfig)
    ray: RayConfig = field(default_factory=RayConfig)
    runtime: Runtime = "ray"
    strict: bool = False
    """Whether a damaged source is an error instead of a warning."""
    overwrite: bool = False
    """Whether an existing destination may be replaced."""


def restore_film(
    source: Path | str,
    destination: Path | str,
    config: JobConfig | None = None,
    *,
    on_progress: Callable[[Progress, VideoInfo], None] | None = None,
) -> RunReport:
    """Restore the faces of a film.

    Every frame of the source comes out with its exact time; sound, subtitles, chapters and metadata are copied.

    Args:
        source: any film that FFmpeg reads.
        destination: its extension names the container. The file appears there when it is whole, or not at all.
        config: the defaults restore with the embedded model, through Ray, to H.264.
        on_progress: called now and then.

    Returns:
        What was done, including all that could not be kept.

    Raises:
        VidrestoreError: one line that says what came, what was wanted and what to do.
    """
    source, destination = Path(source), Path(destination)
    config = config or JobConfig()
    started = time.perf_counter()
    info = inspect_to_rewrite(source, max_pixels=config.restore.max_pixels)
    check_destination(source, destination, overwrite=config.overwrite)
    encoding = check_encoding(info, config.restore.encode)
    plan = check_remux(source, destination, video_codec=encoding.codec)
    with scratch_dir(destination) as folder, open_runner(config) as runner:
        segment = Segment(source.absolute(), folder.absolute() / "video")
        done = runner.run(segment, lambda progress: on_progress(progress, info) if on_progress else None)
        _refuse(done.read.losses(), source, strict=config.strict)
        with atomic_output(destination) as result:
            joined = join([done.part], source, result, plan=plan)
            if joined.frames != done.read.frames:
                message = f"{joined.frames} frames came out of {done.read.frames}; this is a bug, please report it"
                raise OutputError(message)
            _refuse(joined.losses, source, strict=config.strict)
        warnings = _warnings(info, done, joined)
        seconds = time.perf_counter() - started
        return _report(
            source, destination, config, runner, done=done, joined=joined, warnings=warnings, seconds=seconds
        )


def open_runner(config: JobConfig) -> AbstractContextManager[Runner]:
    """Start the runtime that a job asks for; leaving the context stops it."""
    if config.runtime == "local":
        return LocalRunner(config.restore)
    return RayRunner(config.restore, config.ray)


def _refuse(losses: Sequence[str], source: Path, *, strict: bool) -> None:
    if losses and strict:
        message = f"{source} is damaged: {'; '.join(losses)}; without --strict, what can be read is restored"
        raise InputError(message)


def _warnings(info: VideoInfo, done: SegmentReport, joined: RemuxReport) -> list[str]:
    """Everything that is not in the result as it was in the source."""
    moved = [f"everything starts {float(joined.shift):.3f} s later than in the source"] if joined.shift else []
    if joined.retimed_packets:
        moved.append(f"{joined.retimed_packets} sound packets were not later than the one before and were moved")
    picture = [*done.read.losses(), *info.notes, *done.read.changes(), *done.notes]
    return [*picture, *joined.losses, *joined.converted, *joined.left_out, *moved]


def _report(
    source: Path,
    destination: Path,
    config: JobConfig,
    runner: Runner,
    *,
    done: SegmentReport,
    joined: RemuxReport,
    warnings: list[str],
    seconds: float,
) -> RunReport:
    return RunReport(
        source=str(source),
        destination=str(destination),
        frames_read=done.read.frames,
        frames_written=done.frames_written,
        frames_missing=done.read.missing_frames,
        packets_undecodable=done.read.undecodable_packets,
        frames_damaged=done.read.corrupt_frames,
        frames_with_faces=done.counts.get("frames_with_faces", 0),
        faces_restored=done.counts.get("faces", 0),
        tracks=done.counts.get("tracks", 0),
        shots=done.counts.get("shots", 0),
        seconds=seconds,
        seconds_per_stage=done.seconds,
        model=config.restore.restorer.model,
        model_sha256=runner.model_sha256,
        runtime=runner.name,
        retries=runner.retries,
        streams={name: list(getattr(joined, name)) for name in ("copied", "converted", "left_out")},
        warnings=warnings,
        counts=done.counts,
        config=asdict(config),
        versions=installed_versions(),
    )
