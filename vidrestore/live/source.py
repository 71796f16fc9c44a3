"""A live source: opened again whenever it fails, its frames and audio on the output's clock."""

import random
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import av
from av.container import InputContainer

from vidrestore.errors import InputError
from vidrestore.live.addresses import Source
from vidrestore.live.audio import SourceSound
from vidrestore.live.backoff import Backoff
from vidrestore.live.config import SourceConfig
from vidrestore.live.packets import Packet
from vidrestore.live.pictures import Pictures
from vidrestore.live.rtsp_redirects import redirected
from vidrestore.live.source_errors import SourceLost, SourceRefused, problem
from vidrestore.live.source_options import source_options
from vidrestore.live.timeline import SECOND, Timeline
from vidrestore.media.picture_size import MAX_PIXELS, decoder_options, is_too_large, why_too_large
from vidrestore.media.probe import VideoInfo, codec_context
from vidrestore.media.timestamps import time_base_of, to_fraction
from vidrestore.types import Frame

if TYPE_CHECKING:
    from vidrestore.live.web_reader import WebReader

State = Literal["connecting", "live", "waiting", "ended"]

_WAITED = SECOND // 200
"""A wait for a packet of this length means that none was there."""
_RTP_TICKS = 1 << 32
"""Period of RTP's counter, in units of a track's time base."""
_MOST_REDIRECTS = 5
_NAP_SECONDS = 0.2
"""Longest sleep between two checks for `stop`."""


@dataclass(slots=True)
class SourceCounts:
    """Counts of one source so far."""

    state: State = "connecting"
    sessions: int = 0
    """Times it was opened."""
    failures: int = 0
    """Times it failed, or could not be opened."""
    outage_seconds: float = 0.0
    """Time without a frame, between a failure and the first frame after it."""
    packets_undecodable: int = 0
    frames_corrupt: int = 0
    frames_untimed: int = 0
    """Frames without a time; not passed on."""
    frames_outdated: int = 0
    """Frames from before a connection stood, sent in one go at its start; not passed on."""
    frames_adapted: int = 0
    """Frames of another size or format than the first, fitted to it."""
    clock_jumps: int = 0
    has_sound: bool = False
    """Whether the source announces audio that is passed on."""
    last_problem: str = ""


class Receiver(Protocol):
    """Receives what a source sends; called from the source's thread."""

    def picture(self, frame: Frame, info: VideoInfo, arrived: int) -> None:
        """Take a frame in units of 1/90000 s of the output's clock, and its arrival in monotonic nanoseconds."""

    def sound(self, packet: Packet) -> None:
        """Take a packet of audio."""


