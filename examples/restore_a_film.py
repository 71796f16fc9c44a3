"""Restore a video from Python: `python examples/restore_a_film.py old.mp4 new.mp4`."""

import sys

from vidrestore.jobs.config import JobConfig
from vidrestore.jobs.progress import JobProgress
from vidrestore.jobs.restore import restore_video


def show(progress: JobProgress) -> None:
    """Say how far it is."""
    print(f"\r{progress.frames_done} of {progress.frames} frames, {progress.faces_done} faces", end="")


def main(source: str, destination: str) -> None:
    """Restore with the defaults, in this process."""
    report = restore_video(source, destination, JobConfig(runtime="local"), on_progress=show)
    print(f"\n{report.frames_written} frames at {report.frames_per_second:.1f} fps, complete: {report.complete}")


if __name__ == "__main__":
    main(*sys.argv[1:])
