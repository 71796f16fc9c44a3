"""Cameras, servers and viewers in a process of their own: they must not share an interpreter with what is measured."""

from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from benchmarks.live_peers import Camera, Draw, Viewer, Viewing
from benchmarks.rtsp_relay import RtspRelay
from vidrestore.process import spawn_context

_START_SECONDS = 60.0

MakeDraw = Callable[..., Draw]
"""Makes in the other process what the camera draws; a module's function, since it is sent by name."""


class PeersElsewhere:
    """A camera that publishes at `camera_url`, a server at `viewer_url`, and a viewer there; use as a context manager.

    Args:
        make_draw: makes what the camera draws, from `arguments`.
        arguments: plain values.
        rate: pictures a second.
    """

    def __init__(self, make_draw: MakeDraw, arguments: tuple[Any, ...], *, rate: int) -> None:
        spawn = spawn_context()
        self._pipe, other = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(other, make_draw, arguments, rate), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self.camera_url, self.viewer_url = self._receive()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.send(("end", ""))
        self._process.join(_START_SECONDS)
        self._process.kill()
        self._process.join()
        self._process.close()

    @property
    def pid(self) -> int:
        """Id of the other process."""
        assert self._process.pid is not None, "started"  # noqa: S101
        return self._process.pid

    def do(self, server: str, deed: str) -> None:
        """Call a method of `RtspRelay` on a server, `cameras` or `viewers`."""
        self._pipe.send((server, deed))
        self._receive()

    def seen(self) -> Viewing:
        """Return what the viewer has seen so far."""
        self._pipe.send(("seen", ""))
        seen: Viewing = self._receive()
        return seen

    def started(self) -> float:
        """Return `time.monotonic()` of the camera's first picture; the clock is the host's."""
        self._pipe.send(("started", ""))
        return float(self._receive())

    def _receive(self) -> Any:  # noqa: ANN401  whatever was asked for
        if not self._pipe.poll(_START_SECONDS):
            raise TimeoutError("the process of cameras and viewers does not answer")
        return self._pipe.recv()


def _serve(pipe: Connection, make_draw: MakeDraw, arguments: tuple[Any, ...], rate: int) -> None:
    with ExitStack() as stack:
        servers = {name: stack.enter_context(RtspRelay()) for name in ("cameras", "viewers")}
        urls = servers["cameras"].url("in"), servers["viewers"].url("out")
        camera = stack.enter_context(Camera(urls[0], make_draw(*arguments), rate=rate))
        viewer = stack.enter_context(Viewer(urls[1]))
        pipe.send(urls)
        while True:
            what, deed = pipe.recv()
            match what:
                case "end":
                    return
                case "seen":
                    pipe.send(viewer.seen)
                case "started":
                    pipe.send(camera.started)
                case server:
                    path = {"kick": ["in" if server == "cameras" else "out"]}.get(deed, [])
                    getattr(servers[server], deed)(*path)
                    pipe.send(None)
