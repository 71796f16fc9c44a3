"""`vidrestore degrade`: simulate the damage of an archive."""

from pathlib import Path
from typing import Annotated

import typer

from vidrestore.cli.options import Codec, Lossless, Overwrite, Quiet, Report, Strict, warn_former_flag
from vidrestore.cli.progress import ProgressBar, live_progress
from vidrestore.cli.terminal import say, warn_all
from vidrestore.config import apply_settings, given, update
from vidrestore.degradation.medium.profiles import PROFILE_NAMES, profile_preset
from vidrestore.degradation.report import DegradeReport
from vidrestore.degradation.video import DegradeConfig, degrade_video
from vidrestore.media.probe import VideoInfo
from vidrestore.report import check_report


def degrade(
    source: Annotated[Path, typer.Argument(help="Video to damage: the reference.", metavar="SRC")],
    destination: Annotated[
        Path, typer.Argument(help="Video to write; its extension names the container.", metavar="DST")
    ],
    medium: Annotated[
        str,
        typer.Option(
            metavar="|".join(PROFILE_NAMES),
            help="Medium whose damage is simulated; mixed: one of the others at random.",
        ),
    ] = "mixed",
    preset: Annotated[str | None, typer.Option(hidden=True)] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    codec: Codec = None,
    crf: Annotated[
        float | None,
        typer.Option(
            help="Constant quality of DST; low, so that only the damage is visible "
            f"(default: {DegradeConfig().encode.crf:g})."
        ),
    ] = None,
    lossless: Lossless = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Set any option, such as profile.medium.scale=[2,2]."),
    ] = None,
    report: Report = None,
    strict: Strict = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Damage a video as an archive would, to measure a restorer on it.

    Frames, their size and their times stay, so that the result can be compared with the source.
    """
    if preset is not None:
        warn_former_flag("--preset", "--medium")
        medium = preset
    chosen = {
        "seed": seed,
        "encode": {"codec": codec, "crf": crf, "lossless": lossless or None},
        "strict": strict or None,
        "overwrite": overwrite or None,
    }
    config = apply_settings(update(DegradeConfig(profile=profile_preset(medium)), given(chosen)), settings or [])
    if report:
        check_report(report, apart_from=(source, destination), overwrite=overwrite)
    with live_progress("degrading", _show, quiet=quiet) as on_frame:
        done = degrade_video(source, destination, config, on_frame=on_frame)
    if report:
        check_report(report, apart_from=(source, destination), overwrite=overwrite)
        done.save(report)
    if not quiet:
        _summarise(done, medium)


def _summarise(done: DegradeReport, medium: str) -> None:
    warn_all(done.warnings)
    drawn = done.profile.medium
    fields = f"interlaced ({drawn.interlacing})" if drawn.interlacing else "progressive"
    say(
        f"{done.destination}: {done.frames} frames, {medium} with seed {done.seed}: {drawn.scale:.2f} times smaller, "
        f"{fields}, {drawn.codec.name}, {done.seconds:.1f} s ({done.frames_per_second:.1f} fps)"
    )


def _show(bar: ProgressBar, frames: int, info: VideoInfo) -> None:
    bar.show(frames, info.frames, f"{bar.rate(frames):.1f} fps", description=f"degrading {info.path.name}")
