"""Puts films through probe, index, a restore without faces and a join, one after the other: `trial_process.py FD`.

A process of its own, with bounded memory and time: the films are made to harm. It imports no networks, to begin soon.
"""

import resource
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

from vidrestore.errors import VidrestoreError
from vidrestore.media.config import EncodeConfig
from vidrestore.media.gaps import refuse_long_gaps
from vidrestore.media.reader import VideoReader, probe
from vidrestore.media.remux.mux import join
from vidrestore.media.remux.plan import check_remux
from vidrestore.media.segments import index_video
from vidrestore.media.writer import VideoWriter

_MEMORY = 2 * 2**30
_SECONDS = 20
_QUICK = EncodeConfig(preset="ultrafast", threads=1)


def trial(video: Path, result: Path) -> tuple[str, str]:
    """`restored` or the class of the error, and what it says."""
    part = result.with_name("part")
    try:
        probe(video)
        refuse_long_gaps(video, index_video(video))
        plan = check_remux(video, result)
        with VideoReader(video) as reader, VideoWriter(part, reader.info, _QUICK) as writer:
            for frame in reader:
                writer.write(frame)
        told = join([part], video, result, plan=plan)
    except VidrestoreError as error:
        return type(error).__name__, error.message
    except BaseException as error:  # noqa: BLE001  that is what is looked for
        return f"unexpected {type(error).__name__}", str(error)
    return (
        ("restored", "")
        if told.frames == reader.statistics.frames
        else ("frames lost", f"{told.frames} of {reader.statistics.frames}")
    )


def peak_mib() -> float:
    """Most memory of this process so far; `ru_maxrss` also holds that of the process which started it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def main() -> None:
    connection = Connection(int(sys.argv[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + _MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    while True:
        try:
            video, result = connection.recv()
        except EOFError:
            return
        signal.alarm(_SECONDS)
        started = time.perf_counter()
        kind, message = trial(video, result)
        signal.alarm(0)
        peak = peak_mib()
        connection.send((video.name, kind, message, time.perf_counter() - started, peak))


if __name__ == "__main__":
    main()
