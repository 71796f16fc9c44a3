"""Make the network that separates a face from what is in front of it, from a folder of aligned faces.

    python -m pipelines.train_visibility FACES OUT

OUT gets `visibility.safetensors`, for `vidrestore/models/weights/`, the figures of held-out faces as
`visibility.json`, and `visibility.png`: faces, truths and answers side by side.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from vidrestore.cli.terminal import run_to_exit, say, say_lines
from vidrestore.training.visibility.report import REPORT_FILE
from vidrestore.training.visibility.samples import VisibilityConfig
from vidrestore.training.visibility.train import train_visibility

RECIPE = VisibilityConfig()


def main(
    faces: Annotated[Path, typer.Argument(help="A folder that `vidrestore build-faces` made.")],
    out: Annotated[Path, typer.Argument(help="Folder for weights, figures and the picture.")],
    steps: Annotated[int, typer.Option(help="Steps of the training.")] = RECIPE.steps,
    batch: Annotated[int, typer.Option(help="Faces of a step.")] = RECIPE.batch,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = RECIPE.seed,
    seconds: Annotated[float, typer.Option(help="End in good order after so long.")] = float("inf"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
    processes: Annotated[
        int | None, typer.Option(help="Processes that draw sprites; 0 for none, all processors if left out.")
    ] = None,
) -> None:
    """Train, judge and report."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    config = replace(RECIPE, steps=steps, batch=batch, seed=seed, stop_after_seconds=seconds)
    made = train_visibility(faces, out, config, device=device, processes=processes)
    say_lines((out / REPORT_FILE).read_text())
    say(str(made))


if __name__ == "__main__":
    run_to_exit(main)
