"""Jobs that were begun, according to their journals."""

from dataclasses import dataclass
from pathlib import Path

from vidrestore import storage
from vidrestore.errors import InputError
from vidrestore.files import check_no_link
from vidrestore.jobs.entries import Entry
from vidrestore.jobs.journal import is_locked, read_journal
from vidrestore.jobs.layout import JOURNAL, PARTS, JobLocation
from vidrestore.jobs.registry import JobRef, known_jobs
from vidrestore.jobs.replay import VideoRecord, replay


@dataclass(frozen=True, slots=True)
class VideoLine:
    """State of a video of a job."""

    destination: str
    state: str
    """`done`, `failed` or `unfinished`."""
    frames: int
    segments: int
    done: int
    failed_attempts: int
    error: str | None = None
    """Why the video failed."""


@dataclass(frozen=True, slots=True)
class JobSummary:
    """State of a job."""

    out: str
    """The output folder, or the only result of a job of one video."""
    path: Path
    """The folder of its journal."""
    entry: Path | None
    """Its file in the registry."""
    state: str
    """`done`, `failed` (some of it), `unfinished`, `running`, `gone`, or why it cannot be read."""
    videos: int
    done: int
    failed_attempts: int
    part_bytes: int
    lines: tuple[VideoLine, ...]
    location: JobLocation


def list_jobs() -> list[JobSummary]:
    """List all jobs of this user that the registry knows."""
    return [_summary(job) for job in known_jobs()]


def find_job(out: str) -> JobSummary:
    """Find the job of an output folder, or of a single result.

    Raises:
        InputError: there is no such job.
    """
    address = storage.normalize(out)
    for job in known_jobs():
        if job.location.address == address and (job.state / JOURNAL).exists():
            return _summary(job)
    for location in (JobLocation.of_video(address), JobLocation(address)):
        path = location.state
        if not storage.is_remote(address) and (path / JOURNAL).exists():
            return _summary(JobRef(location, path, path / "none"))
    raise InputError(f"{out} is not the output of a job; `vidrestore jobs list` names them")


def clean_job(job: JobSummary) -> None:
    """Forget a job, with its parts; results stay.

    Raises:
        InputError: it is running, or its folder is not where a job keeps it.
        OutputError: a link is in the place of its folder.
    """
    if job.path != job.location.state:
        raise InputError(f"{job.path} is not the folder of the job of {job.out}; nothing is removed")
    if (job.path / JOURNAL).exists():
        check_no_link(job.path)
        if job.state == "running":
            raise InputError(f"the job of {job.out} is running; stop it first")
        if job.location.remote_state is not None:
            storage.remove_job_folder(job.location.remote_state)
        storage.remove_job_folder(str(job.path))
    if job.entry is not None:
        job.entry.unlink(missing_ok=True)


def _summary(job: JobRef) -> JobSummary:
    entry = job.entry if job.entry.exists() else None
    path, out = job.state / JOURNAL, job.location.address
    if not path.exists():
        return JobSummary(out, job.state, entry, "gone", 0, 0, 0, 0, (), job.location)
    try:
        entries = read_journal(path)
    except InputError as error:
        return JobSummary(out, job.state, entry, error.message, 0, 0, 0, 0, (), job.location)
    lines = video_lines(entries)
    states = {line.state for line in lines}
    ended = next((one for one in ("unfinished", "failed") if one in states), "done")
    state = "running" if is_locked(path) else ended
    parts = job.state / PARTS
    held = sum(path.lstat().st_size for path in parts.glob("*.mp4")) if parts.is_dir() else 0
    return JobSummary(
        out,
        job.state,
        entry,
        state,
        len(lines),
        sum(line.state == "done" for line in lines),
        sum(line.failed_attempts for line in lines),
        held,
        tuple(lines),
        job.location,
    )


def video_lines(entries: list[Entry]) -> list[VideoLine]:
    """Describe each video of a journal."""
    return [_line(destination, record) for destination, record in replay(entries).items()]


def _line(destination: str, record: VideoRecord) -> VideoLine:
    plan = record.planned.plan if record.planned is not None else None
    segments = len(plan.spans) if plan is not None else 0
    done = segments if record.state == "done" else len(record.segments)
    frames = plan.frames if plan is not None else 0
    return VideoLine(destination, record.state, frames, segments, done, record.failed_attempts, record.failure)
