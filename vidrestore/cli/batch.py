"""`vidrestore batch` and `vidrestore jobs`: many videos, and their jobs."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from vidrestore import storage
from vidrestore.cli.options import (
    Address,
    Codec,
    Config,
    Crf,
    Device,
    Faces,
    Lossless,
    Model,
    Preset,
    Quiet,
    RuntimeName,
    Settings,
    Strength,
    batch_option,
)
from vidrestore.cli.progress import ProgressBar, live_progress
from vidrestore.cli.terminal import fail, remark, say, show_table, warn, warn_all
from vidrestore.cli.zoo import fetch_needed
from vidrestore.config import apply_settings, given, read_toml, update
from vidrestore.errors import InputError, Interrupted
from vidrestore.jobs.config import BatchConfig
from vidrestore.jobs.progress import JobProgress
from vidrestore.jobs.registry import PAGE, REPORT, JobSummary, VideoLine, clean_job, find_job, list_jobs
from vidrestore.jobs.report import JobReport, VideoReport
from vidrestore.jobs.restore import restore_videos

_LINE_SECONDS = 30.0
_MOST_LISTED = 20
_MOST_LEFT_OUT = 5

jobs = typer.Typer(help="List, inspect and clean up jobs.", no_args_is_help=True)


def batch(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Videos, folders, patterns ('**' matches subfolders), s3://, gs:// or https:// addresses.",
            metavar="SRC",
        ),
    ] = None,
    out: Annotated[str, typer.Option(help="Folder, or address in a store, for the results.", metavar="DIR")] = "",
    manifest: Annotated[Path | None, batch_option("manifest", metavar="FILE")] = None,
    extension: Annotated[str | None, batch_option("extension", name="--ext", metavar=".EXT")] = None,
    model: Model = None,
    device: Device = None,
    strength: Strength = None,
    faces: Faces = None,
    codec: Codec = None,
    crf: Crf = None,
    preset: Preset = None,
    lossless: Lossless = False,
    runtime: RuntimeName = None,
    address: Address = None,
    workers: Annotated[int | None, batch_option("workers")] = None,
    face_workers: Annotated[int | None, batch_option("ray.face_workers")] = None,
    placement: Annotated[str | None, batch_option("ray.placement", metavar="spread|pack")] = None,
    segment_seconds: Annotated[
        float | None, typer.Option(help="Segment length in seconds (default: automatic).")
    ] = None,
    on_error: Annotated[str | None, batch_option("on_error", metavar="fail|passthrough")] = None,
    retries: Annotated[int | None, batch_option("retries")] = None,
    work: Annotated[
        str | None,
        typer.Option(
            help="Directory for intermediate segments; must be visible to all nodes (default: in DIR).", metavar="DIR"
        ),
    ] = None,
    config: Config = None,
    settings: Settings = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", "-y", help="Overwrite files in DIR that this job did not create.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Restore many videos, or long ones, on one machine or many.

    Run the same command again to continue after a crash.
    """
    if not out:
        raise typer.BadParameter("name the folder for the results", param_hint="--out")
    job = read_toml(BatchConfig(), config) if config else BatchConfig()
    chosen: dict[str, Any] = {
        "restore": {
            "restorer": {"model": model, "device": device},
            "detector": {"device": device},
            "compositor": {"strength": strength},
            "selection": {"max_faces": faces},
            "encode": {"codec": codec, "crf": crf, "preset": preset, "lossless": lossless or None},
        },
        "ray": {"address": address, "face_workers": face_workers, "placement": placement},
        "runtime": runtime,
        "retries": retries,
        "manifest": manifest,
        "extension": extension,
        "workers": workers,
        "segment_seconds": segment_seconds,
        "on_error": on_error,
        "work": work,
        "overwrite": overwrite or None,
    }
    job = apply_settings(update(job, given(chosen)), settings or [])
    run_shown(sources or [], out, job, quiet=quiet)


def run_shown(sources: list[str], out: str, job: BatchConfig, *, quiet: bool) -> None:
    """Run a batch, show its progress, and print its result.

    Raises:
        VidrestoreError: the job cannot begin or go on.
        SystemExit: a video failed.
    """
    if not job.ray.address:
        fetch_needed(job.restore, quiet=quiet)
    try:
        with live_progress("restoring", _show, quiet=quiet) as on_bar:
            on_progress = on_bar or (None if quiet else _log_lines())
            report = restore_videos(sources, out, job, on_progress=on_progress)
    except Interrupted:
        fail("interrupted; finished segments are kept: run the same command again to continue")
    _tell(report, out, quiet=quiet)


def _show(bar: ProgressBar, progress: JobProgress) -> None:
    bar.show(progress.frames_done, progress.frames or None, _summary(progress))


