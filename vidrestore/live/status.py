"""What a stream does: a snapshot of plain values that travel between processes, and the meter that takes it."""

import logging
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Literal

from vidrestore.live.fallback import GuardCounts
from vidrestore.live.frame_queue import DropOldestQueue
from vidrestore.live.output import OutputCounts
from vidrestore.live.quality import QualityController
from vidrestore.live.sink import Finished, Sink, SinkCounts
from vidrestore.live.source import LiveSource, SourceCounts
from vidrestore.live.timeline import SECOND
from vidrestore.live.timings import Histogram, StageTimes

_log = logging.getLogger(__name__)
_RECENT = 10
"""Number of judgements, of one second each, over which rates and latencies are computed."""

StreamState = Literal["starting", "connecting", "live", "waiting", "ended", "failed"]


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """State of one stream, and counts since it began."""

    name: str
    source: str
    """Address without secrets, as everything here."""
    state: StreamState
    seconds: float
    """Seconds since it began."""
    rate_in: float
    """Frames per second from the source, over the last seconds."""
    rate_out: float
    """Frames per second to the outputs, over the last seconds."""
    frames_in: int
    frames_out: int
    """Frames of the source that were encoded."""
    dropped: dict[str, int]
    """Frames of the source that were not, by reason; `frames_in = frames_out + all of these + waiting`."""
    waiting: int
    """Frames between the source and the encoder at present."""
    faces: int
    faces_propagated: int
    quality_level: int
    """0 is the best."""
    quality: str
    steps_down: int
    steps_up: int
    source_counts: SourceCounts
    sink_counts: SinkCounts
    outputs: dict[str, OutputCounts]
    latency: Histogram
    """Times from the arrival of a frame to its packet at the outputs."""
    stages: dict[str, Histogram]
    """Seconds per frame, by stage."""
    queues: dict[str, int]
    worker_failures: int
    answers_replaced: int
    """Faces that were left as they were because no worker answered."""
    engine_failures: int
    problem: str = ""
    warnings: tuple[str, ...] = ()
    """Settings that are less safe than they could be, for as long as they hold."""
    latency_now: dict[str, float] = field(default_factory=dict)
    """Latency of the last seconds: p50, p95 and p99, in seconds."""

    @property
    def healthy(self) -> bool:
        """Whether frames come in, and go out to every target."""
        return self.state == "live" and all(output.state == "live" for output in self.outputs.values())


@dataclass(frozen=True, slots=True)
class _Moment:
    """Counts at one time; rates come from two of them."""

    at: int
    """Nanoseconds of the monotonic clock."""
    frames_in: int
    frames_out: int
    dropped: int
    idle: int
    network_seconds: float
    latency: Histogram


