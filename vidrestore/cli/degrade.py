"""`vidrestore degrade`: a film with the damage of an archive, to measure a restorer against the truth."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from vidrestore.cli.terminal import given, live_bar, say, warn_all
from vidrestore.config import apply_settings, update
from vidrestore.degradation.medium.profiles import LOOK_NAMES, look_preset
from vidrestore.degradation.report import DegradeReport
from vidrestore.degradation.video import DegradeConfig, OnFrame, degrade_film
from vidrestore.media.probe import VideoInfo
from vidrestore.report import check_report


def degrade(
    source: Annotated[Path, typer.Argument(help="The film to damage: the truth.", metavar="SRC")],
    destination: Annotated[
        Path, typer.Argument(help="The film to write; its extension names the container.", metavar="DST")
    ],
    preset: Annotated[
        str,
        typer.Option(metavar="|".join(LOOK_NAMES), help="What the film was kept on; mixed draws one of the others."),
    ] = "mixed",
    seed: Annotated[int, typer.Option(min=0, help="Of the look and of every frame's damage.")] = 0,
    codec: Annotated[str | None, typer.Option(help="Video encoder of DST. Default libx264.")] = None,
    crf: Annotated[
        float | None, typer.Option(help="Constant quality of DST, so fine that the damage alone is seen. Default 10.")
    ] = None,
    lossless: Annotated[bool, typer.Option("--lossless", help="FFV1 (in .mkv).")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PART.OPTION=VALUE", help="Any option, such as look.film.scale=[2,2]."),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write the look and what was done as JSON.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on a damaged source instead of warning.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", "-y", help="Replace DST if it exists.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Damage a film as an archive would; frames, their size and times stay, to be compared with the source's."""
    chosen = {
        "seed": seed,
        "encode": {"codec": codec, "crf": crf, "lossless": lossless or None},
        "strict": strict or None,
        "overwrite": overwrite or None,
    }
    config = apply_settings(update(DegradeConfig(look=look_preset(preset)), given(chosen)), settings or [])
    if report:
        check_report(report, apart_from=(source, destination), overwrite=overwrite)
    with _live_progress(quiet=quiet) as on_frame:
        done = degrade_film(source, destination, config, on_frame=on_frame)
    if report:
        check_report(report, apart_from=(source, destination), overwrite=overwrite)
        done.write(report)
    if not quiet:
        _summarise(done, preset)


def _summarise(done: DegradeReport, preset: str) -> None:
    warn_all(done.warnings)
    film = done.look.film
    fields = f"interlaced ({film.interlacing})" if film.interlacing else "progressive"
    say(
        f"{done.destination}: {done.frames} frames, {preset} with seed {done.seed}: {film.scale:.2f} times smaller, "
        f"{fields}, {film.codec.name}, {done.seconds:.1f} s ({done.frames_per_second:.1f} fps)"
    )


@contextmanager
def _live_progress(*, quiet: bool) -> Iterator[OnFrame | None]:
    with live_bar(quiet=quiet) as bar:
        if bar is None:
            yield None
            return
        task = bar.add_task("degrading", total=None, told="")

        def show(frames: int, info: VideoInfo) -> None:
            seconds = bar.tasks[task].elapsed or 0
            rate = frames / seconds if seconds else 0
            described = f"degrading {info.path.name}"
            bar.update(task, description=described, total=info.frames, completed=frames, told=f"{rate:.1f} fps")

        yield show
