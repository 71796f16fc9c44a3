"""`vidrestore compare`: restored videos against a reference."""

from pathlib import Path
from typing import Annotated

import typer

from vidrestore.cli.options import Device, Quiet
from vidrestore.cli.progress import ProgressBar, live_progress
from vidrestore.cli.terminal import say, show_table
from vidrestore.config import given, update
from vidrestore.evaluation.videos.compare import compare_videos
from vidrestore.evaluation.videos.config import ComparisonConfig
from vidrestore.evaluation.videos.output import NOTES, open_folder, remarks, setting, tables, write_comparison
from vidrestore.evaluation.videos.results import VideoComparison


def compare(
    reference: Annotated[
        Path, typer.Argument(help="Reference video: how the others should look.", metavar="REFERENCE")
    ],
    tests: Annotated[
        list[Path], typer.Argument(help="Videos to compare with it, such as restored ones.", metavar="TEST...")
    ],
    degraded: Annotated[
        Path | None,
        typer.Option(
            "--input",
            help="Video that they were restored from: gets a row, and its weave and flicker are compensated.",
            metavar="VIDEO",
        ),
    ] = None,
    destination: Annotated[
        Path | None, typer.Option("--out", help="Write report.json, table.md and curves to a folder.", metavar="DIR")
    ] = None,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw curves with matplotlib.")] = True,
    min_face: Annotated[
        float | None,
        typer.Option(
            metavar="PX",
            help=f"Face width below which a face is not measured (default: {ComparisonConfig().min_face:g}).",
        ),
    ] = None,
    device: Device = None,
    quiet: Quiet = False,
) -> None:
    """Compare restored videos with a reference, frame by frame.

    Measures how well and how steadily faces were restored.
    """
    config = update(ComparisonConfig(), given({"min_face": min_face, "device": device}))
    if destination:
        open_folder(destination, plots=plots)
    with live_progress("comparing", _show, quiet=quiet) as on_progress:
        done = compare_videos(reference, tests, degraded=degraded, config=config, on_progress=on_progress)
    written = write_comparison(done, destination, plots=plots) if destination else []
    if not quiet:
        _print(done)
        for path in written:
            say(str(path))


def _print(comparison: VideoComparison) -> None:
    for found in tables(comparison):
        show_table(found.title, found.head, found.body)
    for line in (setting(comparison), *NOTES, *remarks(comparison)):
        say(line)


def _show(bar: ProgressBar, done: int, total: int | None) -> None:
    bar.show(done, total, f"{done} frames")
