"""How fast GFP-GAN trains here, compiled and not, and what a step of the official 512 px network needs.

python -m pipelines.training_speed FACES --json training_speed.json
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.training import measure_training
from pipelines.train_embedded import STAGES
from vidrestore.cli.terminal import run_to_exit, say
from vidrestore.training.recipes import training_preset

EMBEDDED = replace(
    STAGES["fine-tune"], medium_mix=None
)  # all damage on the device: video damage would measure the CPU's cores
WAYS = {
    "embedded, bf16, compiled": EMBEDDED,
    "embedded, bf16, compiled, autotuned": replace(EMBEDDED, autotune=True),
    "embedded, bf16, eager": replace(EMBEDDED, compile=False),
    "embedded, fp32, eager": replace(EMBEDDED, compile=False, precision="fp32"),
    "official 512 px, bf16, eager": replace(training_preset("official"), compile=False),
}


def main(
    faces: Annotated[Path, typer.Argument(help="A folder that `vidrestore build-faces` made.")],
    way: Annotated[list[str] | None, typer.Option(help="Only ways whose name holds this; may be repeated.")] = None,
    rounds: Annotated[int, typer.Option(help="Timed rounds of each way.")] = 7,
    batch: Annotated[int | None, typer.Option(help="Faces of a step, instead of each way's own.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
    json: Annotated[Path, typer.Option(help="File for the figures.")] = Path("training_speed.json"),
) -> None:
    """Time each way, and write the figures down."""
    chosen = {name: config for name, config in WAYS.items() if not way or any(part in name for part in way)}
    sized = {name: replace(config, batch=batch or config.batch) for name, config in chosen.items()}
    found = measure_training(sized, faces, device=device, rounds=rounds, on_step=say)
    found.write(json)
    for speed in found.speeds:
        low, high = speed.quartiles
        say(
            f"{speed.name}: {speed.images_per_second:.0f} ({low:.0f}-{high:.0f}) images/s, batch {speed.batch}, "
            f"{speed.peak_gibibytes:.1f} GiB, first step after {speed.start_seconds:.0f} s"
        )


if __name__ == "__main__":
    run_to_exit(main)
