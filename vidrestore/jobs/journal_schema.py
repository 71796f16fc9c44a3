"""The format of a journal's lines: these dataclasses are the file format, whatever the package calls things inside.

Format 3. A field that is added needs a default, a field that is renamed or removed a new format, and a reader for the
old one below. `docs/reference/journal-format.md` is written from here.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from vidrestore.jobs.entries import (
    AttemptFailed,
    Entry,
    PartsInvalidated,
    SegmentDone,
    VideoDone,
    VideoFailed,
    VideoPlanned,
)
from vidrestore.jobs.segment import SegmentReport
from vidrestore.jobs.tasks import Muxed, PartReport, VideoPlan
from vidrestore.media.reader import ReadStatistics, SegmentRange
from vidrestore.media.remux.mux import RemuxReport
from vidrestore.report import Counts

FORMAT = 3
UNSIGNED = 1
"""The format of lines without signatures; 2 had signatures, and the names of this package's classes."""


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A segment of a plan; times are in units of the stream's time base, None is an end of the video."""

    decode_start: int | None
    start: int | None
    end: int | None
    decode_end: int | None
    seek: int | None
    frames: int


@dataclass(frozen=True, slots=True)
class VideoPlannedRow:
    """`video_planned`."""

    destination: str
    source: str
    fingerprint: str
    options: str
    sha256: str
    frames: int
    width: int
    height: int
    seconds: float
    segments: tuple[SegmentRow, ...]
    notes: tuple[str, ...]
    unsplittable_reason: str | None


@dataclass(frozen=True, slots=True)
class SegmentDoneRow:
    """`segment_done`."""

    destination: str
    key: str
    index: int
    part: str
    sha256: str
    bytes: int
    frames: int
    """Written."""
    read: dict[str, int]
    """Counts of the source's packets and frames by name; an unknown name is ignored."""
    read_error: str | None
    counts: dict[str, int]
    """Counts of the pipeline by name, today's or a former one; an unknown name is ignored."""
    stage_seconds: dict[str, float]
    notes: tuple[str, ...]
    seconds: float
    attempts: int
    passthrough: bool


@dataclass(frozen=True, slots=True)
class VideoDoneRow:
    """`video_done`."""

    destination: str
    key: str
    fingerprint: str
    sha256: str
    bytes: int
    frames: int
    unrestored_frames: int
    copied: tuple[str, ...]
    converted: tuple[str, ...]
    left_out: tuple[str, ...]
    losses: tuple[str, ...]
    retimed_packets: int
    shift: str
    """Seconds, as a fraction."""


@dataclass(frozen=True, slots=True)
class AttemptFailedRow:
    """`attempt_failed`."""

    destination: str
    task: str
    attempt: int
    message: str
    worker_lost: bool
    node: str
    seconds: float


@dataclass(frozen=True, slots=True)
class VideoFailedRow:
    """`video_failed`."""

    destination: str
    message: str


@dataclass(frozen=True, slots=True)
class PartsInvalidatedRow:
    """`parts_invalidated`."""

    destination: str
    key: str
    indices: tuple[int, ...]


_ROWS: dict[str, type[Any]] = {
    "video_planned": VideoPlannedRow,
    "segment_done": SegmentDoneRow,
    "video_done": VideoDoneRow,
    "attempt_failed": AttemptFailedRow,
    "video_failed": VideoFailedRow,
    "parts_invalidated": PartsInvalidatedRow,
}
_KINDS: dict[type[Any], str] = {
    VideoPlanned: "video_planned",
    SegmentDone: "segment_done",
    VideoDone: "video_done",
    AttemptFailed: "attempt_failed",
    VideoFailed: "video_failed",
    PartsInvalidated: "parts_invalidated",
}
_COUNTS = tuple(name for name in ReadStatistics.__slots__ if name != "read_error")


def is_known_kind(kind: object) -> bool:
    """Return whether lines of a kind belong to this or an earlier format."""
    return kind in _ROWS or kind in _OLD_KINDS


def to_line_values(entry: Entry) -> dict[str, Any]:
    """Return an entry as the JSON values of its line."""
    kind = _KINDS[type(entry)]
    return {"kind": kind, "entry": _adapter(kind).dump_python(_row(entry), mode="json")}


def from_line_values(values: dict[str, Any]) -> Entry | None:
    """Return the entry of a line's JSON values; None where they do not fit the format."""
    kind, content = values.get("kind"), values.get("entry")
    try:
        if kind in _OLD_KINDS:
            kind, renamed = _OLD_KINDS[kind]
            content = renamed(content)
        return _entry(_adapter(str(kind)).validate_python(content)) if kind in _ROWS else None
    except (ValidationError, ValueError, KeyError, TypeError, ZeroDivisionError, AttributeError):
        return None


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    """Return a cached adapter: creating one takes longer than writing a hundred lines."""
    return TypeAdapter(_ROWS[kind])


