"""Restore a video: `python examples/restore_a_video.py old.mp4 new.mp4`."""

import sys

import vidrestore

if __name__ == "__main__":
    source, destination = sys.argv[1:]
    report = vidrestore.restore_video(
        source,
        destination,
        runtime="local",
        on_progress=lambda now: print(f"\r{now.frames_done} of {now.frames} frames", end=""),
    )
    print(f"\n{report.frames_written} frames at {report.frames_per_second:.1f} fps, complete: {report.complete}")
