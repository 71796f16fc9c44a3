"""The batch: films in, restored films out, whatever dies in between."""

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from vidrestore import __version__, storage
from vidrestore.errors import ConfigError, StorageError, VidrestoreError
from vidrestore.files import check_no_link
from vidrestore.jobs.films import FilmState, Stage, recall
from vidrestore.jobs.foreman import Foreman, OnError, Rules
from vidrestore.jobs.journal import Journal, PartDone
from vidrestore.jobs.layout import JOURNAL, PARTS, STATE_FOLDER, state_folder
from vidrestore.jobs.metrics import JobMetrics
from vidrestore.jobs.mirror import JournalMirror
from vidrestore.jobs.progress import JobProgress
from vidrestore.jobs.register import register, was_unsigned
from vidrestore.jobs.report import JobReport, Sample, job_report
from vidrestore.jobs.report_files import check_job_reports, write_job_reports
from vidrestore.jobs.signing import KEY_VARIABLE, signer
from vidrestore.jobs.tasks import FilmTask, find_tasks
from vidrestore.restoration.pipeline import RestoreConfig
from vidrestore.runtime.crew import Crew, LocalCrew, OpenCrew
from vidrestore.runtime.crew_on_ray import RayCrew
from vidrestore.runtime.face_pool import RayConfig
from vidrestore.runtime.local import LocalRunner

_POLL_SECONDS = 0.2
_SAMPLE_SECONDS = 2.0
_MOST_SAMPLES = 2000
_NOT_RESULT = {"restorer": {"device", "batch_size", "cuda_batch"}, "detector": {"device"}}
"""Options that say where and how fast, and not what: a change of them invalidates nothing."""
_ENCODER_THREADS = 4
"""Encoders write their number of threads into the stream, and parts must fit together wherever they were made."""
_PART = re.compile(r"[0-9a-f]{40}\.mp4")
_SCRATCH = re.compile(r"\.order-[a-z0-9_]{8}")
_MOST_LOST = 10
"""Films in a row, from the first on, whose store does not answer: then it is not there."""
_SEGMENT_COST = 3000.0
"""About a minute of 1080p."""


@dataclass(frozen=True, slots=True)
class BatchConfig:
    """Everything about one job but its sources."""

    restore: RestoreConfig = field(default_factory=RestoreConfig)
    ray: RayConfig = field(default_factory=RayConfig)
    runtime: Literal["ray", "local"] = "ray"
    manifest: Path | None = None
    """See `tasks.find_tasks`."""
    extension: str | None = None
    """Of all results; None keeps a film's own where it names a container that is written."""
    segment_seconds: float | None = None
    """Length of a segment; None cuts by cost, about a minute of 1080p."""
    workers: int = 0
    """Segment workers at most; 0: as many as the cluster has room for."""
    on_error: OnError = "fail"
    """What becomes of a segment that cannot be restored: its film fails, or its frames go through as they are."""
    stall_seconds: float = 900.0
    """Time without a frame after which a worker is taken for dead."""
    work: str | None = None
    """Where parts lie until their film is joined; a folder that all machines share, or a store. None: in the output."""
    overwrite: bool = False
    """Whether files that this job did not make may be replaced."""
    films_ahead: int = 64
    """Films that are under way at a time."""

    def __post_init__(self) -> None:
        if self.on_error not in {"fail", "passthrough"}:
            raise ConfigError(f"on_error is {self.on_error!r}; use fail or passthrough")
        if self.workers < 0 or self.films_ahead < 1 or not self.stall_seconds > 0:
            raise ConfigError("workers must be at least 0, films_ahead at least 1, stall_seconds above 0")
        if self.segment_seconds is not None and not self.segment_seconds > 0:
            raise ConfigError(f"segment_seconds is {self.segment_seconds}; use more than 0, or none")


OnProgress = Callable[[JobProgress], None]


