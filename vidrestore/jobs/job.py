"""One job, of one video or of many: its journal, its folders, and the loop between scheduler and workers."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Self

from vidrestore import storage
from vidrestore.errors import InputError
from vidrestore.files import check_no_link
from vidrestore.jobs.config import JobConfig
from vidrestore.jobs.entries import SegmentDone
from vidrestore.jobs.inputs import InputVideo
from vidrestore.jobs.journal import Journal
from vidrestore.jobs.preparation import check_destinations, fingerprint_all, journal_notes, options_of, sweep
from vidrestore.jobs.preparation import open_pool as open_configured
from vidrestore.jobs.progress import OnProgress, ProgressMeter, Sample
from vidrestore.jobs.registry import JOURNAL, JobLocation, register, unregister, was_unsigned
from vidrestore.jobs.replica import JournalReplica
from vidrestore.jobs.scheduler import Scheduler, SchedulerConfig
from vidrestore.jobs.signing import signer
from vidrestore.jobs.tasks import Inspection, split
from vidrestore.jobs.videos import VideoProgress, VideoState, VideoStates, recall
from vidrestore.logs import log_to
from vidrestore.runtime.worker_pool import PoolFactory, WorkerPool

_POLL_SECONDS = 0.2
_SEGMENT_COST = 3000.0
"""Cost of a segment of a long video at most, about a minute of 1080p."""


class Job:
    """One job: its journal, its folders, and the loop that hands tasks to idle workers and processes the results.

    Use as a context manager; the journal is locked meanwhile.
    """

    def __init__(self, location: JobLocation, config: JobConfig, *, max_open_videos: int = 1) -> None:
        self.location = location
        self.parts = location.parts(config.work)
        self.videos: list[VideoProgress] = []
        self.notes: tuple[str, ...] = ()
        self.pool_name = self.model_sha256 = ""
        self._config = config
        self._max_open_videos = max_open_videos
        self._resources, self._log = ExitStack(), ExitStack()
        self._started = time.monotonic()
        self._meter: ProgressMeter | None = None
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
    def samples(self) -> list[Sample]:
        """Progress over time."""
        return self._meter.samples if self._meter is not None else []

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
        with (open_pool or partial(open_configured, config))() as pool, ThreadPoolExecutor(1) as janitor:
            pool.reconcile(self._expected_tasks(tasks, pool.capacity, inspections))  # they start while networks load
            self.pool_name, self.model_sha256 = pool.name, pool.model_sha256
            scheduler = self._scheduler(tasks, pool, inspections)
            meter = self._meter = ProgressMeter(on_progress)
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
                meter.update(scheduler.states, pool, self.seconds)
            meter.update(scheduler.states, pool, self.seconds, is_last=True)

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
