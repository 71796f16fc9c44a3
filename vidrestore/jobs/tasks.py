"""The work of a job, as tasks that any worker on any node can run: plan a video, restore a segment, mux the result.

A task names files by address and holds everything else that it needs, so that it can be submitted again, to another
worker, when one dies. Its result appears under its final name complete or not at all.
"""

import math
import shutil
import tempfile
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, TypeAlias

from vidrestore import storage
from vidrestore.errors import InputError, OutputError
from vidrestore.files import check_no_link, is_own_file
from vidrestore.jobs.segment import Segment, SegmentReport, restore_segment
from vidrestore.media.gaps import refuse_long_gaps
from vidrestore.media.inspection import inspect_and_index
from vidrestore.media.output import result_mode
from vidrestore.media.probe import VideoInfo
from vidrestore.media.reader import SegmentRange
from vidrestore.media.remux.mux import RemuxReport
from vidrestore.media.remux.plan import RemuxPlan
from vidrestore.media.rewrite import check_rewrite, mux_complete
from vidrestore.media.segments import VideoIndex, plan_spans
from vidrestore.restoration.config import VideoRestoreConfig
from vidrestore.restoration.pipeline import InferenceModels
from vidrestore.restoration.support import reach
from vidrestore.runtime.worker_pool import OnProgress

_FRAME_COST = 1.0
_MEGAPIXEL_COST = 0.5
"""Cost per megapixel of decoding, blending and encoding, in units of the fixed cost of a frame."""
_MIN_LENGTH = 4
"""Minimum ratio of a segment to its lead-in and lead-out, which are decoded and tracked, and then dropped."""
_MIN_LENGTH_IF_IDLE = 0.6
"""The same ratio where workers would be idle otherwise; a lead-in's frame takes a quarter of a restored one's time."""


@dataclass(frozen=True, slots=True)
class VideoPlan:
    """A video, and the segments that it is split into."""

    sha256: str
    frames: int
    """Number of frames according to the packets."""
    width: int
    height: int
    seconds: float
    spans: tuple[SegmentRange, ...]
    frames_in_spans: tuple[int, ...]
    notes: tuple[str, ...]
    """Properties of the frames that the result will not keep."""
    unsplittable_reason: str | None
    info: VideoInfo | None = field(default=None, compare=False, repr=False)
    """Result of the probe, for the muxer; not journalled."""
    remux: RemuxPlan | None = field(default=None, compare=False, repr=False)
    """Plan for the other streams; not journalled."""

    def cost(self, index: int) -> float:
        """Estimate the cost of a segment, in units of one small frame."""
        return self.frames_in_spans[index] * frame_cost(self.width, self.height)

    def in_one_piece(self, reason: str) -> "VideoPlan":
        """Return the plan with a single segment, and the reason why it cannot be split."""
        return replace(self, spans=(SegmentRange(),), frames_in_spans=(self.frames,), unsplittable_reason=reason)


@dataclass(frozen=True, slots=True)
class Inspection:
    """Result of inspecting a source: enough to plan its segments and the muxing of its result."""

    fingerprint: str
    info: VideoInfo
    index: VideoIndex
    remux: RemuxPlan
    sha256: str


def inspect_source(source: str, fingerprint: str, destination: str, config: VideoRestoreConfig) -> Inspection:
    """Probe a source, index its packets and check that its result can be written: once, before any work.

    Args:
        source: address of the source.
        fingerprint: fingerprint of the source, which must not change meanwhile.
        destination: name of the result, whose extension names the container.
        config: how the video is restored and encoded.

    Raises:
        VidrestoreError: the source is not a video, or the result cannot be written as configured.
    """
    with storage.local_copy(source, fingerprint) as local:
        info, index = inspect_and_index(local, max_pixels=config.max_pixels)
        refuse_long_gaps(local, index)
        remux = check_rewrite(local, Path(destination.rpartition("/")[2]), info, config.encode)
        sha256 = storage.sha256_of(local)
        _check_unchanged(source, fingerprint)
    return Inspection(fingerprint, info, index, remux, sha256)


