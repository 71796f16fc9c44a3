"""Restoration of videos that survives crashes: of many videos, or of a single one, which is a job of one video.

Videos are split into segments, which any worker of any node restores; each muxed video equals the result of one pass
over it. Progress is written to a journal in a hidden folder next to the results, so that the same call resumes after a
crash.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from vidrestore import storage
from vidrestore.errors import InputError, Interrupted, OutputError, VidrestoreError
from vidrestore.jobs.config import BatchConfig, JobConfig
from vidrestore.jobs.inputs import InputVideo, discover_inputs
from vidrestore.jobs.job import Job
from vidrestore.jobs.preparation import open_pool as _open_configured
from vidrestore.jobs.progress import OnProgress
from vidrestore.jobs.registry import JOURNAL, JobLocation
from vidrestore.jobs.report import JobReport, job_report, run_report
from vidrestore.jobs.report_files import check_job_reports, write_job_reports
from vidrestore.jobs.tasks import inspect_source, work_of
from vidrestore.media.inspection import inspect
from vidrestore.media.output import check_destination, container_format
from vidrestore.media.probe import VideoInfo
from vidrestore.report import RestoreReport
from vidrestore.runtime.worker_pool import PoolFactory, WorkerPool


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
    with Job(JobLocation(out), config, max_open_videos=config.max_open_videos) as job:
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
        with Job(location, config) as job:
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


def _leave(job: Job, error: VidrestoreError | KeyboardInterrupt) -> None:
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
