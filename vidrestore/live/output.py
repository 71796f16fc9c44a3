"""One output of a stream: a thread of its own, so that a slow or lost one delays no other."""

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from vidrestore.errors import OutputError
from vidrestore.live.addresses import Target
from vidrestore.live.audio import AacSound, holds
from vidrestore.live.backoff import Backoff
from vidrestore.live.config import OutputConfig
from vidrestore.live.muxers import Muxer, Recording, hls_muxer
from vidrestore.live.packets import CodecParameters, Kind, Packet
from vidrestore.live.remote_muxer import RemoteMuxer
from vidrestore.live.timeline import SECOND
from vidrestore.live.timings import Histogram
from vidrestore.redaction import redact

OutputState = Literal["waiting", "connecting", "live", "ended"]

_SETTLE = SECOND
"""Time that an output waits, after its first packet, for announced audio before it opens."""


@dataclass(slots=True)
class OutputCounts:
    """Counts of one output so far."""

    state: OutputState = "waiting"
    opened: int = 0
    failures: int = 0
    packets: int = 0
    bytes: int = 0
    pictures: int = 0
    packets_dropped: int = 0
    """Packets that came before it was open again, or did not fit into its queue; and audio that cannot be decoded."""
    last_problem: str = ""
    left_out: str = ""
    """Audio that it cannot hold."""
    latency: Histogram = field(default_factory=Histogram)
    """Times from the arrival of a source's frame until its packet was handed to the network or the disk."""