def split(
    found: Inspection,
    config: VideoRestoreConfig,
    *,
    segment_cost: float,
    segment_seconds: float | None = None,
    min_segments: int = 1,
) -> VideoPlan:
    """Plan the segments of a video.

    Wherever the borders lie, the result is the same; their number decides how many workers can help, how much of the
    work is repeated after a crash, and how much is spent on lead-ins.

    Args:
        found: result of the inspection.
        config: options that decide the lead-in and lead-out of a segment.
        segment_cost: cost of a usual segment.
        segment_seconds: length of a segment, in place of its cost.
        min_segments: number of workers that have only this video to work on.
    """
    info, times = found.info, found.index.times
    seconds = float((times[-1] - times[0]) * found.index.time_base) if len(times) > 1 else 0.0
    rate = len(times) / seconds if seconds else 25.0
    around = reach(config)
    if segment_seconds:
        length = segment_seconds * rate
    else:
        overlap = (around.past_seconds + around.future_seconds) * rate + around.past_frames + around.future_frames
        length = max(segment_cost / frame_cost(info.width, info.height), overlap * _MIN_LENGTH)
        length = min(length, max(len(times) / min_segments, overlap * _MIN_LENGTH_IF_IDLE))
        length = _in_whole_rounds(len(times), length, min_segments)
    spans = plan_spans(found.index, around, frames_per_segment=max(1, round(length)))
    return VideoPlan(
        sha256=found.sha256,
        frames=len(times),
        width=info.width,
        height=info.height,
        seconds=seconds,
        spans=spans,
        frames_in_spans=tuple(_frames_in(times, span) for span in spans),
        notes=info.notes,
        unsplittable_reason=found.index.unsplittable_reason,
        info=info,
        remux=found.remux,
    )


def _in_whole_rounds(frames: int, length: float, workers: int) -> float:
    """Shorten segments such that each worker gets equally many: else few of them finish a last round alone."""
    segments = round(frames / length)
    return frames / (math.ceil(segments / workers) * workers) if segments > workers else length


@dataclass(frozen=True, slots=True)
class PlanTask:
    """Inspect a video and split it into segments."""

    reports_progress: ClassVar[bool] = False

    source: str
    fingerprint: str
    """Fingerprint of the source, by which a change meanwhile is noticed."""
    destination: str
    config: VideoRestoreConfig
    segment_cost: float
    segment_seconds: float | None
    min_segments: int = 1

    def run(self, models: InferenceModels | None, on_progress: OnProgress) -> VideoPlan:
        """Plan the video."""
        del models, on_progress
        return split(
            inspect_source(self.source, self.fingerprint, self.destination, self.config),
            self.config,
            segment_cost=self.segment_cost,
            segment_seconds=self.segment_seconds,
            min_segments=self.min_segments,
        )


@dataclass(frozen=True, slots=True)
class PartReport:
    """The encoded video of a segment, and the report of its restoration."""

    part: str
    sha256: str
    bytes: int
    segment: SegmentReport


@dataclass(frozen=True, slots=True)
class RestoreTask:
    """Restore a segment into a part."""

    reports_progress: ClassVar[bool] = True

    source: str
    fingerprint: str
    span: SegmentRange
    part: str
    config: VideoRestoreConfig
    passthrough: bool = False
    """Whether frames pass through unrestored: the last resort for a segment that cannot be restored."""

    def run(self, models: InferenceModels | None, on_progress: OnProgress) -> PartReport:
        """Restore the segment."""
        with ExitStack() as stack:
            local = stack.enter_context(storage.local_copy(self.source, self.fingerprint))
            _check_unchanged(self.source, self.fingerprint)
            made = _scratch(self.part, stack) / "part.mp4"
            segment = Segment(local, made, None if self.span == SegmentRange() else self.span)
            report = restore_segment(segment, None if self.passthrough else models, self.config, on_progress)
            _check_unchanged(self.source, self.fingerprint)
            sha256, size = storage.sha256_of(made), made.stat().st_size
            storage.commit(made, self.part)
        return PartReport(self.part, sha256, size, report)


@dataclass(frozen=True, slots=True)
class Muxed:
    """A published result."""

    fingerprint: str
    sha256: str
    bytes: int
    report: RemuxReport


