"""The first opening of a video, in a separate process that is killed when it takes too much.

What opens hostile input first is `probe`, and planning. Their cost is not bounded by the size of the file: a few
bytes of an MP4's index can ask for gigabytes (a sample table may be no more than a count, of which FFmpeg makes 24
bytes of memory each), and FFmpeg has no limit for that, nor for time. A video that was opened within the limits costs
the restoration the same again, so that it is enough to inspect each video once.

The process loads PyAV and numpy only; it serves all videos of its parent, and ends by itself when
it is not asked for a while. It is no sandbox: it has the rights of its user.
"""

import atexit
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

from vidrestore.errors import InputError, VidrestoreError, WorkerError
from vidrestore.media.gaps import may_have_long_gaps, refuse_long_gaps
from vidrestore.media.picture_size import MAX_PIXELS
from vidrestore.media.probe import VideoInfo
from vidrestore.media.segments import VideoIndex

_GIB = 2**30
_MIB = 2**20
_BYTES_PER_PIXEL = 64
"""Memory per pixel of the largest frame allowed: a decoder holds up to some twenty, of 1.5 to 6 bytes a pixel."""
_GRACE_SECONDS = 5.0
"""Time after which a process that did not end itself in time is killed: a stuck disk may keep it."""
_TOO_LONG = frozenset({signal.SIGALRM, signal.SIGXCPU})


@dataclass(frozen=True, slots=True)
class InspectionLimits:
    """Limits on the cost of an inspection."""

    memory_mib: int = 1024
    """Memory beyond what the process has at its start, and in addition to its frames."""
    cpu_seconds: float = 60.0
    cpu_seconds_per_gib: float = 60.0
    """Processor time; more for large files. Containers differ tenfold in the time to demux a GiB."""
    wall_seconds: float = 300.0
    wall_seconds_per_gib: float = 600.0
    """Elapsed time: networks read 2 MB/s at the least."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the process."""

    path: str
    """Absolute."""
    max_pixels: int
    wants_index: bool
    memory_bytes: int
    cpu_seconds: float
    wall_seconds: float


@dataclass(frozen=True, slots=True)
class Inspection:
    """The result of an inspection."""

    info: VideoInfo
    index: VideoIndex | None
    """Index of the video, where it was asked for."""


def inspect(path: str | Path, *, max_pixels: int = MAX_PIXELS, limits: InspectionLimits | None = None) -> VideoInfo:
    """Return what `reader.probe` reports of a file of which nothing is known yet.

    Raises:
        InputError: as `reader.probe` does, and when it takes too much memory or time.
        WorkerError: the process could not begin.
    """
    return _inspections.ask(_request(path, max_pixels, limits, wants_index=False)).info


def inspect_and_index(
    path: str | Path, *, max_pixels: int = MAX_PIXELS, limits: InspectionLimits | None = None
) -> tuple[VideoInfo, VideoIndex]:
    """Return what `reader.probe` and `segments.index_video` report of a file of which nothing is known yet.

    Raises:
        InputError: as these two do, and when it takes too much memory or time.
        WorkerError: the process could not begin.
    """
    found = _inspections.ask(_request(path, max_pixels, limits, wants_index=True))
    assert found.index is not None, "it was asked for"  # noqa: S101
    return found.info, found.index


def prepare() -> None:
    """Start the process ahead of the first request, so that it imports while its parent does."""
    _inspections.prepare()


def inspect_to_rewrite(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> VideoInfo:
    """Return what `inspect` reports of a video whose frames will be written again, with the same times.

    Raises:
        InputError: as `inspect` does, and when the result could not hold the times; a caller that indexes a video calls
            `gaps.refuse_long_gaps` itself.
        WorkerError: the process could not begin.
    """
    info = inspect(path, max_pixels=max_pixels)
    if may_have_long_gaps(info):
        refuse_long_gaps(Path(path), inspect_and_index(path, max_pixels=max_pixels)[1])
    return info


def _request(path: str | Path, max_pixels: int, limits: InspectionLimits | None, *, wants_index: bool) -> Request:
    limits = limits or InspectionLimits()
    gib = 0.0
    with suppress(OSError):  # a missing file is reported by whoever opens it
        gib = Path(path).stat().st_size / _GIB
    return Request(
        os.path.abspath(path),  # noqa: PTH100  resolve() follows links
        max_pixels,
        wants_index,
        limits.memory_mib * _MIB + _BYTES_PER_PIXEL * max_pixels,
        limits.cpu_seconds + limits.cpu_seconds_per_gib * gib,
        limits.wall_seconds + limits.wall_seconds_per_gib * gib,
    )


class _Inspections:
    """The one process of this process; started at the first request, and again when it has ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._owner = os.getpid()

    def ask(self, request: Request) -> Inspection:
        with self._lock:
            # a process that was idle may end just when it is asked: then the next one answers
            found = self._ask(request) or self._ask(request)
        if found is None:
            raise WorkerError("the process that opens videos ends as soon as it begins; see its messages above")
        return found

    def prepare(self) -> None:
        with self._lock:
            self._begin()

    def _ask(self, request: Request) -> Inspection | None:
        process, connection = self._begin()
        try:
            connection.send(request)
            answer = connection.recv() if connection.poll(request.wall_seconds + _GRACE_SECONDS) else None
        except (EOFError, OSError):
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_SECONDS)
            answer = None
        except BaseException:
            self.end()
            raise
        if isinstance(answer, VidrestoreError):
            raise answer
        if answer is not None:
            found: Inspection = answer
            return found
        status = process.poll()
        self.end()
        if status is not None and status >= 0:
            return None
        raise InputError(_why_ended(request, signal.SIGALRM if status is None else signal.Signals(-status)))

    def _begin(self) -> tuple[subprocess.Popen[bytes], Connection]:
        if self._process is not None and self._connection is not None and self._owner == os.getpid():
            if self._process.poll() is None:
                return self._process, self._connection
            self.end()
        ours, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  our own module
                # -P: nothing of the current folder is imported
                [sys.executable, "-P", "-m", "vidrestore.media.inspection_process", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                # each further arena of malloc, and each thread of a library, takes address space, which is counted
                env=os.environ | {"MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            )
        self._connection, self._owner = ours, os.getpid()
        return self._process, ours

    def end(self) -> None:
        """Kill the process, whatever it waits for."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.wait()
        self._process = self._connection = None


def _why_ended(request: Request, by: signal.Signals) -> str:
    if by in _TOO_LONG:
        return (
            f"{request.path} could not be looked through within {request.cpu_seconds:.0f} s of processor time and "
            f"{request.wall_seconds:.0f} s; it is damaged, made to take for ever, or on a disk that does not answer"
        )
    return (
        f"{request.path} could not be looked at: the process that opened it was ended by {by.name}; it is damaged, or "
        "made to harm"
    )


_inspections = _Inspections()
atexit.register(_inspections.end)
