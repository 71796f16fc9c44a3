"""Speed of live streams that share a face worker, as a share of that of the same videos offline.

python -m pipelines.live_share OUT VIDEO
"""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.live_share import ShareConfig, measure_share, share_table
from vidrestore.cli.terminal import run_to_exit, say_lines
from vidrestore.config import apply_settings


def main(
    out: Annotated[Path, typer.Argument(help="Folder for live_share.json.")],
    video: Annotated[Path, typer.Argument(help="Video with faces.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Any option, such as streams=8 or model=gfpgan-v1.4.")
    ] = None,
) -> None:
    """Compare, and print the table."""
    out.mkdir(parents=True, exist_ok=True)
    say_lines(share_table(measure_share(apply_settings(ShareConfig(video), settings or []), out)))


if __name__ == "__main__":
    run_to_exit(main)