@dataclass(frozen=True, slots=True)
class DamagedParts:
    """Parts that a muxer found missing or changed; their segments are restored again."""

    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MuxTask:
    """Mux parts with everything else of the source, and publish the result."""

    reports_progress: ClassVar[bool] = False

    source: str
    fingerprint: str
    parts: tuple[tuple[str, str], ...]
    """Address and SHA-256 of each part, in the order of the video."""
    folder: str
    """Address of the output folder, which no link may lead out of."""
    destination: str
    """Name of the result in the output folder, with slashes."""
    frames: int
    """Number of frames in the parts."""
    scratch: str
    """Address of a folder for temporary files, on the destination's disk where both are local."""
    strict: bool = False
    """Whether streams that are damaged in the source are an error."""
    info: VideoInfo | None = field(default=None, repr=False)
    remux: RemuxPlan | None = field(default=None, repr=False)
    """Plan for the other streams, where this run has planned the video."""

    def run(self, models: InferenceModels | None, on_progress: OnProgress) -> Muxed | DamagedParts:
        """Mux, check and publish the result."""
        del models, on_progress
        with ExitStack() as stack:
            local = stack.enter_context(storage.local_copy(self.source, self.fingerprint))
            parts, damaged = _checked_parts(self, stack)
            if damaged:
                return DamagedParts(damaged)
            made = _scratch(f"{self.scratch}/x", stack) / f"result{Path(self.destination).suffix}"
            info = self.info and replace(self.info, path=local)
            report = mux_complete(
                parts, local, made, frames=self.frames, strict=self.strict, plan=self.remux, info=info
            )
            _check_unchanged(self.source, self.fingerprint)
            destination = storage.join(self.folder, self.destination)
            made.chmod(result_mode(Path(destination)))
            sha256, size = storage.sha256_of(made), made.stat().st_size
            storage.commit_inside(made, self.folder, self.destination)
        return Muxed(storage.fingerprint(destination), sha256, size, report)


JobTask: TypeAlias = PlanTask | RestoreTask | MuxTask
TaskResult: TypeAlias = VideoPlan | PartReport | Muxed | DamagedParts


def frame_cost(width: int, height: int) -> float:
    """Estimate the cost of restoring a frame, in units of a very small one."""
    return _FRAME_COST + _MEGAPIXEL_COST * width * height / 1e6


def work_of(info: VideoInfo) -> float | None:
    """Estimate the cost of restoring a video that was only probed, in units of `frame_cost`; None: unknown."""
    frames = info.frames
    if frames is None and info.duration is not None and info.average_rate is not None:
        frames = round(info.duration * info.average_rate)
    return None if frames is None else frames * frame_cost(info.width, info.height)


def _checked_parts(task: MuxTask, stack: ExitStack) -> tuple[list[Path], tuple[int, ...]]:
    """Return local files of the parts that match their reported hashes, and the indices of the others."""
    found: list[Path] = []
    damaged: list[int] = []
    for index, (address, sha256) in enumerate(task.parts):
        there = storage.exists(address) if storage.is_remote(address) else is_own_file(Path(address))
        local = stack.enter_context(storage.local_copy(address, sha256)) if there else None
        if local is not None and storage.sha256_of(local) == sha256:
            found.append(local)
        else:
            damaged.append(index)
    return found, tuple(damaged)


def _scratch(address: str, stack: ExitStack) -> Path:
    """Make a private folder of this task: next to its result or, for remote storage, in the temporary folder."""
    if storage.is_remote(address):
        where = Path(tempfile.gettempdir())
    else:
        where = Path(address).parent
        try:
            where.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{where} cannot be made on this node: {error.strerror}; workers need a folder that all nodes "
                "share, or remote storage"
            ) from error
        check_no_link(where)
    folder = Path(tempfile.mkdtemp(prefix=".order-", dir=where))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _frames_in(times: Sequence[int], span: SegmentRange) -> int:
    first = 0 if span.start is None else bisect_left(times, span.start)
    return (len(times) if span.stop is None else bisect_left(times, span.stop)) - first


def _check_unchanged(source: str, fingerprint: str) -> None:
    if storage.fingerprint(source) != fingerprint:
        raise InputError(f"{source} was modified while the job was running; retry when nobody writes to it any more")
