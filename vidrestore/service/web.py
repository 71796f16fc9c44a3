"""What a service shows of itself over HTTP: a page, its data, metrics and health."""

import hmac
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from importlib.resources import files
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from vidrestore.errors import OutputError
from vidrestore.live.status import StreamStatus
from vidrestore.service.prometheus import metrics_text
from vidrestore.service.service import Service

_COOKIE = "vidrestore_token"
_START_SECONDS = 5.0
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Handler = Callable[[Request], Awaitable[Response]]


def make_app(service: Service, *, token: str | None = None) -> Starlette:
    """The pages of a service: `/`, `/api/streams`, `/preview/NAME.jpg`, `/metrics` and `/health`.

    With a token all but `/health` want it, as `Authorization: Bearer TOKEN` or once as `/?token=TOKEN`, which a browser
    keeps in a cookie.
    """
    pages = _Pages(service, token)
    return Starlette(
        routes=[
            Route("/", pages.guarded(pages.page)),
            Route("/api/streams", pages.guarded(pages.streams)),
            Route("/preview/{name}.jpg", pages.guarded(pages.preview)),
            Route("/metrics", pages.guarded(pages.metrics)),
            Route("/health", pages.health),
        ]
    )


class _Pages:
    def __init__(self, service: Service, token: str | None) -> None:
        self._service = service
        self._token = token
        self._page = files("vidrestore.service").joinpath("page.html").read_text(encoding="utf-8")

    def guarded(self, handler: Handler) -> Handler:
        async def checked(request: Request) -> Response:
            if self._token is not None and not _knows(request, self._token):
                return PlainTextResponse("a token is needed: Authorization: Bearer TOKEN, or /?token=TOKEN", 401)
            response = await handler(request)
            response.headers.update(_HEADERS)
            return response

        return checked

    async def page(self, request: Request) -> Response:
        if self._token is not None and "token" in request.query_params:
            response = RedirectResponse("/", 303)  # out of the address bar and of every log
            response.set_cookie(_COOKIE, self._token, httponly=True, samesite="strict")
            return response
        return HTMLResponse(self._page)

    async def streams(self, _: Request) -> Response:
        return JSONResponse([_told(self._service, status) for status in self._service.statuses()])

    async def metrics(self, _: Request) -> Response:
        text = await run_in_threadpool(metrics_text, self._service)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def health(self, _: Request) -> Response:
        statuses = self._service.statuses()
        live = sum(status.healthy for status in statuses)
        healthy = bool(statuses) and live == len(statuses)
        return JSONResponse({"healthy": healthy, "streams": len(statuses), "live": live}, 200 if healthy else 503)

    async def preview(self, request: Request) -> Response:
        picture = await run_in_threadpool(self._service.preview, request.path_params["name"])
        return Response(picture, media_type="image/jpeg") if picture else PlainTextResponse("no picture yet", 404)


def _knows(request: Request, token: str) -> bool:
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    offered = shown if scheme.lower() == "bearer" else request.cookies.get(_COOKIE) or request.query_params.get("token")
    return offered is not None and hmac.compare_digest(offered.encode(), token.encode())


def _told(service: Service, status: StreamStatus) -> dict[str, Any]:
    told = asdict(status)
    for name in ("latency", "stages", "queues"):
        told.pop(name)
    for output in told["outputs"].values():
        output.pop("latency")
    stages = {name: round(1000 * one.total / one.count, 2) for name, one in status.stages.items() if one.count}
    history = [asdict(point) for point in service.history(status.name)]
    return told | {"stage_milliseconds": stages, "queues": status.queues, "history": history, "healthy": status.healthy}


class WebServer:
    """Serves an application from a thread; use as a context manager.

    Raises:
        OutputError: the address is taken, or not ours.
    """

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        config = uvicorn.Config(app, host=host, port=port, log_level="critical", access_log=False, lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)
        self._where = f"{host}:{port}"

    def _serve(self) -> None:
        try:
            self._server.run()
        except SystemExit:  # how uvicorn says that it cannot bind
            return

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise OutputError(f"cannot listen on {self._where}; is the port taken?")
            time.sleep(0.02)
        return self

    @property
    def port(self) -> int:
        """The port in use, where 0 was asked for."""
        return int(self._server.servers[0].sockets[0].getsockname()[1])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(_START_SECONDS)