def run_batch(
    sources: list[str],
    out: str,
    config: BatchConfig | None = None,
    *,
    on_progress: OnProgress | None = None,
    open_crew: OpenCrew | None = None,
) -> JobReport:
    """Restore many films, or long ones; run again after a crash, it goes on where it was.

    Films are cut into segments, which any worker of any machine restores; each film is joined to what one pass over it
    gives. What is done is journalled in `out/.vidrestore`; `out/job_report.json` and `.html` tell of the job.

    Args:
        sources: files, folders, patterns and stores' addresses.
        out: the output folder, where each film's place mirrors its place in the sources; or a store's address.
        config: the defaults restore with the embedded model, through Ray, to H.264.
        on_progress: called a few times a second.
        open_crew: who does the work, in place of what `config` says.

    Returns:
        What was done, film by film; films that failed are in it, and do not stop the others.

    Raises:
        VidrestoreError: the job cannot begin or go on: nothing to do, no cluster, no weights, no place for the journal.
    """
    config = _steady(config or BatchConfig())
    out = storage.clean(out)
    tasks = find_tasks(sources, out, config.restore, manifest=config.manifest, extension=config.extension)
    check_job_reports(out, overwrite=config.overwrite)
    state = state_folder(out)
    check_no_link(state)
    key = signer(out)
    copy = storage.beside(out, f"{STATE_FOLDER}/{JOURNAL}") if storage.is_remote(out) else None
    unsigned = was_unsigned(state)
    mirror = JournalMirror(state / JOURNAL, copy, key, trust_unsigned=unsigned)
    mirror.fetch()
    with Journal(state / JOURNAL, key, trust_unsigned=unsigned) as journal, ExitStack() as stack:
        register(out, state)
        stack.callback(mirror.push, now=True)
        parts = _parts_folder(out, state, config)
        _sweep(parts, journal)
        crew = stack.enter_context((open_crew or partial(_open_crew, config))())
        films = _films(tasks.films, crew.model_sha256)
        impossible = recall(films, journal.entries)
        notes = _journal_notes(state / JOURNAL, journal, impossible)
        _check_destinations(films, out, overwrite=config.overwrite, notes=notes)
        rules = Rules(
            out=out,
            parts=parts,
            scratch=parts,
            retries=config.ray.retries,
            on_error=config.on_error,
            segment_cost=_SEGMENT_COST,
            segment_seconds=config.segment_seconds,
            films_ahead=config.films_ahead,
        )
        job = _Job(Foreman(films, rules, journal.write), crew, on_progress, mirror)
        job.run()
        report = job_report(films, job.samples, crew, config, tasks, journal.repaired, notes, job.seconds)
        write_job_reports(report, out)
        # with another key, or before the folder was moved, other films may have been begun: their parts are kept
        if all(film.stage is Stage.DONE for film in films) and not journal.foreign_parts:
            storage.remove_job_folder(parts)
    return report


class _Job:
    """The loop of a batch: free workers get orders, what ends is taken in."""

    def __init__(self, foreman: Foreman, crew: Crew, on_progress: OnProgress | None, mirror: JournalMirror) -> None:
        self._mirror = mirror
        self._foreman = foreman
        self._crew = crew
        self._on_progress = on_progress
        self._metrics = JobMetrics(crew.name)
        self._started = time.monotonic()
        self.samples: list[Sample] = []
        self._sampled = 0.0

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._started

    def run(self) -> None:
        """Until every film is done or has failed."""
        foreman, crew = self._foreman, self._crew
        while not foreman.finished:
            crew.tend(foreman.backlog)
            for worker in crew.free():
                given = foreman.next(worker.node)
                if given is None:
                    break
                crew.give(worker, given[0], given[1].order)
            for event in crew.poll(_POLL_SECONDS):
                foreman.take(event)
            self._mirror.push()
            self._tell()
        self._tell(last=True)

    def _tell(self, *, last: bool = False) -> None:
        now = self.seconds
        progress = self._progress(now)
        if self._on_progress:
            self._on_progress(progress)
        if last or now - self._sampled >= _SAMPLE_SECONDS:
            self._sampled = now
            self._metrics.tell(progress)
            if len(self.samples) >= _MOST_SAMPLES:
                del self.samples[1::2]
            crew = progress.crew
            self.samples.append(
                Sample(
                    now,
                    progress.frames_done,
                    crew.network_seconds,
                    crew.workers,
                    crew.busy,
                    crew.face_workers,
                    progress.retries,
                )
            )

    def _progress(self, now: float) -> JobProgress:
        foreman = self._foreman
        stages = {stage.value: 0 for stage in Stage}
        segments = done = frames = finished = retries = 0
        for film in foreman.films:
            stages[film.stage.value] += 1
            retries += len(film.troubles)
            if film.planned is None:
                continue
            held = len(film.plan.spans)
            segments += held
            frames += film.plan.frames
            whole = film.stage is Stage.DONE
            done += held if whole else len(film.parts)
            finished += film.plan.frames if whole else sum(map(_frames, film.parts.values()))
        under_way = sum(progress.frames for progress in self._crew.progress().values())
        return JobProgress(
            stages,
            done,
            segments,
            min(frames, finished + under_way),
            frames,
            retries,
            self._crew.status(),
            now,
            sum(film.resumed_frames for film in foreman.films),
        )


def _frames(part: PartDone) -> int:
    return part.report.segment.frames_written


def _steady(config: BatchConfig) -> BatchConfig:
    """Encoders with a fixed number of threads, so that parts of different machines fit together."""
    encode = config.restore.encode
    if encode.threads:
        return config
    encode = replace(encode, threads=_ENCODER_THREADS)
    return replace(config, restore=replace(config.restore, encode=encode))


def _open_crew(config: BatchConfig) -> "LocalCrew | RayCrew":
    if config.runtime == "local":
        runner = LocalRunner(config.restore)
        return LocalCrew(runner.parts, runner.model_sha256)
    return RayCrew(config.restore, config.ray, most=config.workers, stall_seconds=config.stall_seconds)