class Output:
    """Writes the packets that are put, from the next keyframe on, and opens its target again when it fails.

    Args:
        target: destination.
        config: options.
        blocking: whether `put` waits instead of dropping, while the target is open.
        expects_sound: whether the source has announced audio.
        demand_key_frame: asks the encoder for a keyframe.
        on_event: called with one line, without secrets, for each change.
    """

    def __init__(
        self,
        target: Target,
        config: OutputConfig,
        *,
        blocking: bool,
        expects_sound: Callable[[], bool],
        demand_key_frame: Callable[[], None],
        on_event: Callable[[str], None],
    ) -> None:
        self.counts = OutputCounts()
        self.target = target
        self._config = config
        self._blocking = blocking
        self._expects_sound = expects_sound
        self._demand_key_frame = demand_key_frame
        self._tell = on_event
        self._queue: deque[Packet] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._skipping = False
        """Whether packets are dropped up to the next keyframe."""
        self._first_packet: int | None = None
        self._held: list[Packet] = []
        """Packets of at most a second, until the target is open."""
        self._backoff = Backoff(config.backoff, random.Random())  # noqa: S311  jitter is no secret
        self._tracks: dict[Kind, CodecParameters] = {}
        self._aac: tuple[object, AacSound | None] | None = None
        """A track, and the encoder for its audio; None where the audio cannot be encoded."""
        self._soundless = ""
        self._muxer: Muxer | Recording | RemoteMuxer | None = None
        self._thread = threading.Thread(target=self._run, name=f"output {target}", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, packet: Packet) -> None:
        """Hand over one packet."""
        limit = self._config.queue_packets
        with self._changed:
            if self._blocking:
                self._changed.wait_for(
                    lambda: len(self._queue) < limit or self._closed or self.counts.state != "live", timeout=None
                )
            if len(self._queue) >= limit:
                self.counts.packets_dropped += len(self._queue)
                self._queue.clear()
                self._skipping = True
                self._demand_key_frame()
            self._skipping &= not (packet.kind == "video" and packet.keyframe)
            if self._skipping:
                self.counts.packets_dropped += 1
                return
            self._queue.append(packet)
            self._changed.notify_all()

    def close(self, *, seconds: float) -> None:
        """Write what waits, complete and close; what takes longer is left behind."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(seconds)

    def _run(self) -> None:
        while (packet := self._next()) is not None:
            try:
                for one in self._suited(packet):
                    self._write(one)
            except OutputError as error:
                self._failed(error)
            except Exception as error:  # noqa: BLE001  a thread that dies in silence would lose the output for good
                self._failed(OutputError(f"{self.target} failed: {redact(f'{type(error).__name__}: {error}')}"))
        try:
            self._finish()
            self._end()
        except OutputError as error:
            self._note(error)
        self.counts.state = "ended"

    def _finish(self) -> None:
        """Write what was held for audio that did not come, and the end of audio that is encoded again."""
        if self._muxer is None and self._held:
            held, self._held = self._held, []
            self._begin(held)
        coder = self._aac[1] if self._aac else None
        if coder is not None and self._muxer is not None:
            for packet in coder.flush():
                self._mux(self._muxer, packet)

    def _next(self) -> Packet | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            if not self._queue:
                return None
            packet = self._queue.popleft()
            self._changed.notify_all()
            return packet

    def _suited(self, packet: Packet) -> list[Packet]:
        """Return the packet, or, where this target cannot hold its audio, the packets of its new encoding."""
        container = self.target.container
        if packet.kind == "video" or holds(container, packet.track):
            return [packet]
        if self._aac is None or self._aac[0] != packet.track.key:
            lacks = f"{self.target} has no place for {packet.track.codec} audio"
            coder: AacSound | None = None
            try:
                coder = AacSound(packet.track)
            except OutputError as error:
                self._soundless = self.counts.left_out = f"{lacks}, and {error.message}"
                self._tell(self._soundless)
            else:
                self._soundless = ""
                self._tell(f"{lacks}: it is written as AAC")
            self._aac = packet.track.key, coder
        coder = self._aac[1]
        coded = coder.take(packet) if coder else None
        self.counts.packets_dropped += coded is None
        return coded or []

    def _write(self, packet: Packet) -> None:
        known = self._tracks.get(packet.kind)
        if known is not packet.track:
            self._tracks[packet.kind] = packet.track
            if self._muxer is not None and (known is None or known.key != packet.track.key):
                self._demand_key_frame()
                self._end()  # another codec: what is written so far is completed
        if self._muxer is not None:
            self._mux(self._muxer, packet)
        elif beginning := self._beginning(packet):
            self._begin(beginning)
        else:
            self.counts.packets_dropped += self.counts.opened > 0 and not self._held

    def _begin(self, packets: list[Packet]) -> None:
        try:
            muxer = self._open(packets[0])
        except OutputError:
            self.counts.packets_dropped += len(packets) * (self._blocking or self.counts.opened > 0)
            raise
        for packet in packets:
            self._mux(muxer, packet)

    def _mux(self, muxer: Muxer | Recording | RemoteMuxer, packet: Packet) -> None:
        muxer.mux(packet)
        counts = self.counts
        counts.packets += 1
        counts.bytes += len(packet.data)
        if packet.kind == "video":
            counts.pictures += 1
            if packet.arrived:
                counts.latency.add((time.monotonic_ns() - packet.arrived) / SECOND)

    def _beginning(self, packet: Packet) -> list[Packet]:
        """Return the packets to begin with, from a keyframe on, once announced audio is known; none before that.

        Where nothing may be dropped, packets that come while audio is awaited are held, and come first.
        """
        now = time.monotonic_ns()
        self._first_packet = self._first_packet or now
        opens = packet.kind == "video" and packet.keyframe
        if not (opens or self._held):
            return []
        if "audio" not in self._tracks and self._expects_sound() and now - self._first_packet < _SETTLE:
            if self._blocking:
                self._held.append(packet)
            else:
                self._demand_key_frame()
            return []
        held, self._held = self._held, []
        return [*held, packet]

    def _open(self, first: Packet) -> Muxer | Recording | RemoteMuxer:
        self.counts.state = "connecting"
        config, target, tracks = self._config, self.target, dict(self._tracks)
        muxer: Muxer | Recording | RemoteMuxer
        if target.kind == "recording":
            muxer = Recording(target, tracks, origin=first.dts, seconds=config.record_seconds)
        elif target.kind == "hls":
            muxer = hls_muxer(target, tracks, origin=first.dts)
        else:
            muxer = RemoteMuxer(
                target,
                tracks,
                origin=first.dts,
                transport=config.transport,
                stall_seconds=config.stall_seconds,
                verify=config.verify,
                ca_file=config.ca_file,
            )
        self._muxer = muxer
        self._backoff.succeeded()
        self.counts.state = "live"
        self.counts.opened += 1
        self.counts.left_out = muxer.left_out or self._soundless
        if muxer.left_out:
            self._tell(self.counts.left_out)
        self._tell(f"{self.target} is open")
        return muxer

    def _end(self) -> None:
        muxer, self._muxer = self._muxer, None
        if muxer is not None:
            muxer.close()

    def _failed(self, error: OutputError) -> None:
        self._note(error)
        with suppress(OutputError):  # it is the connection that just broke
            self._end()
        wait = self._backoff.next_seconds()
        self._tell(f"{error.message}; trying again in {wait:.1f} s")
        with self._changed:
            self.counts.state = "waiting"
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed, timeout=wait)
            self.counts.packets_dropped += len(self._queue)
            self._queue.clear()
        self._demand_key_frame()

    def _note(self, error: OutputError) -> None:
        self.counts.failures += 1
        self.counts.last_problem = error.message
