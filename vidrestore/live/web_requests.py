"""Requests to web servers of live sources: an address that a server leads to is checked before it is requested.

What holds here: certificates and names are checked for every connection; user, password, headers and cookies of the
options go to the source's own scheme, host and port and nowhere else; Digest is preferred to Basic, and a server that
once asked for Digest gets no Basic without TLS; nothing but http(s) is opened; what a server on the internet names may
not lie in private networks; what asks for more than a player would is ended; an answer that does not come whole in time
is given up, however steadily it drips.
"""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit
from weakref import WeakSet

import av
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth, HTTPDigestAuth
from requests.cookies import extract_cookies_to_jar
from requests.utils import get_environ_proxies, parse_dict_header

from vidrestore.errors import InputError
from vidrestore.live.certificates import TLS_SCHEMES, certificate_problem, trusted_file
from vidrestore.live.source_errors import SourceLost, SourceRefused, untrusted
from vidrestore.live.web_origin import DEFAULT_PORTS, LOOPBACK, REACHES, Origin, named_origin, origin_of, reach_of
from vidrestore.redaction import hidden, redact

_MOST_REDIRECTS = 8
_REQUESTS_AT_ONCE = 200
_REQUESTS_A_SECOND = 10.0
"""A player of HLS requests a playlist and a segment every few seconds; at the start some of each variant."""
_UNAUTHORIZED, _FORBIDDEN, _BAD_REQUEST, _NOT_FOUND, _SERVER_ERROR = 401, 403, 400, 404, 500
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GLANCE_SECONDS = 0.1
_USER_AGENT = f"Lavf/{'.'.join(map(str, av.library_versions['libavformat']))}"
"""The name that FFmpeg's own HTTP sends: servers know it."""
_asked_for_digest: set[Origin] = set()
"""Servers that did, in this process: on a later connection nobody in between may ask for less."""


