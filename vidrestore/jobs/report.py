"""What a job did: every film, every retry, and how it went over time."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any

from vidrestore.jobs.films import FilmState, Stage
from vidrestore.jobs.journal import Trouble
from vidrestore.jobs.names import as_text
from vidrestore.jobs.tasks import Tasks
from vidrestore.media.reader import ReadStatistics
from vidrestore.media.remux.mux import RemuxReport
from vidrestore.report import installed_versions
from vidrestore.runtime.crew import Crew
from vidrestore.runtime.segment import SegmentReport


@dataclass(frozen=True, slots=True)
class Sample:
    """A job at a moment."""

    seconds: float
    """Since it began."""
    frames_done: int
    network_seconds: float
    """For which the networks of all face workers have run so far."""
    workers: int
    busy: int
    face_workers: int
    retries: int


@dataclass(frozen=True, slots=True)
class FilmReport:
    """What became of one film."""

    source: str
    destination: str
    state: str
    """`done` or `failed`."""
    error: str | None
    resumed: bool
    """Whether it was done by an earlier run."""
    frames: int
    unrestored_frames: int
    """Of segments that could not be restored and went through as they were."""
    segments: int
    segments_resumed: int
    """Done by an earlier run."""
    uncut: str | None
    """Why it was done in one piece, if it had to be."""
    faces: int
    frames_with_faces: int
    shots: int
    tracks: int
    """A face that is there where two segments meet counts in both."""
    worker_seconds: float
    """Of its segments, on whatever machines."""
    seconds_per_stage: dict[str, float]
    retries: tuple[Trouble, ...]
    warnings: tuple[str, ...]
    streams: dict[str, list[str]]
    sha256: str | None
    bytes: int


@dataclass(frozen=True, slots=True)
class JobReport:
    """What became of a job."""

    ended: str
    """UTC."""
    seconds: float
    films: tuple[FilmReport, ...]
    done: int
    failed: int
    frames: int
    frames_of_this_run: int
    frames_per_second: float
    """Of this run."""
    retries: int
    unrestored_frames: int
    ignored: tuple[str, ...]
    """Files in folders that are not called like films."""
    left_out: tuple[str, ...]
    """What is in folders and no file in them, with the reason: links that lead out, pipes, the same file again."""
    journal_notes: tuple[str, ...]
    """What of the journal was not believed."""
    journal_lines_repaired: int
    runtime: str
    model: str
    model_sha256: str
    samples: tuple[Sample, ...]
    config: dict[str, Any]
    versions: dict[str, str] = field(default_factory=dict)


def job_report(
    films: Sequence[FilmState],
    samples: Sequence[Sample],
    crew: Crew,
    config: Any,  # noqa: ANN401  a dataclass; its class lives above
    tasks: Tasks,
    repaired: int,
    journal_notes: tuple[str, ...],
    seconds: float,
) -> JobReport:
    """Sum up."""
    reports = tuple(map(_film_report, films))
    frames = sum(film.frames for film in reports if film.state == Stage.DONE.value)
    new = (samples[-1].frames_done if samples else 0) - _resumed_frames(films)
    return JobReport(
        ended=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=seconds,
        films=reports,
        done=sum(film.state == Stage.DONE.value for film in reports),
        failed=sum(film.state == Stage.FAILED.value for film in reports),
        frames=frames,
        frames_of_this_run=new,
        frames_per_second=new / seconds if seconds > 0 else 0.0,
        retries=sum(len(film.retries) for film in reports),
        unrestored_frames=sum(film.unrestored_frames for film in reports),
        ignored=tuple(map(as_text, tasks.ignored)),
        left_out=tuple(map(as_text, tasks.left_out)),
        journal_notes=journal_notes,
        journal_lines_repaired=repaired,
        runtime=crew.name,
        model=config.restore.restorer.model,
        model_sha256=crew.model_sha256,
        samples=tuple(samples),
        config=asdict(config),
        versions=installed_versions(),
    )


def _resumed_frames(films: Iterable[FilmState]) -> int:
    return sum(film.resumed_frames for film in films)


def _film_report(film: FilmState) -> FilmReport:
    done = film.made_of if film.resumed else film.parts
    parts = [done[number].report.segment for number in sorted(done)]
    counts: Counter[str] = Counter()
    stages: Counter[str] = Counter()
    for part in parts:
        counts.update(part.counts)
        stages.update(part.seconds)
    read = _summed([part.read for part in parts])
    joined = film.finished.joined if film.finished else None
    return FilmReport(
        source=as_text(film.task.source),
        destination=as_text(film.task.destination),
        state=film.stage.value,
        error=film.error and as_text(film.error),
        resumed=film.resumed,
        frames=film.plan.frames if film.planned else 0,
        unrestored_frames=film.finished.unrestored_frames if film.finished else film.unrestored_frames,
        segments=len(film.plan.spans) if film.planned else 0,
        segments_resumed=film.resumed_parts,
        uncut=film.plan.uncut if film.planned else None,
        faces=counts["faces"],
        frames_with_faces=counts["frames_with_faces"],
        shots=counts["shots"],
        tracks=counts["tracks"],
        worker_seconds=sum(part.seconds for part in done.values()),
        seconds_per_stage=dict(stages),
        retries=tuple(replace(one, message=as_text(one.message)) for one in film.troubles),
        warnings=_warnings(film, parts, read, joined.report if joined else None),
        streams=_streams(joined.report) if joined else {},
        sha256=joined.sha256 if joined else None,
        bytes=joined.bytes if joined else 0,
    )


def _warnings(
    film: FilmState, parts: Sequence[SegmentReport], read: ReadStatistics, joined: RemuxReport | None
) -> tuple[str, ...]:
    told = [*(film.plan.notes if film.planned else ()), *read.losses(), *read.changes()]
    told += sorted({note for part in parts for note in part.notes})
    unrestored = film.finished.unrestored_frames if film.finished else film.unrestored_frames
    if unrestored:
        told.append(f"{unrestored} frames went through unrestored: their segments could not be restored")
    if joined is not None:
        told += [*joined.losses, *joined.converted, *joined.left_out]
        if joined.shift:
            told.append(f"everything starts {float(joined.shift):.3f} s later than in the source")
    return tuple(told)


def _streams(joined: RemuxReport) -> dict[str, list[str]]:
    return {name: list(getattr(joined, name)) for name in ("copied", "converted", "left_out")}


def _summed(read: Sequence[ReadStatistics]) -> ReadStatistics:
    """Of all segments."""
    numbers = [one.name for one in fields(ReadStatistics) if one.name != "read_error"]
    sums = {name: sum(getattr(one, name) for one in read) for name in numbers}
    return ReadStatistics(**sums, read_error=next((one.read_error for one in read if one.read_error), None))
