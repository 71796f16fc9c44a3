"""`vidrestore evaluate-model`: models against faces whose truth is known."""

from pathlib import Path
from typing import Annotated

import typer

from vidrestore.cli.options import Device, Quiet, help_of, warn_former_flag
from vidrestore.cli.progress import ProgressBar, live_progress
from vidrestore.cli.terminal import say, show_table
from vidrestore.cli.zoo import fetch_weights
from vidrestore.config import given, update
from vidrestore.degradation.medium.clip import MEDIA
from vidrestore.evaluation.images.evaluate import EvaluationConfig
from vidrestore.evaluation.images.results import EvaluationReport
from vidrestore.evaluation.images.run import evaluate_models, write_evaluation
from vidrestore.evaluation.images.table import NOTES, parted, setting, tables
from vidrestore.files import open_folder
from vidrestore.restoration.config import RestorerConfig


def evaluate_model(
    folder: Annotated[Path | None, typer.Argument(help="Folder of aligned square faces.", metavar="FACES")] = None,
    faces: Annotated[Path | None, typer.Option(hidden=True)] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Model name or file; may be repeated (default: embedded).")
    ] = None,
    damage: Annotated[
        list[str] | None,
        typer.Option(
            help="Level of damage, or medium; may be repeated: "
            f"{', '.join(MEDIA)} (default: {', '.join(EvaluationConfig().strengths)})."
        ),
    ] = None,
    strength: Annotated[list[str] | None, typer.Option(hidden=True)] = None,
    count: Annotated[int | None, typer.Option(min=1, metavar="N", help="Number of faces (default: all).")] = None,
    held_out: Annotated[
        bool, typer.Option("--held-out/--all", help="Use only faces that training on this folder never sees, or all.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the damage.")] = 0,
    device: Device = None,
    precision: Annotated[
        str | None, typer.Option(metavar="auto|fp32|bf16", help=help_of("restore.restorer.precision"))
    ] = None,
    destination: Annotated[
        Path | None, typer.Option("--out", help="Write report.json, table.md and grid.png to a folder.", metavar="DIR")
    ] = None,
    grid_faces: Annotated[
        int, typer.Option(min=0, metavar="N", help="Rows of grid.png.")
    ] = EvaluationConfig().grid_faces,
    quiet: Quiet = False,
) -> None:
    """Evaluate models on faces whose truth is known.

    Faces are damaged, restored, and compared with the originals.
    """
    if faces is not None:
        warn_former_flag("--faces FACES", "FACES")
        folder = faces
    if folder is None:
        raise typer.BadParameter("name a folder of aligned faces", param_hint="FACES")
    if strength:
        warn_former_flag("--strength", "--damage")
        damage = [*(damage or []), *strength]
    config = update(
        EvaluationConfig(
            part="held-out" if held_out else "all", seed=seed, grid_faces=grid_faces if destination else 0
        ),
        given({"strengths": damage, "count": count}),
    )
    restorer = update(RestorerConfig(), given({"device": device, "precision": precision}))
    models = model or [restorer.model]
    if destination:
        open_folder(destination)
    for name in models:
        fetch_weights(name, quiet=quiet)
    with live_progress("loading", _show, quiet=quiet) as on_progress:
        done = evaluate_models(folder, models, config, restorer=restorer, on_progress=on_progress)
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


def _show(bar: ProgressBar, done: int, total: int, damage: str) -> None:
    bar.show(done, total, f"{done} restorations", description=f"evaluating {damage}")