def _parts_folder(out: str, state: Path, config: BatchConfig) -> str:
    """This job's own, wherever parts lie."""
    if config.work:
        return storage.beside(
            storage.clean(config.work),
            f"vidrestore-{hashlib.sha256(out.encode(errors='surrogateescape')).hexdigest()[:16]}",
        )
    home = storage.beside(out, STATE_FOLDER) if storage.is_remote(out) else str(state)
    return storage.beside(home, PARTS)


def _films(tasks: Iterable[FilmTask], model_sha256: str) -> list[FilmState]:
    """The films; one that cannot be had fails alone.

    Raises:
        StorageError: none of many can be had: the store is not there.
    """
    films: list[FilmState] = []
    lost = 0
    for task in tasks:
        mark, problem = "", task.error
        if problem is None:
            try:
                mark = storage.fingerprint(task.source)
            except VidrestoreError as error:
                lost += isinstance(error, StorageError)
                if lost == len(films) + 1 > _MOST_LOST:
                    raise
                problem = error.message
        stage = Stage.NEW if problem is None else Stage.FAILED
        films.append(FilmState(task, mark, _options_of(task, model_sha256), stage=stage, error=problem))
    return films


def _options_of(task: FilmTask, model_sha256: str) -> str:
    """sha256 of what a result depends on besides its source."""
    depends = {
        "config": {
            part: {name: value for name, value in options.items() if name not in _NOT_RESULT.get(part, ())}
            if isinstance(options, dict)
            else options
            for part, options in asdict(task.config).items()
        },
        "model": model_sha256,
        "version": __version__,
    }
    return hashlib.sha256(json.dumps(depends, sort_keys=True, default=str).encode()).hexdigest()


def _journal_notes(path: Path, journal: Journal, impossible: int) -> tuple[str, ...]:
    notes = []
    if journal.foreign:
        notes.append(
            f"{journal.foreign} lines of the journal {path} are not signed with your key for this folder and were not "
            "believed: somebody else, another machine or an earlier version wrote them, or the folder was moved; they "
            "stay in the journal and count again with their key, or in their place; machines share a key through "
            f"{KEY_VARIABLE}"
        )
    if journal.repaired:
        notes.append(
            f"{journal.repaired} damaged lines of the journal {path} were taken out; they are in {journal.kept_aside}"
        )
    if impossible:
        notes.append(f"{impossible} lines of the journal {path} tell what cannot be and were not used")
    return tuple(notes)


def _check_destinations(films: list[FilmState], out: str, *, overwrite: bool, notes: tuple[str, ...]) -> None:
    """Find out what is finished already, and do not replace what is not this job's."""
    for film in films:
        if film.stage is Stage.FAILED:
            continue
        try:
            problem = _destination_problem(film, out, overwrite=overwrite, notes=notes)
        except StorageError:
            raise
        except VidrestoreError as error:
            problem = error.message
        if problem is not None:
            film.stage, film.error = Stage.FAILED, problem


def _destination_problem(film: FilmState, out: str, *, overwrite: bool, notes: tuple[str, ...]) -> str | None:
    destination = storage.beside(out, film.task.destination)
    if not storage.is_remote(out) and storage.leads_out(out, film.task.destination):
        return f"{destination} leads out of the output folder through a link; remove the link"
    if storage.is_folder(destination):
        return f"{destination} is a folder, and the result is called so; move it away, or name another destination"
    there = storage.fingerprint(destination) if storage.exists(destination) else None
    if film.finished is not None and there != film.finished.joined.mark:
        film.finished, film.stage = None, Stage.NEW
        film.parts.clear()
    if film.finished is not None and film.planned is not None and film.planned.mark == film.mark:
        film.stage, film.resumed = Stage.DONE, True
        film.resumed_frames = film.plan.frames
    ours = film.claimed and (film.left is None or film.left.joined.mark == there)
    if there is not None and film.finished is None and not ours and not overwrite:
        why = f" ({notes[0]})" if notes else ""
        return f"{destination} exists already and is not of this job{why}; add --overwrite, or move it away"
    return None


def _sweep(parts: str, journal: Journal) -> None:
    """Remove what workers that were killed left half done."""
    if storage.is_remote(parts):
        return
    folder = Path(parts)
    check_no_link(folder)
    if not folder.is_dir():
        return
    known = {entry.report.part.rpartition("/")[2] for entry in journal.entries if isinstance(entry, PartDone)}
    known |= journal.foreign_parts  # another key's progress, or that of the folder before it was moved
    for path in folder.iterdir():
        if _SCRATCH.fullmatch(path.name) and path.is_dir():
            storage.remove_job_folder(str(path))
        elif _PART.fullmatch(path.name) and path.name not in known:
            storage.remove_file(str(path))
