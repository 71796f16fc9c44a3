"""`vidrestore build-faces`: from photographs to aligned faces."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vidrestore.cli.options import Device, Quiet, batch_option
from vidrestore.cli.progress import ProgressBar, live_progress
from vidrestore.cli.terminal import say, warn
from vidrestore.cli.zoo import fetch_weights
from vidrestore.config import given, update
from vidrestore.models import zoo
from vidrestore.training.photographs.build_dataset import GatheringConfig, gather_faces
from vidrestore.training.photographs.build_record import GatheringReport

_NAMED = 5
"""Number of unusable photographs named on the terminal; the report names all."""
_KEPT_SCORE = 0.3
"""Detector threshold for a kept image: it is known to show a face, and the detector only locates it."""
_DEFAULTS = GatheringConfig()


def build_faces(
    source: Annotated[str, typer.Argument(help="Folder, photograph or quoted pattern.", metavar="SRC")],
    destination: Annotated[Path, typer.Argument(help="Folder of faces to create or continue.", metavar="DST")],
    size: Annotated[
        int | None, typer.Option(metavar="PX", help=f"Side of an aligned face (default: {_DEFAULTS.size}).")
    ] = None,
    min_face: Annotated[
        float | None,
        typer.Option(metavar="PX", help=f"Face width below which a face is skipped (default: {_DEFAULTS.min_face:g})."),
    ] = None,
    score: Annotated[
        float | None,
        typer.Option(
            help="Lowest detector score of a face "
            f"(default: {_DEFAULTS.detector.score_threshold:g}; {_KEPT_SCORE:g} with --keep)."
        ),
    ] = None,
    max_residual: Annotated[
        float | None, typer.Option(help=f"Skip faces turned further away (default: {_DEFAULTS.max_residual:g}).")
    ] = None,
    largest: Annotated[
        bool, typer.Option("--largest/--all", help="Take only the largest face of each photograph, or all.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Link the images of SRC, which are aligned faces, and only find landmarks.")
    ] = False,
    image_format: Annotated[
        str | None,
        typer.Option("--format", metavar="png|jpg", help=f"Image format (default: {_DEFAULTS.image_format})."),
    ] = None,
    detector: Annotated[str | None, batch_option("restore.detector.name", metavar="NAME")] = None,
    device: Device = None,
    quiet: Quiet = False,
) -> None:
    """Build a training set of aligned faces from photographs.

    Run the same command again to continue where it stopped.
    """
    chosen: dict[str, Any] = {
        "size": size,
        "min_face": min_face,
        "max_residual": max_residual,
        "largest": largest,
        "keep": keep,
        "image_format": image_format,
        "detector": {
            "name": detector,
            "device": device,
            "score_threshold": _KEPT_SCORE if score is None and keep else score,
        },
    }
    config = update(GatheringConfig(), given(chosen))
    if config.detector.name in {entry.name for entry in zoo.entries()}:
        fetch_weights(config.detector.name, quiet=quiet)
    with live_progress("aligning", _show, quiet=quiet) as on_progress:
        report = gather_faces(source, destination, config, on_progress=on_progress)
    if not quiet:
        _summarise(report, destination)


def _show(bar: ProgressBar, done: int, total: int) -> None:
    bar.show(done, total, f"{done} of {total} photographs")


def _summarise(report: GatheringReport, destination: Path) -> None:
    for name, problem in list(report.unusable.items())[:_NAMED]:
        warn(f"{name}: {problem}")
    counts = report.counts
    skipped = ", ".join(
        f"{counts[f'skipped_{reason}']} {reason.replace('_', ' ')}"
        for reason in ("too_small", "turned_away", "not_largest")
        if counts[f"skipped_{reason}"]
    )
    say(
        f"{destination}: {counts['faces']} faces of {counts['photographs']} photographs "
        f"({counts['without_face']} without a face, {counts['unusable']} unusable; "
        f"faces skipped: {skipped or 'none'})"
    )
