"""Who may look at the page: hosts, sites, tokens; and what its responses tell browsers."""

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from vidrestore.server.connections import network_of

pytestmark = pytest.mark.integration

TOKEN = "a-token-of-the-tests"  # noqa: S105
Serve = Callable[..., AbstractContextManager[Any]]
PATHS = ("/", "/api/streams", "/metrics", "/preview/x.jpg", "/health", "/nothing")


FOREIGN = (
    "evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "127.1", "2130706433",
    "localhost@evil.example", "evil.example@127.0.0.1", "[::1].evil.example", "xproxy.example", "a b", "", ":80",
    "127.0.0.1:99999999", "notexample.org", "example.org", "*.example.org",
)  # fmt: skip
NATIVE = (
    "127.0.0.1", "localhost:1", "LOCALHOST.", "[::1]:8080", "10.1.2.3:80", "[fe80::1%25eth0]", "proxy.example:443",
    "a.b.example.org",
)  # fmt: skip


def test_names_that_point_here_by_rebinding_see_nothing(serve_page: Serve) -> None:
    with serve_page(app={"names": frozenset({"localhost", "proxy.example", "*.example.org"})}) as page:
        for host in FOREIGN:
            for path in PATHS:
                assert page.fetch(path, Host=host).status in {400, 421}, (host, path)
        for host in NATIVE:
            assert page.fetch("/", Host=host).status == 200, host


def test_a_request_without_host_sees_nothing(serve_page: Serve) -> None:
    with serve_page() as page, page.connect(b"GET / HTTP/1.0\r\n\r\n") as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 421")


ELSEWHERE = (
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image"},
    {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://[evil"},
)


def test_pages_of_other_sites_get_nothing(serve_page: Serve) -> None:
    with serve_page() as page:
        for headers in ELSEWHERE:
            for path in PATHS:
                assert page.fetch(path, **headers).status == 403, (headers, path)


def test_the_page_itself_and_links_to_it_are_answered(serve_page: Serve) -> None:
    with serve_page() as page:
        own = {"Sec_Fetch_Site": "same-origin", "Origin": page.root}
        assert page.fetch("/api/streams", **own).status == 200
        link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
        assert page.fetch("/", **link).status == 200
        assert page.fetch("/api/streams", **link).status == 403


def test_every_response_keeps_browsers_from_mixing_it_with_others(serve_page: Serve) -> None:
    with serve_page(app={"token": TOKEN}) as page:
        key = {"Authorization": f"Bearer {TOKEN}"}
        answers = [page.fetch(path, **headers) for path in PATHS for headers in ({}, key, {"Host": "evil.example"})]
        answers.append(page.fetch("/", method="POST", **key))
        answers.append(page.fetch("/", Sec_Fetch_Site="cross-site"))
        answers.append(page.fetch(f"/?token={TOKEN}"))
        assert {answer.status for answer in answers} == {200, 303, 401, 403, 404, 405, 421, 503}
        for answer in answers:
            told = answer.headers
            assert told["cross-origin-resource-policy"] == "same-origin"
            assert told["cross-origin-opener-policy"] == "same-origin"
            assert told["x-frame-options"] == "DENY"
            assert told["x-content-type-options"] == "nosniff"
            assert told["cache-control"] == "no-store"
            assert "unsafe" not in told["content-security-policy"]
            assert "server" not in told


def test_the_token_counts_in_an_address_on_the_first_page_only(serve_page: Serve) -> None:
    with serve_page(app={"token": TOKEN}) as page:
        for path in ("/api/streams", "/metrics", "/preview/x.jpg", "/nothing"):
            assert page.fetch(f"{path}?token={TOKEN}").status == 401
        answer = page.fetch(f"/?token={TOKEN}")
        assert (answer.status, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert TOKEN not in cookie, "other servers on this host get the cookie, too"
        assert {"HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
        assert "Secure" not in cookie
        behind = page.fetch(f"/?token={TOKEN}", X_Forwarded_Proto="https").headers["set-cookie"]
        assert "Secure" in behind.split("; ")
        assert page.fetch("/api/streams", Cookie=cookie.partition(";")[0]).status == 200
        assert page.fetch("/api/streams", Cookie=cookie.partition(";")[0] + "x").status == 401


def test_guessing_is_slowed_down_and_does_not_lock_out_who_is_in(serve_page: Serve) -> None:
    with serve_page(app={"token": TOKEN}) as page:
        cookie = page.fetch(f"/?token={TOKEN}").headers["set-cookie"].partition(";")[0]
        codes = [page.fetch("/metrics", Authorization=f"Bearer guess{n}").status for n in range(30)]
        assert codes[:10] == [401] * 10
        assert codes.count(429) >= 15
        assert page.fetch("/?token=guess").status == 429, "another way to offer it is no way around"
        assert page.fetch("/metrics", Authorization=f"Bearer {TOKEN}").status == 200, "neighbours lock nobody out"
        assert page.fetch("/metrics", Cookie=cookie).status == 200
        assert page.fetch("/").status == 401, "who offers none guesses none"
        assert page.fetch("/health").status == 503
        with page.connect(f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode(),
                          source="127.0.0.2") as other:  # fmt: skip
            assert other.recv(100).startswith(b"HTTP/1.1 200"), "others are not slowed down"


def test_strangers_get_one_response_a_connection(serve_page: Serve) -> None:
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serve_page(app={"token": TOKEN}) as page, page.connect(request * 50) as connection:
        assert everything(connection).count(b"HTTP/1.1") == 1
    with serve_page() as page, page.connect(request * 5) as connection:
        connection.settimeout(1)
        assert everything(connection).count(b"HTTP/1.1 503") == 5, "whoever may see all keeps it"


def everything(connection: socket.socket) -> bytes:
    found = b""
    try:
        while data := connection.recv(65536):
            found += data
    except (TimeoutError, ConnectionResetError):
        pass
    return found


def test_one_subscriber_counts_as_one() -> None:
    assert network_of("2001:db8:1:2:aaaa::1") == network_of("2001:db8:1:2:bbbb::2")
    assert network_of("2001:db8:1:2::1") != network_of("2001:db8:1:3::1")
    assert network_of("::ffff:10.0.0.1") == network_of("10.0.0.1") != network_of("10.0.0.2")
    assert network_of("fe80::1%eth0") == network_of("fe80::2%eth1")
