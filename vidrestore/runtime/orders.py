"""The work of a batch, cut into orders that any worker of any machine can carry out: plan, restore, join.

An order names files by address and holds everything else that is needed, so that it may be given again, to another
worker, when one dies. What it makes appears under its final name whole or not at all.
"""

import shutil
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from vidrestore import storage
from vidrestore.errors import InputError, OutputError
from vidrestore.files import check_no_link, is_own_file
from vidrestore.media.gaps import refuse_long_gaps
from vidrestore.media.inspection import inspect_and_index
from vidrestore.media.output import container_format, result_mode
from vidrestore.media.reader import SegmentRange
from vidrestore.media.remux.mux import RemuxReport, join
from vidrestore.media.remux.plan import check_remux
from vidrestore.media.segments import plan_spans
from vidrestore.media.writer import check_encoding
from vidrestore.restoration.pipeline import InferenceModels, RestoreConfig, reach
from vidrestore.runtime.segment import Progress, Segment, SegmentReport, restore_segment

OnProgress = Callable[[Progress], None]

_FRAME_COST = 1.0
_MEGAPIXEL_COST = 0.5
"""Of decoding, drawing and encoding, in costs of what a frame takes whatever its size."""
_WORTH_CUTTING = 8
"""A segment is at least so many times longer than its lead-in and lead-out."""


@dataclass(frozen=True, slots=True)
class PlanOrder:
    """Look at a film and cut it into segments."""

    source: str
    mark: str
    """Its fingerprint, by which it is known that nobody changes it meanwhile."""
    destination: str
    config: RestoreConfig
    segment_cost: float
    segment_seconds: float | None


@dataclass(frozen=True, slots=True)
class FilmPlan:
    """A film, and the segments that it is cut into."""

    sha256: str
    frames: int
    """As its packets say."""
    width: int
    height: int
    seconds: float
    spans: tuple[SegmentRange, ...]
    frames_in_spans: tuple[int, ...]
    notes: tuple[str, ...]
    """What the result will not keep of the picture."""
    uncut: str | None

    def cost(self, number: int) -> float:
        """Of a segment, in costs of one small frame."""
        return self.frames_in_spans[number] * frame_cost(self.width, self.height)


@dataclass(frozen=True, slots=True)
class RestoreOrder:
    """Restore a segment into a part."""

    source: str
    mark: str
    span: SegmentRange
    part: str
    config: RestoreConfig
    passthrough: bool = False
    """Whether the frames go through as they are: the last resort for a segment that cannot be restored."""


@dataclass(frozen=True, slots=True)
class PartReport:
    """A part, and what became of its segment."""

    part: str
    sha256: str
    bytes: int
    segment: SegmentReport


@dataclass(frozen=True, slots=True)
class JoinOrder:
    """Join parts, with everything else of the source, into the result."""

    source: str
    mark: str
    parts: tuple[tuple[str, str], ...]
    """Address and sha256 of each, in the film's order."""
    folder: str
    """Address of the output folder, which no link may lead out of."""
    destination: str
    """Name in it, with slashes."""
    frames: int
    """That the parts hold."""
    scratch: str
    """Address of a folder for the work, on the destination's disk where both are local."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A finished film."""

    mark: str
    """Its fingerprint."""
    sha256: str
    bytes: int
    report: RemuxReport


@dataclass(frozen=True, slots=True)
class DamagedParts:
    """Parts that a join found missing, or not what was written: they are to be made anew."""

    numbers: tuple[int, ...]


Order: TypeAlias = PlanOrder | RestoreOrder | JoinOrder
Outcome: TypeAlias = FilmPlan | PartReport | Joined | DamagedParts


def frame_cost(width: int, height: int) -> float:
    """Of restoring a frame, in costs of a very small one."""
    return _FRAME_COST + _MEGAPIXEL_COST * width * height / 1e6


def carry_out(order: Order, parts: InferenceModels | None, on_progress: OnProgress) -> Outcome:
    """Do what an order says; `parts` are where detection and restoration run, which plans and joins do not need.

    Raises:
        VidrestoreError: it cannot be done; nothing is left under the name of what it should have made.
    """
    if isinstance(order, PlanOrder):
        return _plan(order)
    if isinstance(order, RestoreOrder):
        return _restore(order, parts, on_progress)
    return _join(order)


