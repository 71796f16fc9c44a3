"""A snapshot of a stream: plain values that travel between processes."""

from dataclasses import dataclass, field
from typing import Literal

from vidrestore.live.output import OutputCounts
from vidrestore.live.sink import SinkCounts
from vidrestore.live.source import SourceCounts
from vidrestore.live.timings import Histogram

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
