"""`vidrestore align`: the commands about pictures of faces."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from vidrestore.cli.terminal import given, live_bar, say, warn
from vidrestore.cli.zoo import fetch_weights
from vidrestore.config import update
from vidrestore.models import zoo
from vidrestore.training.photographs.build_dataset import GatheringConfig, gather_faces
from vidrestore.training.photographs.build_record import GatheringReport

_NAMED = 5
"""Unusable photographs that are named on the terminal; the report names all."""
_KEPT_SCORE = 0.3
"""A picture that is kept is known to show a face: the detector only says where."""


def align(
    source: Annotated[str, typer.Argument(help="A folder, a photograph or a quoted pattern.", metavar="SRC")],
    destination: Annotated[Path, typer.Argument(help="The folder of faces to make, or to go on with.", metavar="DST")],
    size: Annotated[int | None, typer.Option(min=1, metavar="PX", help="Side of an aligned face. Default 256.")] = None,
    min_face: Annotated[
        float | None, typer.Option(min=0, metavar="PX", help="Skip narrower faces. Default 64.")
    ] = None,
    score: Annotated[
        float | None, typer.Option(min=0, max=1, help="Least score of a face. Default 0.9; 0.3 with --keep.")
    ] = None,
    max_residual: Annotated[
        float | None, typer.Option(min=0, help="Skip faces turned further away. Default 0.06.")
    ] = None,
    largest: Annotated[bool, typer.Option("--largest/--all", help="One face of each photograph, or all.")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="SRC holds aligned faces: link them, and only find their landmarks.")
    ] = False,
    image_format: Annotated[str | None, typer.Option("--format", metavar="png|jpg", help="Default png.")] = None,
    detector: Annotated[str | None, typer.Option(help="retinaface-mobile0.25 or retinaface-resnet50.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Cut the faces out of photographs, aligned, for training; a second run goes on where the first stopped."""
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
    with _live_progress(quiet=quiet) as on_progress:
        report = gather_faces(source, destination, config, on_progress=on_progress)
    if not quiet:
        _summarise(report, destination)


@contextmanager
def _live_progress(*, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    with live_bar(quiet=quiet) as bar:
        if bar is None:
            yield None
            return
        task = bar.add_task("aligning", total=None, told="")

        def update_bar(done: int, total: int) -> None:
            bar.update(task, total=total, completed=done, told=f"{done} of {total} photographs")

        yield update_bar


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
