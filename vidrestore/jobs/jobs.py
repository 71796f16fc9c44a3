"""Jobs that were begun, as their journals tell."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from vidrestore import storage
from vidrestore.errors import InputError
from vidrestore.files import check_no_link
from vidrestore.jobs.journal import Dropped, Entry, Finished, PartDone, Planned, Trouble, is_locked, read_journal
from vidrestore.jobs.layout import JOURNAL, PARTS, STATE_FOLDER, state_folder
from vidrestore.jobs.register import KnownJob, known_jobs


@dataclass(frozen=True, slots=True)
class FilmLine:
    """A film of a job."""

    destination: str
    state: str
    frames: int
    segments: int
    done: int
    troubles: int


@dataclass(frozen=True, slots=True)
class JobSummary:
    """A job."""

    out: str
    path: Path
    """The folder of its journal."""
    entry: Path | None
    """Of the register."""
    state: str
    """`done`, `unfinished`, `running`, `gone`, or why it cannot be read."""
    films: int
    done: int
    troubles: int
    part_bytes: int
    lines: tuple[FilmLine, ...]


def list_jobs() -> list[JobSummary]:
    """All jobs of this user that the register knows."""
    return [_summary(job) for job in known_jobs()]


def find_job(out: str) -> JobSummary:
    """The job of an output folder.

    Raises:
        InputError: there is none.
    """
    address = storage.clean(out)
    for job in known_jobs():
        if job.out == address and (job.state / JOURNAL).exists():
            return _summary(job)
    path = state_folder(address)
    if storage.is_remote(address) or not (path / JOURNAL).exists():
        raise InputError(f"{out} is not the output folder of a job; `vidrestore jobs list` names them")
    return _summary(KnownJob(address, path, path / "none"))


def clean_job(job: JobSummary) -> None:
    """Forget a job, with its parts; results stay.

    Raises:
        InputError: it is running, or its folder is not where a job keeps it.
        OutputError: a link is in the place of its folder.
    """
    if job.path != state_folder(job.out):
        raise InputError(f"{job.path} is not the folder of the job of {job.out}; nothing is removed")
    if (job.path / JOURNAL).exists():
        check_no_link(job.path)
        if job.state == "running":
            raise InputError(f"the job of {job.out} is running; stop it first")
        if storage.is_remote(job.out):
            storage.remove_job_folder(storage.beside(job.out, STATE_FOLDER))
        storage.remove_job_folder(str(job.path))
    if job.entry is not None:
        job.entry.unlink(missing_ok=True)


def _summary(job: KnownJob) -> JobSummary:
    entry = job.entry if job.entry.exists() else None
    path = job.state / JOURNAL
    if not path.exists():
        return JobSummary(job.out, job.state, entry, "gone", 0, 0, 0, 0, ())
    try:
        entries = read_journal(path)
    except InputError as error:
        return JobSummary(job.out, job.state, entry, error.message, 0, 0, 0, 0, ())
    lines = film_lines(entries)
    done = sum(line.state == "done" for line in lines)
    state = "running" if is_locked(path) else "done" if done == len(lines) else "unfinished"
    parts = job.state / PARTS
    held = sum(path.lstat().st_size for path in parts.glob("*.mp4")) if parts.is_dir() else 0
    return JobSummary(
        job.out, job.state, entry, state, len(lines), done, sum(line.troubles for line in lines), held, tuple(lines)
    )


def film_lines(entries: list[Entry]) -> list[FilmLine]:
    """The state of each film, from a journal's entries."""
    planned: dict[str, Planned] = {}
    parts: dict[str, set[int]] = {}
    finished: set[str] = set()
    troubles: Counter[str] = Counter()
    for entry in entries:
        name = entry.destination
        if isinstance(entry, Planned):
            if name not in planned or planned[name].key != entry.key:
                parts[name] = set()
                finished.discard(name)
            planned[name] = entry
        elif isinstance(entry, PartDone):
            parts.setdefault(name, set()).add(entry.number)
        elif isinstance(entry, Dropped):
            parts.setdefault(name, set()).difference_update(entry.numbers)
        elif isinstance(entry, Finished):
            finished.add(name)
        elif isinstance(entry, Trouble):
            troubles[name] += 1
    unplanned = [FilmLine(name, "failed", 0, 0, 0, count) for name, count in troubles.items() if name not in planned]
    return unplanned + [
        FilmLine(
            name,
            "done" if name in finished else "unfinished",
            entry.plan.frames,
            len(entry.plan.spans),
            len(parts.get(name, set()) & set(range(len(entry.plan.spans)))),
            troubles[name],
        )
        for name, entry in planned.items()
    ]
