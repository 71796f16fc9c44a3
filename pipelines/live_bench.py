"""Latency of a picture through a live stream, and what remains steady when servers misbehave.

    python -m pipelines.live_bench OUT VIDEO                          # two minutes of quiet
    python -m pipelines.live_bench OUT VIDEO --minutes 30 --trouble   # a server dies, hangs or drops every 20 to 60 s

Leaves `live.json` in OUT.
"""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.live import Scene, measure_live
from vidrestore.cli.terminal import run_to_exit, say
from vidrestore.config import apply_settings
from vidrestore.live.config import StreamConfig


def main(
    out: Annotated[Path, typer.Argument(help="Folder for the figures.")],
    video: Annotated[Path, typer.Argument(help="Video that the camera shows.")],
    *,
    width: Annotated[int, typer.Option(help="Width of the camera's picture.")] = 640,
    height: Annotated[int, typer.Option(help="Height of the camera's picture.")] = 360,
    rate: Annotated[int, typer.Option(help="Pictures a second.")] = 15,
    share: Annotated[float, typer.Option(help="Height of the video in the picture, up to 0.9.")] = 0.8,
    minutes: Annotated[float, typer.Option(help="Minutes that are measured.")] = 2.0,
    warm_up: Annotated[float, typer.Option(help="Seconds before that, which are not measured.")] = 30.0,
    peer_cores: Annotated[int, typer.Option(help="Cores reserved for camera, servers and viewer.")] = 0,
    trouble: Annotated[bool, typer.Option("--trouble", help="Let the servers misbehave.")] = False,
    settings: Annotated[list[str], typer.Option("--set", help="Options of the stream.")] = [],  # noqa: B006
) -> None:
    """Measure and write down."""
    out.mkdir(parents=True, exist_ok=True)
    between = (20.0, 60.0) if trouble else None
    scene = Scene(video, width, height, rate, 60 * minutes, share, warm_up, between, peer_cores=peer_cores)
    found = measure_live(scene, settings, config=apply_settings(StreamConfig(), settings), on_step=say)
    found.write(out / "live.json")
    for name in ("latency_ms", "camera_to_viewer_ms", "sound_offset_ms", "rate_in", "rate_out", "longest_gap_seconds"):
        say(f"{name.replace('_', ' ')}: {getattr(found, name)}")
    for name in ("troubles", "memory_mb", "threads", "file_descriptors", "balanced"):
        say(f"{name.replace('_', ' ')}: {getattr(found, name)}")
    say(f"quality: {found.status.quality}; dropped: {found.status.dropped}; held: {found.status.sink_counts.held}")


if __name__ == "__main__":
    run_to_exit(main)
