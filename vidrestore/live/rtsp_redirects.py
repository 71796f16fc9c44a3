"""Redirects of RTSP servers: FFmpeg would take the password along to any host.

A list of protocols without `rtsp` keeps it from following. The server is then asked once more, and where the password
is not at stake the other address is opened in place of the first.
"""

import base64
import hashlib
import re
import socket
import ssl
import time
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from vidrestore.live.certificates import trusted_file
from vidrestore.live.source_errors import SourceRefused
from vidrestore.redaction import hidden

_MOST_BYTES = 1 << 16
_PORTS = {"rtsp": 554, "rtsps": 322}
_UNAUTHORIZED = 401
_PARAMETER = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: dict[str, list[str]]

    def first(self, name: str) -> str:
        return self.headers.get(name, [""])[0]


def redirected(url: str, *, verify: bool, ca_file: str, seconds: float) -> str | None:
    """Return the address that a server redirects to, with user and password on the same host; None for no redirect.

    FFmpeg has met every other failure as well, and reports it.

    Args:
        url: address that FFmpeg would not open.
        verify: whether a certificate is checked.
        ca_file: trusted authorities.
        seconds: time limit for everything.

    Raises:
        SourceRefused: the address is another server's and there is a password, or leads from TLS to none.
    """
    first = urlsplit(url)
    user = None if first.username is None else (unquote(first.username), unquote(first.password or ""))
    plain = first._replace(netloc=first.netloc.rpartition("@")[2]).geturl()
    try:
        leads = _asked(plain, user, verify=verify, ca_file=ca_file, deadline=time.monotonic() + seconds)
        other = urlsplit(leads or "")
        is_other = _server(other) != _server(first)
    except (OSError, ValueError):
        return None
    if leads is None or other.scheme.lower() not in _PORTS:
        return None
    if is_other and user is not None:
        raise SourceRefused(
            f"{hidden(url)} sends its clients to {hidden(leads)}, another host or port; the password is not taken "
            "there: give this other address as the source, with its own"
        )
    if first.scheme.lower() == "rtsps" and other.scheme.lower() != "rtsps":
        raise SourceRefused(f"{hidden(url)} sends its clients to {hidden(leads)}, without TLS; that is not followed")
    at, _, place = other.netloc.rpartition("@")
    own = first.netloc.rpartition("@")[0] if not is_other else at
    return other._replace(netloc=f"{own}@{place}" if own else place).geturl()


def _server(parts: SplitResult) -> tuple[str, int | None]:
    """Return host and port; None for the default port of the scheme, with TLS or without."""
    port = parts.port or _PORTS.get(parts.scheme.lower())
    return (parts.hostname or "").lower(), None if port in _PORTS.values() else port


def _asked(url: str, user: tuple[str, str] | None, *, verify: bool, ca_file: str, deadline: float) -> str | None:
    """Ask a server where it sends its clients; None for nowhere."""
    parts = urlsplit(url)
    with socket.create_connection(
        (parts.hostname or "", parts.port or _PORTS[parts.scheme.lower()]), timeout=_left(deadline)
    ) as line:
        if parts.scheme.lower() == "rtsps":
            context = ssl.create_default_context(cafile=trusted_file(ca_file))
            context.check_hostname = verify
            context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
            with context.wrap_socket(line, server_hostname=parts.hostname) as session:
                return _talk(session, url, user, deadline)
        return _talk(line, url, user, deadline)


def _talk(line: socket.socket, url: str, user: tuple[str, str] | None, deadline: float) -> str | None:
    shown, number = "", 0
    for method in ("OPTIONS", "DESCRIBE"):
        for _ in range(2):
            number += 1
            proof = f"Authorization: {_proof(shown, user, method, url)}\r\n" if shown and user else ""
            line.sendall(
                f"{method} {url} RTSP/1.0\r\nCSeq: {number}\r\nUser-Agent: Lavf\r\n"
                f"Accept: application/sdp\r\n{proof}\r\n".encode()
            )
            answer = _receive(line, deadline)
            if answer.status != _UNAUTHORIZED or user is None:
                break
            offers = answer.headers.get("www-authenticate", [])
            shown = next((offer for offer in offers if offer.lower().startswith("digest")), "") or "".join(offers[:1])
        if 300 <= answer.status < 400 and answer.first("location"):  # noqa: PLR2004  redirections
            return answer.first("location")
    return None


def _receive(line: socket.socket, deadline: float) -> _Answer:
    """Read an answer.

    Raises:
        OSError: the connection ended.
        ValueError: it is not RTSP.
    """
    data = b""
    while b"\r\n\r\n" not in data:
        line.settimeout(_left(deadline))
        more = line.recv(4096)
        if not more or len(data) > _MOST_BYTES:
            raise ConnectionResetError("no whole answer came")
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers: dict[str, list[str]] = {}
    for name, _, value in (one.partition(":") for one in lines):
        headers.setdefault(name.strip().lower(), []).append(value.strip())
    answer = _Answer(int(first.split()[1]), headers)
    left = min(int(answer.first("content-length") or 0), _MOST_BYTES) - len(body)
    while left > 0:
        line.settimeout(_left(deadline))
        left -= len(line.recv(left)) or left
    return answer


def _left(deadline: float) -> float:
    """Return the seconds left; a socket with a timeout of zero would not wait at all.

    Raises:
        TimeoutError: there are none left.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the server takes too long")
    return left


def _proof(offer: str, user: tuple[str, str], method: str, url: str) -> str:
    """Return the header value that proves the password (RFC 7617; RFC 2617 with MD5, as FFmpeg does it)."""
    if not offer.lower().startswith("digest"):
        return f"Basic {base64.b64encode(':'.join(user).encode()).decode()}"
    given = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(offer)}
    realm, nonce = given.get("realm", ""), given.get("nonce", "")
    whole = [_md5(f"{user[0]}:{realm}:{user[1]}"), nonce, _md5(f"{method}:{url}")]
    more = ""
    if "auth" in given.get("qop", ""):
        whole[2:2] = ["00000001", "vidrestore", "auth"]
        more = ', qop=auth, nc=00000001, cnonce="vidrestore"'
    if "opaque" in given:
        more += f', opaque="{given["opaque"]}"'
    return (
        f'Digest username="{user[0]}", realm="{realm}", nonce="{nonce}", uri="{url}", '
        f'response="{_md5(":".join(whole))}"{more}'
    )


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
