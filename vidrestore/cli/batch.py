"""`vidrestore batch` and `vidrestore jobs`: many films, and what became of them."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from vidrestore import storage
from vidrestore.cli.terminal import fail, given, live_bar, parse_faces, remark, say, show_table, warn, warn_all
from vidrestore.cli.zoo import fetch_needed
from vidrestore.config import apply_settings, read_toml, update
from vidrestore.errors import InputError, Interrupted
from vidrestore.jobs.config import BatchConfig
from vidrestore.jobs.jobs import JobSummary, VideoLine, clean_job, find_job, list_jobs
from vidrestore.jobs.layout import PAGE, REPORT
from vidrestore.jobs.progress import JobProgress
from vidrestore.jobs.report import JobReport, VideoReport
from vidrestore.jobs.restore import restore_videos

_LINE_SECONDS = 30.0
_MOST_TOLD = 20
_MOST_LEFT_OUT = 5

jobs = typer.Typer(help="Batches that were begun: list, show, clean.", no_args_is_help=True)


def batch(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Films, folders, patterns ('**' reaches into folders), s3://, gs://, https://.", metavar="SRC"
        ),
    ] = None,
    out: Annotated[
        str, typer.Option(help="The folder, or the address in a store, for the results.", metavar="DIR")
    ] = "",
    manifest: Annotated[
        Path | None, typer.Option(help="CSV or JSON lines: source, destination, options of each film.")
    ] = None,
    extension: Annotated[str | None, typer.Option("--ext", help="Of all results, such as .mkv.")] = None,
    model: Annotated[str | None, typer.Option(help="embedded, gfpgan-v1.4, ..., or a file.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    strength: Annotated[float | None, typer.Option(min=0, max=1, help="Share of the restored face.")] = None,
    faces: Annotated[
        int | None, typer.Option(parser=parse_faces, metavar="all|largest|N", help="Faces a frame.")
    ] = None,
    codec: Annotated[str | None, typer.Option(help="Video encoder. Default libx264.")] = None,
    crf: Annotated[float | None, typer.Option(help="Constant quality. Default 17.")] = None,
    preset: Annotated[str | None, typer.Option(help="Encoder preset. Default medium.")] = None,
    lossless: Annotated[bool, typer.Option("--lossless", help="FFV1, in .mkv.")] = False,
    runtime: Annotated[str | None, typer.Option(metavar="ray|local", help="Ray actors, or this process.")] = None,
    address: Annotated[str | None, typer.Option(help="Of a running Ray cluster: auto, HOST:PORT, ray://...")] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Segment workers at most. 0: as many as fit.")] = None,
    face_workers: Annotated[int | None, typer.Option(min=0, help="Workers with the networks. 0: one a GPU.")] = None,
    placement: Annotated[str | None, typer.Option(metavar="spread|pack", help="Over machines, or together.")] = None,
    segment_seconds: Annotated[float | None, typer.Option(help="Length of a segment; else by cost.")] = None,
    on_error: Annotated[
        str | None, typer.Option(metavar="fail|passthrough", help="For a segment that cannot be restored.")
    ] = None,
    retries: Annotated[int | None, typer.Option(min=0, help="After a worker's death. Default 2.")] = None,
    work: Annotated[str | None, typer.Option(help="For parts: shared by all machines. Default in DIR.")] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file with any option.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="PART.OPTION=VALUE", help="Any option.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", "-y", help="Replace files of others in DIR.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Restore many films, or long ones, on one machine or many. Run the same command again to go on after a crash."""
    if not out:
        raise typer.BadParameter("give the folder for the results", param_hint="--out")
    job = read_toml(BatchConfig(), config) if config else BatchConfig()
    chosen: dict[str, Any] = {
        "restore": {
            "restorer": {"model": model, "device": device},
            "detector": {"device": device},
            "compositor": {"strength": strength},
            "selection": {"faces": faces},
            "encode": {"codec": codec, "crf": crf, "preset": preset, "lossless": lossless or None},
        },
        "ray": {"address": address, "face_workers": face_workers, "placement": placement, "retries": retries},
        "runtime": runtime,
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
    """Run a batch, show how far it is, and tell what became of it.

    Raises:
        VidrestoreError: the job cannot begin or go on.
        SystemExit: a film failed.
    """
    if not job.ray.address:
        fetch_needed(job.restore, quiet=quiet)
    try:
        with _shown(quiet=quiet) as on_progress:
            report = restore_videos(sources, out, job, on_progress=on_progress)
    except Interrupted:
        fail("interrupted; finished segments are kept: run the same command again to continue")
    _tell(report, out, quiet=quiet)


@contextmanager
def _shown(*, quiet: bool) -> Iterator[Callable[[JobProgress], None] | None]:
    """A bar where somebody watches, else a line now and then: what a cluster's log is read for."""
    if quiet:
        yield None
        return
    with live_bar(quiet=quiet) as bar:
        last = -_LINE_SECONDS
        task = bar.add_task("restoring", total=None, told="") if bar else None

        def tell(progress: JobProgress) -> None:
            nonlocal last
            if bar is not None and task is not None:
                done = progress.frames_done
                bar.update(task, total=progress.frames or None, completed=done, told=_told(progress))
            elif progress.seconds - last >= _LINE_SECONDS:
                last = progress.seconds
                remark(f"{progress.seconds:7.0f} s  {_told(progress)}")

        yield tell


def _told(progress: JobProgress) -> str:
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
        for film in report.videos[:_MOST_TOLD]:
            say(_line(film))
        if len(report.videos) > _MOST_TOLD:
            say(f"... and {len(report.videos) - _MOST_TOLD} more, see {storage.join(out, REPORT)}")
        for text, count in Counter(warning for film in report.videos for warning in film.warnings).most_common(5):
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
        first = next(film for film in report.videos if film.state == "failed")
        fail(f"{report.failed} of {len(report.videos)} videos failed; {first.source}: {first.error}")


def _line(film: VideoReport) -> str:
    if film.error:
        return f"{film.destination}: failed: {film.error}"
    if film.resumed:
        return f"{film.destination}: done earlier"
    passed = f", {film.unrestored_frames} frames unrestored" if film.unrestored_frames else ""
    before = f" ({film.segments_resumed} done earlier)" if film.segments_resumed else ""
    return f"{film.destination}: {film.frames} frames, {film.faces} faces, {film.segments} segments{before}{passed}"


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
def show(out: Annotated[str, typer.Argument(help="The job's output folder.", metavar="DIR")]) -> None:
    """Show what a job has done, video by video."""
    job = find_job(out)
    say(f"{job.out}: {job.state}, {job.done} of {job.videos} videos done, {job.failed_attempts} failed attempts")
    show_table(
        "videos", ["video", "state", "frames", "segments", "done", "failed attempts"], map(_film_cells, job.lines)
    )


def _film_cells(line: VideoLine) -> list[str]:
    return [
        line.destination,
        line.state,
        *(str(n) for n in (line.frames, line.segments, line.done, line.failed_attempts)),
    ]


@jobs.command()
def clean(
    out: Annotated[
        str | None, typer.Argument(help="The job's output folder; none: all that are done.", metavar="DIR")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Also a job that is not done.")] = False,
) -> None:
    """Remove journals and parts; results stay. Jobs that are not done are kept, for they can go on."""
    wanted = [find_job(out)] if out else list_jobs()
    cleaned = 0
    for job in wanted:
        if job.state in {"done", "gone"} or (force and out):
            clean_job(job)
            cleaned += 1
        elif out:
            raise InputError(f"{out} is not done ({job.state}); run its batch again, or give --force to give it up")
    say(f"{cleaned} jobs cleaned, {len(wanted) - cleaned} kept")
