"""Restore a film from Python: `python examples/restore_a_film.py old.mp4 new.mp4`."""

import sys

from vidrestore.media.probe import VideoInfo
from vidrestore.printable import printable
from vidrestore.runtime.film import JobConfig, restore_film
from vidrestore.runtime.segment import Progress


def show(progress: Progress, info: VideoInfo) -> None:
    """Say how far it is."""
    print(f"\r{printable(info.path.name)}: {progress.frames} frames, {progress.faces} faces", end="")


def main(source: str, destination: str) -> None:
    """Restore with the defaults, in this process."""
    report = restore_film(source, destination, JobConfig(runtime="local"), on_progress=show)
    print(f"\n{report.frames_written} frames at {report.frames_per_second:.1f} fps, complete: {report.complete}")


if __name__ == "__main__":
    main(*sys.argv[1:])
