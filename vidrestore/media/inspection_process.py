"""The process that opens videos first: `python -m vidrestore.media.inspection_process`. See `inspection`."""

import resource
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from vidrestore.errors import InputError, VidrestoreError
from vidrestore.media.inspection import Inspection, Request
from vidrestore.media.opening import needs_too_much_memory
from vidrestore.media.reader import probe
from vidrestore.media.segments import index_video

_IDLE_SECONDS = 30.0
_PAGE = resource.getpagesize()


def main() -> None:
    """Answer until the other end closes, or does not ask for a while."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # terminals send it to all processes; the other end decides
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with Connection(int(sys.argv[1])) as connection, suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while connection.poll(_IDLE_SECONDS):
            answer, is_sound = _answer(connection.recv())
            connection.send(answer)
            if not is_sound:
                return


def _answer(request: Request) -> tuple[Inspection | VidrestoreError, bool]:
    """Return the result, and whether the process is as good as before."""
    _limit(request)
    try:
        info = probe(request.path, max_pixels=request.max_pixels, frame_threads=False)
        return Inspection(info, index_video(Path(request.path)) if request.wants_index else None), True
    except VidrestoreError as error:
        return error, not isinstance(error.__cause__, MemoryError)
    except MemoryError:
        return InputError(needs_too_much_memory(Path(request.path))), False
    finally:
        _unlimit()


def _limit(request: Request) -> None:
    """Let the kernel refuse memory, and end this process when it is over its time, wherever it is."""
    signal.setitimer(signal.ITIMER_REAL, request.wall_seconds)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    spent = usage.ru_utime + usage.ru_stime
    _lower(resource.RLIMIT_CPU, int(spent + request.cpu_seconds) + 1)
    with suppress(OSError):  # only Linux reports how much it is now
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        _lower(resource.RLIMIT_AS, pages * _PAGE + request.memory_bytes)


def _unlimit() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    for kind in (resource.RLIMIT_CPU, resource.RLIMIT_AS):
        hardest = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (hardest, hardest))


def _lower(kind: int, most: int) -> None:
    hardest = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (most if hardest == resource.RLIM_INFINITY else min(most, hardest), hardest))


if __name__ == "__main__":
    main()
