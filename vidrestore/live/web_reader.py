"""HTTP for live sources, in place of FFmpeg's own: an address that a server leads to is looked at before it is asked.

A playlist names what is fetched next, and a redirect does. FFmpeg's HTTP checks certificates for the first connection
alone, asks whatever is named as often as it is named, and does not say to whom it shows a password.

What holds here: certificates and names are checked for every connection; user, password, headers and cookies of the
options go to the source's own scheme, host and port and nowhere else; Digest is preferred to Basic, and a server that
once asked for Digest gets no Basic without TLS; nothing but http(s) is opened; what a server on the internet names may
not lie in private networks; what asks for more than a player would is ended.
"""

import ipaddress
import re
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import av
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth, HTTPDigestAuth

from vidrestore.errors import InputError
from vidrestore.live.certificates import TLS_SCHEMES, certificate_problem, trusted_file
from vidrestore.live.problems import SourceLost, SourceRefused, untrusted
from vidrestore.redaction import hidden, redact

_MOST_REDIRECTS = 8
_MOST_PLAYLIST_BYTES = 4 << 20
_REQUESTS_AT_ONCE = 200
_REQUESTS_A_SECOND = 10.0
"""A player of HLS asks for a playlist and a segment every few seconds; at the start for some of each variant."""
_PLAYLIST = b"#EXTM3U"
_UNAUTHORIZED, _BAD_REQUEST, _NOT_FOUND, _SERVER_ERROR = 401, 400, 404, 500
_CRYPTO = re.compile(r"crypto[+:]")
"""Before the address of a segment of HLS that is encrypted."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_URI = re.compile(r'(URI=")([^"]*)(")')
_DEFAULT_PORTS = {"http": 80, "https": 443}

Origin = tuple[str, str, int]
"""Scheme, host and port."""


def origin_of(url: str) -> Origin:
    """What of a URL decides who gets a password.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or _DEFAULT_PORTS.get(scheme, 0)


