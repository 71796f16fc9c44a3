"""The secrets in a URL: its user and password, the values of its query, keys in its path."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

HIDDEN = "***"

_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]{0,19})://(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_AFTER_HOST = re.compile(r"[/?#]")
_KEY_SCHEMES = frozenset({"rtmp", "rtmps", "rtmpt", "rtmpe", "rtmpts", "rtmpte"})
"""Schemes whose path holds a stream key, which is a secret."""
_STORES = frozenset({"s3", "gs", "gcs", "az", "abfs", "abfss", "file", "v4l2"})
"""Schemes whose path is a name, in which ? and = are characters like others."""
_HARMLESS = frozenset(
    [
        "bitrate",
        "buffer_size",
        "buffersize",
        "channel",
        "codec",
        "fifo_size",
        "fps",
        "framerate",
        "height",
        "listen",
        "localport",
        "overrun_nonfatal",
        "pkt_size",
        "profile",
        "protocol",
        "quality",
        "reuse",
        "rtcpport",
        "stream",
        "subtype",
        "time",
        "timeout",
        "transport",
        "transportmode",
        "ttl",
        "unicast",
        "version",
        "width",
    ]
)
"""Parameters whose values are shown. Everything else may be a secret under a name that nobody foresaw."""
_PLAIN_VALUE = re.compile(r"[\w.:x-]{0,12}")
_PLAIN_NAME = re.compile(r"[\w.~-]{1,32}")
_PLAIN_FRAGMENT = re.compile(r"[A-Za-z_-]{0,16}")
_SENSITIVE = re.compile(
    r"pass|psw|pwd|secret|token|tkn|signature|^sig|^sign$|credential|key$|auth|^sas$|^user|login|jwt|ticket|session|"
    r"^sid$|hdnts|hdnea|^policy$|client_id|^p$|^st$|^md5$|^hash$|^access",
    re.IGNORECASE,
)
"""Names of parameters whose values are secrets for certain, however plain they look."""
_UNDOUBTED = re.compile(
    r"pass|psw|pwd|secret|token|tkn|signature|^sig$|credential|api_?key|^key$|stream_?key|auth|^sas$|^user|login|jwt|"
    r"hdnts|hdnea",
    re.IGNORECASE,
)
"""Names of such parameters in a *file's* address, where the other names mean harmless things."""
_PATH_PAIR = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9-]{0,31}=)(?P<value>.*?)(?=_[A-Za-z][A-Za-z0-9-]{0,31}=|[;,&]|$)")
"""A pair in a path: cameras of one maker take `user=admin_password=SECRET_channel=1`."""
EXAMPLE = "USER:PASSWORD"
"""The user and password in our own advice."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of a URL; joined in this order they are the URL again."""

    scheme: str
    user: str | None
    host: str
    path: str
    query: str | None
    fragment: str | None

    @classmethod
    def of(cls, url: str) -> "_Parts | None":
        """Split at the last @: characters that should have been quoted are part of the password, not of the host."""
        found = _URL.match(url)
        if found is None:
            return None
        before, at, after = found["rest"].rpartition("@")
        end = _AFTER_HOST.search(after)
        host, rest = (after[: end.start()], after[end.start() :]) if end else (after, "")
        rest, sharp, fragment = rest.partition("#")
        path, mark, query = rest.partition("?")
        return cls(
            found["scheme"], before if at else None, host, path, query if mark else None, fragment if sharp else None
        )

    @property
    def path_holds_key(self) -> bool:
        return self.scheme.lower() in _KEY_SCHEMES


