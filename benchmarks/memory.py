"""Peak memory of a whole restoration for videos of several lengths: a bounded pipeline needs the same for all."""

import statistics
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.clips import make_sparse_video
from benchmarks.results import MemoryUse
from benchmarks.systems import OUR_COMMAND
from benchmarks.usage import watch
from vidrestore.media.reader import probe
from vidrestore.runtime.config import Runtime


def compare_lengths(
    face_video: Path, *, minutes: Iterable[float] = (1, 10), runtimes: Iterable[Runtime] = ("local", "ray")
) -> Iterator[MemoryUse]:
    """Restore sparse videos of several lengths in each runtime.

    Raises:
        RestorationError: a run failed.
    """
    lengths = list(minutes)
    with TemporaryDirectory(prefix="vidrestore-memory-") as folder:
        videos = {length: Path(folder, f"{length:g}.mp4") for length in lengths}
        for length, video in videos.items():
            make_sparse_video(face_video, video, minutes=length)
        for runtime in runtimes:
            for length, video in videos.items():
                yield watch_restoration(video, video.with_name("restored.mp4"), runtime=runtime, minutes=length)


def watch_restoration(source: Path, destination: Path, *, runtime: Runtime, minutes: float) -> MemoryUse:
    """Run `vidrestore restore` and sample the memory of its processes.

    Raises:
        RestorationError: the command failed.
    """
    options = ["--runtime", runtime, "--overwrite", "--quiet"]
    watched = watch([*OUR_COMMAND, "restore", str(source), str(destination), *options])
    samples = [size for _, size in watched.memory if size]
    return MemoryUse(
        runtime=runtime,
        minutes=minutes,
        frames=probe(destination).frames or 0,
        seconds=watched.seconds,
        peak_bytes=max(samples, default=0),
        median_bytes=round(statistics.median(samples)) if samples else 0,
        samples=len(samples),
    )
