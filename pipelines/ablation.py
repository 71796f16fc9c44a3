"""Contribution of each part of GFP-GAN's training: the same short training without one part after the other.

    python -m pipelines.ablation FACES OUT --prior OUT/prior/prior.safetensors

The axes are those of the paper's table 3 and section 4.4: the prior, channel-split, pyramid, component and identity
losses. Held-out figures of the last evaluation go to OUT/ablation.md.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from pipelines.train_embedded import COMMON, FINISH, REBUILD
from vidrestore.cli.terminal import run_to_exit, say_lines
from vidrestore.files import replace_text
from vidrestore.markdown import markdown_table
from vidrestore.training.job import TrainingConfig, machine_of, train_restorer
from vidrestore.training.loop.log import last_figures

WEIGHTS = replace(FINISH.weights, pyramid=1)
FULL = replace(COMMON, restorer=replace(REBUILD, weights=WEIGHTS, r1_gamma=FINISH.r1_gamma))
FIGURES = ("psnr", "feature_distance", "identity", "sharpness")
STRENGTHS = ("protocol", "clean")


def without(**weights: float) -> TrainingConfig:
    """Return the full training with some losses' weights changed."""
    return replace(FULL, restorer=replace(FULL.restorer, weights=replace(FULL.restorer.weights, **weights)))


VARIANTS = {
    "full": FULL,
    "no prior": FULL,
    "no pyramid loss": without(pyramid=0),
    "no component loss": without(component_adversarial=0, component_style=0),
    "no identity loss": without(identity=0),
    "no channel split": replace(FULL, network=replace(FULL.network, sft_half=False)),
}


def main(
    faces: Annotated[Path, typer.Argument(help="A folder that `vidrestore build-faces` made.")],
    out: Annotated[Path, typer.Argument(help="Folder for each variant's run, and the table.")],
    prior: Annotated[Path, typer.Option(help="The trained prior of every variant but one.")],
    steps: Annotated[int, typer.Option(help="Steps of each variant.")] = 1_500,
    variant: Annotated[list[str] | None, typer.Option(help="Only this one; repeat for several.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
) -> None:
    """Train every variant, and write the table of all that are done."""
    for name in variant or VARIANTS:
        config = VARIANTS[name]
        schedule = replace(config.restorer.schedule, steps=steps, decay_share=0.3)
        shortened = replace(
            config.restorer, schedule=schedule, adversarial_from_step=steps // 10, pyramid_until_step=steps // 2
        )
        config = replace(config, restorer=shortened, run=replace(config.run, steps=steps, evaluate_every_steps=steps))
        given = None if name == "no prior" else prior
        train_restorer(config, faces, out / name.replace(" ", "-"), machine_of(config, device), prior=given)
    columns = [f"{strength}/{figure}" for strength in STRENGTHS for figure in FIGURES]
    found = {name: last_figures(out / name.replace(" ", "-")) for name in VARIANTS}
    rows = [[name, *(f"{figures[column]:.3f}" for column in columns)] for name, figures in found.items() if figures]
    table = markdown_table(["training", *columns], rows)
    replace_text(out / "ablation.md", f"{table}\n")
    say_lines(table)


if __name__ == "__main__":
    run_to_exit(main)
