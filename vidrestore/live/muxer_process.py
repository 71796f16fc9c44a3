"""A process that holds one connection: `python -m vidrestore.live.muxer_process`, spoken to over its pipes.

FFmpeg knows no time limit for writing to the network, and PyAV keeps the interpreter's lock while it connects: a server
that hangs would stop every thread. Here it stops a process that can be killed. See `RemoteMuxer` for the other end.
"""

import ctypes
import os
import signal
import sys
from typing import BinaryIO

from vidrestore.errors import OutputError
from vidrestore.live.addresses import parse_target
from vidrestore.live.messages import receive, send
from vidrestore.live.muxers import Muxer, connection_options
from vidrestore.live.packets import Kind, Packet
from vidrestore.live.track import Track

_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG."""


def main() -> None:
    """Serve until the other end closes."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the other end decides
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not end up among the answers
    _serve(sys.stdin.buffer, answers)


def _serve(requests: BinaryIO, answers: BinaryIO) -> None:
    muxer: Muxer | None = None
    tracks: dict[Kind, Track] = {}
    while (request := receive(requests)) is not None:
        values, data = request
        answer: dict[str, object] = {}
        try:
            match values["do"]:
                case "track":
                    tracks[values["kind"]] = Track(data)
                case "open":
                    target = parse_target(values["url"])
                    options, url = connection_options(target, transport=values["transport"])
                    muxer = Muxer(target, tracks, origin=values["origin"], options=options, url=url)
                    answer["left_out"] = muxer.left_out
                case "mux":
                    assert muxer is not None, "opened before"  # noqa: S101
                    muxer.mux(_packet(values, tracks, data))
                case "close":
                    if muxer is not None:
                        muxer.close()
        except OutputError as error:
            answer["problem"] = error.message
        send(answers, answer)


def _packet(values: dict[str, object], tracks: dict[Kind, Track], data: bytes) -> Packet:
    kind: Kind = "video" if values["kind"] == "video" else "audio"
    pts, dts, duration = (int(str(values[name])) for name in ("pts", "dts", "duration"))
    return Packet(kind, tracks[kind], data, pts, dts, duration, keyframe=bool(values["keyframe"]), arrived=0)


if __name__ == "__main__":
    main()
