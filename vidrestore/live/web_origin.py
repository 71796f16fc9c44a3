"""Origins of web addresses: which server an address leads to, and how near that is."""

import ipaddress
import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from urllib3.util import parse_url

from vidrestore.errors import InputError
from vidrestore.live.source_errors import SourceRefused
from vidrestore.redaction import redact

DEFAULT_PORTS = {"http": 80, "https": 443}
Origin = tuple[str, str, int]
"""Scheme, host and port."""
PUBLIC, PRIVATE, LOOPBACK = range(3)
REACHES = {PRIVATE: "private", LOOPBACK: "local"}
_ODD = re.compile(r"[\\\s\x00-\x20\x7f]")
"""Characters that parsers of URLs disagree about: the server that is judged must be the one that is asked."""
_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")


def origin_of(url: str) -> Origin:
    """Return the part of a URL that decides who gets a password, as the library that sends the request reads it.

    Raises:
        ValueError: the text is not a URL.
    """
    parts = parse_url(url)
    scheme = (parts.scheme or "").lower()
    return scheme, (parts.host or "").lower(), parts.port or DEFAULT_PORTS.get(scheme, 0)


def named_origin(url: str, by: str) -> Origin:
    """Return `origin_of` an address that a server names.

    Args:
        url: the address.
        by: the server that names it, without secrets.

    Raises:
        InputError: it is no address, is none of http(s), or is written so that it may be read in two ways.
    """
    try:
        origin = origin_of(url)
    except ValueError as error:
        raise SourceRefused(f"{by} leads to what is no address: {redact(url)!r}") from error
    if origin[0] not in DEFAULT_PORTS:
        raise SourceRefused(f"{by} leads to {redact(url)!r}; only http and https are opened")
    if _ODD.search(url) or "@" in url.partition("://")[2].partition("/")[0]:
        problem: InputError = SourceRefused(
            f"{by} leads to {redact(url)!r}, which holds a user, a backslash or a space; such addresses are not opened"
        )
        raise problem
    return origin


def reach_of(address: str) -> int:
    """Rate how near an IP address is; a server may name what is as far as itself, or farther."""
    found = _within(ipaddress.ip_address(address.partition("%")[0]))
    if found.is_loopback or found.is_unspecified or found.is_link_local:
        return LOOPBACK
    is_site_local = isinstance(found, IPv6Address) and found.is_site_local
    return PUBLIC if found.is_global and not is_site_local else PRIVATE


def _within(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 address stands for, if any; else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    is_carrier = address in _NAT64 or (address in _COMPATIBLE and int(address) > 1)
    carried = IPv4Address(int(address) & 0xFFFFFFFF) if is_carrier else None
    return address.ipv4_mapped or address.sixtofour or carried or address
