"""Muxers: a connection, a playlist or files, each with FFmpeg's muxer behind it."""

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer
from av.stream import Stream

from vidrestore.errors import OutputError
from vidrestore.files import is_own_file
from vidrestore.live.addresses import Target
from vidrestore.live.certificates import TLS_SCHEMES, tls_options
from vidrestore.live.packets import CodecParameters, Kind, Packet
from vidrestore.live.timeline import SECOND
from vidrestore.redaction import redact

_NANOSECOND = Fraction(1, SECOND)
_PATIENCE_MICROSECONDS = "100000"
"""Time that the muxer waits for a silent track while packets of the other wait."""


class Muxer:
    """One open container. Packets of both tracks go in; times are counted from the first frame.

    Args:
        target: destination, with its container.
        tracks: codec parameters by kind.
        origin: time of the output's clock that becomes zero, in nanoseconds.
        url: replaces the target's.
        container: FFmpeg's name of the muxer; replaces the target's.

    Raises:
        OutputError: the target cannot be opened or does not hold the video. Audio that it does not hold is left out,
            and named in `left_out`.
    """

    def __init__(
        self,
        target: Target,
        tracks: dict[Kind, CodecParameters],
        *,
        origin: int,
        options: dict[str, str],
        url: str | None = None,
        container: str | None = None,
    ) -> None:
        self._target = target
        self._origin = origin
        self._last: dict[Kind, int] = {}
        self._streams: dict[Kind, Stream] = {}
        self.left_out: str | None = None
        try:
            self._container: OutputContainer = av.open(
                url or target.url,
                "w",
                format=container or target.container,
                container_options={"max_interleave_delta": _PATIENCE_MICROSECONDS, **options},
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self._problem(error) from error
        try:
            for kind in ("video", "audio"):
                if kind in tracks:
                    self._add(kind, tracks[kind])
            self._container.start_encoding()
        except (av.FFmpegError, OSError, ValueError) as error:
            with suppress(av.FFmpegError, OSError):
                self._container.close()
            raise self._problem(error) from error

    def _add(self, kind: Kind, track: CodecParameters) -> None:
        try:
            self._streams[kind] = self._container.add_stream_from_template(track.stream)
        except ValueError as error:
            if kind == "video":
                raise
            self.left_out = f"{self._target} has no place for {track.codec} audio: {error}"

    def mux(self, packet: Packet) -> None:
        """Write one packet; audio from before the first frame is dropped.

        Raises:
            OutputError: the connection broke, or the disk is full.
        """
        stream = self._streams.get(packet.kind)
        if stream is None or packet.dts < self._origin:
            return
        unit = stream.time_base or _NANOSECOND
        dts = round((packet.dts - self._origin) * _NANOSECOND / unit)
        dts = max(dts, self._last.get(packet.kind, dts - 1) + 1)
        self._last[packet.kind] = dts
        coded: av.Packet[Any] = av.Packet(packet.data)
        coded.dts, coded.pts = dts, max(dts, round((packet.pts - self._origin) * _NANOSECOND / unit))
        coded.duration = round(packet.duration * _NANOSECOND / unit)
        coded.time_base = unit
        coded.is_keyframe = packet.keyframe
        coded.stream = stream
        try:
            self._container.mux_one(coded)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self._problem(error) from error

    def close(self) -> None:
        """Complete what is written.

        Raises:
            OutputError: that failed.
        """
        try:
            self._container.close()
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self._problem(error) from error

    def _problem(self, error: Exception) -> OutputError:
        reason = redact(getattr(error, "strerror", None) or str(error))
        return OutputError(f"{self._target} cannot be written to: {reason}")


class Recording:
    """A muxer that writes files of a stated length, each readable up to the last fragment after a sudden end.

    The file that grows is hidden (`.NAME.part.EXTENSION`); it takes its name, with date and time, when it is complete.
    What an earlier run left unfinished is found at the start and kept as `...-unfinished`.
    """

    def __init__(self, target: Target, tracks: dict[Kind, CodecParameters], *, origin: int, seconds: float) -> None:
        self._target, self._tracks = target, tracks
        self._length = round(seconds * SECOND)
        self._path = Path(target.url)
        self.left_out: str | None = None
        with _on_disk(target):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._adopt()
        self._open(origin)

    def mux(self, packet: Packet) -> None:
        """Write one packet; a keyframe opens the next file when this one is long enough."""
        if packet.kind == "video" and packet.keyframe and packet.dts - self._begun >= self._length:
            self.close()
            self._open(packet.dts)
        self._muxer.mux(packet)

    def close(self) -> None:
        """Complete the file and give it its name."""
        try:
            self._muxer.close()
        finally:
            os.close(self._handle)
        with _on_disk(self._target):
            self._part.replace(_free(self._path, self._stamp))

    def _open(self, origin: int) -> None:
        self._begun = origin
        self._stamp = time.strftime("%Y%m%d-%H%M%S")
        with _on_disk(self._target):
            self._part, self._handle = self._new_part()
        fragments = {"movflags": "+frag_keyframe+empty_moov+default_base_moof+delay_moov"}
        options = {"flush_packets": "1"} | (fragments if self._target.container in {"mp4", "mov"} else {})
        # FFmpeg gets the open file, not its name: in a folder of several people that may be a link by now
        url = f"/proc/self/fd/{self._handle}"
        try:
            self._muxer = Muxer(self._target, self._tracks, origin=origin, options=options, url=url)
        except BaseException:
            os.close(self._handle)
            with suppress(OSError):
                self._part.unlink()
            raise
        self.left_out = self._muxer.left_out

    def _new_part(self) -> tuple[Path, int]:
        """Create and open a file that did not exist before."""
        for number in count():
            stamp = f"{self._stamp}{f'-{number}' if number else ''}"
            part = self._path.with_name(f".{self._path.stem}-{stamp}.part{self._path.suffix}")
            with suppress(FileExistsError):
                return part, os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        raise AssertionError("counting does not end")

    def _adopt(self) -> None:
        """Keep what an earlier run left; links, and files with a second name, were put there by others."""
        ours = re.compile(
            rf"\.{re.escape(self._path.stem)}-(\d{{8}}-\d{{6}})(?:-\d+)?\.part{re.escape(self._path.suffix)}"
        )
        for left in list(self._path.parent.iterdir()):
            if (found := ours.fullmatch(left.name)) and is_own_file(left):
                left.replace(_free(self._path, f"{found[1]}-unfinished"))


@dataclass(frozen=True, slots=True)
class Connection:
    """Options, URL and container with which FFmpeg reaches a target on the network."""

    options: dict[str, str]
    url: str | None = None
    """A URL with options of its own, in place of the target's."""
    container: str | None = None
    """FFmpeg's name of the muxer, in place of the target's."""


def connection_options(target: Target, *, transport: str, verify: bool = True, ca_file: str = "") -> Connection:
    """Return how FFmpeg reaches a target on the network.

    Args:
        target: destination on the network.
        transport: RTSP's transport.
        verify: whether the certificate and the name of a server are checked.
        ca_file: PEM file of the authorities to trust; empty: those of the system.
    """
    options = dict(_OPTIONS[target.kind])
    scheme = target.url.partition("://")[0].lower()
    if target.kind == "rtsp":
        options |= {"rtsp_transport": transport, "protocol_whitelist": "rtp,udp,tcp,tls,httpproxy"}
    if scheme in TLS_SCHEMES:
        options |= tls_options(verify=verify, ca_file=ca_file)
    if target.kind == "udp":
        return Connection(options, f"{target.url}{'&' if '?' in target.url else '?'}pkt_size=1316")
    if scheme == "rtmps":
        # PyAV opens the connection of FLV without any options; a muxer around it hands them on
        slave = ":".join(f"{name}={_quoted(value)}" for name, value in {"f": target.container, **options}.items())
        return Connection({}, f"[{slave}]{_quoted(target.url, '|')}", "tee")
    return Connection(options)


def _quoted(text: str, special: str = ":]|") -> str:
    """Quote a name for the muxer `tee`, which reads options, their end and the next target out of it."""
    return "".join(f"\\{one}" if one in f"\\' {special}" else one for one in text)


def hls_muxer(target: Target, tracks: dict[Kind, CodecParameters], *, origin: int) -> Muxer:
    """Open a playlist and its segments in a folder, which is created.

    Raises:
        OutputError: that failed.
    """
    with _on_disk(target):
        Path(target.url).parent.mkdir(parents=True, exist_ok=True)
    return Muxer(target, tracks, origin=origin, options=_OPTIONS["hls"])


@contextmanager
def _on_disk(target: Target) -> Iterator[None]:
    """Translate errors of the file system."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{target} cannot be written to: {error.strerror or error}") from error


def _free(path: Path, stamp: str) -> Path:
    """Return a name that no file has yet."""
    names: Sequence[str] = ("", *(f"-{number}" for number in range(2, 1000)))
    candidates = (path.with_name(f"{path.stem}-{stamp}{number}{path.suffix}") for number in names)
    return next(candidate for candidate in candidates if not os.path.lexists(candidate))


_OPTIONS: dict[str, dict[str, str]] = {
    "rtsp": {},
    "rtmp": {"flvflags": "no_duration_filesize"},
    "udp": {"flush_packets": "1", "mpegts_flags": "+resend_headers", "pat_period": "0.5"},
    "tcp": {"flush_packets": "1", "mpegts_flags": "+resend_headers", "pat_period": "0.5"},
    "hls": {
        "hls_time": "2",
        "hls_list_size": "6",
        "hls_flags": "delete_segments+append_list+independent_segments+program_date_time+temp_file",
    },
}
