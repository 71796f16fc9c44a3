"""`vidrestore metrics`: restored films against the film as it should be."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from vidrestore.cli.terminal import given, live_bar, say, show_table
from vidrestore.config import update
from vidrestore.evaluation.videos.compare import OnProgress, compare_films
from vidrestore.evaluation.videos.config import ComparisonConfig
from vidrestore.evaluation.videos.output import open_folder, write_comparison
from vidrestore.evaluation.videos.results import FilmComparison
from vidrestore.evaluation.videos.table import NOTES, remarks, setting, tables


def metrics(
    reference: Annotated[Path, typer.Argument(help="The film as it should be.", metavar="REFERENCE")],
    tests: Annotated[
        list[Path], typer.Argument(help="Films to compare with it, such as restored ones.", metavar="TEST...")
    ],
    degraded: Annotated[
        Path | None,
        typer.Option(
            "--input", help="What they were restored from: a row; its weave and flicker are taken out.", metavar="FILM"
        ),
    ] = None,
    destination: Annotated[
        Path | None, typer.Option("--out", help="Write report.json, table.md and curves here.", metavar="DIR")
    ] = None,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw curves, with matplotlib.")] = True,
    min_face: Annotated[
        float | None, typer.Option(min=0, metavar="PX", help="Leave narrower faces out. Default 24.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Measure how well and how steadily faces were restored, frame by frame against the truth."""
    config = update(ComparisonConfig(), given({"min_face": min_face, "device": device}))
    if destination:
        open_folder(destination, plots=plots)
    with _live_progress(quiet=quiet) as on_progress:
        done = compare_films(reference, tests, degraded=degraded, config=config, on_progress=on_progress)
    written = write_comparison(done, destination, plots=plots) if destination else []
    if not quiet:
        _print(done)
        for path in written:
            say(str(path))


def _print(comparison: FilmComparison) -> None:
    for found in tables(comparison):
        show_table(found.title, found.head, found.body)
    for line in (setting(comparison), *NOTES, *remarks(comparison)):
        say(line)


@contextmanager
def _live_progress(*, quiet: bool) -> Iterator[OnProgress | None]:
    with live_bar(quiet=quiet) as bar:
        if bar is None:
            yield None
            return
        task = bar.add_task("comparing", total=None, told="")

        def show(done: int, total: int | None) -> None:
            bar.update(task, total=total, completed=done, told=f"{done} frames")

        yield show
