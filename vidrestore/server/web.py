"""The HTTP server of a service: a page, its data, metrics and health."""

import asyncio
import base64
import errno
import hashlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from importlib.resources import files
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from vidrestore.errors import OutputError
from vidrestore.live.status import StreamStatus
from vidrestore.server.connections import BoundedProtocol, Connections
from vidrestore.server.guard import Guard
from vidrestore.server.logs import LOG
from vidrestore.server.prometheus import metrics_text
from vidrestore.server.service import Service
from vidrestore.server.web_limits import SharedAnswer, WebCounts, highest_page_handle, page_share

_END_SECONDS = 5.0
_LAST_RESPONSES_SECONDS = 2
_IDLE_SECONDS = 5
_BACKLOG = 64
_MOST_HEAD_BYTES = 16384
_SEND_BUFFER_BYTES = 262144
"""Size of the kernel's send buffer, which fills when a client does not read."""
_NEWS_SECONDS = 5.0
_PREVIEW_THREADS = 4
_PREVIEW_SECONDS = 0.1
_DATA_SECONDS = 0.5
_FORMER_KEYS = {"rung": "quality_level", "rung_name": "quality", "faces_carried": "faces_propagated"}
"""Former keys of a stream in the JSON -> today's; they go with the next release."""


def make_app(service: Service, *, token: str | None = None, names: frozenset[str] = frozenset({"localhost"})) -> Guard:
    """Make the pages of a service: `/`, `/api/streams`, `/preview/NAME.jpg`, `/metrics` and `/health`.

    Args:
        service: service to show.
        token: required for everything but `/health`; None: nothing is.
        names: host names under which the pages may be requested, besides addresses.
    """
    counts = WebCounts()
    pages = _Pages(service, counts)
    routes = [
        Route("/", pages.page),
        Route("/api/streams", pages.streams),
        Route("/preview/{name}.jpg", pages.preview),
        Route("/metrics", pages.metrics),
        Route("/health", pages.health),
    ]
    policy = _content_security_policy(pages.text)
    return Guard(Starlette(routes=routes), token=token, names=names, content_security_policy=policy, counts=counts)


