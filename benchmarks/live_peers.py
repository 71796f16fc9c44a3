"""A camera and a viewer for tests and measurements: pictures that carry their number, audio that carries the time."""

import io
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from types import TracebackType
from typing import Any, Literal, Self

import av
import cv2
import numpy as np
from av.stream import Stream

from vidrestore.errors import OutputError
from vidrestore.live.addresses import parse_target
from vidrestore.live.packets import CodecParameters, Kind, Packet
from vidrestore.live.remote_muxer import RemoteMuxer
from vidrestore.live.timeline import SECOND
from vidrestore.media.timestamps import time_base_of
from vidrestore.types import UInt8

BITS = 20
"""Bits of the number in a picture."""
_RATE = 48_000
_TICK = Fraction(1, 90_000)
_BEEP_EVERY = 32
"""Distance in pictures of two that are marked by a flash and a beep."""
_MOTION = 3
"""Most picture intervals between two consecutive pictures in motion."""
_LOUD = 2000
_SESSION_SECONDS = 1e6

BALL_SIZE = (320, 180)
"""Width and height of `moving_ball`."""

Coder = Literal["libx264", "libx265"]

Draw = Callable[[int], UInt8]
"""Number of a picture -> uint8 [h, w, 3] RGB, in which `burn` leaves its mark."""


def burn(picture: UInt8, number: int) -> UInt8:
    """Write the picture's number into its top rows, as bars that survive coding: black is 0, white is 1."""
    height, width = picture.shape[0] // 15, picture.shape[1] // (BITS + 2)
    marked = picture.copy()
    for bit in range(BITS):
        marked[:height, (bit + 1) * width : (bit + 2) * width] = 255 if number >> bit & 1 else 0
    return marked


