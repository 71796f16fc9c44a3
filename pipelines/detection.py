"""Faces found and aligned by size, angle and number, and false alarms, on drawn pictures.

    python -m pipelines.detection PORTRAITS [--page docs/benchmarks/detection.md]

PORTRAITS is any folder of pictures with one upright face in each, 300 pixels wide or more.
"""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.detection import measure
from benchmarks.table import replace_between
from vidrestore.cli.terminal import run_to_exit, say, say_lines


def main(
    portraits: Annotated[Path, typer.Argument(help="Folder of portraits.")],
    pictures: Annotated[int, typer.Option(min=1, help="Pictures of each kind.")] = 3,
    page: Annotated[Path | None, typer.Option(help="Markdown file in which to replace the table.")] = None,
) -> None:
    """Draw, find, compare with what was drawn, and write the figures down."""
    text = measure(portraits, pictures=pictures, on_step=say)
    say_lines(text)
    if page:
        replace_between(page, "<!-- detection -->", "<!-- /detection -->", text)


if __name__ == "__main__":
    run_to_exit(main)
