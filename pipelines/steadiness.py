"""Contribution of each temporal stage, on videos with known truth.

    python -m pipelines.steadiness OUT VIDEO... --preset vhs --preset film16 --preset lowbitrate

Leaves every video, `steadiness.json` and `steadiness.md` in OUT.
"""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.clips import cut
from benchmarks.steadiness import markdown, measure_steadiness
from benchmarks.table import replace_between
from vidrestore.cli.terminal import run_to_exit, say, say_lines
from vidrestore.files import replace_text


def main(
    out: Annotated[Path, typer.Argument(help="Folder for videos and figures.")],
    videos: Annotated[list[Path], typer.Argument(help="Undamaged videos with faces.")],
    preset: Annotated[list[str], typer.Option(help="Preset of `vidrestore degrade`; may be repeated.")] = ["vhs"],  # noqa: B006
    frames: Annotated[int | None, typer.Option(help="Cut every video to so many.")] = None,
    page: Annotated[Path | None, typer.Option(help="Markdown file in which to replace the table.")] = None,
) -> None:
    """Damage, restore in every way, compare, and write the figures down."""
    out.mkdir(parents=True, exist_ok=True)
    chosen = [_cut(video, out, frames) if frames else video for video in videos]
    measured = measure_steadiness(chosen, preset, out, on_step=say)
    measured.write(out / "steadiness.json")
    text = markdown(measured)
    replace_text(out / "steadiness.md", f"{text}\n")
    say_lines(text)
    if page:
        replace_between(page, "<!-- steadiness -->", "<!-- /steadiness -->", text)


def _cut(video: Path, out: Path, frames: int) -> Path:
    short = out / f"{video.stem}.mkv"
    cut(video, short, frames=frames)
    return short


if __name__ == "__main__":
    run_to_exit(main)
