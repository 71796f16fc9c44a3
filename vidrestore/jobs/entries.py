"""Entries of a job's journal, one for each event, and what they add up to: the state of each video.

A journal lies where others may write, and the job acts on it: impossible entries are ignored.
"""

import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import TypeAlias

from vidrestore.jobs.tasks import Muxed, PartReport, VideoPlan
from vidrestore.media.reader import SegmentRange

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_NUMBER = 1 << 53
"""Upper limit of counts, sizes and times: JSON holds it exactly, and no video reaches it."""
_MAX_SIDE = 1 << 16
_FRAMES_A_PACKET = 2
"""Maximum number of frames per packet of a video that is not split, such as two fields."""


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


@dataclass(slots=True)
class VideoRecord:
    """State of one video according to a journal."""

    planned: VideoPlanned | None = None
    segments: dict[int, SegmentDone] = field(default_factory=dict)
    """Finished segments of the plan whose parts still exist."""
    done: VideoDone | None = None
    """Result of the plan that was current at that time."""
    published: VideoDone | None = None
    """Result at the destination; once a later plan was begun, it may be replaced only in part."""
    made_of: dict[int, SegmentDone] = field(default_factory=dict)
    """Segments of the published result; their parts are gone."""
    failure: str | None = None
    """Reason why the video was given up, unless there was progress since."""
    failed_attempts: int = 0
    impossible: int = 0
    """Number of impossible entries."""

    @property
    def state(self) -> str:
        """`done`, `failed` or `unfinished`."""
        if self.failure is not None:
            return "failed"
        is_done = self.done is not None and self.planned is not None and self.done.key == self.planned.key
        return "done" if is_done else "unfinished"

    def apply(self, entry: Entry) -> None:
        """Apply the next entry."""
        if isinstance(entry, AttemptFailed):
            self.failed_attempts += 1
        elif isinstance(entry, VideoFailed):
            self.failure = entry.message
        elif isinstance(entry, VideoPlanned):
            self._plan(entry)
        elif isinstance(entry, VideoDone):
            self._finish(entry)
        elif self.planned is not None and entry.key == self.planned.key:
            self.failure = None
            self._note_parts(entry, self.planned)

    def _plan(self, entry: VideoPlanned) -> None:
        if not is_plausible_plan(entry.plan):
            self.impossible += 1
            return
        before = self.planned
        if before is None or (before.key, before.plan.spans) != (entry.key, entry.plan.spans):
            self.segments = {}
        self.planned, self.published, self.failure = entry, None, None

    def _finish(self, entry: VideoDone) -> None:
        if not is_plausible_end(entry):
            self.impossible += 1
            return
        self.published, self.failure = entry, None
        self.done = entry if self.planned is not None and entry.key == self.planned.key else None
        self.made_of, self.segments = self.segments, {}

    def _note_parts(self, entry: SegmentDone | PartsInvalidated, planned: VideoPlanned) -> None:
        if isinstance(entry, PartsInvalidated):
            for index in entry.indices:
                self.segments.pop(index, None)
        elif is_plausible_segment(entry, planned):
            self.segments[entry.index] = entry
            if self.done is not None and self.done.key == entry.key:
                self.done = None  # its result was lost, and is made again
        else:
            self.impossible += 1


def replay(entries: Iterable[Entry]) -> dict[str, VideoRecord]:
    """Fold the entries of a journal, in order, into the state of each destination."""
    records: dict[str, VideoRecord] = {}
    for entry in entries:
        records.setdefault(entry.destination, VideoRecord()).apply(entry)
    return records


def is_plausible_plan(plan: VideoPlan) -> bool:
    """Return whether spans make up a video, one after the other, and counts fit."""
    held = plan.frames_in_spans
    return (
        _SHA256.fullmatch(plan.sha256) is not None
        and _are_counts(plan.frames, *held)
        and sum(held) == plan.frames
        and 0 < plan.width < _MAX_SIDE
        and 0 < plan.height < _MAX_SIDE
        and _is_amount(plan.seconds)
        and len(plan.spans) == len(held) > 0
        and _make_up_a_video(plan.spans)
    )


def is_plausible_segment(entry: SegmentDone, planned: VideoPlanned) -> bool:
    """Return whether a part can be the result of a segment of a plan, and has the right name."""
    plan, segment, report = planned.plan, entry.report.segment, entry.report
    read = segment.read
    counts = {name: value for name, value in asdict(read).items() if name != "read_error"}
    if not (
        0 <= entry.index < len(plan.spans)
        and _SHA256.fullmatch(report.sha256)
        and _are_counts(
            entry.attempts, report.bytes, segment.frames_written, *counts.values(), *asdict(segment.counts).values()
        )
        and all(map(_is_amount, (entry.seconds, *segment.seconds.values())))
        and report.part.rpartition("/")[2] == planned.part_name(entry.index, passthrough=entry.passthrough)
    ):
        return False
    held = plan.frames_in_spans[entry.index]
    if len(plan.spans) > 1:
        whole = read.frames + read.undecodable_packets + read.empty_packets
        return whole == held and segment.frames_written == read.frames
    return segment.frames_written <= _FRAMES_A_PACKET * held + 1


def is_plausible_end(entry: VideoDone) -> bool:
    """Return whether the values of a finished video are possible."""
    muxed = entry.muxed
    return _SHA256.fullmatch(muxed.sha256) is not None and _are_counts(
        muxed.bytes, muxed.report.frames, entry.unrestored_frames, muxed.report.frames - entry.unrestored_frames
    )


def _make_up_a_video(spans: tuple[SegmentRange, ...]) -> bool:
    if spans[0].start is not None or spans[-1].stop is not None:
        return False
    if any(one.stop is None or one.stop != other.start for one, other in pairwise(spans)):
        return False
    return all(map(_is_in_order, spans))


def _is_in_order(span: SegmentRange) -> bool:
    """Return whether a span is read from its keyframe on and is not empty: seek <= begin <= start < stop <= end."""
    edges = (span.seek, span.begin, span.start, span.stop, span.end)
    if any(time is not None and abs(time) > _MAX_NUMBER for time in edges):
        return False
    if span.start is not None and span.stop is not None and span.start >= span.stop:
        return False
    before = [time for time in (span.seek, span.begin, span.start) if time is not None]
    after = [time for time in (span.stop, span.end) if time is not None]
    return before == sorted(before) and after == sorted(after)


def _are_counts(*numbers: int) -> bool:
    return all(0 <= number < _MAX_NUMBER for number in numbers)


def _is_amount(number: float) -> bool:
    return math.isfinite(number) and 0 <= number < _MAX_NUMBER
