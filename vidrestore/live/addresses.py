"""Addresses of sources and destinations of live streams, as the user writes them."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from vidrestore.errors import ConfigError
from vidrestore.redaction import HIDDEN, hidden, redact, remember, remember_url

SourceKind = Literal["rtsp", "rtmp", "http", "udp", "tcp", "device", "file"]
TargetKind = Literal["rtsp", "rtmp", "udp", "tcp", "hls", "recording"]

_SOURCES: dict[str, SourceKind] = {
    "rtsp": "rtsp",
    "rtsps": "rtsp",
    "rtmp": "rtmp",
    "rtmps": "rtmp",
    "http": "http",
    "https": "http",
    "udp": "udp",
    "rtp": "udp",
    "tcp": "tcp",
    "v4l2": "device",
    "file": "file",
}
_TARGETS: dict[str, TargetKind] = {
    "rtsp": "rtsp",
    "rtsps": "rtsp",
    "rtmp": "rtmp",
    "rtmps": "rtmp",
    "udp": "udp",
    "tcp": "tcp",
}
PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "http": 80, "https": 443}
_HOSTLESS = frozenset({"udp", "rtp", "tcp"})
"""Schemes whose address may be a port alone, which means all interfaces of this host."""
_LOCAL = frozenset({"device", "file", "hls", "recording"})
_RECORDINGS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
_KEY_LIKE = re.compile(
    r"(?=[^A-Z]*[A-Z])(?=[^a-z]*[a-z])(?=[^0-9]*[0-9])[A-Za-z0-9]{12,128}"
    r"|(?=[^a-f]*[a-f])(?=[^0-9]*[0-9])[0-9a-f]{16,128}"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
"""A part of a path that is taken for a key, because nobody names a camera like this."""
_SETTING = re.compile(r"(?P<name>--set=\w+|(?:--set=)?[a-z_]\w*(?:\.\w+)+)=(?P<value>.*)", re.DOTALL)
"""A setting as `--set` takes it. A file of such a name is hidden as well, which does no harm."""
_PLAIN_VALUE = re.compile(r"""[+-]?[0-9.]{1,20}|(?P<quote>["']?)[A-Za-z0-9_-]{1,20}(?P=quote)""")
_SCHEME = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]*)://")


@dataclass(frozen=True, slots=True)
class Source:
    """The source of a live stream."""

    url: str = field(repr=False)
    """The URL for FFmpeg, with its password: never to be printed; `str` returns it without."""
    kind: SourceKind

    @property
    def paced(self) -> bool:
        """Whether it comes as fast as it is read, so that time must be kept here: files, and HLS with its segments."""
        return self.kind in {"file", "http"}

    def __str__(self) -> str:
        return _shown(self.url, self.kind)


@dataclass(frozen=True, slots=True)
class Target:
    """The destination of a restored stream."""

    url: str = field(repr=False)
    """A URL, or the path of a playlist or of a recording's files; `str` returns it without a password."""
    kind: TargetKind

    @property
    def container(self) -> str:
        """FFmpeg's name of the muxer."""
        if self.kind == "recording":
            return _RECORDINGS[Path(self.url).suffix.lower()]
        return {"rtsp": "rtsp", "rtmp": "flv", "hls": "hls"}.get(self.kind, "mpegts")

    def __str__(self) -> str:
        return _shown(self.url, self.kind)


def _shown(url: str, kind: str) -> str:
    """Assemble an address from its harmless parts; the name of a file stays as it is."""
    return url if kind in _LOCAL else redact(hidden(url))


def absolute(text: str) -> str:
    """Return the absolute path of a file; anything else as it is.

    A name such as "12:30.mp4" or "http:x.mp4" would otherwise be taken for a protocol.
    """
    if _scheme(text) is not None or not text:
        return text
    return os.path.abspath(text) + "/" * (text.endswith("/") and text != "/")  # noqa: PTH100  links stay


