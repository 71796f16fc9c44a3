"""HTTP for live sources, in place of FFmpeg's own.

A playlist names what is fetched next, and so does a redirect. FFmpeg's HTTP checks certificates for the first
connection alone, requests whatever is named as often as it is named, and does not report to whom it shows a password.
`WebRequests` says what holds here.
"""

import re
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urldefrag

from vidrestore.errors import InputError
from vidrestore.live.source_errors import SourceRefused
from vidrestore.live.web_requests import WebRequests
from vidrestore.live.web_stream import Decrypted, WebStream
from vidrestore.redaction import hidden

_CRYPTO = re.compile(r"crypto[+:]")
"""Prefix of the address of an encrypted HLS segment."""


class WebReader:
    """Opens what FFmpeg asks for, for one session of a source; use as a context manager.

    Args:
        requests: requests of the session; closed with the reader.
    """

    def __init__(self, requests: WebRequests) -> None:
        self._requests = requests
        self.url = requests.url
        """The address without user and password: FFmpeg need not know them."""
        self.problem: InputError | None = None
        """Failure of an address that the source named; the next success clears it."""
        self._first: WebStream | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; a failure of an address that the source named becomes the cause of FFmpeg's error."""
        if self._first is not None:
            self._first.close()
        self._requests.close()
        if self.problem is not None and error is not self.problem:
            raise self.problem from error

    def begin(self) -> str | None:
        """Request the source itself; return FFmpeg's name of the demuxer where the answer says it, else None.

        Raises:
            InputError: the source cannot be read, and why.
        """
        self._first = WebStream(self._requests, self.url, note=self._note)
        if self.problem is not None:
            raise self.problem
        return "hls" if self._first.is_playlist else None

    def open(self, url: str, _flags: int, options: Mapping[str, str]) -> WebStream | Decrypted:
        """Open an address as `io_open` of `av.open`; a failure reads as empty and is noted in `problem`."""
        if self._first is not None and url == self.url:
            first, self._first = self._first, None
            return first
        begin, end = int(options.get("offset", 0)), int(options.get("end_offset", 0))
        stream = WebStream(self._requests, urldefrag(_CRYPTO.sub("", url)).url, begin=begin, end=end, note=self._note)
        if not _CRYPTO.match(url):
            return stream
        try:
            return Decrypted(stream, key=bytes.fromhex(options["key"]), start=bytes.fromhex(options["iv"]))
        except InputError as error:
            self._note(error)
        except (KeyError, ValueError):
            self._note(SourceRefused(f"{hidden(self.url)} names an encrypted segment without a key for it"))
        stream.close()
        return stream

    def _note(self, problem: InputError | None) -> None:
        self.problem = problem