def _log_lines() -> Callable[[JobProgress], None]:
    """Return a callback that logs a line now and then: what a cluster's log is read for."""
    last = -_LINE_SECONDS

    def show(progress: JobProgress) -> None:
        nonlocal last
        if progress.seconds - last >= _LINE_SECONDS:
            last = progress.seconds
            remark(f"{progress.seconds:7.0f} s  {_summary(progress)}")

    return show


def _summary(progress: JobProgress) -> str:
    videos, pool = progress.videos, progress.pool
    new = progress.frames_done - progress.resumed_frames
    rate = new / progress.seconds if progress.seconds else 0.0
    failed = f", {videos['failed']} failed" if videos["failed"] else ""
    retries = f"  {progress.retries} retries" if progress.retries else ""
    return (
        f"{videos['done']}/{sum(videos.values())} videos{failed}  "
        f"{progress.segments_done}/{progress.segments} segments  "
        f"{progress.frames_done}/{progress.frames} frames  {rate:.1f} fps  {pool.busy}/{pool.workers} workers on "
        f"{pool.nodes} nodes{retries}"
    )


def _tell(report: JobReport, out: str, *, quiet: bool) -> None:
    if not quiet:
        for video in report.videos[:_MOST_LISTED]:
            say(_line(video))
        if len(report.videos) > _MOST_LISTED:
            say(f"... and {len(report.videos) - _MOST_LISTED} more, see {storage.join(out, REPORT)}")
        for text, count in Counter(warning for video in report.videos for warning in video.warnings).most_common(5):
            warn(f"{text} ({count} videos)" if count > 1 else text)
        if report.ignored:
            warn(f"skipped {len(report.ignored)} files without a video extension")
        if report.left_out:
            more = (
                f", and {len(report.left_out) - _MOST_LEFT_OUT} more" if len(report.left_out) > _MOST_LEFT_OUT else ""
            )
            warn(f"{len(report.left_out)} left out: {'; '.join(report.left_out[:_MOST_LEFT_OUT])}{more}")
        warn_all(report.journal_notes)
        if report.journal_lines_repaired:
            warn(f"dropped {report.journal_lines_repaired} corrupt journal lines; that work was repeated")
        say(
            f"{report.done} of {len(report.videos)} videos, {report.frames_of_this_run} frames in "
            f"{report.seconds:.1f} s ({report.frames_per_second:.1f} fps), {report.retries} retries; "
            f"{storage.join(out, PAGE)}"
        )
    if report.failed:
        first = next(video for video in report.videos if video.state == "failed")
        fail(f"{report.failed} of {len(report.videos)} videos failed; {first.source}: {first.error}")


def _line(video: VideoReport) -> str:
    if video.error:
        return f"{video.destination}: failed: {video.error}"
    if video.resumed:
        return f"{video.destination}: done earlier"
    passed = f", {video.unrestored_frames} frames unrestored" if video.unrestored_frames else ""
    before = f" ({video.segments_resumed} done earlier)" if video.segments_resumed else ""
    return f"{video.destination}: {video.frames} frames, {video.faces} faces, {video.segments} segments{before}{passed}"


@jobs.command(name="list")
def list_all() -> None:
    """List all jobs of this user, and how far they are."""
    found = list_jobs()
    if not found:
        say("no jobs; `vidrestore batch SRC... --out DIR` starts one")
        return
    show_table("jobs", ["output", "state", "videos", "done", "failed parts", "parts kept"], map(_cells, found))


def _cells(job: JobSummary) -> list[str]:
    return [
        job.out,
        job.state,
        str(job.videos),
        str(job.done),
        str(job.failed_attempts),
        f"{job.part_bytes / 1e6:.1f} MB",
    ]


@jobs.command()
def show(out: Annotated[str, typer.Argument(help="Output folder of the job.", metavar="DIR")]) -> None:
    """Show what a job has done, video by video."""
    job = find_job(out)
    say(f"{job.out}: {job.state}, {job.done} of {job.videos} videos done, {job.failed_attempts} failed attempts")
    show_table(
        "videos", ["video", "state", "frames", "segments", "done", "failed attempts"], map(_video_cells, job.lines)
    )


def _video_cells(line: VideoLine) -> list[str]:
    return [
        line.destination,
        line.state,
        *(str(n) for n in (line.frames, line.segments, line.done, line.failed_attempts)),
    ]


@jobs.command()
def clean(
    out: Annotated[
        str | None, typer.Argument(help="Output folder of the job (default: all finished jobs).", metavar="DIR")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Clean up a job even if it is not finished.")] = False,
) -> None:
    """Remove journals and intermediate segments; results stay.

    Unfinished jobs are kept, for they can continue.
    """
    wanted = [find_job(out)] if out else list_jobs()
    cleaned = 0
    for job in wanted:
        if job.state in {"done", "gone"} or (force and out):
            clean_job(job)
            cleaned += 1
        elif out:
            raise InputError(f"{out} is not done ({job.state}); run its batch again, or give --force to give it up")
    say(f"{cleaned} jobs cleaned, {len(wanted) - cleaned} kept")