def hidden(url: str) -> str:
    """Assemble a URL from its harmless parts: scheme, host, port, path, names of parameters."""
    parts = _Parts.of(url)
    if parts is None:
        return url
    user = "" if parts.user is None else f"{parts.user if parts.user in {'', EXAMPLE} else HIDDEN}@"
    path = "".join(_shown_path(parts))
    if parts.scheme.lower() in _STORES:
        query = "" if parts.query is None else f"?{_pairs(parts.query, strict=False)}"
        return f"{parts.scheme}://{user}{parts.host}{path}{query}" + (
            "" if parts.fragment is None else f"#{parts.fragment}"
        )
    query = "" if parts.query is None else f"?{_pairs(parts.query, strict=True)}"
    fragment = ""
    if parts.fragment is not None:
        fragment = f"#{parts.fragment if _PLAIN_FRAGMENT.fullmatch(parts.fragment) else HIDDEN}"
    return f"{parts.scheme}://{user}{parts.host}{path}{query}{fragment}"


def secrets(url: str) -> Iterator[str]:
    """Yield the values in a URL that may never be shown, as they are written there."""
    parts = _Parts.of(url)
    if parts is None:
        return
    if parts.user:
        name, colon, password = parts.user.partition(":")
        # a name that stands alone is a key; with a password it is hidden in URLs only, for it is often a plain word
        yield from (parts.user, password) if colon else (name,)
    for segment, shown in zip(parts.path.split("/"), "".join(_shown_path(parts)).split("/"), strict=False):
        if shown == HIDDEN:
            yield segment
        else:
            yield from (
                pair["value"] for pair in _PATH_PAIR.finditer(segment) if _is_secret(pair["name"][:-1], pair["value"])
            )
    for pair in re.split("[&;]", parts.query or ""):
        name, equals, value = pair.partition("=")
        if equals and _is_secret(name, value):
            yield value
        elif not equals and not _is_harmless(name, ""):
            yield name


def holds_credentials(address: str) -> bool:
    """Return whether the address of a file has a user, or a parameter that is surely a secret."""
    parts = _Parts.of(address)
    if parts is None:
        return False
    names = (pair.partition("=")[0] for pair in re.split("[&;]", parts.query or "") if "=" in pair)
    return bool(parts.user) or any(_UNDOUBTED.search(name) for name in names)


def hidden_query(text: str) -> str:
    """Remove the values behind the first question mark: for addresses without scheme and host."""
    before, mark, query = text.partition("?")
    return f"{before}{mark}{_pairs(query, strict=True)}"


def _shown_path(parts: _Parts) -> Iterator[str]:
    """Yield the pieces of the path as it is shown; a separator is a piece."""
    segments = parts.path.split("/")
    first_key = 1 if len(segments) == 2 else 2  # noqa: PLR2004  "/key", or "/application/key"
    for number, segment in enumerate(segments):
        if number:
            yield "/"
        if parts.path_holds_key and number >= first_key and segment:
            yield HIDDEN
            return  # a key may have slashes
        yield _PATH_PAIR.sub(_shown_pair, segment) if parts.scheme.lower() not in _STORES else segment


def _shown_pair(pair: re.Match[str]) -> str:
    return f"{pair['name']}{pair['value'] if _is_harmless(pair['name'][:-1], pair['value']) else HIDDEN}"


def _pairs(query: str, *, strict: bool) -> str:
    return "".join(_shown_parameter(piece, strict=strict) for piece in re.split("([&;])", query))


def _shown_parameter(piece: str, *, strict: bool) -> str:
    if piece in {"", "&", ";"}:
        return piece
    name, equals, value = piece.partition("=")
    if not strict:
        return f"{name}={HIDDEN}" if equals and _UNDOUBTED.search(name) else piece
    if _is_harmless(name, value):
        return piece
    return f"{name}={HIDDEN}" if equals and _PLAIN_NAME.fullmatch(name) else HIDDEN


def _is_harmless(name: str, value: str) -> bool:
    return name.lower() in _HARMLESS and _PLAIN_VALUE.fullmatch(value) is not None


def _is_secret(name: str, value: str) -> bool:
    """Return whether a value is hidden in every text, not only where it stands in a URL: plain words are not."""
    if _is_harmless(name, value):
        return False
    return _SENSITIVE.search(name) is not None or not re.fullmatch(r"[a-z]*|\d{0,5}", value)
