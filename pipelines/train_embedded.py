"""Make the embedded model from a folder of aligned faces, stage by stage: prior, restorer, fine-tune.

    vidrestore align PHOTOS FACES
    python -m pipelines.train_embedded FACES OUT
    torchrun --nproc-per-node 2 -m pipelines.train_embedded FACES OUT      # on two GPUs

A stage leaves its weights in OUT/STAGE, and goes on from its last checkpoint when it was cut off. To go on with the
next stage (`--stage`) on another machine, the `.safetensors` files of OUT are enough.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from vidrestore.training.augmentation import AugmentationConfig
from vidrestore.training.degradation import preset
from vidrestore.training.job import PRIOR_FILE, machine_of, train_prior, train_restorer
from vidrestore.training.losses import LossWeights
from vidrestore.training.presets import training_preset
from vidrestore.training.prior import PriorConfig
from vidrestore.training.run import RunConfig
from vidrestore.training.schedule import ScheduleConfig
from vidrestore.training.trainer import RestorerConfig

AUGMENTATION = AugmentationConfig(initial=0.1)
RESTORER = RestorerConfig(
    weights=LossWeights(l1=4, adversarial=0.1, component_adversarial=0.15, component_style=50, identity=2),
    degradation=replace(preset("film"), clean_probability=0.15),
    schedule=ScheduleConfig(steps=8_000, warmup_steps=200, decay_share=0),
    decoder_learning_rate=2.5e-3,
    betas=(0.5, 0.99),
    clip=5,
    pyramid_until_step=4_000,
    adversarial_from_step=500,
    r1_gamma=2,
    average_half_life_images=10_000,
    augmentation=AUGMENTATION,
)
COMMON = replace(
    training_preset("compact"), cache="device", prior=PriorConfig(augmentation=AUGMENTATION), restorer=RESTORER
)
STAGES = {
    "prior": replace(COMMON, run=RunConfig(steps=6_000, evaluate_every_steps=500)),
    "restorer": replace(COMMON, run=RunConfig(steps=8_000)),
    "fine-tune": replace(COMMON, run=RunConfig(steps=3_000)),
}


def main(
    faces: Annotated[Path, typer.Argument(help="A folder that `vidrestore align` made.")],
    out: Annotated[Path, typer.Argument(help="Where stages leave logs, checkpoints and weights.")],
    stage: Annotated[list[str] | None, typer.Option(help="Only this stage; repeat for several.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of each stage, instead of the recipe's.")] = None,
    seconds: Annotated[float, typer.Option(help="Stop a stage in good order after so long.")] = float("inf"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
) -> None:
    """Run the stages in order."""
    for name in stage or STAGES:
        config = STAGES[name]
        run = replace(config.run, steps=steps or config.run.steps, stop_after_seconds=seconds)
        config = replace(config, run=run)
        machine = machine_of(config, device)
        if name == "prior":
            made = train_prior(config, faces, out / name, machine)
        elif name == "restorer":
            made = train_restorer(config, faces, out / name, machine, prior=out / "prior" / PRIOR_FILE)
        else:  # the rate falls over all of it, and the discriminators are warm
            schedule = ScheduleConfig(steps=run.steps, warmup_steps=50, decay_share=0.8)
            tuned = replace(config.restorer, schedule=schedule, adversarial_from_step=0, pyramid_until_step=0)
            made = train_restorer(replace(config, restorer=tuned), faces, out / name, machine, start=out / "restorer")
        typer.echo(f"{name}: {made}")


if __name__ == "__main__":
    typer.run(main)
