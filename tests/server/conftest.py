"""A service that runs nothing, and how to talk to its page."""

import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from vidrestore.server.service import Service
from vidrestore.server.web import WebServer, make_app


class StillService(Service):
    """A service of no streams; as healthy as one can be."""

    def __init__(self) -> None:
        super().__init__(None, ())  # type: ignore[arg-type]

    def workers(self) -> dict[str, tuple[int, int]]:
        return {}


class Answer:
    """An HTTP response, of whatever code."""

    def __init__(self, status: int, body: bytes, headers: Any) -> None:
        self.status, self.body, self.headers = status, body, headers


def fetch(url: str, *, timeout: float = 10, method: str = "GET", **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, headers=sent, method=method)  # noqa: S310
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=timeout) as answer:
            return Answer(answer.status, answer.read(), answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read(), error.headers)


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@pytest.fixture
def still_service() -> StillService:
    return StillService()


@pytest.fixture
def fetch_url() -> Callable[..., Answer]:
    return fetch


class Page:
    """A page that is served, and connections to it."""

    def __init__(self, server: WebServer) -> None:
        self.port = server.port
        self.counts = server._counts
        self.root = f"http://127.0.0.1:{server.port}"

    def fetch(self, path: str, **headers: Any) -> Answer:
        return fetch(self.root + path, **headers)

    def connect(self, sent: bytes = b"", *, source: str = "127.0.0.1") -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10, source_address=(source, 0))
        with suppress(OSError):  # closed already
            connection.sendall(sent)
        return connection


@pytest.fixture
def serve_page() -> Callable[..., Any]:
    @contextmanager
    def serve(service: Service | None = None, *, app: dict[str, Any] | None = None, **options: Any) -> Iterator[Page]:
        with WebServer(make_app(service or StillService(), **(app or {})), "127.0.0.1", 0, **options) as server:
            yield Page(server)

    return serve
