"""What a flood of connections costs: the page, for a while; never handles, threads, memory or log without bound."""

import logging
import resource
import socket
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import Any

import pytest

from support.waiting import until
from vidrestore.live.status import StreamStatus
from vidrestore.server import connections, web_limits
from vidrestore.server.service import Service
from vidrestore.server.web_limits import Rates, WebCounts

pytestmark = pytest.mark.integration

Serve = Callable[..., AbstractContextManager[Any]]
GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n"
HALF = GET % b"/"


def ended(connection: socket.socket, *, seconds: float) -> bool:
    """Whether the other end closes within so many seconds."""
    deadline = time.monotonic() + seconds
    connection.settimeout(0.1)
    while time.monotonic() < deadline:
        try:
            if not connection.recv(1 << 20):
                return True
        except TimeoutError:
            continue
        except ConnectionError:
            return True
    return False


def counted(page: Any, reason: str) -> float:
    text = page.fetch("/metrics").body.decode()
    (line,) = [
        line for line in text.splitlines() if line.startswith(f'vidrestore_web_refused_total{{reason="{reason}"')
    ]
    return float(line.split()[1])


def test_half_requests_make_room_for_whole_ones(serve_page: Serve) -> None:
    """As many as an address may begin, and more; whoever asks is answered at once all the same."""
    with serve_page(connections=8) as page, ExitStack() as stack:
        for source in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
            for _ in range(20):
                stack.enter_context(page.connect(HALF, source=source))
        assert page.fetch("/health", timeout=10).status == 503
        assert page.fetch("/api/streams", timeout=10).status == 200
        assert counted(page, "displaced") > 40
        text = page.fetch("/metrics").body.decode()
        assert float(text.split("\nvidrestore_web_connections ")[1].split()[0]) <= 8


