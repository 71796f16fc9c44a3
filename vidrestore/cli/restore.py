"""`vidrestore restore`, `demo` and `probe`: one video."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from vidrestore import storage
from vidrestore.cli.options import (
    Address,
    Codec,
    Config,
    Crf,
    Device,
    Faces,
    Lossless,
    MinFace,
    Model,
    Overwrite,
    Preset,
    Quiet,
    Report,
    RuntimeName,
    Settings,
    Strength,
    Strict,
)
from vidrestore.cli.progress import ProgressBar, live_progress
from vidrestore.cli.terminal import cell, fail, out, say, say_json, warn_all
from vidrestore.cli.zoo import fetch_needed
from vidrestore.config import apply_settings, given, read_toml, update
from vidrestore.errors import Interrupted
from vidrestore.jobs.config import JobConfig
from vidrestore.report import check_report

if TYPE_CHECKING:
    from vidrestore.jobs.progress import JobProgress
    from vidrestore.report import RestoreReport


def restore(
    source: Annotated[
        str, typer.Argument(help="Video to restore: a file, or an s3://, gs:// or https:// address.", metavar="SRC")
    ],
    destination: Annotated[
        str, typer.Argument(help="Video to write; its extension names the container.", metavar="DST")
    ],
    model: Model = None,
    strength: Strength = None,
    faces: Faces = None,
    min_face: MinFace = None,
    codec: Codec = None,
    crf: Crf = None,
    preset: Preset = None,
    pixel_format: Annotated[
        str | None, typer.Option(help="Output pixel format (default: same as the source).", metavar="NAME")
    ] = None,
    lossless: Lossless = False,
    runtime: RuntimeName = None,
    address: Address = None,
    device: Device = None,
    config: Config = None,
    settings: Settings = None,
    report: Report = None,
    strict: Strict = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Restore the faces in one video.

    Audio, subtitles, chapters and every timestamp stay. Finished segments are kept in the hidden folder
    .NAME.vidrestore next to DST until DST is complete: run the same command again to continue after a crash.
    """
    from vidrestore.media import inspection  # noqa: PLC0415  its process imports while this one does

    if not storage.is_remote(source):
        inspection.prepare()
    from vidrestore.jobs.restore import restore_video  # noqa: PLC0415  as said above

    job = read_toml(JobConfig(), config) if config else JobConfig()
    encode = {"codec": codec, "crf": crf, "preset": preset, "pixel_format": pixel_format, "lossless": lossless or None}
    chosen: dict[str, Any] = {
        "restore": {
            "restorer": {"model": model, "device": device},
            "detector": {"device": device},
            "compositor": {"strength": strength},
            "selection": {"max_faces": faces, "min_face_px": min_face},
            "encode": encode,
        },
        "ray": {"address": address},
        "runtime": runtime,
        "strict": strict or None,
        "overwrite": overwrite or None,
    }
    job = apply_settings(update(job, given(chosen)), settings or [])
    files = [Path(address) for address in (source, destination) if not storage.is_remote(address)]
    if report:
        check_report(report, apart_from=files, overwrite=job.overwrite)
    if not job.ray.address:
        fetch_needed(job.restore, quiet=quiet)
    try:
        with live_progress("restoring", _show, quiet=quiet) as on_progress:
            done = restore_video(source, destination, job, on_progress=on_progress)
    except Interrupted as error:
        fail(error.message)
    if report:
        check_report(report, apart_from=files, overwrite=job.overwrite)  # hours may have passed
        done.save(report)
    if not quiet:
        _summarise(done)


def _show(bar: ProgressBar, progress: "JobProgress") -> None:
    rate = (progress.frames_done - progress.resumed_frames) / progress.seconds if progress.seconds else 0.0
    note = f"{progress.frames_done} frames  {rate:.1f} fps  {progress.faces_done} faces"
    bar.show(progress.frames_done, progress.frames or None, note)


def _summarise(done: "RestoreReport") -> None:
    warn_all(done.warnings)
    say(str(done))


def demo(
    folder: Annotated[Path, typer.Argument(help="Folder for the videos, the image and the reports.", metavar="DIR")],
    runtime: RuntimeName = None,
    quiet: Quiet = False,
) -> None:
    """Make two damaged videos, restore them, and draw a before/after image."""
    from vidrestore.demo import DemoVideo, run_demo  # noqa: PLC0415  the demonstration's parts are optional

    job = update(JobConfig(), given({"runtime": runtime}))
    started = time.perf_counter()
    with live_progress("restoring", _show, quiet=quiet) as on_progress:
        made = run_demo(folder, job, on_progress)
    if quiet:
        return

    def line(video: DemoVideo) -> str:
        done = video.report
        counts = f"{done.frames_written} frames, {done.faces_restored} faces"
        return f"{video.before} -> {video.after}: {counts}, {done.seconds:.1f} s"

    say(line(made.archival))
    before, after = made.likeness_before, made.likeness_after
    say(
        f"  face against ground truth: {before.psnr:.2f} dB before, {after.psnr:.2f} dB after; feature distance "
        f"{before.feature_distance:.3f} before, {after.feature_distance:.3f} after (lower is better)"
    )
    say(line(made.carphone))
    say(f"before | after | truth: {made.picture}")
    say(f"reports: {made.archival.report_path}, {made.carphone.report_path}")
    say(f"took {time.perf_counter() - started:.1f} s")


def probe_video(
    source: Annotated[Path, typer.Argument(help="Video to describe.", metavar="SRC")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Describe a video."""
    from vidrestore.media.inspection import inspect  # noqa: PLC0415  PyAV, which other commands of this file need later

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
