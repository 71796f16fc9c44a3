"""A muxer whose connection is held by a process of its own, which is killed when it hangs."""

import subprocess
import threading
import time
from contextlib import suppress
from typing import Any, BinaryIO, cast

from vidrestore.errors import OutputError
from vidrestore.live.addresses import Target
from vidrestore.live.codec_parameters import CodecParameters
from vidrestore.live.messages import receive, send
from vidrestore.live.packets import Kind, Packet
from vidrestore.redaction import redact
from vidrestore.safe_path import module_command

_GLANCE_SECONDS = 0.1
_START_SECONDS = 15.0
"""Time limit for the process to begin and to connect."""


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
        command = module_command("vidrestore.live.muxer_process")
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603  our own
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
            send(stdin, values, data)
            answer = receive(stdout)
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
