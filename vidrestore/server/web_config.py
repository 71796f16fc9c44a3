"""Options of the web page: its address, and who may see it."""

import ipaddress
import os
import re
import secrets
import socket
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from vidrestore.config import Options
from vidrestore.errors import ConfigError

TOKEN_VARIABLE = "VIDRESTORE_TOKEN"  # noqa: S105  the name of it

_LEAST_TOKEN = 16
_TOKEN = re.compile(rf"[A-Za-z0-9._~+/=-]{{{_LEAST_TOKEN},256}}")
"""Tokens that RFC 6750 allows in a header."""
_NAME = re.compile(r"(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_RANDOM_BYTES = 24


@dataclass(frozen=True, slots=True)
class WebConfig(Options):
    """Address of the page, the metrics and the health (none by default), and who may see them."""

    listen: Annotated[
        str | None,
        Field(
            description="HOST:PORT. Hosts other than the loopback need a token in the environment variable "
            "VIDRESTORE_TOKEN."
        ),
    ] = None
    hosts: Annotated[
        tuple[str, ...],
        Field(
            description="Names, besides the host listened on, that may stand in the address bar, such as that of "
            "a reverse proxy; `*.example.org` stands for all below it. Addresses and `localhost` "
            "always may."
        ),
    ] = ()
    token: Annotated[
        Literal["required", "none"],
        Field(
            description='With "required" it is the one in VIDRESTORE_TOKEN, else a random one that is printed at '
            'the start. With "none" everybody on this host may look; on the loopback only.'
        ),
    ] = "required"  # noqa: S105  a choice, no token
    connections: Annotated[
        int, Field(ge=2, le=10_000, description="Most connections at a time, and half of them from one address.")
    ] = 64

    def check_together(self) -> None:
        """Check that names are names of hosts."""
        if wrong := [name for name in self.hosts if not _NAME.fullmatch(name)]:
            self.refuse("hosts", f"{wrong[0]!r} is not a name without port, such as video.example.org")

    def endpoint(self) -> tuple[str, int] | None:
        """Return host and port, or None.

        Raises:
            ConfigError: it is not HOST:PORT, or others could come and no token is set.
        """
        if self.listen is None:
            return None
        host, separator, port = self.listen.rpartition(":")
        host = host.strip("[]")
        if not separator or not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004  the highest port
            raise ConfigError(f"web.listen is {self.listen!r}; write HOST:PORT, such as 127.0.0.1:8080")
        if not is_loopback(host):
            if self.token == "none":  # noqa: S105
                raise ConfigError(
                    f"web.listen is {self.listen!r}, which other hosts can reach, and web.token is 'none'; set a "
                    f"token in the environment variable {TOKEN_VARIABLE}, or listen on 127.0.0.1"
                )
            if not os.environ.get(TOKEN_VARIABLE):
                raise ConfigError(
                    f"web.listen is {self.listen!r}, which other hosts can reach: set a token in the environment "
                    f"variable {TOKEN_VARIABLE}, or listen on 127.0.0.1"
                )
        return host, int(port)

    def check(self) -> None:
        """Refuse options that cannot be meant, or would expose more than they should.

        Raises:
            ConfigError: what is wrong.
        """
        if self.endpoint() is not None:
            self.own_token()

    def own_token(self) -> str | None:
        """Return the token from the environment; None where none is set, or none is wanted.

        Raises:
            ConfigError: it is too short, cannot travel in a header, or is set and not wanted.
        """
        token = os.environ.get(TOKEN_VARIABLE)
        if not token:
            return None
        if self.token == "none":  # noqa: S105
            raise ConfigError(f"{TOKEN_VARIABLE} is set and web.token is 'none'; unset the one or leave the other out")
        if not _TOKEN.fullmatch(token):
            raise ConfigError(
                f"the token in {TOKEN_VARIABLE} has {len(token)} characters; use {_LEAST_TOKEN} to 256 letters, digits "
                "and any of ._~+/=- such as `openssl rand -hex 16` prints"
            )
        return token

    def names(self) -> frozenset[str]:
        """Return the host names, in lower case, under which the page may be requested; any address may, too."""
        endpoint = self.endpoint()
        own = [] if endpoint is None else [endpoint[0]]
        if endpoint is not None and not is_loopback(endpoint[0]):
            own.append(socket.gethostname())
        return frozenset(name.lower() for name in ("localhost", *own, *self.hosts))


def random_token() -> str:
    """Return a new random token of 192 bits."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def is_loopback(host: str) -> bool:
    """Return whether only this host can reach a host of this name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
