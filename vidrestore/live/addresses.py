"""Where a stream comes from and where it goes, as the user writes it."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from vidrestore.errors import ConfigError
from vidrestore.redaction import HIDDEN, redact

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
_PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "http": 80, "https": 443}
_HOSTLESS = frozenset({"udp", "rtp", "tcp"})
"""Where a port alone is an address: all of this machine's."""
_RECORDINGS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
_SCHEME = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]*)://")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a stream comes from."""

    url: str = field(repr=False)
    """As FFmpeg takes it, with its password: never to be printed; `str` gives it without."""
    kind: SourceKind

    @property
    def paced(self) -> bool:
        """Whether it comes as fast as it is read, so that time must be kept here: files, and HLS with its segments."""
        return self.kind in {"file", "http"}

    def __str__(self) -> str:
        return _shown(self.url, self.kind)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a restored stream goes."""

    url: str = field(repr=False)
    """A URL, or the path of a playlist or of a recording's files; `str` gives it without a password."""
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
    """Without secrets; the last part of an RTMP path is a stream key, which is one."""
    shown = redact(url)
    before, separator, _ = shown.rpartition("/")
    return f"{before}/{HIDDEN}" if kind == "rtmp" and separator and not before.endswith("/") else shown


def parse_source(text: str) -> Source:
    """What `rtsp(s)://`, `rtmp(s)://`, `http(s)://`, `udp://`, `tcp://`, `v4l2://`, a /dev/video or a file names.

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
        return Source(text, "device" if device else "file")
    kind = _SOURCES.get(scheme)
    if kind is None:
        raise ConfigError(f"source {redact(text)!r}: {scheme}:// is not read; use one of {', '.join(_SOURCES)}")
    if kind in {"device", "file"}:
        return parse_source("/" + text.partition("://")[2].lstrip("/"))
    _check_host(text, "source")
    return Source(text, kind)


def parse_target(text: str) -> Target:
    """What `rtsp(s)://`, `rtmp(s)://`, `udp://`, `tcp://`, a folder/, FILE.m3u8 (HLS) or FILE.mp4 (recording) names.

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
        return Target(text, _TARGETS[scheme])
    path = Path(text)
    if text.endswith("/") or path.is_dir():
        return Target(str(path / "stream.m3u8"), "hls")
    if path.suffix.lower() == ".m3u8":
        return Target(text, "hls")
    if path.suffix.lower() in _RECORDINGS:
        return Target(text, "recording")
    raise ConfigError(f"destination {text!r} is none that can be written; use one of {_known()}")


def endpoint(url: str) -> tuple[str, int] | None:
    """Host and port that a URL leads to; None for what is no URL."""
    parts = urlsplit(url)
    port = parts.port or _PORTS.get(parts.scheme)
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
