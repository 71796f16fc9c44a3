"""Answers of web servers, as files that `av.open` reads."""

import re
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urljoin

from requests import Response

from vidrestore.errors import InputError
from vidrestore.live.source_errors import SourceLost, SourceRefused
from vidrestore.live.web_requests import WebRequests
from vidrestore.redaction import hidden

_MOST_PLAYLIST_BYTES = 4 << 20
_PLAYLIST = b"#EXTM3U"
_PARTIAL = 206
_URI = re.compile(r'(URI=")([^"]*)(")')


class WebStream:
    """An answer of a web server, as a file that `av.open` reads.

    Args:
        requests: sends the request.
        url: address of the answer.
        begin: first byte.
        end: byte after the last; 0: all.
        note: called with each failure, and with None when something came.
    """

    def __init__(
        self,
        requests: WebRequests,
        url: str,
        *,
        begin: int = 0,
        end: int = 0,
        note: Callable[[InputError | None], None],
    ) -> None:
        self._requests, self._url, self._end = requests, url, end
        self._note = note
        self._origin = self._place = self._at = begin
        """First byte; next byte for the reader; next byte from the connection."""
        self._response: Response | None = None
        self._ready = b""
        self._length: int | None = None
        self.is_playlist = False
        try:
            self._begin()
        except InputError as error:
            self._note(error)

    def read(self, size: int) -> bytes:
        """Return what has come, at most this many bytes; empty at the end, and where the connection failed."""
        if self._place != self._at:
            self.close()
            self._at, self._ready = self._place, b""
        data, self._ready = self._ready[:size], self._ready[size:]
        data = data or self._receive(size)
        self._place += len(data)
        self._at += len(data)
        return data

    def seekable(self) -> bool:
        """Return whether the server sends parts."""
        return self._length is not None and not self.is_playlist

    def tell(self) -> int:
        """Return the position of the next byte, counted from the first that was asked for."""
        return self._place - self._origin

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go on elsewhere; the next `read` sends another request."""
        assert self._length is not None, "else it is not seekable"  # noqa: S101
        self._place = self._origin + offset + (0, self.tell(), self._length)[whence]
        return self.tell()

    def close(self) -> None:
        """Close the connection."""
        response, self._response = self._response, None
        if response is not None:
            response.close()

    def _begin(self) -> None:
        response = self._ask()
        if self._place and response.status_code != _PARTIAL:
            raise SourceLost(f"{hidden(self._url)}: the server does not send parts of it")
        while len(self._ready) < len(_PLAYLIST) and (data := self._receive(1 << 15)):
            self._ready += data
        self.is_playlist = self._ready.removeprefix(b"\xef\xbb\xbf").startswith(_PLAYLIST)
        if self.is_playlist:
            self._read_playlist(response)
            return
        self._note(None)
        if not self._origin:
            self._length = _length(response)

    def _read_playlist(self, response: Response) -> None:
        """Read the whole playlist: it is bounded, and its addresses are relative to its own after redirects."""
        while len(self._ready) <= _MOST_PLAYLIST_BYTES and (data := self._receive(1 << 15)):
            self._ready += data
        if len(self._ready) > _MOST_PLAYLIST_BYTES:
            self._ready = b""
            self.close()
            raise SourceLost(f"{hidden(self._url)} is a playlist of more than {_MOST_PLAYLIST_BYTES >> 20} MB")
        if response.url != self._url:
            lines = self._ready.decode("utf-8", "replace").splitlines()
            self._ready = "\n".join(_resolved(line, response.url) for line in lines).encode() + b"\n"

    def _ask(self) -> Response:
        self._response = self._requests.ask(self._url, begin=self._place, end=self._end)
        return self._response

    def _receive(self, size: int) -> bytes:
        if self._requests.is_over():
            return b""
        try:
            return self._requests.read(self._response or self._ask(), size)
        except InputError as error:
            self._note(error)
            return b""


class Decrypted:
    """A decrypted segment of HLS (AES-128 in CBC mode, padded), as a file that `av.open` reads.

    Raises:
        SourceRefused: the package for decryption is missing.
    """

    def __init__(self, stream: WebStream, *, key: bytes, start: bytes) -> None:
        try:
            from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415  rarely needed
            from cryptography.hazmat.primitives.padding import PKCS7  # noqa: PLC0415  rarely needed
        except ImportError as error:
            raise SourceRefused("the playlist is encrypted (AES-128): pip install cryptography") from error
        self._stream = stream
        self._cipher = Cipher(algorithms.AES(key), modes.CBC(start)).decryptor()
        self._padding = PKCS7(128).unpadder()
        self._ended = False
        self._ready = b""

    def read(self, size: int) -> bytes:
        """Return at most this many bytes; empty at the end."""
        while not self._ready and not self._ended:
            data = self._stream.read(size)
            self._ended = not data
            with suppress(ValueError):  # cut short: what is whole was handed on
                plain = self._cipher.update(data) if data else self._cipher.finalize()
                self._ready = self._padding.update(plain) + (b"" if data else self._padding.finalize())
        data, self._ready = self._ready[:size], self._ready[size:]
        return data

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()


def _length(response: Response) -> int | None:
    """Return the size of the whole in bytes, where the server sends parts of it: it just did, or says so."""
    headers = response.headers
    if response.status_code != _PARTIAL and headers.get("accept-ranges", "").lower() != "bytes":
        return None
    sizes = headers.get("content-range", "").rpartition("/")[2], headers.get("content-length", "")
    return next((int(number) for number in sizes if number.isdecimal()), None)


def _resolved(line: str, base: str) -> str:
    """Return a line of a playlist with addresses that do not depend on where it is read."""
    if not line.startswith("#"):
        return urljoin(base, line.strip()) if line.strip() else line
    return _URI.sub(lambda uri: f"{uri[1]}{urljoin(base, uri[2])}{uri[3]}", line)
