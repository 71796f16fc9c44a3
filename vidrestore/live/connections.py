"""Cutting a connection that FFmpeg waits on: it offers no time limit for writing."""

import os
import socket
from contextlib import suppress

import psutil

from vidrestore.live.addresses import endpoint


def open_sockets() -> frozenset[int]:
    """File descriptors of this process that are TCP sockets."""
    return frozenset(connection.fd for connection in psutil.Process().net_connections("tcp"))


def cut(url: str, *, spare: frozenset[int]) -> int:
    """Shut this process's TCP connections to the server of a URL down; who waits on one gets an error at once.

    Args:
        url: whose host and port are meant.
        spare: file descriptors that were there before.

    Returns:
        How many were cut.
    """
    found = endpoint(url)
    if found is None:
        return 0
    host, port = found
    try:
        addresses = {entry[4][0] for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError:
        return 0
    number = 0
    for connection in psutil.Process().net_connections("tcp"):
        remote = connection.raddr
        if connection.fd in spare or not remote or remote.port != port or remote.ip not in addresses:
            continue
        with suppress(OSError), socket.socket(fileno=os.dup(connection.fd)) as copy:
            copy.shutdown(socket.SHUT_RDWR)
            number += 1
    return number
