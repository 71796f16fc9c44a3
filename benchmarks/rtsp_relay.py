"""A small RTSP server for tests and measurements: what one client publishes, others play; it can misbehave on demand.

RTSP 1.0 (RFC 2326) over TCP with interleaved RTP. It parses no media: packets go on as they came.
"""

import asyncio
import base64
import re
import secrets
import ssl
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

_MOST_QUEUED = 4 << 20
"""Bytes that wait for a player, beyond which it gets no more until it has read some."""
_START_SECONDS = 10.0


@dataclass(eq=False)
class _Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    path: str = ""
    publishes: bool = False
    channels: dict[int, int] = field(default_factory=dict)
    """Publisher: track -> its channel. Player: the publisher's channel -> its own."""


@dataclass
class _Stream:
    description: bytes
    publisher: _Client
    players: set[_Client] = field(default_factory=set)
    reports: dict[int, bytes] = field(default_factory=dict)
    """The latest RTCP report on each channel: with them a later player synchronises audio and video."""


@dataclass(frozen=True)
class _Request:
    method: str
    url: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return re.sub(r"^rtsp://[^/]*", "", self.url).rstrip("/")

    @property
    def track(self) -> int:
        found = re.search(r"/(?:streamid|trackID|track)=?(\d+)$", self.path)
        return int(found[1]) if found else 0


