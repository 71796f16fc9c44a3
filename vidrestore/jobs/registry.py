"""Jobs that this user has begun: where each keeps its files, how they are found again, and how far they are."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_state_path

from vidrestore import storage
from vidrestore.errors import InputError, OutputError
from vidrestore.files import STATE_FOLDER, check_no_link, replace_text
from vidrestore.jobs.entries import Entry, VideoRecord, replay
from vidrestore.jobs.journal import is_locked, read_journal

JOURNAL = "journal.jsonl"
PARTS = "parts"
REPORT = "job_report.json"
PAGE = "job_report.html"
_MAX_NAME_BYTES = 255
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class JobLocation:
    """Location of a job's results and its state."""

    output: str
    """Address of the folder for results, normalised."""
    video: str | None = None
    """Name of the only result, of a job of one video; such jobs share an output folder, and nothing else."""

    @classmethod
    def of_video(cls, address: str) -> "JobLocation":
        """Return the location of the job that writes one video to a normalised address."""
        folder, _, name = address.rpartition("/")
        return cls(folder or "/", name)

    @property
    def address(self) -> str:
        """Address of the output folder, or of the only result. It identifies the job."""
        return self.output if self.video is None else storage.join(self.output, self.video)

    @property
    def folder_name(self) -> str:
        """Name of the hidden folder: `.vidrestore`, or `.NAME.vidrestore` for a job of one video."""
        if self.video is None:
            return STATE_FOLDER
        name = f".{self.video}{STATE_FOLDER}"
        return name if len(os.fsencode(name)) <= _MAX_NAME_BYTES else f".{_digest(self.video)}{STATE_FOLDER}"

    @property
    def state(self) -> Path:
        """The folder of the journal, which is always a local one; where results go to a store, a copy lies there."""
        if not storage.is_remote(self.output):
            return Path(self.output) / self.folder_name
        return user_state_path("vidrestore") / "jobs" / _digest(self.address)

    @property
    def remote_state(self) -> str | None:
        """Address of the folder of the journal's copy, where results go to a store."""
        return storage.join(self.output, self.folder_name) if storage.is_remote(self.output) else None

    def parts(self, work: str | None) -> str:
        """Return the address of this job's own folder for parts: in a common folder, or with its state."""
        if work:
            return storage.join(storage.normalize(work), f"vidrestore-{_digest(self.address)}")
        return storage.join(self.remote_state or str(self.state), PARTS)


def state_folder(out: str) -> Path:
    """Return the folder of the journal of a batch, by the address of its output folder."""
    return JobLocation(out).state


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:_DIGITS]


@dataclass(frozen=True, slots=True)
class JobRef:
    """Entry of a job in the registry."""

    location: JobLocation
    state: Path
    """The folder of its journal."""
    entry: Path
    """Its file in the registry."""
    signed: bool = False
    """Whether its journal is signed; those of earlier versions were not."""


def register(location: JobLocation) -> None:
    """Note a job, whose journal is signed; a registry that cannot be written costs only the listing."""
    state = location.state
    entry = _entry(state)
    values = {"out": location.output, "video": location.video, "state": str(state), "signed": True}
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        replace_text(entry, json.dumps(values) + "\n")
    except (OSError, OutputError):
        return


def unregister(state: Path) -> None:
    """Forget a job."""
    _entry(state).unlink(missing_ok=True)


def was_unsigned(state: Path) -> bool:
    """Return whether this user began the job of a folder with a version that did not sign journals, and never since."""
    known = _read(_entry(state))
    return known is not None and known.state == state and not known.signed


def known_jobs() -> list[JobRef]:
    """List all jobs of the registry, including those whose folder is gone."""
    return [known for entry in sorted(_folder().glob("*.json")) if (known := _read(entry)) is not None]


def _read(entry: Path) -> JobRef | None:
    try:
        values = json.loads(entry.read_text(encoding="utf-8"))
        video = values.get("video")
        location = JobLocation(str(values["out"]), None if video is None else str(video))
        return JobRef(location, Path(values["state"]), entry, values.get("signed") is True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _entry(state: Path) -> Path:
    return _folder() / f"{_digest(str(state))}.json"


def _folder() -> Path:
    return user_state_path("vidrestore") / "register"


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