def read_number(grey: UInt8) -> int:
    """Read the number that `burn` left in a picture, given as grey levels."""
    height, width = grey.shape[0] // 15, grey.shape[1] // (BITS + 2)
    row = grey[: height - 1].mean(axis=0)
    middles = [row[(bit + 1) * width + width // 4 : (bit + 2) * width - width // 4] for bit in range(BITS)]
    return sum(int(part.mean() > 128) << bit for bit, part in enumerate(middles))  # noqa: PLR2004  half of white


def moving_ball(number: int) -> UInt8:
    """Draw something that moves a little, and is no face."""
    width, height = BALL_SIZE
    canvas = np.full((height, width, 3), (40, 60, 50), np.uint8)
    cv2.circle(canvas, (40 + number * 3 % 240, 110), 25, (200, 140, 80), -1)
    return canvas


class _Peer(ABC):
    """A thread that runs from entering the context to leaving it."""

    def __init__(self, name: str) -> None:
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join(10)

    @abstractmethod
    def _run(self) -> None:
        """Run until stopped."""


class Camera(_Peer):
    """Publishes pictures and audio to an RTSP server, or any other target on the network, in real time.

    Picture n is taken at `started + n / rate`; every 32nd has a beep in the audio at its time. After a failure it
    connects again, as cameras do. Use as a context manager.

    Args:
        url: target address.
        draw: makes the pictures.
        rate: pictures a second.
        sound: whether there is audio.
        coder: FFmpeg's name of the video encoder.
    """

    def __init__(self, url: str, draw: Draw, *, rate: int = 25, sound: bool = True, coder: Coder = "libx264") -> None:
        self._url, self._draw, self._rate, self._sound, self._coder = url, draw, rate, sound, coder
        super().__init__("camera")
        self.started = 0.0
        """`time.monotonic()` of picture 0."""
        self.sent = 0

    def taken(self, number: int) -> float:
        """`time.monotonic()` at which a picture was taken."""
        return self.started + number / self._rate

    def _run(self) -> None:
        self.started = time.monotonic()
        while not self._stopped.is_set():
            with suppress(OutputError):
                self._session()
            self._stopped.wait(0.3)

    def _session(self) -> None:
        number = self._due()
        encoder = _Encoders(self._draw(number).shape, self._rate, sound=self._sound, coder=self._coder)
        muxer: RemoteMuxer | None = None
        heard = number * _RATE // self._rate
        try:
            while not self._stopped.is_set():
                if (wait := self.taken(number) - time.monotonic()) > 0:
                    time.sleep(wait)
                packets = encoder.picture(burn(self._draw(number), number), number)
                while self._sound and heard <= number * _RATE // self._rate:
                    packets += encoder.samples(self._samples(heard))
                    heard += 1024
                if muxer is None:
                    muxer = RemoteMuxer(
                        parse_target(self._url), encoder.tracks, origin=0, transport="tcp", stall_seconds=3.0
                    )
                for packet in packets:
                    muxer.mux(packet)
                self.sent += 1
                number = max(number + 1, self._due())
        finally:
            if muxer is not None:
                with suppress(OutputError):
                    muxer.close()

    def _due(self) -> int:
        return int((time.monotonic() - self.started) * self._rate)

    def _samples(self, start: int) -> av.AudioFrame:
        places = np.arange(start, start + 1024)
        pictures = places * self._rate / _RATE
        loud = (pictures % _BEEP_EVERY) < 1
        wave = (loud * 12000 * np.sin(places * (2 * np.pi * 1000 / _RATE))).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = _RATE, start, Fraction(1, _RATE)
        return frame


class _Encoders:
    """Encoders of a camera."""

    def __init__(self, shape: tuple[int, ...], rate: int, *, sound: bool, coder: Coder) -> None:
        self._rate = rate
        self._scratch = av.open(io.BytesIO(), "w", format="matroska")
        options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "22", "g": str(rate)}
        options |= {"x265-params": "log-level=error"} if coder == "libx265" else {}
        self._video = self._scratch.add_stream(coder, rate=rate, options=options)
        self._video.height, self._video.width, self._video.pix_fmt = shape[0], shape[1], "yuv420p"
        self._video.codec_context.time_base = _TICK
        self._audio = self._scratch.add_stream("aac", rate=_RATE) if sound else None
        self._scratch.start_encoding()
        self.tracks: dict[Kind, CodecParameters] = {}
        if self._audio is not None:  # the first audio packet comes late; any will do
            silence = av.Packet(bytes(8))
            self.tracks["audio"] = CodecParameters.of(self._audio, silence)

    def picture(self, pixels: UInt8, number: int) -> list[Packet]:
        """Encode one picture."""
        picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        picture.pts, picture.time_base = number * 90_000 // self._rate, _TICK
        return self._packets("video", self._video, self._video.encode(picture))

    def samples(self, frame: av.AudioFrame) -> list[Packet]:
        """Encode some audio."""
        assert self._audio is not None, "asked for"  # noqa: S101
        return self._packets("audio", self._audio, self._audio.encode(frame))

    def _packets(self, kind: Kind, stream: Stream, coded: "list[av.Packet[Any]]") -> list[Packet]:
        made = []
        for packet in coded:
            if kind not in self.tracks:
                self.tracks[kind] = CodecParameters.of(stream, packet)
            unit = time_base_of(packet)
            pts, dts = (round((time or 0) * unit * SECOND) for time in (packet.pts, packet.dts))
            key = packet.is_keyframe
            made.append(Packet(kind, self.tracks[kind], bytes(packet), pts, dts, 0, keyframe=key, arrived=0))
        return made


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture that reached a viewer."""

    number: int
    at: float
    """`time.monotonic()` of its arrival, decoded."""
    time: float
    """Timestamp of the picture, by the stream's clock, seconds."""


@dataclass
class Viewing:
    """Record of what a viewer saw and heard."""

    pictures: list[Seen] = field(default_factory=list)
    beeps: list[float] = field(default_factory=list)
    """Times by the stream's clock at which a beep begins, seconds."""
    sessions: int = 0
    sound_packets: int = 0

    def sound_offsets(self, rate: int) -> list[float]:
        """Return the seconds by which each beep comes after its picture, by the stream's own clock.

        Only pictures seen in motion count: one that is held is shown again later, without its beep, and may be the
        first that a viewer sees who joined in time for the beep.
        """
        moving = (
            seen
            for before, seen in pairwise(self.pictures)
            if before.number < seen.number and 0 < seen.time - before.time <= _MOTION / rate
        )
        marks = [seen.time for seen in moving if seen.number % _BEEP_EVERY == 0]
        half = _BEEP_EVERY / rate / 2
        nearest = ((beep, min(marks, key=lambda mark: abs(mark - beep), default=None)) for beep in self.beeps)
        return [beep - mark for beep, mark in nearest if mark is not None and abs(beep - mark) < half]


class Viewer(_Peer):
    """Plays a stream as another client would, over and over; use as a context manager.

    Args:
        url: address of the stream.
        transport: RTSP's transport.
    """

    def __init__(self, url: str, *, transport: str = "tcp") -> None:
        self._url, self._transport = url, transport
        super().__init__("viewer")
        self.seen = Viewing()

    def wait_for(self, pictures: int, *, seconds: float) -> bool:
        """Return whether so many more pictures arrive in time."""
        wanted, deadline = len(self.seen.pictures) + pictures, time.monotonic() + seconds
        while len(self.seen.pictures) < wanted:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def _run(self) -> None:
        while not self._stopped.is_set():
            with suppress(av.FFmpegError, OSError, ValueError):
                self._session()
            self._stopped.wait(0.2)

    def _session(self) -> None:
        options = {"rtsp_transport": self._transport, "analyzeduration": "200000", "probesize": "200000"}
        quiet = True
        with av.open(self._url, options=options, timeout=(5, 5)) as container:
            self.seen.sessions += 1
            for stream in container.streams.video:
                stream.thread_type = "SLICE"
            for packet in container.demux():
                if self._stopped.is_set():
                    return
                for frame in packet.decode():
                    if isinstance(frame, av.VideoFrame):
                        number = read_number(np.asarray(frame.to_ndarray(format="gray"), dtype=np.uint8))
                        self.seen.pictures.append(Seen(number, time.monotonic(), self._time(frame)))
                    elif isinstance(frame, av.AudioFrame):
                        quiet = self._listen(frame, quiet=quiet)

    def _time(self, frame: av.VideoFrame | av.AudioFrame) -> float:
        """Return the time in seconds; those of another session, whose clock starts again, lie far away."""
        return float(frame.time or 0) + _SESSION_SECONDS * self.seen.sessions

    def _listen(self, frame: av.AudioFrame, *, quiet: bool) -> bool:
        """Note where a beep begins; return whether it was quiet at the end."""
        self.seen.sound_packets += 1
        samples = np.abs(frame.to_ndarray().astype(np.float64)).reshape(-1)
        loud = samples > (_LOUD / 32768 if frame.format.name.startswith("flt") else _LOUD)
        if quiet and loud.any():
            self.seen.beeps.append(self._time(frame) + int(loud.argmax()) / frame.sample_rate)
        return not loud.any()