class LiveSource:
    """Reads one source until it ends or `stop` is called, through any number of failures.

    Args:
        source: source to read.
        config: options.
        max_pixels: most pixels of a frame; a source that sends larger ones is given up.
        on_event: called with one line, without secrets, for each change.
        clock: returns monotonic nanoseconds.
    """

    def __init__(
        self,
        source: Source,
        config: SourceConfig,
        *,
        max_pixels: int = MAX_PIXELS,
        on_event: Callable[[str], None] = lambda _: None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.counts = SourceCounts()
        self._source = source
        self._config = config
        self._tell = on_event
        self._clock = clock
        self._stopped = threading.Event()
        self._timeline = Timeline(paced=source.paced)
        self._max_pixels = max_pixels
        self._pictures = Pictures(max_pixels=max_pixels)
        self._backoff = Backoff(config.backoff, random.Random())  # noqa: S311  jitter is no secret
        self._lost_since: int | None = None
        self._last_picture = 0
        self._silent = False
        """Whether the loss of audio that cannot be passed on was reported."""
        self._is_up_to_date = False
        """Whether everything was read that came while the connection was being made."""

    def stop(self) -> None:
        """Ask `run` to return soon."""
        self._stopped.set()

    def run(self, receiver: Receiver) -> None:
        """Read and decode; return at the end of a file or after `stop`.

        Raises:
            SourceRefused: it cannot be read, and `retry` says not to go on trying.
            SourceLost: it failed, with `retry` never.
        """
        try:
            while not self._stopped.is_set():
                try:
                    self._session(receiver)
                    if self._source.kind == "file" and not self._config.loop:
                        return
                    if self._source.kind != "file":
                        self._failed(SourceLost(f"{self._source} ended"))
                except InputError as error:
                    self._failed(error)
        finally:
            self.counts.state = "ended"

    def _failed(self, error: InputError) -> None:
        if self._stopped.is_set():
            return
        self.counts.failures += 1
        self.counts.last_problem = error.message
        self.counts.state = "waiting"
        if self._lost_since is None:
            self._lost_since = self._clock()
        in_vain = isinstance(error, SourceRefused) and not self._last_picture
        if self._config.retry == "never" or (in_vain and self._config.retry == "transient"):
            raise error
        wait = self._backoff.next_seconds()
        self._tell(f"{error.message}; trying again in {wait:.1f} s")
        self._stopped.wait(wait)

    def _session(self, receiver: Receiver) -> None:
        self.counts.state = "connecting"
        self._timeline.restart()
        try:
            with self._reader() as reader, self._open(reader) as container:
                self.counts.sessions += 1
                self._read(container, receiver)
        except Exception as error:  # whatever a source does to FFmpeg or to us, it is tried again
            raise problem(self._source, error, ca_file=self._config.ca_file if self._config.verify else None) from error
        finally:
            self.counts.clock_jumps += self._timeline.jumps
            self._timeline.jumps = 0

    def _reader(self) -> "WebReader | nullcontext[None]":
        """Return the reader that asks for web addresses in place of FFmpeg, where the source is one."""
        if self._source.kind != "http":
            return nullcontext()
        from vidrestore.live.web_reader import WebReader  # noqa: PLC0415  slow to import
        from vidrestore.live.web_requests import WebRequests  # noqa: PLC0415  slow to import

        config = self._config
        opened = self._clock() + round(config.open_seconds * SECOND)
        requests = WebRequests(
            self._source.url,
            dict(option.split("=", 1) for option in config.options),
            verify=config.verify,
            ca_file=config.ca_file,
            private_addresses=config.private_addresses,
            open_seconds=config.open_seconds,
            silence_seconds=config.silence_seconds,
            is_over=lambda: self._stopped.is_set() or self._is_silent(opened),
        )
        return WebReader(requests)

    def _open(self, reader: "WebReader | None") -> InputContainer:
        if self._source.kind == "rtsp":
            return self._open_rtsp()
        if reader is not None:
            return self._opened(self._source, reader.url, format=reader.begin(), io_open=reader.open)
        return self._opened(self._source, self._source.url, format="v4l2" if self._source.kind == "device" else None)

    def _open_rtsp(self) -> InputContainer:
        """Open a camera, or the address to which it sends its clients."""
        source, config = self._source, self._config
        for _ in range(_MOST_REDIRECTS):
            try:
                return self._opened(source, source.url)
            except av.ArgumentError:  # among others, for a redirect, which FFmpeg is kept from following
                leads = redirected(
                    source.url, verify=config.verify, ca_file=config.ca_file, seconds=config.open_seconds
                )
                if leads is None:
                    raise
                source = replace(source, url=leads)
        raise SourceRefused(f"{self._source} sends its clients from one place to another without end")

    def _opened(self, source: Source, url: str, **more: Any) -> InputContainer:  # noqa: ANN401  as `av.open` takes it
        config = self._config
        options = source_options(
            source, transport=config.transport, verify=config.verify, ca_file=config.ca_file, own=config.options
        )
        options |= decoder_options(self._max_pixels)  # FFmpeg decodes some frames to find out what comes
        waits = source.kind not in {"file", "device"}
        timeout = (config.open_seconds, config.silence_seconds) if waits else None
        container: InputContainer = av.open(url, options=options, timeout=timeout, **more)
        return container

    def _is_silent(self, opened: int) -> bool:
        return self._clock() - max(self._last_picture, opened) > self._config.silence_seconds * SECOND

    def _read(self, container: InputContainer, receiver: Receiver) -> None:
        video = self._video(container)
        audio = container.streams.audio[0] if self._config.audio and container.streams.audio else None
        sound = SourceSound(audio) if audio is not None and codec_context(audio) is not None else None
        self.counts.has_sound = sound is not None
        if audio is not None and sound is None:
            self._note_silence("no decoder of this build of FFmpeg knows its codec")
        opened = asked = self._clock()
        self._is_up_to_date = self._source.paced
        for packet in container.demux([stream for stream in (video, audio) if stream is not None]):
            now = self._clock()
            if self._stopped.is_set():
                return
            self._is_up_to_date |= now - asked > _WAITED or now - opened > SECOND
            if packet.stream is video:
                self._decode(container, video, packet, now, receiver)
            elif sound is not None and packet.size:
                self._hear(sound, packet, now, receiver)
                self._note_silence(sound.problem)
            if self._is_silent(opened):
                raise SourceLost(f"{self._source} sent no frame for {self._config.silence_seconds:g} s")
            asked = self._clock()

    def _video(self, container: InputContainer) -> av.VideoStream:
        if not container.streams.video:
            kinds = ", ".join(stream.type for stream in container.streams) or "no streams"
            raise SourceRefused(f"{self._source} has no video track (found: {kinds})")
        stream = container.streams.video[0]
        if codec_context(stream) is None:
            raise SourceRefused(f"{self._source} sends video in a codec that this build of FFmpeg cannot decode")
        stream.thread_type = "SLICE"  # threads by frame would hold back as many frames
        decoder = stream.codec_context
        if is_too_large(decoder.width, decoder.height, max_pixels=self._max_pixels):
            why = why_too_large(decoder.width, decoder.height, max_pixels=self._max_pixels)
            raise SourceRefused(f"{self._source} {why}")
        decoder.options = decoder_options(self._max_pixels)
        return stream

    def _decode(
        self, container: InputContainer, stream: av.VideoStream, packet: "av.Packet[Any]", now: int, receiver: Receiver
    ) -> None:
        try:
            pictures = stream.decode(packet)
        except EOFError:
            return
        except (av.FFmpegError, ValueError):
            self.counts.packets_undecodable += 1
            return
        for picture in pictures:
            time_base = to_fraction(picture.time_base) or time_base_of(stream)
            source = _nanoseconds(picture.pts, time_base)
            self.counts.frames_corrupt += picture.is_corrupt
            if source is None:
                self.counts.frames_untimed += 1
                continue
            source = self._timeline.unwrap(stream.index, source, now, period=self._period(time_base))
            now = self._await(stream.index, source, now)
            if self._stopped.is_set():
                return
            time = self._timeline.map(stream.index, source, now, settled=self._is_up_to_date)
            if not self._is_up_to_date:
                self.counts.frames_outdated += 1
                continue
            frame, info = self._pictures.take(picture, stream, container, Path(str(self._source)), time)
            self.counts.frames_adapted = self._pictures.adapted
            self._alive(now)
            receiver.picture(frame, info, now)

    def _hear(self, sound: SourceSound, packet: "av.Packet[Any]", now: int, receiver: Receiver) -> None:
        index, time_base = packet.stream.index, time_base_of(packet.stream)
        try:
            parts = sound.take(packet)
        except (av.FFmpegError, ValueError):
            self.counts.packets_undecodable += 1
            return
        for part in parts:
            source = _nanoseconds(part.pts, time_base)
            if source is None or sound.track is None:
                continue
            source = self._timeline.unwrap(index, source, now, period=self._period(time_base))
            now = self._await(index, source, now)
            time = self._timeline.map(index, source, now, settled=self._is_up_to_date)
            if not self._is_up_to_date:
                continue
            duration = _nanoseconds(part.duration or 0, time_base) or 0
            receiver.sound(Packet("audio", sound.track, bytes(part), time, time, duration, keyframe=True, arrived=now))

    def _note_silence(self, problem: str) -> None:
        """Report once, not at each session, why the audio is lost; empty where it is not."""
        self.counts.has_sound = not problem
        if problem and not self._silent:
            self._tell(f"{self._source}: the audio is lost: {problem}")
        self._silent = bool(problem)

    def _period(self, time_base: Fraction) -> int:
        """Return after how many nanoseconds a track's counter wraps, where FFmpeg leaves that to us; else 0."""
        return round(_RTP_TICKS * time_base * SECOND) if self._source.kind == "rtsp" else 0

    def _await(self, track: int, source: int, now: int) -> int:
        """Wait, where the source is paced, until the time of a packet has come; return the time after that."""
        while (wait := self._timeline.wait(track, source, now)) > 0 and not self._stopped.is_set():
            self._stopped.wait(min(wait / SECOND, _NAP_SECONDS))
            now = self._clock()
        return now

    def _alive(self, now: int) -> None:
        self._last_picture = now
        if self.counts.state == "live":
            return
        self.counts.state = "live"
        self._backoff.succeeded()
        lasted = ""
        if self._lost_since is not None:
            seconds = (now - self._lost_since) / SECOND
            self.counts.outage_seconds += seconds
            self._lost_since = None
            lasted = f" again, after {seconds:.1f} s"
        self._tell(f"{self._source} is live{lasted}")


def _nanoseconds(time: int | None, time_base: Fraction) -> int | None:
    return None if time is None else round(time * time_base * SECOND)
