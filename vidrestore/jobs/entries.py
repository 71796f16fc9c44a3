"""Entries of a job's journal: one for each event."""

import hashlib
from dataclasses import dataclass
from typing import TypeAlias

from vidrestore.jobs.tasks import Muxed, PartReport, VideoPlan
from vidrestore.media.reader import SegmentRange


@dataclass(frozen=True, slots=True)
class VideoPlanned:
    """A video was inspected and split into segments."""

    destination: str
    source: str
    fingerprint: str
    """Fingerprint of the source."""
    options: str
    """SHA-256 of everything but the source that the result depends on."""
    plan: VideoPlan

    @property
    def key(self) -> str:
        """Key of everything that the parts of this video depend on, apart from their segments."""
        return f"{self.plan.sha256}:{self.options}"

    def part_name(self, index: int, *, passthrough: bool) -> str:
        """Name the part of a segment: names differ by video, segment, options and passthrough."""
        return part_name(self.destination, self.key, self.plan.spans[index], passthrough=passthrough)


@dataclass(frozen=True, slots=True)
class SegmentDone:
    """A segment was restored."""

    destination: str
    key: str
    index: int
    report: PartReport
    seconds: float
    attempts: int
    passthrough: bool


@dataclass(frozen=True, slots=True)
class VideoDone:
    """A video was muxed and lies at its destination."""

    destination: str
    key: str
    muxed: Muxed
    unrestored_frames: int


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """A task failed; it may be tried again."""

    destination: str
    task_name: str
    """`plan`, `segment N` or `mux`."""
    attempt: int
    message: str
    worker_lost: bool
    node: str
    seconds: float


@dataclass(frozen=True, slots=True)
class VideoFailed:
    """A video was given up; the next run tries it again."""

    destination: str
    message: str


@dataclass(frozen=True, slots=True)
class PartsInvalidated:
    """Parts turned out to be damaged; their segments are restored again."""

    destination: str
    key: str
    indices: tuple[int, ...]


Entry: TypeAlias = VideoPlanned | SegmentDone | VideoDone | AttemptFailed | VideoFailed | PartsInvalidated


def part_name(destination: str, key: str, span: SegmentRange, *, passthrough: bool) -> str:
    """Name the part of a segment. The text that is hashed is that of the first version, so that old parts count."""
    edges = f"begin={span.begin}, start={span.start}, stop={span.stop}, end={span.end}, seek={span.seek}"
    text = f"({destination!r}, {key!r}, Span({edges}), {passthrough})"
    return f"{hashlib.sha256(text.encode()).hexdigest()[:40]}.mp4"