class StreamMeter:
    """Reads the counts of a stream's parts: once a second to judge the load, and whenever its status is wanted.

    Args:
        name: name of the stream.
        address: address of its source, without secrets.
        source: counts the frames that arrive.
        queue: counts those that never reach the engine.
        sink: counts those that leave the engine, at each output.
        recorder: times of the engine's stages.
        quality: spends less or more on a frame, as the load demands.
        workers: failures of the executors.
        warnings: settings that are less safe than they could be.
    """

    def __init__(
        self,
        name: str,
        address: str,
        *,
        source: LiveSource,
        queue: DropOldestQueue[Finished],
        sink: Sink,
        recorder: StageTimes,
        quality: QualityController,
        workers: GuardCounts,
        warnings: tuple[str, ...],
    ) -> None:
        self.idle = 0
        """Nanoseconds that the engine has waited for frames; the engine counts them, as it does the next."""
        self.engine_failures = 0
        self._name = name
        self._address = address
        self._source = source
        self._queue = queue
        self._sink = sink
        self._recorder = recorder
        self._quality = quality
        self._workers = workers
        self._warnings = warnings
        # addresses without secrets: those of two stream keys are alike
        shown = [str(output.target) for output in sink.outputs]
        repeats = [shown[:number].count(address) for number, address in enumerate(shown)]
        names = [f"{name} ({before + 1})" if before else name for name, before in zip(shown, repeats, strict=True)]
        self._outputs = dict(zip(names, sink.outputs, strict=True))
        self._began = time.monotonic_ns()
        self._moments: deque[_Moment] = deque(maxlen=_RECENT + 1)

    def judge(self, seconds: float) -> None:
        """Judge the last second, of this length: how fast it went, and whether to spend less or more on a frame."""
        now = self._moment()
        before = self._moments[-1] if self._moments else replace(now, frames_in=0, dropped=0, idle=0, network_seconds=0)
        self._moments.append(now)
        busy = 1 - (now.idle - before.idle) / (seconds * SECOND)
        received, dropped = now.frames_in - before.frames_in, now.dropped - before.dropped
        level = self._quality.level
        _log.debug("%s: %d frames in, %d dropped, load %.2f, level %d", self._name, received, dropped, busy, level)
        self._quality.judge(
            seconds=seconds,
            received=received,
            dropped=dropped,
            busy=busy,
            faces=self._recorder.tracks_in_frame,
            network=(now.network_seconds - before.network_seconds) / seconds,
        )

    def status(self, *, state: StreamState, problem: str, inside: int) -> StreamStatus:
        """Return the status, with rates and latencies of the last ten seconds.

        Args:
            state: state of the stream, where it does not depend on the source.
            problem: the last one.
            inside: number of frames in the engine.
        """
        now = self._moment()
        moments = list(self._moments)
        before = moments[0] if moments else replace(now, frames_in=0, frames_out=0, at=self._began)
        seconds = max(1e-9, (now.at - before.at) / SECOND)
        recent = now.latency.since(before.latency) if moments else now.latency
        quantiles = {f"p{share}": recent.quantile(share / 100) for share in (50, 95, 99)}
        sink, recorder = self._sink.counts, self._recorder
        stages = recorder.snapshot() | {"encode": self._sink.encoding.copy()}
        for parallel in ("decode", "wait", "network"):  # waits between parts, and work that is parallel to the stages
            stages.pop(parallel, None)
        return StreamStatus(
            name=self._name,
            source=self._address,
            state=state,
            seconds=(now.at - self._began) / SECOND,
            rate_in=(now.frames_in - before.frames_in) / seconds,
            rate_out=(now.frames_out - before.frames_out) / seconds,
            frames_in=now.frames_in,
            frames_out=sink.frames,
            dropped={
                "overflow": self._queue.overflowed,
                "outdated": self._queue.outdated,
                "late": sink.late,
                "lost": sink.lost,
            },
            waiting=len(self._queue) + inside + len(self._sink),
            faces=recorder.counts.faces,
            faces_propagated=recorder.counts.faces_propagated,
            quality_level=self._quality.level,
            quality=self._quality.name,
            steps_down=self._quality.steps_down,
            steps_up=self._quality.steps_up,
            source_counts=replace(self._source.counts),
            sink_counts=replace(sink),
            outputs={name: replace(output.counts) for name, output in self._outputs.items()},
            latency=now.latency,
            stages=stages,
            queues={"engine": len(self._queue), "encoder": len(self._sink)}
            | {f"output {name}": len(output) for name, output in self._outputs.items()},
            worker_failures=self._workers.failures,
            answers_replaced=self._workers.replaced,
            engine_failures=self.engine_failures,
            problem=problem,
            warnings=self._warnings,
            latency_now={name: value for name, value in quantiles.items() if value is not None},
        )

    def _moment(self) -> _Moment:
        sink = self._sink
        return _Moment(
            at=time.monotonic_ns(),
            frames_in=self._queue.received,
            frames_out=sink.counts.frames + sink.counts.held,
            dropped=self._queue.dropped,
            idle=self.idle,
            network_seconds=self._recorder.seconds["network"],
            latency=sink.outputs[0].counts.latency.copy(),
        )
