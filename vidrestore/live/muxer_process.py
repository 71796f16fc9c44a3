"""A process that holds one connection: `python -m vidrestore.live.muxer_process`, controlled over its pipes.

FFmpeg knows no time limit for writing to the network, and PyAV keeps the interpreter's lock while it connects: a server
that hangs would stop every thread. Here it stops a process that can be killed. See `RemoteMuxer` for the other end.
"""

import ctypes
import os
import signal
import sys

_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG."""


def main() -> None:
    """Serve until the other end closes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # terminals and service managers send them to all processes; the other end completes what is written
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # prints must not end up among the answers
    from vidrestore.exception_hooks import install_exception_hooks  # noqa: PLC0415  signals come first
    from vidrestore.live.muxer_loop import serve  # noqa: PLC0415  FFmpeg loads for a while

    install_exception_hooks()
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
