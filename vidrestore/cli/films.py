"""`vidrestore restore`, `demo` and `probe`: the commands about films."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from vidrestore import storage
from vidrestore.cli.terminal import cell, fail, given, live_bar, out, parse_faces, say, say_json, warn_all
from vidrestore.cli.zoo import fetch_needed
from vidrestore.config import apply_settings, read_toml, update
from vidrestore.errors import Interrupted
from vidrestore.jobs.config import JobConfig
from vidrestore.jobs.progress import JobProgress
from vidrestore.jobs.restore import restore_video
from vidrestore.media.inspection import inspect
from vidrestore.report import RunReport, check_report


def restore(
    source: Annotated[
        str, typer.Argument(help="The video to restore: a file, s3://, gs:// or https://.", metavar="SRC")
    ],
    destination: Annotated[
        str, typer.Argument(help="The video to write; its extension names the container.", metavar="DST")
    ],
    model: Annotated[
        str | None, typer.Option(help="embedded, gfpgan-v1.4, gfpgan-v1.3, gfpgan-v1.2, or a file.")
    ] = None,
    strength: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of the restored face in the blend.")
    ] = None,
    faces: Annotated[
        int | None, typer.Option(parser=parse_faces, metavar="all|largest|N", help="Faces a frame.")
    ] = None,
    min_face: Annotated[float | None, typer.Option(min=0, metavar="PX", help="Leave narrower faces alone.")] = None,
    codec: Annotated[str | None, typer.Option(help="Video encoder: libx264, libx265, libsvtav1, ...")] = None,
    crf: Annotated[float | None, typer.Option(help="Constant quality; lower is better. Default 17.")] = None,
    preset: Annotated[str | None, typer.Option(help="Encoder preset. Default medium.")] = None,
    pixel_format: Annotated[str | None, typer.Option(help="Of the output; by default the film's own.")] = None,
    lossless: Annotated[bool, typer.Option("--lossless", help="FFV1 (in .mkv).")] = False,
    runtime: Annotated[str | None, typer.Option(metavar="ray|local", help="Ray actors, or this process.")] = None,
    address: Annotated[str | None, typer.Option(help="Of a running Ray cluster.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file with any option.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="PART.OPTION=VALUE", help="Any option.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write what was done as JSON.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on a damaged source instead of warning.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", "-y", help="Replace DST if it exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Restore the faces of a video; audio, subtitles, chapters and every timestamp stay.

    Finished segments are kept in the hidden folder .NAME.vidrestore beside DST until DST is complete: run the same
    command again after a crash, and it continues where it was.
    """
    job = read_toml(JobConfig(), config) if config else JobConfig()
    encode = {"codec": codec, "crf": crf, "preset": preset, "pixel_format": pixel_format, "lossless": lossless or None}
    chosen: dict[str, Any] = {
        "restore": {
            "restorer": {"model": model, "device": device},
            "detector": {"device": device},
            "compositor": {"strength": strength},
            "selection": {"faces": faces, "min_face": min_face},
            "encode": encode,
        },
        "ray": {"address": address},
        "runtime": runtime,
        "strict": strict or None,
        "overwrite": overwrite or None,
    }
    job = apply_settings(update(job, given(chosen)), settings or [])
    films = [Path(address) for address in (source, destination) if not storage.is_remote(address)]
    if report:
        check_report(report, apart_from=films, overwrite=job.overwrite)
    if not job.ray.address:
        fetch_needed(job.restore, quiet=quiet)
    try:
        with _live_progress(quiet=quiet) as on_progress:
            done = restore_video(source, destination, job, on_progress=on_progress)
    except Interrupted as error:
        fail(error.message)
    if report:
        check_report(report, apart_from=films, overwrite=job.overwrite)  # hours may have passed
        done.write(report)
    if not quiet:
        _summarise(done)


@contextmanager
def _live_progress(*, quiet: bool) -> Iterator[Callable[[JobProgress], None] | None]:
    with live_bar(quiet=quiet) as bar:
        if bar is None:
            yield None
            return
        task = bar.add_task("restoring", total=None, told="")

        def update_bar(progress: JobProgress) -> None:
            new = progress.frames_done - progress.resumed_frames
            rate = new / progress.seconds if progress.seconds else 0
            told = f"{progress.frames_done} frames  {rate:.1f} fps  {progress.faces_done} faces"
            bar.update(task, total=progress.frames or None, completed=progress.frames_done, told=told)

        yield update_bar


def _summarise(done: RunReport) -> None:
    warn_all(done.warnings)
    say(
        f"{done.destination}: {done.frames_written} frames, {done.faces_restored} faces in {done.tracks} tracks, "
        f"{done.shots} shots, {done.seconds:.1f} s ({done.frames_per_second:.1f} fps)"
    )


def demo(
    folder: Annotated[Path, typer.Argument(help="Where to leave films, picture and reports.", metavar="DIR")],
    runtime: Annotated[str | None, typer.Option(metavar="ray|local", help="Ray actors, or this process.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Make two damaged films, restore them, and draw a before/after picture."""
    from vidrestore.demo import DemoFilm, run_demo  # noqa: PLC0415  the demonstration's parts are optional

    job = update(JobConfig(), given({"runtime": runtime}))
    started = time.perf_counter()
    with _live_progress(quiet=quiet) as on_progress:
        made = run_demo(folder, job, on_progress)
    if quiet:
        return

    def line(film: DemoFilm) -> str:
        done = film.report
        counts = f"{done.frames_written} frames, {done.faces_restored} faces"
        return f"{film.before} -> {film.after}: {counts}, {done.seconds:.1f} s"

    say(line(made.archival))
    before, after = made.likeness_before, made.likeness_after
    say(
        f"  face against ground truth: {before.psnr:.2f} dB before, {after.psnr:.2f} dB after; feature distance "
        f"{before.feature_distance:.3f} before, {after.feature_distance:.3f} after (less is nearer)"
    )
    say(line(made.carphone))
    say(f"before | after | truth: {made.picture}")
    say(f"reports: {made.archival.report_path}, {made.carphone.report_path}")
    say(f"all of it took {time.perf_counter() - started:.1f} s")


def probe_film(
    source: Annotated[Path, typer.Argument(help="The film to describe.", metavar="SRC")],
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Say what is in a film."""
    described = asdict(inspect(source))
    if as_json:
        say_json(described)
        return
    table = Table(show_header=False, box=None)
    table.add_column()
    table.add_column(overflow="fold")  # a long path is shown whole
    for name, value in described.items():
        table.add_row(cell(name, style="bold"), cell(str(value)))
    out.print(table)