class WebRequests:
    """Sends requests to the servers of one session of a source, until it is closed.

    Args:
        url: address of the source, with its user and password.
        options: of FFmpeg's HTTP headers, user_agent, referer, cookies, cert_file, key_file and http_proxy; no others.
        verify: whether certificates are checked.
        ca_file: trusted authorities; empty: those of the system.
        private_addresses: whether a public server may name private addresses.
        open_seconds: time limit for an answer to begin, with all redirects.
        silence_seconds: time without data after which an answer is given up.
        is_over: polled all the time; once true, connections are closed, whatever waits for them.
    """

    def __init__(
        self,
        url: str,
        options: Mapping[str, str],
        *,
        verify: bool,
        ca_file: str,
        private_addresses: bool,
        open_seconds: float,
        silence_seconds: float,
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        parts = urlsplit(url)
        self.url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        """Address of the source, without user and password."""
        self.is_over = is_over
        self._origin = origin_of(self.url)
        self._ca_file = ca_file
        self._open_seconds, self._silence_seconds = open_seconds, silence_seconds
        self._allowance = float(_REQUESTS_AT_ONCE)
        self._counted = time.monotonic()
        self._widest: int | None = None if not private_addresses else LOOPBACK
        self._user = None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))
        self._auth: AuthBase = _Nobody()
        self._session = requests.Session()
        self._session.trust_env = False  # .netrc would give passwords to redirects
        self._verify: bool | str = trusted_file(ca_file) if verify else False
        self._session.headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": _USER_AGENT}
        self._own_headers = _own_headers(options)
        self._proxies = {name: options["http_proxy"] for name in DEFAULT_PORTS if options.get("http_proxy")}
        if "cert_file" in options:
            self._session.cert = (options["cert_file"], options.get("key_file", options["cert_file"]))
        if not verify:  # ours is logged at the start and in the status, theirs with each request
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self._lines: WeakSet[socket.socket] = WeakSet()
        self._due: float | None = None
        self._ended = threading.Event()
        for scheme in DEFAULT_PORTS:
            self._session.mount(f"{scheme}://", _Adapter(self._note_connection))
        threading.Thread(target=self._watch, name=f"watch {hidden(url)}", daemon=True).start()

    def close(self) -> None:
        """Close all connections."""
        self._ended.set()
        self._cut()
        self._session.close()

    def ask(self, url: str, *, begin: int = 0, end: int = 0) -> requests.Response:
        """Request the bytes from `begin` on, following redirects; `end` is behind the last, 0 for all.

        Raises:
            InputError: there is no answer, and why.
        """
        ranged = {"Range": f"bytes={begin}-{end - 1 if end else ''}"}
        with self._in_time(self._open_seconds):
            for _ in range(_MOST_REDIRECTS):
                response = self._ask_once(url, ranged)
                if response.status_code not in _REDIRECTS or "location" not in response.headers:
                    return self._checked(response, url)
                response.close()
                url = urldefrag(urljoin(url, _location(response))).url
        raise SourceRefused(f"{hidden(self.url)} is redirected more than {_MOST_REDIRECTS} times")

    def read(self, response: requests.Response, size: int) -> bytes:
        """Return what has come of an answer, at most this many bytes; empty at its end.

        Raises:
            InputError: the connection failed.
        """
        try:
            with self._in_time(self._silence_seconds):
                return bytes(response.raw.read1(size, decode_content=True))
        except (OSError, ValueError, AttributeError, urllib3.exceptions.HTTPError) as error:
            if self.is_over():
                return b""
            silent = isinstance(error, TimeoutError | urllib3.exceptions.TimeoutError)
            why = "is silent: nothing came in time" if silent else f"broke off: {redact(str(error))}"
            raise SourceLost(f"{hidden(response.url)} {why}") from error

    @contextmanager
    def _in_time(self, seconds: float) -> Iterator[None]:
        self._due = time.monotonic() + seconds
        try:
            yield
        finally:
            self._due = None

    def _watch(self) -> None:
        """Close what takes too long: a timeout of a socket starts again with every byte."""
        while not self._ended.wait(_GLANCE_SECONDS):
            due = self._due
            if (due is not None and time.monotonic() > due) or self.is_over():
                self._cut()

    def _cut(self) -> None:
        for line in list(self._lines):
            with suppress(OSError):  # not TLS's own, which would also forget its state under the reader
                socket.socket.shutdown(line, socket.SHUT_RDWR)

    def _note_connection(self, line: socket.socket) -> None:
        self._lines.add(line)
        self._check_peer(line)

    def _ask_once(self, url: str, headers: dict[str, str]) -> requests.Response:
        self._count()
        is_own = self._is_own(named_origin(url, hidden(self.url)))
        if is_own:
            headers = self._own_headers | headers
        response = self._get(url, headers, self._auth if is_own else _Nobody())
        if response.status_code == _UNAUTHORIZED and not is_own and (self._user or self._own_headers):
            response.close()
            raise SourceRefused(
                f"{hidden(self.url)} leads to {hidden(url)}, another server, which wants a password; that of the "
                "source is not taken there: give this other address as the source, with its own"
            )
        if response.status_code == _UNAUTHORIZED and is_own and self._user is not None:
            response.close()
            chosen = self._answer_to(response, self._user, url)
            if chosen is not None:
                self._auth = chosen
                response = self._get(url, headers, chosen)
        return response

    def _is_own(self, other: Origin) -> bool:
        """Return whether an address is on the source's own server, or on the same host with TLS in place of none."""
        upgraded = (self._origin, other) == (("http", other[1], 80), ("https", other[1], 443))
        return other == self._origin or upgraded

    def _get(self, url: str, headers: dict[str, str], auth: AuthBase) -> requests.Response:
        """Send through the adapter: a session reads the bodies of redirects whole, however long they are."""
        session = self._session
        try:
            request = session.prepare_request(requests.Request("GET", url, headers=headers, auth=auth))
            assert request.url is not None, "it was given"  # noqa: S101
            response = session.get_adapter(request.url).send(
                request,
                stream=True,
                timeout=(self._open_seconds, self._silence_seconds),
                verify=self._verify,
                cert=session.cert,
                proxies=self._proxies or get_environ_proxies(request.url),
            )
        except requests.exceptions.RequestException as error:
            raise self._problem(url, error) from error
        extract_cookies_to_jar(session.cookies, request, response.raw)  # type: ignore[no-untyped-call]
        return response

    def _answer_to(self, response: requests.Response, user: tuple[str, str], url: str) -> AuthBase | None:
        """Choose the strongest way to show a password that a server offers; None where none may be used."""
        offered = response.headers.get("www-authenticate", "")
        if digest := re.search(r"\bdigest\s+(.*)", offered, re.IGNORECASE | re.DOTALL):
            _asked_for_digest.add(self._origin)
            return _Digest(user, digest[1])
        if not re.search(r"\bbasic\b", offered, re.IGNORECASE) or isinstance(self._auth, HTTPBasicAuth):
            return None
        if self._origin in _asked_for_digest and urlsplit(url).scheme.lower() not in TLS_SCHEMES:
            raise SourceRefused(
                f"{hidden(self.url)} asked for Digest before, and now wants the password in the clear (Basic): "
                "somebody may stand in between; use https"
            )
        return HTTPBasicAuth(*user)

    def _checked(self, response: requests.Response, url: str) -> requests.Response:
        status, shown = response.status_code, hidden(url)
        if status < _BAD_REQUEST:
            return response
        response.close()
        if status in {_UNAUTHORIZED, _FORBIDDEN}:
            scheme = urlsplit(self.url).scheme
            raise SourceRefused(
                f"{shown} refuses the user or the password; write them as {scheme}://USER:PASSWORD@HOST"
            )
        if status == _NOT_FOUND:
            raise SourceRefused(f"{shown} is not there (404): the server is, but it has no such path")
        if status < _SERVER_ERROR:
            raise SourceRefused(f"{shown} refuses the request: {status} {redact(response.reason or '')}")
        raise SourceLost(f"{shown}: the server failed: {status} {redact(response.reason or '')}")

    def _problem(self, url: str, error: Exception) -> InputError:
        shown, reason = hidden(url), _innermost(error)
        if isinstance(reason, InputError):
            return reason
        if isinstance(error, requests.exceptions.SSLError):
            _, host, port = origin_of(url)
            if why := certificate_problem(host.strip("[]"), port, self._ca_file):
                return untrusted(shown, host, why)
        due = self._due
        if isinstance(error, requests.exceptions.Timeout) or (due is not None and time.monotonic() > due):
            return SourceLost(f"{shown} is silent: no answer came in time")
        if isinstance(reason, ConnectionRefusedError):
            return SourceLost(f"{shown}: the host refuses connections on this port; is the server running?")
        return SourceLost(f"{shown}: {getattr(reason, 'strerror', None) or redact(str(reason))}")

    def _count(self) -> None:
        now = time.monotonic()
        self._allowance += (now - self._counted) * _REQUESTS_A_SECOND - 1
        self._allowance = min(self._allowance, float(_REQUESTS_AT_ONCE))
        self._counted = now
        if self._allowance < 0:
            self._allowance = float("-inf")  # for good: the session is to end
            raise SourceLost(
                f"{hidden(self.url)} names more addresses than a stream needs (more than {_REQUESTS_AT_ONCE} at once "
                f"and {_REQUESTS_A_SECOND:g} a second); does its playlist list itself?"
            )

    def _check_peer(self, line: socket.socket) -> None:
        """Refuse a connection before any request, where the source has no business with such an address."""
        with suppress(OSError, ValueError):
            address = str(line.getpeername()[0])
            reach = reach_of(address)
            if self._widest is None:
                self._widest = reach
            if reach > self._widest:
                raise SourceRefused(
                    f"{hidden(self.url)} leads to the {REACHES[reach]} address {address}, which is none of its "
                    "business; if it is meant to, set source.private_addresses = true"
                )