def _plan(order: PlanOrder) -> FilmPlan:
    with storage.fetched(order.source, order.mark) as local:
        film, index = inspect_and_index(local, max_pixels=order.config.max_pixels)
        refuse_long_gaps(local, index)
        named = Path(order.destination.rpartition("/")[2])
        container_format(named)
        encoding = check_encoding(film, order.config.encode)
        check_remux(local, named, video_codec=encoding.codec)
        cost = frame_cost(film.width, film.height)
        times = index.times
        seconds = float((times[-1] - times[0]) * index.time_base) if len(times) > 1 else 0.0
        rate = len(times) / seconds if seconds else 25.0
        around = reach(order.config)
        overlap = (around.past_seconds + around.future_seconds) * rate + around.past_frames + around.future_frames
        wanted = order.segment_seconds * rate if order.segment_seconds else order.segment_cost / cost
        if not order.segment_seconds:
            wanted = max(wanted, overlap * _WORTH_CUTTING)
        spans = plan_spans(index, around, frames_per_segment=max(1, round(wanted)))
        held = tuple(_held(times, span) for span in spans)
        sha256 = storage.sha256_of(local)
        _check_unchanged(order.source, order.mark)
    return FilmPlan(sha256, len(times), film.width, film.height, seconds, spans, held, film.notes, index.uncut)


def _restore(order: RestoreOrder, parts: InferenceModels | None, on_progress: OnProgress) -> PartReport:
    with ExitStack() as stack:
        local = stack.enter_context(storage.fetched(order.source, order.mark))
        _check_unchanged(order.source, order.mark)
        made = _scratch(order.part, stack) / "part.mp4"
        segment = Segment(local, made, None if order.span == SegmentRange() else order.span)
        report = restore_segment(segment, None if order.passthrough else parts, order.config, on_progress)
        _check_unchanged(order.source, order.mark)
        sha256, size = storage.sha256_of(made), made.stat().st_size
        storage.publish(made, order.part)
    return PartReport(order.part, sha256, size, replace(report, part=Path(order.part)))


def _join(order: JoinOrder) -> Joined | DamagedParts:
    with ExitStack() as stack:
        local = stack.enter_context(storage.fetched(order.source, order.mark))
        parts, damaged = _checked_parts(order, stack)
        if damaged:
            return DamagedParts(damaged)
        made = _scratch(f"{order.scratch}/x", stack) / f"result{Path(order.destination).suffix}"
        report = join(parts, local, made)
        if report.frames != order.frames:
            raise OutputError(f"{report.frames} frames came out of {order.frames}; this is a bug, please report it")
        _check_unchanged(order.source, order.mark)
        destination = storage.beside(order.folder, order.destination)
        made.chmod(result_mode(Path(destination)))
        sha256, size = storage.sha256_of(made), made.stat().st_size
        storage.publish_inside(made, order.folder, order.destination)
    return Joined(storage.fingerprint(destination), sha256, size, report)


def _checked_parts(order: JoinOrder, stack: ExitStack) -> tuple[list[Path], tuple[int, ...]]:
    """Local files of the parts with the content that their makers reported, and the numbers of the others."""
    found: list[Path] = []
    damaged: list[int] = []
    for number, (address, sha256) in enumerate(order.parts):
        there = storage.exists(address) if storage.is_remote(address) else is_own_file(Path(address))
        local = stack.enter_context(storage.fetched(address, sha256)) if there else None
        if local is not None and storage.sha256_of(local) == sha256:
            found.append(local)
        else:
            damaged.append(number)
    return found, tuple(damaged)


def _scratch(address: str, stack: ExitStack) -> Path:
    """A folder of this order's own: beside what it makes, or, for remote storage, in the system's place."""
    if storage.is_remote(address):
        where = Path(tempfile.gettempdir())
    else:
        where = Path(address).parent
        try:
            where.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{where} cannot be made on this machine: {error.strerror}; workers need a folder that all machines "
                "share, or remote storage"
            ) from error
        check_no_link(where)
    folder = Path(tempfile.mkdtemp(prefix=".order-", dir=where))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _held(times: Sequence[int], span: SegmentRange) -> int:
    first = 0 if span.start is None else bisect_left(times, span.start)
    return (len(times) if span.stop is None else bisect_left(times, span.stop)) - first


def _check_unchanged(source: str, mark: str) -> None:
    if storage.fingerprint(source) != mark:
        raise InputError(f"{source} changed while the job ran; run it again when nobody writes to it")
