"""How fast this host restores, on CPU or GPU, against the reference flow in the same run, and what bounds it.

    python -m pipelines.benchmark --device cuda --model random-512 --rows '1080p-*:*' --rows codecs --rows network
    python -m pipelines.benchmark --rows none --page docs/benchmarks/speed.md --plot docs/images/speed.svg

Nothing else should run on the host meanwhile. Each call adds what it measured to the JSON, and replaces what it
measured again; so a long measurement may be divided among several calls by `--rows`, and files of several hosts are put
together by `--add`. With `--memory` long videos are restored as well, which takes much longer.
"""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from benchmarks.machine import describe_checkout, describe_machine
from benchmarks.measure import BenchmarkConfig, measure
from benchmarks.memory import compare_lengths
from benchmarks.plot import draw
from benchmarks.results import Benchmark, Session
from benchmarks.table import footnotes, tables, update_readme
from vidrestore.cli.terminal import run_to_exit, say, show_table
from vidrestore.demo import make_archival_video
from vidrestore.report import installed_versions

NONE = "none"


def main(
    *,
    video: Annotated[
        Path | None, typer.Option(help="Video of one face, of which all are made; by default the demo's damaged one.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    model: Annotated[str, typer.Option(help="Name or file of the weights; random-512: official shape.")] = "embedded",
    rows: Annotated[
        list[str], typer.Option(help="VIDEO:SYSTEM, network or codecs; * stands for any; none: measure nothing.")
    ] = ["640x360-1:*", "network"],  # noqa: B006
    runs: Annotated[int, typer.Option(help="Timed runs of each system.")] = 3,
    frames: Annotated[int, typer.Option(help="Length of the videos.")] = 300,
    reference_frames: Annotated[int, typer.Option(help="Frames after which the reference stops.")] = 60,
    batch: Annotated[list[int], typer.Option(help="Batches of the network alone.")] = [1, 8],  # noqa: B006
    json: Annotated[Path, typer.Option(help="File for the figures.")] = Path("benchmarks/benchmark.json"),
    add: Annotated[list[Path], typer.Option(help="File of figures to add; may be repeated.")] = [],  # noqa: B006
    memory: Annotated[bool, typer.Option("--memory", help="Measure memory over lengths as well.")] = False,
    minutes: Annotated[list[float], typer.Option(help="Lengths of the videos for --memory.")] = [1, 10],  # noqa: B006
    page: Annotated[Path | None, typer.Option(help="Markdown file in which to replace the tables.")] = None,
    plot: Annotated[Path | None, typer.Option(help="SVG file for the plot.")] = None,
) -> None:
    """Time the restoration against the reference flow, and write the figures down."""
    found = Benchmark.read(json) if json.exists() else Benchmark()
    for other in add:
        found = found.joined(Benchmark.read(other).sessions)
    before = found
    with TemporaryDirectory(prefix="vidrestore-benchmark-") as folder:
        shown = video
        if shown is None and (memory or rows != [NONE]):
            shown = demo_video(Path(folder))

        def keep(session: Session) -> None:
            before.joined([session]).write(json)

        if shown and rows != [NONE]:
            config = BenchmarkConfig(
                rows=tuple(rows),
                device=device,
                model=model,
                runs=runs,
                frames=frames,
                reference_frames=reference_frames,
                batches=tuple(batch),
            )
            found = found.joined([measure(shown, config, on_step=say, on_session=keep)])
        if shown and memory:
            uses = tuple(compare_lengths(shown, minutes=minutes))
            found = found.joined([replace(_session(), memory=uses)])
    found.write(json)
    report(found)
    if page:
        update_readme(page, found)
    if plot:
        draw(found, plot)


def demo_video(folder: Path) -> Path:
    """Make the demonstration's damaged video."""
    damaged = folder / "archival.mp4"
    make_archival_video(damaged, folder / "truth.mkv")
    return damaged


def report(found: Benchmark) -> None:
    """Print the tables."""
    for table in tables(found):
        show_table(table.title, table.head, table.body)
    for note in footnotes(found):
        say(f"- {note}")


def _session() -> Session:
    """Return a session of now and here that has measured nothing yet."""
    checkout = describe_checkout()
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Session(date, checkout.commit, checkout.dirty, describe_machine(), installed_versions())


if __name__ == "__main__":
    run_to_exit(main)
