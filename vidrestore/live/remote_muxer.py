"""A muxer whose connection is held by a process of its own, which is killed when it hangs.

FFmpeg knows no time limit for writing to the network, and PyAV keeps the interpreter's lock while it connects: a server
that hangs would stop every thread. Here it stops a process that can be killed. It runs this module as a program, and is
controlled over its pipes. A message is a few values as JSON, and bytes; every request has one answer.
"""

import ctypes
import errno
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any, BinaryIO, cast

from vidrestore.errors import OutputError
from vidrestore.exception_hooks import install_exception_hooks
from vidrestore.live.addresses import Target, endpoint, parse_target
from vidrestore.live.certificates import TLS_SCHEMES, certificate_problem, distrust
from vidrestore.live.muxers import Muxer, connection_options
from vidrestore.live.packets import CodecParameters, Kind, Packet
from vidrestore.process import module_command
from vidrestore.redaction import redact

_GLANCE_SECONDS = 0.1
_START_SECONDS = 15.0
"""Time limit for the process to begin and to connect."""
_LENGTHS = struct.Struct(">II")
_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG."""
_BLOCKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that terminals and service managers send to all processes; the parent completes what is written."""


class RemoteMuxer:
    """Does what a `Muxer` does, with a time limit on every step.

    Args:
        target: destination.
        tracks: codec parameters by kind.
        origin: time of the output's clock that becomes zero, in nanoseconds.
        transport: RTSP's transport.
        verify: whether the certificate and the name of a TLS server are checked.
        ca_file: PEM file of the authorities to trust; empty: those of the system.
        stall_seconds: time limit for a packet.

    Raises:
        OutputError: the target cannot be opened, or does not hold the video.
    """

    def __init__(
        self,
        target: Target,
        tracks: dict[Kind, CodecParameters],
        *,
        origin: int,
        transport: str,
        stall_seconds: float,
        verify: bool = True,
        ca_file: str = "",
    ) -> None:
        self._target = target
        self._patience = stall_seconds
        self._process = _start_process()
        self._deadline: float | None = None
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._kill_when_late, name=f"watch {target}", daemon=True)
        self._watch.start()
        try:
            for kind, track in tracks.items():
                self._ask({"do": "track", "kind": kind}, track.memory, seconds=_START_SECONDS)
            # the password goes through the pipe: arguments of processes are for all to see
            opened = {"do": "open", "url": target.url, "origin": origin, "transport": transport}
            opened |= {"verify": verify, "ca_file": ca_file}
            self.left_out: str | None = self._ask(opened, seconds=_START_SECONDS).get("left_out")
        except BaseException:
            self._end()
            raise

    def mux(self, packet: Packet) -> None:
        """Write one packet.

        Raises:
            OutputError: the connection broke, or took nothing for too long.
        """
        names = ("kind", "pts", "dts", "duration", "keyframe")
        self._ask({"do": "mux"} | {name: getattr(packet, name) for name in names}, packet.data, seconds=self._patience)

    def close(self) -> None:
        """Say goodbye to the server, and end the process.

        Raises:
            OutputError: the server did not take what was left.
        """
        try:
            self._ask({"do": "close"}, seconds=self._patience)
        finally:
            self._end()

    def _ask(self, values: dict[str, Any], data: bytes = b"", *, seconds: float) -> dict[str, Any]:
        started = time.monotonic()
        stdin, stdout = cast("BinaryIO", self._process.stdin), cast("BinaryIO", self._process.stdout)
        try:
            self._deadline = started + seconds
            _send(stdin, values, data)
            answer = _receive(stdout)
        except (OSError, ValueError) as error:
            raise OutputError(f"{self._target}: the process that held the connection is gone: {error}") from error
        finally:
            self._deadline = None
        if answer is None:
            silent = time.monotonic() - started >= seconds
            why = (
                f"takes nothing: no answer for {seconds:g} s"
                if silent
                else "the process that held the connection ended"
            )
            raise OutputError(f"{self._target}: {why}")
        reply, _ = answer
        if problem := reply.get("problem"):
            raise OutputError(redact(problem))
        return reply

    def _kill_when_late(self) -> None:
        """Kill the process when an answer is late; the one who waits for it then sees its pipe end."""
        while not self._ended.wait(_GLANCE_SECONDS):
            deadline = self._deadline
            if deadline is not None and time.monotonic() > deadline:
                self._process.kill()

    def _end(self) -> None:
        """Kill the process, whatever it waits for."""
        self._ended.set()
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._process.wait()
        self._watch.join()


def _start_process() -> subprocess.Popen[bytes]:
    """Start the process with the signals blocked from its first moment on: it inherits this thread's mask."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
    try:
        command = module_command("vidrestore.live.remote_muxer")
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603  our own
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _send(pipe: BinaryIO, values: dict[str, Any], data: bytes = b"") -> None:
    """Write one message; OSError where nobody reads any more."""
    head = json.dumps(values).encode()
    pipe.write(_LENGTHS.pack(len(head), len(data)) + head + data)
    pipe.flush()


def _receive(pipe: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """Read one message; None at the end."""
    lengths = pipe.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    head, data = _LENGTHS.unpack(lengths)
    values: dict[str, Any] = json.loads(pipe.read(head))
    return values, pipe.read(data)


def _serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Carry out requests, one after the other, until they end."""
    muxer: Muxer | None = None
    tracks: dict[Kind, CodecParameters] = {}
    while (request := _receive(requests)) is not None:
        values, data = request
        answer: dict[str, object] = {}
        try:
            match values["do"]:
                case "track":
                    tracks[values["kind"]] = CodecParameters(data)
                case "open":
                    muxer = _open(tracks, **{name: value for name, value in values.items() if name != "do"})
                    answer["left_out"] = muxer.left_out
                case "mux":
                    assert muxer is not None, "opened before"  # noqa: S101
                    kind: Kind = values["kind"]
                    times = {name: values[name] for name in ("pts", "dts", "duration", "keyframe")}
                    muxer.mux(Packet(kind, tracks[kind], data, **times, arrived=0))
                case "close":
                    if muxer is not None:
                        muxer.close()
        except OutputError as error:
            answer["problem"] = redact(error.message)
        _send(answers, answer)


def _open(
    tracks: dict[Kind, CodecParameters], *, url: str, origin: int, transport: str, verify: bool, ca_file: str
) -> Muxer:
    """Connect, and explain a certificate that is not trusted: FFmpeg only reports "Input/output error"."""
    target = parse_target(url)
    way = connection_options(target, transport=transport, verify=verify, ca_file=ca_file)
    try:
        return Muxer(target, tracks, origin=origin, options=way.options, url=way.url, container=way.container)
    except OutputError as error:
        host, port = endpoint(target.url) or ("", 0)
        is_tls = target.url.partition("://")[0].lower() in TLS_SCHEMES
        broke = getattr(error.__cause__, "errno", None) == errno.EIO
        if broke and verify and is_tls and (why := certificate_problem(host, port, ca_file)):
            advice = "output.ca_file, or set output.verify = false to send to whoever answers there"
            raise OutputError(f"{target}: {distrust(host, why)} {advice}") from error
        raise


def main() -> None:
    """Hold a connection, until the other end closes."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # prints must not end up among the answers
    install_exception_hooks()
    _serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