class WebReader:
    """Opens what FFmpeg asks for, for one session of a source.

    Args:
        url: of the source, with its user and password.
        options: as FFmpeg's HTTP has them: headers, user_agent, referer, cookies, cert_file, key_file, http_proxy.
        verify: whether certificates are checked.
        ca_file: trusted authorities; empty: those of the machine.
        private_addresses: whether a public server may name private addresses.
        open_seconds: for a connection to be made.
        silence_seconds: after which a connection from which nothing comes is given up.
        is_over: asked between reads; what is read then ends.
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
        self.problem: InputError | None = None
        """What went wrong with something that the source named."""
        """And has gone wrong since: the next segment that comes clears it."""
        self.is_over = is_over
        self.streams: set[WebStream] = set()
        """That are open."""
        self._origin = origin_of(url)
        self._ca_file = ca_file
        self._timeout = (open_seconds, silence_seconds)
        self._allowance = float(_REQUESTS_AT_ONCE)
        self._counted = time.monotonic()
        self._widest: int | None = None if not private_addresses else _LOOPBACK
        self._user = _user(url)
        self._auth: AuthBase = _Nobody()
        self._session = requests.Session()
        self._session.trust_env = False  # .netrc would give passwords to redirects
        self._session.verify = trusted_file(ca_file) if verify else False
        self._session.headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": _USER_AGENT}
        self._own_headers = _own_headers(options)
        self._proxies = {name: options["http_proxy"] for name in ("http", "https") if options.get("http_proxy")}
        if "cert_file" in options:
            self._session.cert = (options["cert_file"], options.get("key_file", options["cert_file"]))
        if not verify:  # ours is told at the start and in the status, theirs with each request
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        for scheme in _DEFAULT_PORTS:
            self._session.mount(f"{scheme}://", _Adapter(self._check_peer))
        parts = urlsplit(url)
        self.url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        """Without user and password: FFmpeg need not know them."""
        self._first: WebStream | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; what went wrong with something that the source named is the reason of what FFmpeg says."""
        for stream in list(self.streams):
            stream.close()
        self._session.close()
        if self.problem is not None and error is not self.problem:
            raise self.problem from error

    def begin(self) -> str | None:
        """Ask for the source itself; gives FFmpeg's name of the demuxer where the answer says it, else None.

        Raises:
            InputError: why it cannot be had.
        """
        self._first = WebStream(self, self.url)
        return "hls" if self._first.is_playlist else None

    def open(self, url: str, _flags: int, options: Mapping[str, str]) -> "WebStream | Decrypted":
        """What `av.open` takes as `io_open`. It does not raise: what cannot be had is empty, and noted in `problem`."""
        if self._first is not None and url == self.url:
            first, self._first = self._first, None
            return first
        begin, end = int(options.get("offset", 0)), int(options.get("end_offset", 0))
        stream = WebStream(self, urldefrag(_CRYPTO.sub("", url)).url, begin=begin, end=end, is_named=True)
        if not _CRYPTO.match(url):
            return stream
        try:
            return Decrypted(stream, key=bytes.fromhex(options["key"]), start=bytes.fromhex(options["iv"]))
        except InputError as error:
            self.problem = error
            stream.close()
            return stream

    def ask(self, url: str, *, begin: int = 0, end: int = 0) -> requests.Response:
        """Send a request, and those to which it is redirected.

        Raises:
            InputError: why there is no answer.
        """
        ranged = {"Range": f"bytes={begin}-{end - 1 if end else ''}"} if begin or end else {}
        for _ in range(_MOST_REDIRECTS):
            response = self._ask_once(url, ranged)
            if response.status_code not in _REDIRECTS or "location" not in response.headers:
                return self._checked(response, url)
            response.close()
            url = urldefrag(urljoin(url, response.headers["location"])).url
        raise SourceRefused(f"{hidden(self.url)} is redirected more than {_MOST_REDIRECTS} times")

    def _ask_once(self, url: str, headers: dict[str, str]) -> requests.Response:
        self._count()
        try:
            is_own = self._is_own(url)
        except ValueError as error:
            raise SourceRefused(f"{hidden(self.url)} leads to what is no address: {redact(url)!r}") from error
        if urlsplit(url).scheme.lower() not in _DEFAULT_PORTS:
            raise SourceRefused(f"{hidden(self.url)} leads to {hidden(url)}; only http and https are opened")
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
            chosen = self._answer_to(response, url)
            if chosen is not None:
                self._auth = chosen
                response = self._get(url, headers, chosen)
        return response

    def _is_own(self, url: str) -> bool:
        """Whether an address is on the source's own server, or on the same host with TLS in place of none."""
        other = origin_of(url)
        upgraded = (self._origin, other) == (("http", other[1], 80), ("https", other[1], 443))
        return other == self._origin or upgraded

    def _get(self, url: str, headers: dict[str, str], auth: AuthBase) -> requests.Response:
        proxies = self._proxies or requests.utils.get_environ_proxies(url)
        try:
            return self._session.get(
                url,
                headers=headers,
                auth=auth,
                proxies=proxies,
                stream=True,
                allow_redirects=False,
                timeout=self._timeout,
            )
        except requests.exceptions.RequestException as error:
            raise self._problem(url, error) from error

    def _answer_to(self, response: requests.Response, url: str) -> AuthBase | None:
        """The strongest of the ways to show a password that a server offers; None for none that may be used."""
        offered = response.headers.get("www-authenticate", "").lower()
        assert self._user is not None, "asked for with a user only"  # noqa: S101
        if "digest" in offered:
            _asked_for_digest.add(self._origin)
            return HTTPDigestAuth(*self._user)
        if not re.search(r"\bbasic\b", offered) or isinstance(self._auth, HTTPBasicAuth):
            return None
        if self._origin in _asked_for_digest and urlsplit(url).scheme.lower() not in TLS_SCHEMES:
            raise SourceRefused(
                f"{hidden(self.url)} asked for Digest before, and now wants the password in the clear (Basic): "
                "somebody may stand in between; use https"
            )
        return HTTPBasicAuth(*self._user)

    def _checked(self, response: requests.Response, url: str) -> requests.Response:
        status, shown = response.status_code, hidden(url)
        if status < _BAD_REQUEST:
            return response
        response.close()
        if status in {_UNAUTHORIZED, 403}:
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
            if why := certificate_problem(host, port, self._ca_file):
                return untrusted(shown, host, why)
        if isinstance(error, requests.exceptions.Timeout):
            return SourceLost(f"{shown} is silent: nothing came in time")
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
        """Refuse a connection before anything is asked on it, where the source has no business with such an address."""
        with suppress(OSError, ValueError):
            address = str(line.getpeername()[0])
            reach = _reach(address)
            if self._widest is None:
                self._widest = reach
            if reach > self._widest:
                raise SourceRefused(
                    f"{hidden(self.url)} leads to the {_REACHES[reach]} address {address}, which is none of its "
                    "business; if it is meant to, set source.private_addresses = true"
                )


