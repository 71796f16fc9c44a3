"""One live stream, from its source through the engine to its outputs."""

import logging
import os
import random
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np

from vidrestore.errors import ConfigError, RestorationError, VidrestoreError
from vidrestore.live.addresses import Source, Target
from vidrestore.live.backoff import Backoff
from vidrestore.live.certificates import TLS_SCHEMES
from vidrestore.live.config import (
    BackoffConfig,
    StreamConfig,
)
from vidrestore.live.fallback import GuardCounts
from vidrestore.live.frame_queue import DropOldestQueue
from vidrestore.live.packets import Packet
from vidrestore.live.quality import QualityController
from vidrestore.live.sink import Finished, Sink
from vidrestore.live.source import LiveSource
from vidrestore.live.status import StreamMeter, StreamState, StreamStatus
from vidrestore.live.timeline import SECOND
from vidrestore.live.timings import StageTimes
from vidrestore.media.geometry import make_preview
from vidrestore.media.probe import VideoInfo
from vidrestore.redaction import redact
from vidrestore.restoration.pipeline import InferenceModels, restore_frames
from vidrestore.types import Frame

_log = logging.getLogger(__name__)
_TICK_SECONDS = 0.25
_JPEG_QUALITY = 80
_CORES_FOR_TWO = 4


def warnings(source: Source, targets: Sequence[Target], config: StreamConfig) -> tuple[str, ...]:
    """Return what of a stream is less safe than it could be, because its configuration says so."""
    ways: list[tuple[Source | Target, bool, str]] = [(source, config.source.verify, "source")]
    ways += [(target, config.output.verify, "output") for target in targets]
    return tuple(
        f"{place}: its certificate is not checked ({part}.verify = false); anybody in between can pretend to be it"
        for place, verifies, part in ways
        if not verifies and place.url.partition("://")[0].lower() in TLS_SCHEMES
    )


