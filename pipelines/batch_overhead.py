"""Overhead of a batch beyond its work: seconds for each of many small videos, and the plan of a video of hours.

python -m pipelines.batch_overhead OUT
"""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.batch_overhead import measure_overhead
from vidrestore.cli.terminal import run_to_exit, say


def main(
    out: Annotated[Path, typer.Argument(help="Folder for overhead.json.")],
    videos: Annotated[int, typer.Option(help="Number of small videos.")] = 200,
    hours: Annotated[float, typer.Option(help="Length of the long video.")] = 2.0,
) -> None:
    """Measure, and print the figures."""
    out.mkdir(parents=True, exist_ok=True)
    found = measure_overhead(out, videos=videos, hours=hours)
    say(f"{found.videos} videos of a second: {found.seconds:.1f} s, {found.work_seconds:.1f} s of them work")
    say(f"beyond its work a video costs {found.per_video:.3f} s")
    say(f"a video of {found.hours:.2f} h ({found.megabytes:.0f} MB) is planned in {found.plan_seconds:.1f} s")
    say(f"into {found.plan_segments} segments; driver {found.driver_mib_first:.0f} -> {found.driver_mib_last:.0f} MiB")


if __name__ == "__main__":
    run_to_exit(main)
