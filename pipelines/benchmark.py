"""How fast this host restores, against the reference flow in the same run, and how much memory it takes.

    python -m pipelines.benchmark --page docs/benchmarks/speed.md

Nothing else should run on the host meanwhile. With `--memory` two long videos are restored as well, which takes much
longer.
"""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from benchmarks.measure import BenchmarkConfig, measure
from benchmarks.memory import compare_lengths
from benchmarks.results import Benchmark
from benchmarks.table import footnotes, tables, update_readme
from vidrestore.cli.terminal import run_to_exit, say, show_table
from vidrestore.config import update
from vidrestore.demo import make_archival_video


def main(
    *,
    film: Annotated[Path | None, typer.Option(help="Video with faces; by default the demo's damaged one.")] = None,
    runs: Annotated[int, typer.Option(help="Timed runs of each system.")] = 5,
    frames: Annotated[int | None, typer.Option(help="Cut the video short, or repeat it, to so many.")] = None,
    as_shipped_runs: Annotated[int, typer.Option(help="Runs of the slow reference; 0 leaves it out.")] = 2,
    as_shipped_frames: Annotated[int, typer.Option(help="Frames of each of these runs.")] = 10,
    runtime: Annotated[list[str], typer.Option(help="local or ray; may be repeated.")] = ["local", "ray"],  # noqa: B006
    json: Annotated[Path, typer.Option(help="File for the figures.")] = Path("benchmarks/benchmark.json"),
    reuse: Annotated[bool, typer.Option("--reuse", help="Take the speeds from that file.")] = False,
    memory: Annotated[bool, typer.Option("--memory", help="Measure memory as well.")] = False,
    minutes: Annotated[list[float], typer.Option(help="Lengths of the videos for --memory.")] = [1, 10],  # noqa: B006
    page: Annotated[Path | None, typer.Option(help="Markdown file in which to replace the tables.")] = None,
) -> None:
    """Time the restoration against the reference flow, and write the figures down."""
    with TemporaryDirectory(prefix="vidrestore-benchmark-") as folder:
        shown = film or demo_film(Path(folder))
        amounts = {"runs": runs, "as_shipped_runs": as_shipped_runs, "as_shipped_frames": as_shipped_frames}
        config = update(BenchmarkConfig(), {**amounts, "frames": frames, "runtimes": runtime})
        found = Benchmark.read(json) if reuse else measure(shown, config, on_step=say)
        found.write(json)
        if memory:
            uses = compare_lengths(shown, minutes=minutes, runtimes=config.runtimes)
            found = replace(found, memory=tuple(uses))
            found.write(json)
    report(found)
    if page:
        update_readme(page, found)


def demo_film(folder: Path) -> Path:
    """Make the demonstration's damaged video."""
    damaged = folder / "archival.mp4"
    make_archival_video(damaged, folder / "truth.mkv")
    return damaged


def report(found: Benchmark) -> None:
    """Print the tables."""
    for table in tables(found):
        show_table("", table.head, table.body)
    for note in footnotes(found):
        say(f"- {note}")


if __name__ == "__main__":
    run_to_exit(main)