def _content_security_policy(page: str) -> str:
    """Return a policy by which only the page's own script and style run, and only this server is asked for anything."""

    def digest(element: str) -> str:
        (text,) = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    return (
        f"default-src 'none'; connect-src 'self'; img-src 'self'; script-src 'sha256-{digest('script')}'; "
        f"style-src 'sha256-{digest('style')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


class _Pages:
    """Answers requests from few threads: on Ray, a stream whose process is gone holds one for a second."""

    def __init__(self, service: Service, counts: WebCounts) -> None:
        self._service = service
        self._preview_threads = ThreadPoolExecutor(_PREVIEW_THREADS, thread_name_prefix="web-preview")
        self._previews: dict[str, SharedAnswer[bytes | None]] = {}
        self._metrics = _answer(partial(metrics_text, service, counts), "web-metrics")
        self._streams = _answer(self._describe, "web-streams")
        self.text = files("vidrestore.server").joinpath("page.html").read_text(encoding="utf-8")

    async def page(self, _: Request) -> Response:
        return HTMLResponse(self.text)

    async def streams(self, _: Request) -> Response:
        return Response(await self._streams.get(), media_type="application/json")

    async def metrics(self, _: Request) -> Response:
        return Response(await self._metrics.get(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def health(self, _: Request) -> Response:
        statuses = self._service.statuses()
        live = sum(status.healthy for status in statuses)
        healthy = bool(statuses) and live == len(statuses)
        return JSONResponse({"healthy": healthy, "streams": len(statuses), "live": live}, 200 if healthy else 503)

    async def preview(self, request: Request) -> Response:
        name = request.path_params["name"]
        names = {status.name for status in self._service.statuses()}
        self._previews = {one: shared for one, shared in self._previews.items() if one in names}
        if name in names and name not in self._previews:
            ask = partial(self._service.preview, name)
            self._previews[name] = SharedAnswer(ask, self._preview_threads, seconds=_PREVIEW_SECONDS)
        picture = await self._previews[name].get() if name in self._previews else None
        return Response(picture, media_type="image/jpeg") if picture else PlainTextResponse("no preview yet", 404)

    def _describe(self) -> bytes:
        data = [_described(self._service, status) for status in self._service.statuses()]
        return json.dumps(data, allow_nan=False, separators=(",", ":")).encode("ascii")  # names need not be UTF-8


def _answer(compute: Callable[[], bytes], thread: str) -> SharedAnswer[bytes]:
    executor: Executor = ThreadPoolExecutor(1, thread_name_prefix=thread)
    return SharedAnswer(compute, executor, seconds=_DATA_SECONDS)


def _described(service: Service, status: StreamStatus) -> dict[str, Any]:
    data = asdict(status)
    data |= {former: data[now] for former, now in _FORMER_KEYS.items()}
    for name in ("latency", "stages", "queues"):
        data.pop(name)
    for output in data["outputs"].values():
        output.pop("latency")
    stages = {name: round(1000 * one.total / one.count, 2) for name, one in status.stages.items() if one.count}
    history = [asdict(point) for point in service.history(status.name)]
    return data | {"stage_milliseconds": stages, "queues": status.queues, "history": history, "healthy": status.healthy}


class WebServer:
    """Serves an application from a thread; use as a context manager.

    Args:
        app: what to serve.
        host: where to listen.
        port: where to listen; 0 for any that is free.
        connections: maximum number at a time; fewer where few files may be open.
        exchange_seconds: limit on the time of a request and its response together.

    Raises:
        OutputError: the address is taken, or not ours.
    """

    def __init__(
        self, app: Guard, host: str, port: int, *, connections: int = 64, exchange_seconds: float = 10.0
    ) -> None:
        config = uvicorn.Config(
            app, interface="asgi3", lifespan="off", ws="none", log_config=None, log_level="critical", access_log=False,
            proxy_headers=False, server_header=False, timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=_LAST_RESPONSES_SECONDS, h11_max_incomplete_event_size=_MOST_HEAD_BYTES,
        )  # fmt: skip
        self._counts = app.counts
        self._server = uvicorn.Server(config)
        self._config = config
        self._connections = Connections(
            page_share(connections),
            highest_handle=highest_page_handle(),
            counts=app.counts,
            exchange_seconds=exchange_seconds,
        )
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="web", daemon=True)
        self._address = host, port
        self._listeners: list[socket.socket] = []

    async def _serve(self) -> None:
        asyncio.get_running_loop().set_exception_handler(self._count_fault)

        def protocol() -> BoundedProtocol:
            return BoundedProtocol(self._config, self._server.server_state, self._connections)

        tasks = [asyncio.create_task(self._connections.accept(one, protocol)) for one in self._listeners]
        tasks.append(asyncio.create_task(self._tell()))
        try:
            await self._server.serve(sockets=[])  # uvicorn answers, and we accept
        finally:
            for task in tasks:
                task.cancel()

    def _count_fault(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Count a fault, instead of a traceback each time: a flood must not fill a disk."""
        self._counts.refused["fault"] += 1
        self._counts.last_fault = str(context.get("exception") or context["message"])

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(_NEWS_SECONDS)
            if news := self._counts.news():
                LOG.warning("%s", news)

    def __enter__(self) -> Self:
        host, port = self._address
        try:
            for listener in _listening(host, port):
                self._listeners.append(listener)
        except OSError as error:
            self._close()
            raise OutputError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        self._thread.start()
        return self

    @property
    def port(self) -> int:
        """The port in use, where 0 was asked for."""
        return int(self._listeners[0].getsockname()[1])

    def _close(self) -> None:
        for listener in self._listeners:
            listener.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(_END_SECONDS)
        self._close()


def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Open sockets on each address of a host; `localhost` has two where IPv6 is on."""
    found = {(family, address[0]) for family, *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    begun = False
    for family, address in sorted(found):
        try:
            listener = socket.create_server((address, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            if begun and error.errno == errno.EADDRNOTAVAIL:
                continue  # a name for IPv6, which this host does not have
            raise
        begun = True
        listener.settimeout(0)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        port = listener.getsockname()[1]
        yield listener