class RtspRelay:
    """Serves on 127.0.0.1 from a thread of its own; use as a context manager.

    Args:
        port: 0 chooses one.
        password: required of every client, with any user; None lets every client in.
        tls: a certificate to speak RTSPS with; None speaks RTSP.
    """

    def __init__(self, port: int = 0, *, password: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.port = port
        self._tls = tls
        self._password = password
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._server: asyncio.Server | None = None
        self._clients: set[_Client] = set()
        self._streams: dict[str, _Stream] = {}
        self._flowing: asyncio.Event = asyncio.Event()

    def url(self, path: str, *, user: str = "") -> str:
        """Return the address of a stream, such as `url("live")`."""
        return f"rtsp{'s' * bool(self._tls)}://{f'{user}@' if user else ''}127.0.0.1:{self.port}/{path}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._flowing.set()
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.thaw()
        self.vanish()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def listen(self) -> None:
        """Take connections, on the same port as before."""
        self._call(self._listen())

    def vanish(self) -> None:
        """Drop every connection and take no more: a server that was killed."""
        self._call(self._vanish())

    def freeze(self) -> None:
        """Stop reading and writing, with all connections open: a server that hangs."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def thaw(self) -> None:
        """Resume after `freeze`."""
        self._loop.call_soon_threadsafe(self._flowing.set)

    def kick(self, path: str = "") -> None:
        """Drop the connections to a path, or all."""
        self._call(self._kick(path))

    def published(self, path: str) -> bool:
        """Return whether a client publishes there at present."""
        return f"/{path}" in self._streams

    def _call(self, work: Awaitable[None]) -> None:
        asyncio.run_coroutine_threadsafe(_done(work), self._loop).result(_START_SECONDS)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _vanish(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._kick("")

    async def _kick(self, path: str) -> None:
        for client in list(self._clients):
            if not path or client.path == f"/{path}":
                client.writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Client(reader, writer)
        self._clients.add(client)
        try:
            while await self._one(client):
                pass
        except (asyncio.IncompleteReadError, OSError, ValueError):
            pass  # it went away, or speaks something else
        finally:
            self._clients.discard(client)
            self._leave(client)
            writer.close()

    def _leave(self, client: _Client) -> None:
        stream = self._streams.get(client.path)
        if stream is None:
            return
        stream.players.discard(client)
        if stream.publisher is client:
            del self._streams[client.path]
            for player in stream.players:
                player.writer.close()

    async def _one(self, client: _Client) -> bool:
        """Handle a packet or a request; return whether the connection stays open."""
        first = await client.reader.readexactly(1)
        await self._flowing.wait()
        if first == b"$":
            head = await client.reader.readexactly(3)
            self._pass_on(client, head, await client.reader.readexactly(int.from_bytes(head[1:], "big")))
            return True
        if first in b"\r\n":
            return True
        request = await _read_request(client.reader, first)
        session = self._answer(client, request)
        await client.writer.drain()
        return session

    def _pass_on(self, client: _Client, head: bytes, data: bytes) -> None:
        stream = self._streams.get(client.path)
        if stream is None or stream.publisher is not client:
            return  # a player's own reports
        if head[0] % 2:
            stream.reports[head[0]] = head[1:] + data
        for player in stream.players:
            _hand(player, head[0], head[1:] + data)

    def _answer(self, client: _Client, request: _Request) -> bool:
        def reply(status: str = "200 OK", headers: str = "", body: bytes = b"") -> None:
            length = f"Content-Length: {len(body)}\r\n" if body else ""
            sequence = request.headers.get("cseq", "0")
            session = f"Session: {id(client)};timeout=60\r\n"
            client.writer.write(
                f"RTSP/1.0 {status}\r\nCSeq: {sequence}\r\n{session}{headers}{length}\r\n".encode() + body
            )

        if request.method != "OPTIONS" and not self._may(request):
            reply("401 Unauthorized", f'WWW-Authenticate: Basic realm="relay{secrets.token_hex(2)}"\r\n')
            return True
        answers: dict[str, Callable[[], None]] = {
            "ANNOUNCE": lambda: self._announce(client, request, reply),
            "DESCRIBE": lambda: self._describe(client, request, reply),
            "SETUP": lambda: self._set_up(client, request, reply),
            "PLAY": lambda: self._play(client, reply),
        }
        if request.method in answers:
            answers[request.method]()
        else:
            reply(headers="Public: OPTIONS, DESCRIBE, ANNOUNCE, SETUP, PLAY, RECORD, TEARDOWN, GET_PARAMETER\r\n")
        return request.method != "TEARDOWN"

    def _may(self, request: _Request) -> bool:
        if self._password is None:
            return True
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        return scheme == "Basic" and base64.b64decode(shown).decode().partition(":")[2] == self._password

    def _announce(self, client: _Client, request: _Request, reply: "Callable[..., None]") -> None:
        client.path, client.publishes = request.path, True
        self._streams[client.path] = _Stream(request.body, client)
        reply()

    def _describe(self, client: _Client, request: _Request, reply: "Callable[..., None]") -> None:
        stream = self._streams.get(request.path)
        if stream is None:
            reply("404 Not Found")
            return
        client.path = request.path
        base = f"Content-Type: application/sdp\r\nContent-Base: rtsp://127.0.0.1:{self.port}{client.path}/\r\n"
        reply(headers=base, body=stream.description)

    def _set_up(self, client: _Client, request: _Request, reply: "Callable[..., None]") -> None:
        wanted = re.search(r"interleaved=(\d+)-(\d+)", request.headers.get("transport", ""))
        if not wanted:
            reply("461 Unsupported Transport")
            return
        channel = int(wanted[1])
        if client.publishes:
            client.channels[request.track] = channel
        elif (stream := self._streams.get(client.path)) is not None:
            source = stream.publisher.channels.get(request.track, 2 * request.track)
            client.channels |= {source: channel, source + 1: channel + 1}
        reply(headers=f"Transport: RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}\r\n")

    def _play(self, client: _Client, reply: "Callable[..., None]") -> None:
        reply(headers="Range: npt=now-\r\n")
        if (stream := self._streams.get(client.path)) is not None:
            for channel, report in stream.reports.items():
                _hand(client, channel, report)
            stream.players.add(client)


def _hand(player: _Client, channel: int, data: bytes) -> None:
    """Give a player a packet of one of the publisher's channels, with its length in front."""
    own = player.channels.get(channel)
    if (
        own is not None
        and not player.writer.is_closing()
        and player.writer.transport.get_write_buffer_size() < _MOST_QUEUED
    ):
        player.writer.write(b"$" + bytes([own]) + data)


async def _read_request(reader: asyncio.StreamReader, first: bytes) -> _Request:
    head = (first + await reader.readuntil(b"\r\n\r\n")).decode(errors="replace")
    line, *lines = head.split("\r\n")
    pairs = (text.partition(":") for text in lines if text)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    method, url, _ = line.split(" ", 2)
    return _Request(method, url, headers, await reader.readexactly(int(headers.get("content-length", 0))))


async def _done(work: Awaitable[None]) -> None:
    await work