class WebStream:
    """What a server sends, as a file that `av.open` reads.

    Args:
        reader: that asks for it.
        url: of it.
        begin: first byte.
        end: byte after the last; 0: all.
        is_named: whether a playlist named it: then what goes wrong is noted, not raised.
    """

    def __init__(self, reader: WebReader, url: str, *, begin: int = 0, end: int = 0, is_named: bool = False) -> None:
        self._reader, self._url, self._end = reader, url, end
        self._is_named = is_named
        self._origin = self._place = self._at = begin
        """First byte; next one for the reader; next one from the connection."""
        self._response: requests.Response | None = None
        self._ready = b""
        self._length: int | None = None
        self.is_playlist = False
        try:
            self._begin()
        except InputError as error:
            self._note(error)

    def read(self, size: int) -> bytes:
        """What has come, at most so many bytes; empty at the end, and where the connection failed."""
        if self._place != self._at:
            self.close()
            self._at, self._ready = self._place, b""
        data, self._ready = self._ready[:size], self._ready[size:]
        data = data or self._receive(size)
        self._place += len(data)
        self._at += len(data)
        return data

    def seekable(self) -> bool:
        """Whether the server sends parts."""
        return self._length is not None and not self.is_playlist

    def tell(self) -> int:
        """Where the next byte stands, from the first that was asked for."""
        return self._place - self._origin

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go on elsewhere, with another request when it is read."""
        assert self._length is not None, "else it is not seekable"  # noqa: S101
        self._place = self._origin + offset + (0, self.tell(), self._length)[whence]
        return self.tell()

    def close(self) -> None:
        """Let the connection go."""
        self._reader.streams.discard(self)
        response, self._response = self._response, None
        if response is not None:
            response.close()

    def _begin(self) -> None:
        response = self._ask()
        if self._place and response.status_code != 206:  # noqa: PLR2004  partial content
            raise SourceLost(f"{hidden(self._url)}: the server does not send parts of it")
        while len(self._ready) < len(_PLAYLIST) and (data := self._receive(1 << 15)):
            self._ready += data
        self.is_playlist = self._ready.removeprefix(b"\xef\xbb\xbf").startswith(_PLAYLIST)
        if self.is_playlist:
            self._read_playlist(response)
            return
        if self._is_named:
            self._reader.problem = None
        if response.headers.get("accept-ranges", "").lower() == "bytes" and not self._origin:
            with suppress(ValueError, KeyError):
                self._length = int(response.headers["content-length"])

    def _read_playlist(self, response: requests.Response) -> None:
        """Take it whole: it is bounded, and what it names is relative to where it was found after redirects."""
        while len(self._ready) <= _MOST_PLAYLIST_BYTES and (data := self._receive(1 << 15)):
            self._ready += data
        if len(self._ready) > _MOST_PLAYLIST_BYTES:
            self._ready = b""
            raise SourceLost(f"{hidden(self._url)} is a playlist of more than {_MOST_PLAYLIST_BYTES >> 20} MB")
        if response.url != self._url:
            lines = self._ready.decode("utf-8", "replace").splitlines()
            self._ready = "\n".join(_resolved(line, response.url) for line in lines).encode() + b"\n"

    def _ask(self) -> requests.Response:
        self._response = self._reader.ask(self._url, begin=self._place, end=self._end)
        self._reader.streams.add(self)
        return self._response

    def _receive(self, size: int) -> bytes:
        if self._reader.is_over():
            return b""
        try:
            if self._response is None:
                self._ask()
            assert self._response is not None, "there is an answer"  # noqa: S101
            return bytes(self._response.raw.read1(size, decode_content=True))
        except InputError as error:
            self._note(error)
        except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:
            silent = isinstance(error, TimeoutError | urllib3.exceptions.TimeoutError)
            why = " is silent: nothing came in time" if silent else f" broke off: {redact(str(error))}"
            self._reader.problem = SourceLost(f"{hidden(self._url)}{why}")
        return b""

    def _note(self, error: InputError) -> None:
        if not self._is_named:
            raise error
        self._reader.problem = error


class Decrypted:
    """A segment of HLS in plain (AES-128 in CBC mode, padded), as a file that `av.open` reads.

    Raises:
        SourceRefused: the package for it is missing.
    """

    def __init__(self, stream: WebStream, *, key: bytes, start: bytes) -> None:
        try:
            from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415  rarely needed
            from cryptography.hazmat.primitives.padding import PKCS7  # noqa: PLC0415  likewise
        except ImportError as error:
            raise SourceRefused("the playlist is encrypted (AES-128): pip install cryptography") from error
        self._stream = stream
        self._cipher = Cipher(algorithms.AES(key), modes.CBC(start)).decryptor()
        self._padding = PKCS7(128).unpadder()
        self._ended = False
        self._ready = b""

    def read(self, size: int) -> bytes:
        """At most so many bytes; empty at the end."""
        while not self._ready and not self._ended:
            data = self._stream.read(size)
            self._ended = not data
            with suppress(ValueError):  # cut short: what is whole was handed on
                plain = self._cipher.update(data) if data else self._cipher.finalize()
                self._ready = self._padding.update(plain) + (b"" if data else self._padding.finalize())
        data, self._ready = self._ready[:size], self._ready[size:]
        return data

    def close(self) -> None:
        """Let the connection go."""
        self._stream.close()


class _Nobody(AuthBase):
    """Shows no password, and keeps `requests` from looking for one."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
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
                check(self.sock)

        class Secure(urllib3.connection.HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                check(self.sock)

        class PlainPool(urllib3.HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(urllib3.HTTPSConnectionPool):
            ConnectionCls = Secure

        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}


_asked_for_digest: set[Origin] = set()
"""Servers that did, in this process: from one connection to the next, nobody in between may ask for less."""
_PUBLIC, _PRIVATE, _LOOPBACK = range(3)
_REACHES = {_PRIVATE: "private", _LOOPBACK: "local"}
_USER_AGENT = f"Lavf/{'.'.join(map(str, av.library_versions['libavformat']))}"
"""As before: servers know it."""


def _reach(address: str) -> int:
    """How near an address is; a server may name what is as far as itself, or farther."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    found = mapped or found
    if found.is_loopback or found.is_unspecified or found.is_link_local:
        return _LOOPBACK
    return _PUBLIC if found.is_global else _PRIVATE


def _user(url: str) -> tuple[str, str] | None:
    parts = urlsplit(url)
    if parts.username is None:
        return None
    return unquote(parts.username), unquote(parts.password or "")


def _own_headers(options: Mapping[str, str]) -> dict[str, str]:
    """What the options add to requests to the source itself."""
    lines = (line.partition(":") for line in options.get("headers", "").splitlines() if ":" in line)
    headers = {name.strip(): value.strip() for name, _, value in lines}
    named = {"user_agent": "User-Agent", "user-agent": "User-Agent", "referer": "Referer"}
    headers |= {header: options[name] for name, header in named.items() if name in options}
    if cookies := options.get("cookies"):
        headers["Cookie"] = "; ".join(line.partition(";")[0] for line in cookies.splitlines())
    return headers


def _resolved(line: str, base: str) -> str:
    """A line of a playlist, with addresses that do not depend on where it is read."""
    if not line.startswith("#"):
        return urljoin(base, line.strip()) if line.strip() else line
    return _URI.sub(lambda uri: f"{uri[1]}{urljoin(base, uri[2])}{uri[3]}", line)


def _innermost(error: BaseException) -> BaseException:
    """What `requests` and `urllib3` wrapped."""
    while True:
        within = [part for part in (error.__cause__, error.__context__, *error.args) if isinstance(part, BaseException)]
        reason = getattr(error, "reason", None)
        candidates = [reason] if isinstance(reason, BaseException) else within
        if not candidates or candidates[0] is error:
            return error
        error = candidates[0]
