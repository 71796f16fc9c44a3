"""`vidrestore evaluate`: models against faces whose truth is known."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from vidrestore.cli.terminal import given, live_bar, say, show_table
from vidrestore.cli.zoo import fetch_weights
from vidrestore.config import update
from vidrestore.degradation.medium.clip import MEDIA
from vidrestore.evaluation.images.evaluate import STRENGTHS, EvaluationConfig, OnProgress
from vidrestore.evaluation.images.results import EvaluationReport
from vidrestore.evaluation.images.run import evaluate_models, write_evaluation
from vidrestore.evaluation.images.table import NOTES, parted, setting, tables
from vidrestore.files import open_folder
from vidrestore.restoration.face.restorer import RestorerConfig


def evaluate(
    *,
    faces: Annotated[Path, typer.Option(help="A folder of aligned square faces.", metavar="DIR")],
    model: Annotated[
        list[str] | None, typer.Option(help="A name of the zoo, or a file; may be repeated. Default embedded.")
    ] = None,
    strength: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Of the damage; may be repeated. Default {', '.join(STRENGTHS)}; or a film: {', '.join(MEDIA)}."
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most so many faces; by default all.")
    ] = None,
    held_out: Annotated[
        bool, typer.Option("--held-out/--all", help="Faces that training on this folder never shows, or all.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Of the damage.")] = 0,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32 or bf16.")] = None,
    destination: Annotated[
        Path | None, typer.Option("--out", help="Write report.json, table.md and grid.png here.", metavar="DIR")
    ] = None,
    grid_faces: Annotated[int, typer.Option(min=0, metavar="N", help="Rows of the picture.")] = 24,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Damage faces, restore them, and compare with the truth."""
    config = update(
        EvaluationConfig(
            part="held-out" if held_out else "all", seed=seed, grid_faces=grid_faces if destination else 0
        ),
        given({"strengths": strength, "count": count}),
    )
    restorer = update(RestorerConfig(), given({"device": device, "precision": precision}))
    models = model or [restorer.model]
    if destination:
        open_folder(destination)
    for name in models:
        fetch_weights(name, quiet=quiet)
    with _live_progress(quiet=quiet) as on_progress:
        done = evaluate_models(faces, models, config, restorer=restorer, on_progress=on_progress)
    written = write_evaluation(done, destination) if destination else []
    if not quiet:
        _print(done.report)
        for path in written:
            say(str(path))


def _print(report: EvaluationReport) -> None:
    for found in tables(report):
        for part in parted(found):
            show_table(part.title, part.head, part.body)
    for line in (setting(report), *NOTES):
        say(line)


@contextmanager
def _live_progress(*, quiet: bool) -> Iterator[OnProgress | None]:
    with live_bar(quiet=quiet) as bar:
        if bar is None:
            yield None
            return
        task = bar.add_task("loading", total=None, told="")

        def show(done: int, total: int, strength: str) -> None:
            bar.update(
                task, description=f"evaluating {strength}", total=total, completed=done, told=f"{done} restorations"
            )

        yield show
