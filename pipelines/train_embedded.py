"""Make the embedded model from a folder of aligned faces, stage by stage.

    python -m pipelines.train_embedded FACES OUT      # or `torchrun --nproc-per-node 2 -m` ... on two GPUs
    python -m pipelines.train_embedded FACES OUT --edition second     # goes on from the weights of the package

The first edition is made of prior, restorer and fine-tune; the second of renew and refine; `--stage light` teaches
`embedded-fast` what the embedded model draws. Where a table `people.csv`
(`file,person`) lies next to the faces, held-out faces are of people who are not trained on.

A stage that was cut off continues from its last checkpoint in OUT. For the next stage (`--stage`) on another host,
the `.safetensors` files of OUT are enough.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from vidrestore.cli.terminal import run_to_exit, say
from vidrestore.degradation.image.model import preset
from vidrestore.models import zoo
from vidrestore.training.data.jitter import JitterConfig
from vidrestore.training.data.medium_mix import MediumMixConfig
from vidrestore.training.distillation import DistillationConfig
from vidrestore.training.gan.augmentation import AugmentationConfig
from vidrestore.training.gan.losses import LossWeights
from vidrestore.training.gan.trainer import RestorerConfig
from vidrestore.training.job import PRIOR_FILE, machine_of, train_light, train_prior, train_restorer
from vidrestore.training.loop.log import last_step
from vidrestore.training.loop.optimizer import ScheduleConfig
from vidrestore.training.loop.run import RunConfig
from vidrestore.training.recipes import training_preset

# First the distances to the truth alone; adversarial losses come last, and start from the prior's discriminator.
REBUILD = RestorerConfig(
    weights=LossWeights(l1=15, adversarial=0, component_adversarial=0, component_style=0, identity=1),
    degradation=replace(preset("film"), blur_sigma_pixels=(0.2, 7), clean_probability=0.08),
    schedule=ScheduleConfig(decay_share=0.5),
    learning_rate=5e-4,
    betas=(0.9, 0.99),
    clip=10,
    pyramid_until_step=2_000,
    jitter=JitterConfig(probability=0.8, turn_degrees=8, shift=0.04, zoom_octaves=0.2),
)
FINISH = replace(
    REBUILD,
    weights=LossWeights(l1=15, pyramid=0, adversarial=0.05, component_adversarial=0.03, component_style=15, identity=1),
    schedule=ScheduleConfig(warmup_steps=100, decay_share=0.8),
    learning_rate=2e-4,
    decoder_learning_rate=7e-4,
    betas=(0.5, 0.99),
    r1_gamma=2,
    augmentation=AugmentationConfig(),
)
# The second edition goes on from the first: colours of eyes, lips and teeth count by themselves, identity counts more,
# and old film stays as it is: black and white, toned or faded.
_OLD_FILM = replace(preset("film"), blur_sigma_pixels=(0.2, 7), clean_probability=0.08, grey_probability=0.05)
_JITTER = JitterConfig(
    probability=0.8, turn_degrees=8, shift=0.04, zoom_octaves=0.2, brightness_octaves=0.35, faded_probability=0.08
)
_DISTANCES = LossWeights(
    l1=20,
    perceptual=1.2,
    pyramid=0,
    adversarial=0,
    component_adversarial=0,
    component_style=0,
    identity=2.5,
    chroma=10,
    component_chroma=15,
)
RENEW = replace(REBUILD, weights=_DISTANCES, degradation=_OLD_FILM, jitter=_JITTER)
REFINE = replace(
    FINISH,
    weights=replace(_DISTANCES, identity=2, adversarial=0.16, component_adversarial=0.1, component_style=40),
    degradation=_OLD_FILM,
    schedule=ScheduleConfig(warmup_steps=30, decay_share=0.8),
    jitter=_JITTER,
    adversarial_from_step=100,
    critics_ahead_steps=100,
    average_half_life_images=8_000,
)
# The damage of the teacher's own training.
DISTILL = DistillationConfig(
    degradation=_OLD_FILM,
    jitter=_JITTER,
    schedule=ScheduleConfig(decay_share=0.9),
    learning_rate=1e-3,
    truth_share=0.1,
    l1=10,
    perceptual=2,
)
COMMON = replace(training_preset("compact"), cache="device")
STAGES = {
    "prior": replace(COMMON, run=RunConfig(steps=10_000)),
    "restorer": replace(COMMON, batch=128, medium_mix=MediumMixConfig(), restorer=REBUILD, run=RunConfig(steps=10_000)),
    "fine-tune": replace(COMMON, batch=128, medium_mix=MediumMixConfig(), restorer=FINISH, run=RunConfig(steps=3_000)),
    "renew": replace(
        COMMON, batch=128, medium_mix=MediumMixConfig(share=0.25), restorer=RENEW, run=RunConfig(steps=7_000)
    ),
    "refine": replace(COMMON, restorer=REFINE, run=RunConfig(steps=1_120)),
    "light": replace(
        COMMON, batch=128, medium_mix=MediumMixConfig(share=0.25), distillation=DISTILL, run=RunConfig(steps=10_000)
    ),
}
EDITIONS = {"first": ("prior", "restorer", "fine-tune"), "second": ("renew", "refine")}


def main(
    faces: Annotated[Path, typer.Argument(help="A folder that `vidrestore build-faces` made.")],
    out: Annotated[Path, typer.Argument(help="Folder for logs, checkpoints and weights of the stages.")],
    *,
    stage: Annotated[list[str] | None, typer.Option(help="Only this stage; repeat for several.")] = None,
    edition: Annotated[
        str, typer.Option(help="Edition whose stages are run, unless they are named: first or second.")
    ] = "first",
    start: Annotated[
        Path | None, typer.Option(help="Weights to start from: of `renew`, by default embedded; of `light`.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of each stage, instead of the recipe's.")] = None,
    seconds: Annotated[float, typer.Option(help="Stop a stage in good order after so long.")] = float("inf"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
    compiled: Annotated[bool, typer.Option("--compile/--eager", help="Whether networks are compiled.")] = True,
) -> None:
    """Run the stages in order, up to one that is cut off."""
    for name in stage or EDITIONS[edition]:
        config = STAGES[name]
        count = steps or config.run.steps
        restorer = replace(config.restorer, schedule=replace(config.restorer.schedule, steps=count))
        distillation = replace(config.distillation, schedule=replace(config.distillation.schedule, steps=count))
        config = replace(config, restorer=restorer, distillation=distillation)
        limits = replace(config.run, steps=count, stop_after_seconds=seconds)
        config = replace(config, run=limits, compile=compiled and config.compile)
        machine = machine_of(config, device)
        if name == "prior":
            made = train_prior(config, faces, out / name, machine)
        elif name == "restorer":
            made = train_restorer(config, faces, out / name, machine, prior=out / "prior" / PRIOR_FILE)
        elif name == "light":
            made = train_light(config, faces, out / name, machine, teacher=zoo.resolve("embedded"), start=start)
        elif name == "renew":
            made = train_restorer(config, faces, out / name, machine, start=start or zoo.resolve("embedded"))
        else:
            earlier = out / ("restorer" if name == "fine-tune" else "renew")
            made = train_restorer(config, faces, out / name, machine, start=earlier)
        say(f"{name}: {made}")
        if last_step(out / name) < count:  # cut off by --seconds: the same command continues from there
            break


if __name__ == "__main__":
    run_to_exit(main)
