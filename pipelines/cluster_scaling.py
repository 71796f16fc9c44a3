"""How a batch scales with workers: by simulated devices on one host, or by real GPUs.

python -m pipelines.cluster_scaling OUT
python -m pipelines.cluster_scaling OUT --gpus --counts 1,2 --video VIDEO --model gfpgan-v1.4
"""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.scaling import ScalingConfig, measure_scaling, scaling_table
from vidrestore.cli.terminal import run_to_exit, say_lines
from vidrestore.config import apply_settings, update


def main(
    out: Annotated[Path, typer.Argument(help="Folder for scaling.json.")],
    counts: Annotated[str, typer.Option(help="Numbers of workers, or of GPUs.")] = "1,2,4,8,16",
    gpus: Annotated[bool, typer.Option("--gpus", help="Real networks on real GPUs.")] = False,
    video: Annotated[Path | None, typer.Option(help="Video with faces, for the GPUs.")] = None,
    model: Annotated[str, typer.Option(help="Model for the GPUs.")] = "embedded",
    seconds_per_face: Annotated[float, typer.Option(help="Seconds that a simulated device takes for a face.")] = 0.25,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Any other option, such as workers_per_gpu=8 or repeats=3.")
    ] = None,
) -> None:
    """Measure, compare, and print the table."""
    out.mkdir(parents=True, exist_ok=True)
    config = update(
        ScalingConfig(),
        {
            "counts": tuple(map(int, counts.split(","))),
            "gpus": gpus,
            "video": video,
            "model": model,
            "seconds_per_face": seconds_per_face,
        },
    )
    config = apply_settings(config, settings or [])
    say_lines(scaling_table(measure_scaling(config, out)))


if __name__ == "__main__":
    run_to_exit(main)
