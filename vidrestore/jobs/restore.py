"""Restoration of videos that survives crashes: of many videos, or of a single one, which is a job of one video.

Videos are split into segments, which any worker of any node restores; each muxed video equals the result of one pass
over it. Progress is written to a journal in a hidden folder next to the results, so that the same call resumes after a
crash.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from vidrestore import storage
from vidrestore.errors import InputError, Interrupted, OutputError, VidrestoreError
from vidrestore.files import check_no_link
from vidrestore.jobs.config import BatchConfig, JobConfig
from vidrestore.jobs.entries import SegmentDone
from vidrestore.jobs.inputs import InputVideo, discover_inputs
from vidrestore.jobs.journal import Journal
from vidrestore.jobs.layout import JOURNAL, JobLocation
from vidrestore.jobs.metrics import JobMetrics
from vidrestore.jobs.pools import open_pool as _open_configured
from vidrestore.jobs.preparation import check_destinations, fingerprint_all, journal_notes, options_of, sweep
from vidrestore.jobs.progress import JobProgress
from vidrestore.jobs.registry import register, unregister, was_unsigned
from vidrestore.jobs.replica import JournalReplica
from vidrestore.jobs.report import JobReport, Sample, job_report, run_report
from vidrestore.jobs.report_files import check_job_reports, write_job_reports
from vidrestore.jobs.scheduler import Scheduler, SchedulerConfig
from vidrestore.jobs.signing import signer
from vidrestore.jobs.tasks import Inspection, inspect_source, split, work_of
from vidrestore.jobs.videos import VideoProgress, VideoState, VideoStates, recall
from vidrestore.logs import log_to
from vidrestore.media.inspection import inspect
from vidrestore.media.output import check_destination, container_format
from vidrestore.media.probe import VideoInfo
from vidrestore.report import RestoreReport
from vidrestore.runtime.worker_pool import PoolFactory, WorkerPool

_POLL_SECONDS = 0.2
_SAMPLE_SECONDS = 2.0
_MAX_SAMPLES = 2000
_SEGMENT_COST = 3000.0
"""Cost of a segment of a long video at most, about a minute of 1080p."""

OnProgress = Callable[[JobProgress], None]


def restore_videos(
    sources: Sequence[str],
    out: str,
    config: BatchConfig | None = None,
    *,
    on_progress: OnProgress | None = None,
    open_pool: PoolFactory | None = None,
) -> JobReport:
    """Restore many videos, or long ones; call it again after a crash to resume.

    Args:
        sources: files, folders, patterns and stores' addresses.
        out: the output folder, in which results mirror the folders of the sources; or the address of a store.
        config: the defaults restore with the embedded model to H.264.
        on_progress: called a few times a second.
        open_pool: opens the workers, in place of those that `config` asks for.

    Returns:
        A report of every video; one that failed is in it, and does not stop the others. The same is written to
        `out/job_report.json` and `.html`.

    Raises:
        VidrestoreError: the job cannot begin or continue: no video, no cluster, no weights, no place for the journal.
    """
    config = config or BatchConfig()
    out = storage.normalize(out)
    inputs = discover_inputs(sources, out, config.restore, manifest=config.manifest, extension=config.extension)
    check_job_reports(out, overwrite=config.overwrite)
    with _Job(JobLocation(out), config, max_open_videos=config.max_open_videos) as job:
        job.run(inputs.videos, on_progress, open_pool)
        report = job_report(job, config, inputs)
        write_job_reports(report, out)
        # with another key, or before the folder was moved, other videos may have been begun: their parts are kept
        if job.is_done and not job.journal.foreign_parts:
            storage.remove_job_folder(job.parts)
    return report


def restore_video(
    source: str | Path,
    destination: str | Path,
    config: JobConfig | None = None,
    *,
    on_progress: OnProgress | None = None,
    open_pool: PoolFactory | None = None,
) -> RestoreReport:
    """Restore the faces of one video, on every core and GPU there is.

    Every frame of the source comes out with its exact time; audio, subtitles, chapters and metadata are copied. Until
    the video is published, progress is kept in the hidden folder `.NAME.vidrestore` next to the destination: call it
    again after a crash to resume.

    Args:
        source: any video that FFmpeg reads, or its address.
        destination: its extension names the container. The file appears there when it is complete, or not at all.
        config: the defaults restore with the embedded model to H.264.
        on_progress: called a few times a second.
        open_pool: opens the workers, in place of those that `config` asks for.

    Returns:
        A report, including everything that could not be kept.

    Raises:
        VidrestoreError: its one-line message names the cause, the expectation and the remedy.
    """
    started = time.perf_counter()
    config = config or JobConfig()
    address, target = storage.normalize(str(source)), storage.normalize(str(destination))
    location = JobLocation.of_video(target)
    name = target.rpartition("/")[2]
    has_begun = (location.state / JOURNAL).exists()
    if storage.is_remote(target):
        container_format(Path(name))
        if address == target:
            raise OutputError(f"{target} is the source itself; write the result to another file")
    else:
        # whether a file of a job that was begun may be replaced, its journal knows
        check_destination(Path(address), Path(str(destination)), overwrite=config.overwrite or has_begun)
    task = InputVideo(address, name, 0, config.restore)
    with ExitStack() as opened:  # closes the workers where the job does not begin
        if storage.is_remote(address):  # fetched where it is restored
            pool = opened.enter_context(open_pool() if open_pool else _open_configured(config))
            inspection = None
        else:
            # a bad source costs no workers; those that there are load their networks while it is read
            fingerprint, info = _probed(task)
            pool = opened.enter_context(open_pool() if open_pool else _open_configured(config, work_of(info)))
            inspection = inspect_source(task.source, fingerprint, task.destination, task.config)
        with _Job(location, config) as job:
            try:
                job.run([task], on_progress, lambda: _opened(pool, opened.pop_all()), [inspection])
                job.raise_failure()
            except (VidrestoreError, KeyboardInterrupt) as error:
                _leave(job, error)
                raise
            except BaseException:
                job.discard_if_useless()
                raise
            report = run_report(job, config, source, destination, time.perf_counter() - started)
            job.discard()
    return report


def _probed(task: InputVideo) -> tuple[str, VideoInfo]:
    try:
        fingerprint = storage.fingerprint(task.source)
    except InputError:
        inspect(task.source)  # it says more exactly what is wrong
        raise
    with storage.local_copy(task.source, fingerprint) as local:
        return fingerprint, inspect(local, max_pixels=task.config.max_pixels)


@contextmanager
def _opened(pool: WorkerPool, closing: ExitStack) -> Iterator[WorkerPool]:
    """Use a pool whose context was entered before."""
    with closing:
        yield pool


def _leave(job: "_Job", error: VidrestoreError | KeyboardInterrupt) -> None:
    """Keep what the next run can use, and add that to the message."""
    is_kept = not job.discard_if_useless()
    advice = f"finished segments are kept in {job.location.remote_state or job.location.state}"
    advice += ": run the same command again to continue, or remove the folder"
    if isinstance(error, Interrupted):
        error.message = f"interrupted; {advice if is_kept else 'no output was written'}"
    elif isinstance(error, VidrestoreError) and is_kept:
        error.message = f"{error.message} ({advice})"
    if isinstance(error, VidrestoreError):
        error.args = (error.message,)


class _Job:
    """One job: its journal, its folders, and the loop that hands tasks to idle workers and processes the results.

    Use as a context manager; the journal is locked meanwhile.
    """

    def __init__(self, location: JobLocation, config: JobConfig, *, max_open_videos: int = 1) -> None:
        self.location = location
        self.parts = location.parts(config.work)
        self.videos: list[VideoProgress] = []
        self.samples: list[Sample] = []
        self.notes: tuple[str, ...] = ()
        self.pool_name = self.model_sha256 = ""
        self._config = config
        self._max_open_videos = max_open_videos
        self._resources, self._log = ExitStack(), ExitStack()
        self._started = time.monotonic()
        self._sampled = 0.0
        state = location.state
        check_no_link(state)
        key = signer(location.output, location.video)
        copy = storage.join(location.remote_state, JOURNAL) if location.remote_state else None
        unsigned = was_unsigned(state)
        self._replica = JournalReplica(state / JOURNAL, copy, key, trust_unsigned=unsigned)
        self._replica.fetch()
        self.journal = Journal(state / JOURNAL, key, trust_unsigned=unsigned)

    def __enter__(self) -> Self:
        self._resources.enter_context(self.journal)
        self._log.enter_context(log_to(self.location.state))
        self._resources.callback(self._replica.push, now=True)
        register(self.location)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()
        self._log.close()

    @property
    def seconds(self) -> float:
        """Time since the job began."""
        return time.monotonic() - self._started

    @property
    def is_done(self) -> bool:
        """Whether every video is done."""
        return all(video.state is VideoState.DONE for video in self.videos)

    def run(
        self,
        tasks: Sequence[InputVideo],
        on_progress: OnProgress | None,
        open_pool: PoolFactory | None,
        inspections: Sequence[Inspection | None] | None = None,
    ) -> None:
        """Run until every video is done or has failed."""
        config = self._config
        sweep(self.parts, self.journal)
        with (open_pool or partial(_open_configured, config))() as pool, ThreadPoolExecutor(1) as janitor:
            pool.reconcile(self._expected_tasks(tasks, pool.capacity, inspections))  # they start while networks load
            self.pool_name, self.model_sha256 = pool.name, pool.model_sha256
            scheduler = self._scheduler(tasks, pool, inspections)
            metrics = JobMetrics(pool.name)
            while not scheduler.finished:
                pool.reconcile(scheduler.pending)
                scheduler.capacity, scheduler.cores_per_worker = pool.capacity, pool.cores_per_worker
                for worker in pool.idle_workers():
                    assigned = scheduler.next_task(worker.node)
                    if assigned is None:
                        break
                    pool.submit(worker, assigned[0], assigned[1].task)
                for event in pool.poll(_POLL_SECONDS) if not scheduler.finished else []:
                    scheduler.on_event(event)
                self._replica.push()
                if scheduler.obsolete_parts:
                    janitor.submit(_remove_files, scheduler.obsolete_parts)
                    scheduler.obsolete_parts = []
                self._report_progress(scheduler, pool, metrics, on_progress)
            self._report_progress(scheduler, pool, metrics, on_progress, is_last=True)

    def raise_failure(self) -> None:
        """Raise the error of a video that failed."""
        for video in self.videos:
            if video.failure is not None:
                raise video.failure

    def _expected_tasks(
        self, tasks: Sequence[InputVideo], capacity: int, inspections: Sequence[Inspection | None] | None
    ) -> int:
        """Return how many workers there will be tasks for at first."""
        found = inspections[0] if inspections and len(tasks) == 1 else None
        if found is None:
            return len(tasks)
        length = self._config.segment_seconds
        plan = split(found, tasks[0].config, segment_cost=_SEGMENT_COST, segment_seconds=length, min_segments=capacity)
        return len(plan.spans)

    def _scheduler(
        self, tasks: Sequence[InputVideo], pool: WorkerPool, inspections: Sequence[Inspection | None] | None
    ) -> Scheduler:
        """Restore the state of earlier runs from the journal, and queue the rest."""
        config = self._config
        found = fingerprint_all(tasks)
        self.videos = [
            VideoProgress(task, fingerprint, options_of(task, pool.model_sha256))
            for task, (fingerprint, _) in zip(tasks, found, strict=True)
        ]
        for video, inspection in zip(self.videos, inspections or [None] * len(self.videos), strict=True):
            if inspection is not None and inspection.fingerprint == video.fingerprint:
                video.inspection = inspection
        states = VideoStates(self.videos, self.journal.write)
        for video, (_, error) in zip(self.videos, found, strict=True):
            if error is not None:
                states.fail(video, error)
        wanted = [video for video in self.videos if video.failure is None]
        impossible = recall(wanted, self.journal.entries)
        self.notes = journal_notes(self.location.state / JOURNAL, self.journal, impossible)
        check_destinations(
            wanted,
            states,
            self.location.output,
            overwrite=config.overwrite,
            notes=self.notes,
            is_noted=not self.journal.foreign,
        )
        rules = SchedulerConfig(
            out=self.location.output,
            parts=self.parts,
            scratch=self.parts,
            retries=config.retries,
            on_error=config.on_error,
            segment_cost=_SEGMENT_COST,
            segment_seconds=config.segment_seconds,
            max_open_videos=self._max_open_videos,
            strict=config.strict,
        )
        return Scheduler(self.videos, states, rules, self.journal.write)

    def _report_progress(
        self,
        scheduler: Scheduler,
        pool: WorkerPool,
        metrics: JobMetrics,
        on_progress: OnProgress | None,
        *,
        is_last: bool = False,
    ) -> None:
        now = self.seconds
        states, totals = scheduler.states, scheduler.states.totals
        under_way = pool.progress().values()
        progress = JobProgress(
            videos={state.value: states.counts[state] for state in VideoState},
            segments_done=totals.segments_done,
            segments=totals.segments,
            frames_done=min(totals.frames, totals.frames_done + sum(one.frames for one in under_way)),
            frames=totals.frames,
            faces_done=totals.faces_done + sum(one.faces for one in under_way),
            retries=totals.retries,
            pool=pool.status(),
            seconds=now,
            resumed_frames=totals.resumed_frames,
        )
        if on_progress:
            on_progress(progress)
        if not is_last and now - self._sampled < _SAMPLE_SECONDS:
            return
        self._sampled = now
        metrics.update(progress)
        if len(self.samples) >= _MAX_SAMPLES:
            del self.samples[1::2]
        status = progress.pool
        self.samples.append(
            Sample(
                now,
                progress.frames_done,
                status.network_seconds,
                status.workers,
                status.busy,
                status.face_workers,
                progress.retries,
            )
        )

    def discard(self) -> None:
        """Remove the own files of a job of one video; parts of another key stay."""
        if self.journal.foreign_parts:
            return
        self._log.close()
        self._resources.pop_all()  # the journal is not copied to the store any more
        with self.journal:
            storage.remove_job_folder(self.parts)
            if self.location.remote_state is not None:
                storage.remove_job_folder(self.location.remote_state)
            storage.remove_job_folder(str(self.location.state))
            unregister(self.location.state)

    def discard_if_useless(self) -> bool:
        """Discard the job of one video if a later run could not use anything of it; return whether it did."""
        has_parts = any(isinstance(entry, SegmentDone) for entry in self.journal.entries)
        is_hopeless = any(isinstance(video.failure, InputError) for video in self.videos)
        if self.journal.foreign_parts or (has_parts and not is_hopeless):
            return False
        self.discard()
        return True


def _remove_files(addresses: Sequence[str]) -> None:
    for address in addresses:
        storage.remove_file(address)
