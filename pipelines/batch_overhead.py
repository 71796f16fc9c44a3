"""What a batch costs beyond its work: seconds for each of many small films, and the plan of a film of hours.

python -m pipelines.batch_overhead OUT
"""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.batch_overhead import measure_overhead
from vidrestore.cli.terminal import run_to_exit, say


def main(
    out: Annotated[Path, typer.Argument(help="Where overhead.json goes.")],
    films: Annotated[int, typer.Option(help="Small films.")] = 200,
    hours: Annotated[float, typer.Option(help="Length of the long film.")] = 2.0,
) -> None:
    """Measure, and tell."""
    out.mkdir(parents=True, exist_ok=True)
    found = measure_overhead(out, films=films, hours=hours)
    say(f"{found.films} films of a second: {found.seconds:.1f} s, {found.work_seconds:.1f} s of them work")
    say(f"beyond its work a film costs {found.per_film:.3f} s")
    say(f"a film of {found.hours:.2f} h ({found.megabytes:.0f} MB) is planned in {found.plan_seconds:.1f} s")
    say(f"into {found.plan_segments} segments; driver {found.driver_mib_first:.0f} -> {found.driver_mib_last:.0f} MiB")


if __name__ == "__main__":
    run_to_exit(main)