def parse_source(text: str) -> Source:
    """Parse `rtsp(s)://`, `rtmp(s)://`, `http(s)://`, `udp://`, `tcp://`, `v4l2://`, a /dev/video or a file.

    Raises:
        ConfigError: another scheme, no host, or no such file.
    """
    scheme = _scheme(text)
    if scheme is None:
        device = text.startswith("/dev/video")
        if not device and not Path(text).is_file():
            raise ConfigError(
                f"source {redact(text)!r} is neither a URL ({', '.join(_SOURCES)}://) nor a video device nor a file"
            )
        return Source(text if device else absolute(text), "device" if device else "file")
    kind = _SOURCES.get(scheme)
    if kind is None:
        raise ConfigError(f"source {redact(text)!r}: {scheme}:// is not read; use one of {', '.join(_SOURCES)}")
    if kind in {"device", "file"}:
        return parse_source("/" + text.partition("://")[2].lstrip("/"))
    _check_host(text, "source")
    _remember(text)
    return Source(text, kind)


def parse_target(text: str) -> Target:
    """Parse `rtsp(s)://`, `rtmp(s)://`, `udp://`, `tcp://`, a folder/, FILE.m3u8 (HLS) or FILE.mp4 (a recording).

    Raises:
        ConfigError: another scheme, no host, or another kind of file.
    """
    scheme = _scheme(text)
    if scheme is not None:
        if scheme not in _TARGETS:
            raise ConfigError(
                f"destination {redact(text)!r}: {scheme}:// cannot be published to; use one of {_known()}"
            )
        _check_host(text, "destination")
        _remember(text)
        return Target(text, _TARGETS[scheme])
    path = Path(absolute(text))
    if text.endswith("/") or path.is_dir():
        return Target(str(path / "stream.m3u8"), "hls")
    if path.suffix.lower() == ".m3u8":
        return Target(str(path), "hls")
    if path.suffix.lower() in _RECORDINGS:
        return Target(str(path), "recording")
    raise ConfigError(f"destination {redact(text)!r} is none that can be written; use one of {_known()}")


def hide_argument(text: str) -> str:
    """Return an argument of the command line as all users of the host may see it; plain words of a value stay."""
    if _scheme(text) is not None:
        _remember(text)
        return redact(hidden(text))
    setting = _SETTING.fullmatch(text)
    if setting is None:
        return redact(text)
    is_plain = _PLAIN_VALUE.fullmatch(setting["value"]) and not _KEY_LIKE.fullmatch(setting["value"].strip("\"'"))
    shown = setting["value"] if is_plain and not setting["name"].endswith(".options") else HIDDEN
    return f"{setting['name']}={redact(shown)}"


def _remember(url: str) -> None:
    """Remember the secrets of a URL, so that they are replaced in every message of this process."""
    remember_url(url)
    path = urlsplit(url).path if _is_splittable(url) else ""
    remember(*(segment for segment in re.split(r"[/._~;,=&]", path) if _KEY_LIKE.fullmatch(segment)))


def _is_splittable(url: str) -> bool:
    try:
        urlsplit(url)
    except ValueError:
        return False
    return True


def endpoint(url: str) -> tuple[str, int] | None:
    """Return host and port of a URL; None for anything else."""
    parts = urlsplit(url)
    port = parts.port or PORTS.get(parts.scheme)
    return (parts.hostname, port) if parts.hostname and port else None


def _known() -> str:
    files = f"FILE{'|'.join(_RECORDINGS)} (a recording)"
    return f"{', '.join(f'{scheme}://' for scheme in _TARGETS)}, FOLDER/ or FILE.m3u8 (HLS), {files}"


def _scheme(text: str) -> str | None:
    found = _SCHEME.match(text)
    return found[1].lower() if found else None


def _check_host(url: str, what: str) -> None:
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise ConfigError(
            f"{what} {redact(url)!r} is not a URL; characters such as # / ? in a password are written as %23 %2F %3F"
        ) from None  # the reason would quote the password
    if not host and not (port and parts.scheme in _HOSTLESS):
        raise ConfigError(f"{what} {redact(url)!r} names no host; write {parts.scheme}://HOST:PORT/PATH")