class _Nobody(AuthBase):
    """Shows no password, and keeps `requests` from looking for one."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class _Digest(AuthBase):
    """Answers a server's challenge; `requests` itself would read the whole body that came with it."""

    def __init__(self, user: tuple[str, str], challenge: str) -> None:
        self._digest: Any = HTTPDigestAuth(*user)
        self._challenge = parse_dict_header(challenge)  # type: ignore[no-untyped-call]

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if {"realm", "nonce"} <= self._challenge.keys():
            self._digest.init_per_thread_state()
            self._digest._thread_local.chal = self._challenge  # noqa: SLF001  there is no other way to give it
            if header := self._digest.build_digest_header(request.method, request.url):
                request.headers["Authorization"] = header
        return request


class _Adapter(HTTPAdapter):
    """Shows each new connection to a check before a request is sent on it."""

    def __init__(self, check: Callable[[socket.socket], None]) -> None:
        self._check = check
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  as it is declared there
        super().init_poolmanager(*args, **kwargs)
        check = self._check

        class Plain(urllib3.connection.HTTPConnection):
            def connect(self) -> None:
                super().connect()
                if self.sock is not None:
                    check(self.sock)

        class Secure(urllib3.connection.HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                if self.sock is not None:
                    check(self.sock)

        class PlainPool(urllib3.HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(urllib3.HTTPSConnectionPool):
            ConnectionCls = Secure

        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}


def _location(response: requests.Response) -> str:
    """Return where an answer leads. Headers are Latin-1 by the standard, and UTF-8 from servers that do not mind."""
    return str(response.headers["location"]).encode("latin-1", "replace").decode("utf-8", "replace")


def _own_headers(options: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that the options add to requests to the source itself."""
    lines = (line.partition(":") for line in options.get("headers", "").splitlines() if ":" in line)
    headers = {name.strip(): value.strip() for name, _, value in lines}
    named = {"user_agent": "User-Agent", "user-agent": "User-Agent", "referer": "Referer"}
    headers |= {header: options[name] for name, header in named.items() if name in options}
    if cookies := options.get("cookies"):
        headers["Cookie"] = "; ".join(line.partition(";")[0] for line in cookies.splitlines())
    return headers


def _innermost(error: BaseException) -> BaseException:
    """Return the error that `requests` and `urllib3` wrapped."""
    while True:
        within = [part for part in (error.__cause__, error.__context__, *error.args) if isinstance(part, BaseException)]
        reason = getattr(error, "reason", None)
        candidates = [reason] if isinstance(reason, BaseException) else within
        if not candidates or candidates[0] is error:
            return error
        error = candidates[0]