def _row(entry: Entry) -> object:
    if isinstance(entry, VideoPlanned):
        plan = entry.plan
        segments = zip(plan.spans, plan.frames_in_spans, strict=False)  # a row has one number a span
        return VideoPlannedRow(
            entry.destination,
            entry.source,
            entry.fingerprint,
            entry.options,
            plan.sha256,
            plan.frames,
            plan.width,
            plan.height,
            plan.seconds,
            tuple(SegmentRow(s.begin, s.start, s.stop, s.end, s.seek, frames) for s, frames in segments),
            plan.notes,
            plan.unsplittable_reason,
        )
    if isinstance(entry, SegmentDone):
        report, segment = entry.report, entry.report.segment
        return SegmentDoneRow(
            entry.destination,
            entry.key,
            entry.index,
            report.part,
            report.sha256,
            report.bytes,
            segment.frames_written,
            {name: getattr(segment.read, name) for name in _COUNTS},
            segment.read.read_error,
            asdict(segment.counts),
            segment.seconds,
            segment.notes,
            entry.seconds,
            entry.attempts,
            entry.passthrough,
        )
    if isinstance(entry, VideoDone):
        muxed, remuxed = entry.muxed, entry.muxed.report
        return VideoDoneRow(
            entry.destination,
            entry.key,
            muxed.fingerprint,
            muxed.sha256,
            muxed.bytes,
            remuxed.frames,
            entry.unrestored_frames,
            remuxed.copied,
            remuxed.converted,
            remuxed.left_out,
            remuxed.losses,
            remuxed.retimed_packets,
            str(remuxed.shift),
        )
    if isinstance(entry, AttemptFailed):
        return AttemptFailedRow(
            entry.destination,
            entry.task_name,
            entry.attempt,
            entry.message,
            entry.worker_lost,
            entry.node,
            entry.seconds,
        )
    if isinstance(entry, VideoFailed):
        return VideoFailedRow(entry.destination, entry.message)
    return PartsInvalidatedRow(entry.destination, entry.key, entry.indices)


def _entry(row: object) -> Entry:
    if isinstance(row, VideoPlannedRow):
        plan = VideoPlan(
            row.sha256,
            row.frames,
            row.width,
            row.height,
            row.seconds,
            tuple(SegmentRange(s.decode_start, s.start, s.end, s.decode_end, s.seek) for s in row.segments),
            tuple(segment.frames for segment in row.segments),
            row.notes,
            row.unsplittable_reason,
        )
        return VideoPlanned(row.destination, row.source, row.fingerprint, row.options, plan)
    if isinstance(row, SegmentDoneRow):
        read = ReadStatistics(
            **{name: row.read[name] for name in _COUNTS if name in row.read}, read_error=row.read_error
        )
        counts = Counts.from_names(row.counts)
        segment = SegmentReport(row.frames, read, counts, row.stage_seconds, row.notes)
        report = PartReport(row.part, row.sha256, row.bytes, segment)
        return SegmentDone(row.destination, row.key, row.index, report, row.seconds, row.attempts, row.passthrough)
    if isinstance(row, VideoDoneRow):
        remuxed = RemuxReport(
            row.frames,
            row.copied,
            row.converted,
            row.left_out,
            row.losses,
            row.retimed_packets,
            Fraction(row.shift),
        )
        muxed = Muxed(row.fingerprint, row.sha256, row.bytes, remuxed)
        return VideoDone(row.destination, row.key, muxed, row.unrestored_frames)
    if isinstance(row, AttemptFailedRow):
        return AttemptFailed(
            row.destination, row.task, row.attempt, row.message, row.worker_lost, row.node, row.seconds
        )
    if isinstance(row, VideoFailedRow):
        return VideoFailed(row.destination, row.message)
    assert isinstance(row, PartsInvalidatedRow), "there are no other rows"  # noqa: S101
    return PartsInvalidated(row.destination, row.key, row.indices)


# Formats 1 and 2 were dumps of classes by their names of then. Each function below names the fields as they are now; a
# field that is not there is a KeyError, and the line counts as damaged.


def _old_planned(old: dict[str, Any]) -> dict[str, Any]:
    plan = old["plan"]
    spans = zip(plan["spans"], plan["frames_in_spans"], strict=True)
    kept = ("sha256", "frames", "width", "height", "seconds", "notes")
    return {
        **{name: old[name] for name in ("destination", "source", "options")},
        "fingerprint": old["mark"],
        **{name: plan[name] for name in kept},
        "segments": [
            {
                "decode_start": span["begin"],
                "start": span["start"],
                "end": span["stop"],
                "decode_end": span["end"],
                "seek": span["seek"],
                "frames": frames,
            }
            for span, frames in spans
        ],
        "unsplittable_reason": plan["uncut"],
    }


def _old_part_done(old: dict[str, Any]) -> dict[str, Any]:
    report, segment = old["report"], old["report"]["segment"]
    read = dict(segment["read"])
    return {
        **{name: old[name] for name in ("destination", "key", "seconds", "attempts", "passthrough")},
        "index": old["number"],
        **{name: report[name] for name in ("part", "sha256", "bytes")},
        "frames": segment["frames_written"],
        "read_error": read.pop("read_error", None),
        "read": read,
        "counts": segment["counts"],
        "stage_seconds": segment["seconds"],
        "notes": segment.get("notes", []),
    }


def _old_finished(old: dict[str, Any]) -> dict[str, Any]:
    joined, report = old["joined"], old["joined"]["report"]
    return {
        **{name: old[name] for name in ("destination", "key", "unrestored_frames")},
        "fingerprint": joined["mark"],
        "sha256": joined["sha256"],
        "bytes": joined["bytes"],
        **{name: report[name] for name in ("frames", "copied", "converted", "left_out")},
        "losses": report.get("losses", []),
        "retimed_packets": report.get("retimed_packets", 0),
        "shift": str(report.get("shift", 0)),
    }


def _old_trouble(old: dict[str, Any]) -> dict[str, Any]:
    kept = ("destination", "attempt", "message", "node", "seconds")
    return {**{name: old[name] for name in kept}, "task": old["what"], "worker_lost": old["died"]}


def _old_dropped(old: dict[str, Any]) -> dict[str, Any]:
    return {"destination": old["destination"], "key": old["key"], "indices": old["numbers"]}


_OLD_KINDS: dict[Any, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    "Planned": ("video_planned", _old_planned),
    "PartDone": ("segment_done", _old_part_done),
    "Finished": ("video_done", _old_finished),
    "Trouble": ("attempt_failed", _old_trouble),
    "Dropped": ("parts_invalidated", _old_dropped),
}
