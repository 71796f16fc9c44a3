"""Peak memory of a whole restoration: the command as users start it, with every process that it starts."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.clips import make_sparse_film
from benchmarks.results import MemoryUse
from vidrestore.errors import RestorationError
from vidrestore.media.reader import probe
from vidrestore.runtime.config import Runtime

_INTERVAL_SECONDS = 0.5
_COMMAND = (sys.executable, "-P", "-c", "from vidrestore.cli import main; main()")


def compare_lengths(
    face_film: Path, *, minutes: Iterable[float] = (1, 10), runtimes: Iterable[Runtime] = ("local", "ray")
) -> Iterator[MemoryUse]:
    """Restore sparse videos of several lengths in each runtime; a bounded pipeline needs the same memory for all.

    Raises:
        RestorationError: a run failed.
    """
    lengths = list(minutes)
    with TemporaryDirectory(prefix="vidrestore-memory-") as folder:
        videos = {length: Path(folder, f"{length:g}.mp4") for length in lengths}
        for length, video in videos.items():
            make_sparse_film(face_film, video, minutes=length)
        for runtime in runtimes:
            for length, video in videos.items():
                yield watch_restoration(video, video.with_name("restored.mp4"), runtime=runtime, minutes=length)


def watch_restoration(source: Path, destination: Path, *, runtime: Runtime, minutes: float) -> MemoryUse:
    """Run `vidrestore restore` and sample its memory twice a second.

    Counted is the proportional share (Linux's PSS) of the command and its descendants: a page that several of them
    map, such as Ray's object store, counts once.

    Raises:
        RestorationError: the command failed.
    """
    started = time.perf_counter()
    arguments = [*_COMMAND, "restore", str(source), str(destination), "--runtime", runtime, "--overwrite", "--quiet"]
    command = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)  # noqa: S603  our own command, no shell
    with command:
        samples = list(_samples(command))
        message = command.stderr.read() if command.stderr else ""
    if command.returncode:
        raise RestorationError(f"restoring {source} in the runtime {runtime} failed: {message.strip()}")
    seconds = time.perf_counter() - started
    return MemoryUse(
        runtime=runtime,
        minutes=minutes,
        frames=probe(destination).frames or 0,
        seconds=seconds,
        peak_bytes=max(samples, default=0),
        median_bytes=round(statistics.median(samples)) if samples else 0,
        samples=len(samples),
    )


def _samples(command: "subprocess.Popen[str]") -> Iterator[int]:
    """Sample the bytes of the process tree until the command ends."""
    try:
        while command.poll() is None:
            total = tree_bytes(command.pid)
            if total:
                yield total
            time.sleep(_INTERVAL_SECONDS)
    finally:
        # an interrupted benchmark leaves no restoration behind; one that has ended is not touched
        command.terminate()


def tree_bytes(pid: int) -> int:
    """Return the proportional set size of a process and its descendants, in bytes; 0 when it is gone."""
    try:
        parent = psutil.Process(pid)
        processes = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    return sum(map(_share, processes))


def _share(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
        return 0
