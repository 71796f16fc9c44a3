"""Connections to the web page: how many there may be, and how long each may take.

A stream shares its process with the page, so each limit here keeps something for the streams: file handles, memory,
and time of the processor.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from typing import Any

from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from vidrestore.server.web_limits import Rates, Reason, WebCounts

_EXCHANGE_SECONDS = 10.0
"""Time limit from a connection's start, or from the response before, until the response is complete."""
_PER_SECOND, _BURST = 50.0, 100
"""Rate limit of new connections from one address."""
_ALL_PER_SECOND, _ALL_BURST = 500.0, 50
"""Rate limit of new connections from all addresses, whether served or closed at once; each costs processor time."""
_PAUSE_SECONDS = 0.5
_BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nCross-Origin-Resource-Policy: same-origin\r\n"
    b"Content-Security-Policy: default-src 'none'\r\nCache-Control: no-store\r\nContent-Length: 20\r\n\r\n"
    b"not an HTTP request\n"
)


class Connections:
    """Accepts connections, up to a number in all and half of it from one address.

    Where there is no room, the connection that has waited longest for its request makes room: a client that sends its
    request at once is served, even during a flood of connections that send none.

    Args:
        most: maximum number of connections at a time.
        highest_handle: a connection whose file descriptor is above it is closed at once.
        counts: records connections and refusals.
        exchange_seconds: limit on the time of a request and its response together.
    """

    def __init__(
        self, most: int, *, highest_handle: int, counts: WebCounts, exchange_seconds: float = _EXCHANGE_SECONDS
    ) -> None:
        self.counts = counts
        self.exchange_seconds = exchange_seconds
        self._most = most
        self._most_of_one = max(1, most // 2)
        self._highest_handle = highest_handle
        self._open: list[BoundedProtocol] = []
        """Open connections, in the order in which they came."""
        self._rates = Rates(_PER_SECOND, _BURST)
        self._all = Rates(_ALL_PER_SECOND, _ALL_BURST)

    async def accept(self, listener: socket.socket, make: Callable[[], "BoundedProtocol"]) -> None:
        """Accept connections from a listening socket, for ever.

        asyncio's own server is not used: it accepts without a limit, and where handles run out it logs a traceback for
        each of `backlog` attempts a second.
        """
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._all.reserve(""))
            try:
                connection, address = await loop.sock_accept(listener)
            except OSError:  # no handle is left, or the other end has gone
                self.refuse("handles")
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            if connection.fileno() > self._highest_handle:
                self.refuse("handles")
                connection.close()
                await asyncio.sleep(_PAUSE_SECONDS)
            elif reason := self._refusal(network_of(address[0])):
                self.refuse(reason)
                connection.close()
            else:
                try:
                    await loop.connect_accepted_socket(make, connection)
                except OSError:  # it has gone already
                    connection.close()

    def _refusal(self, network: str) -> Reason | None:
        """Return why a connection is refused; None where there is room, or was made."""
        if not self._rates.take(network):
            return "rate"
        same = [one for one in self._open if one.network == network]
        crowd = same if len(same) >= self._most_of_one else self._open if len(self._open) >= self._most else []
        if not crowd:
            return None
        idle = [one for one in crowd if one.waiting]
        if not idle:
            return "full"
        min(idle, key=lambda one: one.served).abort("displaced")  # of equals the first, which has waited longest
        return None

    def refuse(self, reason: Reason) -> None:
        """Count a refusal."""
        self.counts.refused[reason] += 1

    def add(self, protocol: "BoundedProtocol") -> None:
        """Register a connection that is open."""
        self._open.append(protocol)
        self.counts.open = len(self._open)

    def remove(self, protocol: "BoundedProtocol") -> None:
        """Remove a connection that has ended, or is about to."""
        if protocol in self._open:
            self._open.remove(protocol)
            self.counts.open = len(self._open)


class BoundedProtocol(H11Protocol):
    """uvicorn's HTTP, with a limit on the time that request and response may take together.

    One timer covers all cases: heads and bodies that come byte by byte, readers that never read, connections that close
    and do not take what is left.
    """

    def __init__(self, config: Config, state: ServerState, connections: Connections) -> None:
        super().__init__(config=config, server_state=state, app_state={})
        self.network = ""
        """The client's network, see `network_of`."""
        self.served = False
        """Whether a response was sent before."""
        self._connections = connections
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Start the timer."""
        super().connection_made(transport)
        self.network = network_of(self.client[0] if self.client else "")
        self._connections.add(self)
        self._wind()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        super().connection_lost(exc)
        self._connections.remove(self)
        if self._deadline is not None:
            self._deadline.cancel()

    def on_response_complete(self) -> None:
        """Restart the timer, unless this was the last response: then what is left must be taken in time."""
        super().on_response_complete()
        self.served = True
        if not self.transport.is_closing():
            self._wind()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        del msg  # uvicorn's words, without our headers
        self._connections.refuse("malformed")
        self.transport.write(_BAD_REQUEST)
        self.transport.close()

    def abort(self, reason: Reason) -> None:
        """End the connection at once; its place is free from now on."""
        self._connections.refuse(reason)
        self._connections.remove(self)
        self.transport.abort()

    def _wind(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(self._connections.exchange_seconds, self.abort, "deadline")


def network_of(address: Any) -> str:  # noqa: ANN401  of whatever family the socket is
    """Return the network that counts as one client: an IPv4 address, or the 64 bits of IPv6 that one subscriber has."""
    try:
        found = ipaddress.ip_address(str(address).partition("%")[0])
    except ValueError:
        return str(address)
    if isinstance(found, ipaddress.IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped or ipaddress.ip_network((found, 64), strict=False))
    return str(found)
