"""From restored frames to all outputs: one thread that encodes, and keeps the output's clock when nothing comes."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from vidrestore.errors import RestorationError, VidrestoreError
from vidrestore.live.addresses import Target
from vidrestore.live.config import OutputConfig, SinkConfig
from vidrestore.live.encoder import LiveEncoder
from vidrestore.live.no_signal_frame import no_signal_frame
from vidrestore.live.output import Output
from vidrestore.live.packets import Packet
from vidrestore.live.pictures import TICKS
from vidrestore.live.timeline import SECOND
from vidrestore.live.timings import Histogram
from vidrestore.media.probe import VideoInfo
from vidrestore.redaction import redact
from vidrestore.types import Frame

_WAITING_FRAMES = 2
_NAP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Finished:
    """A frame that leaves the engine."""

    frame: Frame
    info: VideoInfo
    arrived: int
    """Arrival of the source's frame, in nanoseconds of the monotonic clock."""


@dataclass(slots=True)
class SinkCounts:
    """Counts of the frames that left the engine."""

    frames: int = 0
    """Encoded."""
    late: int = 0
    """Frames not encoded because a held one had taken their place in time."""
    lost: int = 0
    """Frames not encoded because the encoder failed, or did not end in time."""
    held: int = 0
    """Frames made to bridge a gap."""
    gaps: int = 0
    """Times that frames had to be held."""
    longest_gap_seconds: float = 0.0
    """Longest time between two frames that were handed to the outputs."""


class Sink:
    """Takes finished frames and audio, encodes once, and hands packets to every output.

    Args:
        targets: destinations; at least one.
        config: options of encoding.
        outputs: options of each output.
        blocking: whether to wait for outputs instead of dropping.
        expects_sound: whether the source has announced audio.
        now: the output's clock, nanoseconds.
        on_event: called with one line for each change.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        config: SinkConfig,
        outputs: OutputConfig,
        *,
        blocking: bool,
        expects_sound: Callable[[], bool],
        now: Callable[[], int],
        on_event: Callable[[str], None],
    ) -> None:
        self.counts = SinkCounts()
        self.encoding = Histogram()
        self.problem: VidrestoreError | None = None
        """Error that stopped the encoding; None while there is none."""
        self._config = config
        self._blocking = blocking
        self._now = now
        self._tell = on_event
        self._encoder: LiveEncoder | None = None
        self._wants_key = threading.Event()
        self._frames: queue.Queue[Finished | None] = queue.Queue(_WAITING_FRAMES)
        self._last: Finished | None = None
        self._last_shown = 0
        self._last_real = 0
        self._behind = 0
        self._last_key = 0
        self._holding = False
        self.outputs = [
            Output(
                target,
                outputs,
                blocking=blocking,
                expects_sound=expects_sound,
                demand_key_frame=self._wants_key.set,
                on_event=on_event,
            )
            for target in targets
        ]
        self._thread = threading.Thread(target=self._run, name="encoder", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return self._frames.qsize()

    def show(self, finished: Finished) -> None:
        """Take the next frame; wait while two others wait. Once no more are encoded it is lost, and counted."""
        while self._thread.is_alive():
            try:
                self._frames.put(finished, timeout=_NAP_SECONDS)
            except queue.Full:
                continue
            return
        self.counts.lost += 1

    def hear(self, packet: Packet) -> None:
        """Pass on a packet of audio."""
        for output in self.outputs:
            output.put(packet)

    def close(self, *, seconds: float) -> None:
        """Encode what waits, and complete every output; each has this many seconds."""
        if self._thread.is_alive():
            with suppress(queue.Full):  # an encoder that takes nothing for so long is left behind
                self._frames.put(None, timeout=seconds)
            self._thread.join(seconds)
        self.counts.lost += sum(frame is not None for frame in self._left())
        closing = [threading.Thread(target=output.close, kwargs={"seconds": seconds}) for output in self.outputs]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join()

    def _left(self) -> Iterator[Finished | None]:
        with suppress(queue.Empty):
            while True:
                yield self._frames.get_nowait()

    def _run(self) -> None:
        try:
            while True:
                try:
                    finished = self._frames.get(timeout=self._patience())
                except queue.Empty:
                    self._hold()
                    continue
                if finished is None:
                    return
                try:
                    self._show(finished)
                except Exception:
                    self.counts.lost += 1
                    raise
        except VidrestoreError as error:
            self.problem = error
        except Exception as error:  # noqa: BLE001  a thread that dies in silence would leave the stream without frames
            text = redact(f"{type(error).__name__}: {error}")
            self.problem = RestorationError(f"the encoder failed: {text}; please report this")

    def _patience(self) -> float | None:
        """Return the seconds to wait for a frame before the last one is shown again; None before the first."""
        if self._last is None or self._encoder is None or self._blocking:
            return None  # where every frame counts, none is made up to take its place
        since = (time.monotonic_ns() - self._last_real) / SECOND
        rate = min(self._config.hold_rate, float(self._encoder.rate))
        return max(1 / rate, self._config.hold_after_seconds - since)

    def _show(self, finished: Finished) -> None:
        if self._encoder is None:
            config = self._config
            self._encoder = LiveEncoder(finished.info, config.encode, keyframe_seconds=config.keyframe_seconds)
            for note in self._encoder.notes:
                self._tell(note)
        if self._last is not None and finished.frame.pts <= self._last.frame.pts:
            self.counts.late += 1
            self._last_real = time.monotonic_ns()
            self._behind = max(self._behind, self._now() - round(finished.frame.pts * SECOND / TICKS))
            return
        self._behind = self._now() - round(finished.frame.pts * SECOND / TICKS)
        self._encode(finished)
        self.counts.frames += 1
        self._last_real = time.monotonic_ns()
        self._last = finished

    def _hold(self) -> None:
        """Show the last frame once more, as old as the last ones were when they were shown."""
        last = self._last
        assert last is not None, "there is no patience before the first frame"  # noqa: S101
        since = (time.monotonic_ns() - self._last_real) / SECOND
        pts = max(last.frame.pts + 1, round((self._now() - self._behind) * TICKS / SECOND))
        frame = replace(last.frame, pts=pts)
        self._last = replace(last, frame=frame)
        self.counts.gaps += not self._holding
        self.counts.held += 1
        if 0 < self._config.no_signal_after_seconds <= since:
            frame = no_signal_frame(frame, f"no signal for {round(since)} s")
        self._encode(Finished(frame, last.info, 0))

    def _encode(self, finished: Finished) -> None:
        assert self._encoder is not None, "made with the first frame"  # noqa: S101
        self._holding = finished.arrived == 0
        old = finished.frame.pts - self._last_key >= self._config.keyframe_seconds * TICKS
        if self._wants_key.is_set() or old:  # by time, not by count: a camera may send five frames a second
            self._wants_key.clear()
            self._last_key = finished.frame.pts
            self._encoder.demand_key_frame()
        started = time.monotonic_ns()
        packets = self._encoder.encode(finished.frame, arrived=finished.arrived)
        shown = time.monotonic_ns()
        self.encoding.add((shown - started) / SECOND)
        if self._last_shown:
            gap = (shown - self._last_shown) / SECOND
            self.counts.longest_gap_seconds = max(self.counts.longest_gap_seconds, gap)
        self._last_shown = shown
        for packet in packets:
            for output in self.outputs:
                output.put(packet)