class LiveStream:
    """Runs one stream; `run` blocks, everything else may be called from other threads.

    Args:
        name: name of the stream, for people.
        source: source to read.
        targets: destinations.
        config: options.
        parts: where detection and restoration run: executors that read nothing ahead and never
                fail (see `FallbackExecutor`).
        workers: counts of those executors' failures.
        on_event: called with one line, without secrets, for each change.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        targets: Sequence[Target],
        config: StreamConfig,
        parts: InferenceModels,
        *,
        workers: GuardCounts,
        on_event: Callable[[str], None] = lambda _: None,
    ) -> None:
        if not targets:
            raise ConfigError(f"stream {name!r} has no destination")
        self.name = name
        self._config = config
        one_by_one = replace(config.restore.detection, batch_size=1, frames_per_batch=1)
        self._restore = replace(config.restore, detection=one_by_one)
        self._parts = replace(parts, batch_size=1, frames_per_batch=1)
        self._tell = on_event
        self.source = LiveSource(source, config.source, max_pixels=config.restore.max_pixels, on_event=on_event)
        self._handover: DropOldestQueue[Finished] = DropOldestQueue(
            frames=config.waiting_frames,
            longest_wait=round(config.max_wait_seconds * SECOND),
            blocking=config.mode == "complete",
        )
        self.sink = Sink(
            targets,
            config.sink,
            config.output,
            blocking=config.mode == "complete",
            expects_sound=lambda: self.source.counts.has_sound,
            now=time.monotonic_ns,
            on_event=on_event,
        )
        self._recorder = StageTimes()
        cores = len(os.sched_getaffinity(0))
        self._overlaps = cores >= _CORES_FOR_TWO if config.overlap is None else config.overlap
        self._quality = QualityController(config.quality)
        self._meter = StreamMeter(
            name,
            str(source),
            source=self.source,
            queue=self._handover,
            sink=self.sink,
            recorder=self._recorder,
            quality=self._quality,
            workers=workers,
            warnings=warnings(source, targets, config),
        )
        self._inside: deque[Finished] = deque()
        """Frames in the engine, oldest first."""
        self._stopping = threading.Event()
        self._problem: VidrestoreError | None = None
        self._engine_rest = Backoff(BackoffConfig(), random.Random())  # noqa: S311  jitter is no secret
        self._state: StreamState = "starting"
        self._pair: tuple[Frame, Frame] | None = None
        self._preview: tuple[tuple[Frame, Frame], int, bytes | None] | None = None

    def run(self) -> None:
        """Run until the source ends, `stop` is called, or it fails for good.

        Raises:
            VidrestoreError: the source cannot be read and is not to be tried again, or frames cannot be encoded.
        """
        threads = [
            threading.Thread(target=self._guarded(work), name=f"{self.name} {word}", daemon=True)
            for word, work in (("source", lambda: self.source.run(self)), ("engine", self._restore_all))
        ]
        for thread in threads:
            thread.start()
        try:
            self._supervise(threads)
        finally:
            self.stop()
            for thread in threads:
                thread.join(self._config.drain_seconds)
            self.sink.close(seconds=self._config.drain_seconds)
            self._problem = self._problem or self.sink.problem
            self._state = "failed" if self._problem else "ended"
        if self._problem:
            raise self._problem

    def stop(self) -> None:
        """End the stream: what is in the engine is still shown, and every output completed."""
        self._stopping.set()
        self.source.stop()
        self._handover.close()

    def _supervise(self, threads: Sequence[threading.Thread]) -> None:
        judged = time.monotonic()
        while any(thread.is_alive() for thread in threads):
            threads[1].join(_TICK_SECONDS)
            if self.sink.problem or self._problem:
                return
            if (seconds := time.monotonic() - judged) >= 1:
                judged += seconds
                level = self._quality.level
                self._meter.judge(seconds)
                if self._quality.level != level:
                    self._tell(f"quality level {self._quality.level}: {self._quality.name}")

    def _guarded(self, work: Callable[[], None]) -> Callable[[], None]:
        def guarded() -> None:
            try:
                work()
            except VidrestoreError as error:
                self._problem = self._problem or error
            except Exception as error:  # noqa: BLE001  a thread must not die in silence
                text = redact(f"{type(error).__name__}: {error}")
                self._problem = self._problem or RestorationError(f"the stream failed: {text}; please report this")
            finally:
                self._handover.close()

        return guarded

    def picture(self, frame: Frame, info: VideoInfo, arrived: int) -> None:
        """Take a frame from the source."""
        self._handover.put(Finished(frame, info, arrived))

    def sound(self, packet: Packet) -> None:
        """Take audio from the source."""
        self.sink.hear(packet)

    def _restore_all(self) -> None:
        while not self._handover.ended:
            try:
                restored = restore_frames(
                    self._frames(),
                    self._parts,
                    self._restore,
                    self._recorder,
                    limits=self._quality.limits,
                    overlap=self._overlaps,
                )
                for frame in restored:
                    taken = self._inside.popleft()
                    self._engine_rest.succeeded()
                    self._pair = (taken.frame, frame)
                    self.sink.show(replace(taken, frame=frame))
            except ConfigError:
                raise  # it would only come again
            except Exception as error:  # noqa: BLE001  whatever broke, the stream goes on; it is counted and reported
                self._meter.engine_failures += 1
                self._tell(f"engine error, restarting: {type(error).__name__}: {error}")
                _log.debug("engine error of stream %s", self.name, exc_info=error)
                traceback.clear_frames(error.__traceback__)  # ends its other thread, which may still take frames
                while self._inside:
                    self.sink.show(self._inside.popleft())
                self._stopping.wait(self._engine_rest.next_seconds())

    def _frames(self) -> Iterator[Frame]:
        """Yield the frames that the engine takes; wait here, and only here, for the source."""
        while not self._handover.ended:
            started = time.monotonic_ns()
            taken = self._handover.take(timeout=_TICK_SECONDS)
            self._meter.idle += time.monotonic_ns() - started
            if taken is not None:
                self._inside.append(taken)
                yield taken.frame

    def preview(self, *, longest_side: int = 480) -> bytes | None:
        """Return the latest frame before and after, side by side, as JPEG; None before the first."""
        pair = self._pair
        if pair is None:
            return None
        kept = self._preview
        if kept is not None and kept[0] is pair and kept[1] == longest_side:
            return kept[2]  # made once, however many ask
        before, after = (make_preview(frame, longest_side=longest_side) for frame in pair)
        joined = np.hstack([before, after])[..., ::-1]
        done, data = cv2.imencode(".jpg", joined, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        picture = data.tobytes() if done else None
        self._preview = pair, longest_side, picture
        return picture

    def status(self) -> StreamStatus:
        """Return what the stream does at present."""
        counts, problem = self.source.counts, self._problem.message if self._problem else ""
        return self._meter.status(
            state=self._state if self._state in {"ended", "failed"} else counts.state,
            problem=problem or counts.last_problem,
            inside=len(self._inside),
        )