def test_too_many_connections_at_once_are_closed(serve_page: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_PER_SECOND", 0.001)
    monkeypatch.setattr(connections, "_BURST", 5)
    with serve_page() as page, ExitStack() as stack:
        begun = [stack.enter_context(page.connect()) for _ in range(12)]
        assert all(ended(connection, seconds=5) for connection in begun[5:])
        assert page.counts.refused["rate"] == 7
        with page.connect(HALF + b"\r\n", source="127.0.0.9") as other:
            assert other.recv(100).startswith(b"HTTP/1.1 200"), "another address is answered"


def drip(connection: socket.socket, text: bytes, stop: threading.Event) -> None:
    try:
        for byte in text:
            connection.sendall(bytes([byte]))
            if stop.wait(0.1):
                return
    except OSError:
        return


@pytest.mark.parametrize(
    ("begun", "drips"),
    [
        (b"", b""),
        (b"", HALF + b"X: " + b"y" * 1000),
        (HALF, b""),
        (HALF + b"Content-Length: 1000000\r\n\r\n", b"z" * 1000),
        (GET.replace(b"GET", b"POST") % b"/nothing" + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nz\r\n" * 100),
    ],
)
def test_a_request_that_takes_too_long_is_ended(serve_page: Serve, begun: bytes, drips: bytes) -> None:
    stop = threading.Event()
    with serve_page(exchange_seconds=0.6) as page, page.connect(begun) as connection:
        dripper = threading.Thread(target=drip, args=(connection, drips, stop))
        dripper.start()
        assert ended(connection, seconds=5)
        stop.set()
        dripper.join()


class BigService(Service):
    """Has one stream, whose picture is large."""

    def __init__(self, picture: bytes = b"", *, hold: threading.Event | None = None) -> None:
        super().__init__(None, ())  # type: ignore[arg-type]
        self.picture, self.hold, self.asked = picture, hold, 0

    def statuses(self) -> list[StreamStatus]:
        return [Told("x")]  # type: ignore[list-item]

    def workers(self) -> dict[str, tuple[int, int]]:
        return {}

    def preview(self, name: str) -> bytes:
        assert name == "x"
        self.asked += 1
        if self.hold:
            self.hold.wait(10)
        return self.picture


class Told:
    """As much of a status as the preview and the health ask for."""

    def __init__(self, name: str) -> None:
        self.name, self.healthy = name, True


@pytest.mark.parametrize("requests", [1, 200])
def test_a_reader_that_never_reads_is_ended(serve_page: Serve, requests: int) -> None:
    """Also where all it asked for fits into buffers, and where it asks on and on."""
    with (
        serve_page(BigService(b"x" * (32 << 20 >> requests.bit_length())), exchange_seconds=1.0) as page,
        ExitStack() as stack,
    ):
        connection = stack.enter_context(page.connect())
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        last = b"Connection: close\r\n\r\n" if requests == 1 else b"\r\n"
        connection.sendall((GET % b"/preview/x.jpg" + last) * requests)
        until(lambda: page.counts.refused["deadline"] == 1)
        assert page.counts.open == 0


def test_a_picture_is_made_once_for_all_and_holds_up_nobody(serve_page: Serve) -> None:
    hold = threading.Event()
    service = BigService(b"picture", hold=hold)
    with serve_page(service, connections=200) as page, ExitStack() as stack:
        waiting = [stack.enter_context(page.connect(GET % b"/preview/x.jpg" + b"\r\n")) for _ in range(40)]
        assert page.fetch("/preview/nobody.jpg").status == 404
        assert page.fetch("/health", timeout=3).status == 200
        assert page.fetch("/", timeout=3).status == 200
        threads = sum(thread.name.startswith("web") for thread in threading.enumerate())
        assert threads <= 8
        hold.set()
        for connection in waiting:
            assert b"HTTP/1.1 200" in connection.recv(1000)
    assert service.asked == 1


def test_head_and_rubbish_are_bounded(serve_page: Serve) -> None:
    with serve_page() as page:
        for rubbish in (b"\x16\x03\x01\x02\r\n\r\n", HALF + b"Host: b\r\n\r\n", HALF + b"X: " + b"y" * 70000):
            with page.connect(rubbish) as connection:
                answer = connection.recv(1000)
                assert answer.startswith(b"HTTP/1.1 400")
                assert b"Cross-Origin-Resource-Policy: same-origin" in answer
                assert ended(connection, seconds=5)
        assert counted(page, "malformed") == 3


def test_the_page_leaves_handles_to_the_streams(serve_page: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """With few handles left, connections are closed, and nothing is written for each; later all is as before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serve_page() as page, ExitStack() as stack:
        assert is_answered(page)
        used = max(file.fileno() for file in [stack.enter_context(socket.socket()) for _ in range(3)])
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 40, hard))
        try:
            held: list[socket.socket] = []
            with suppress(OSError):
                while True:
                    held.append(page.connect(HALF))
            time.sleep(1.2)  # the other end of these is in this process, too
            assert page.counts.refused["handles"]
            for connection in held:
                connection.close()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        until(lambda: is_answered(page))
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def is_answered(page: Any) -> bool:
    try:
        return bool(page.fetch("/api/streams", timeout=2).status == 200)
    except OSError:
        return False


def test_the_page_takes_no_handle_of_the_reserve(serve_page: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_limits, "_file_limit", lambda: 4)
    with serve_page() as page, page.connect(HALF + b"\r\n") as connection:
        assert ended(connection, seconds=3)


def test_shares_of_handles(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit, share, highest in ((256, 32, 192), (1024, 64, 768), (20000, 64, 19744)):
        monkeypatch.setattr(web_limits, "_file_limit", lambda limit=limit: limit)
        assert (web_limits.page_share(64), web_limits.highest_page_handle()) == (share, highest)


def test_the_limit_on_files_is_raised() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        web_limits.raise_file_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(hard, 65536)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_rate_allows_a_burst_and_then_so_many_a_second() -> None:
    now = [100.0]
    rates = Rates(2.0, 3, clock=lambda: now[0])
    assert [rates.take("a") for _ in range(5)] == [True, True, True, False, False]
    assert rates.take("b"), "each key has its own"
    now[0] += 0.5
    assert [rates.take("a") for _ in range(2)] == [True, False]
    now[0] += 100
    assert [rates.reserve("a") for _ in range(5)] == [0, 0, 0, 0.5, 1.0]


def test_what_is_kept_of_addresses_is_bounded() -> None:
    rates = Rates(1.0, 1)
    for number in range(5000):
        rates.count(str(number))
    assert len(rates._due) == 4096


def test_a_flood_is_a_line_a_minute() -> None:
    now = [0.0]
    counts = WebCounts(clock=lambda: now[0])
    counts.refused["deadline"] += 3
    assert counts.news() is None, "everyday"
    lines = []
    for second in range(120):
        now[0] = second
        counts.refused["rate"] += 1000
        counts.refused["guessing"] += 5
        lines.append(counts.news())
    told = [line for line in lines if line]
    assert len(told) == 2
    assert "1000 (too many at once" in told[0]
    assert "60000 (too many at once" in told[1]


def test_a_fault_of_the_page_is_answered_and_told(serve_page: Serve) -> None:
    service = BigService()
    service.statuses = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    with serve_page(service) as page:
        answer = page.fetch("/health")
        assert (answer.status, answer.headers["x-frame-options"]) == (500, "DENY")
        until(lambda: "ZeroDivisionError" in (page.counts.news() or ""))
