"""Report of a job: every video, every retry, and the progress over time."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from vidrestore.files import replace_text
from vidrestore.jobs.config import JobConfig
from vidrestore.jobs.entries import AttemptFailed
from vidrestore.jobs.inputs import Inputs
from vidrestore.jobs.journal import Journal
from vidrestore.jobs.names import as_text
from vidrestore.jobs.progress import Sample
from vidrestore.jobs.segment import SegmentReport
from vidrestore.jobs.videos import VideoProgress, VideoState
from vidrestore.media.remux.mux import RemuxReport
from vidrestore.media.rewrite import rewrite_warnings
from vidrestore.report import Counts, RestoreReport, installed_versions
from vidrestore.report_json import to_json
from vidrestore.restoration.detection.looks import narrowest_face


@dataclass(frozen=True, slots=True)
class VideoReport:
    """Outcome of one video."""

    source: str
    destination: str
    state: str
    """`done` or `failed`."""
    error: str | None
    resumed: bool
    """Whether an earlier run restored the video."""
    frames: int
    unrestored_frames: int
    """Number of frames in segments that could not be restored and passed through unchanged."""
    segments: int
    segments_resumed: int
    """Number of segments that an earlier run restored."""
    unsplittable_reason: str | None
    """Reason why the video was restored in one piece, if it was."""
    faces: int
    frames_with_faces: int
    shots: int
    tracks: int
    """Number of tracks; a face that is present where two segments meet counts in both."""
    narrowest_face_searched: float | None
    """Width in display pixels from which faces were looked for; None: the video was not planned."""
    worker_seconds: float
    """Time that its segments took, added up over all workers."""
    seconds_per_stage: dict[str, float]
    retries: tuple[AttemptFailed, ...]
    warnings: tuple[str, ...]
    streams: dict[str, list[str]]
    sha256: str | None
    bytes: int


@dataclass(frozen=True, slots=True)
class JobReport:
    """Outcome of a job."""

    ended: str
    """UTC."""
    seconds: float
    videos: tuple[VideoReport, ...]
    done: int
    failed: int
    frames: int
    frames_of_this_run: int
    frames_per_second: float
    """Frames per second of this run."""
    retries: int
    unrestored_frames: int
    ignored: tuple[str, ...]
    """Files in folders without the extension of a video."""
    left_out: tuple[str, ...]
    """Other entries of folders, with the reason: links that lead out, pipes, the same file again."""
    journal_notes: tuple[str, ...]
    """Notes about lines of the journal that were not believed."""
    journal_lines_repaired: int
    runtime: str
    model: str
    model_sha256: str
    samples: tuple[Sample, ...]
    config: dict[str, Any]
    versions: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        line = (
            f"{self.done} of {len(self.videos)} videos, {self.frames_of_this_run} frames in {self.seconds:.1f} s "
            f"({self.frames_per_second:.1f} fps), {self.retries} retries"
        )
        return "\n".join([line, *(f"{one.source}: {one.error}" for one in self.videos if one.error)])

    def save(self, path: str | Path) -> None:
        """Write the report as JSON, whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        replace_text(Path(path), to_json(self))


class RanJob(Protocol):
    """A job that has ended."""

    videos: list[VideoProgress]
    journal: Journal
    notes: tuple[str, ...]
    pool_name: str
    model_sha256: str

    @property
    def seconds(self) -> float:
        """Time since it began."""
        ...

    @property
    def samples(self) -> list[Sample]:
        """Progress over time."""
        ...


def job_report(job: RanJob, config: JobConfig, inputs: Inputs) -> JobReport:
    """Summarise a job."""
    reports = tuple(map(_video_report, job.videos))
    resumed = sum(video.resumed_frames for video in job.videos)
    new = (job.samples[-1].frames_done if job.samples else 0) - resumed
    seconds = job.seconds
    return JobReport(
        ended=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=seconds,
        videos=reports,
        done=sum(video.state == VideoState.DONE.value for video in reports),
        failed=sum(video.state == VideoState.FAILED.value for video in reports),
        frames=sum(video.frames for video in reports if video.state == VideoState.DONE.value),
        frames_of_this_run=new,
        frames_per_second=new / seconds if seconds > 0 else 0.0,
        retries=sum(len(video.retries) for video in reports),
        unrestored_frames=sum(video.unrestored_frames for video in reports),
        ignored=tuple(map(as_text, inputs.ignored)),
        left_out=tuple(map(as_text, inputs.left_out)),
        journal_notes=job.notes,
        journal_lines_repaired=job.journal.repaired,
        runtime=job.pool_name,
        model=config.restore.restorer.model,
        model_sha256=job.model_sha256,
        samples=tuple(job.samples),
        config=asdict(config),
        versions=installed_versions(),
    )


def run_report(
    job: RanJob, config: JobConfig, source: str | Path, destination: str | Path, seconds: float
) -> RestoreReport:
    """Summarise a job of one video, which is done."""
    (video,) = job.videos
    segments = _segments(video)
    counts, stages = _added(segments)
    read = video.read
    return RestoreReport(
        source=str(source),
        destination=str(destination),
        frames_read=read.frames,
        frames_written=sum(segment.frames_written for segment in segments),
        frames_missing=read.missing_frames,
        packets_undecodable=read.undecodable_packets,
        frames_damaged=read.corrupt_frames,
        frames_with_faces=counts.frames_with_faces,
        faces_restored=counts.faces,
        tracks=counts.tracks,
        shots=counts.shots,
        narrowest_face_searched=_narrowest_face(video),
        seconds=seconds,
        seconds_per_stage=stages,
        model=config.restore.restorer.model,
        model_sha256=job.model_sha256,
        runtime=job.pool_name,
        retries=len(video.troubles),
        streams=_streams(video),
        warnings=[*_warnings(video), *job.notes],
        counts=counts,
        config=asdict(config),
        versions=installed_versions(),
    )


def _segments(video: VideoProgress) -> list[SegmentReport]:
    made = video.made_of
    return [made[index].report.segment for index in sorted(made)]


def _added(segments: Sequence[SegmentReport]) -> tuple[Counts, dict[str, float]]:
    counts = Counts()
    stages: dict[str, float] = {}
    for segment in segments:
        counts += segment.counts
        for stage, seconds in segment.seconds.items():
            stages[stage] = stages.get(stage, 0.0) + seconds
    return counts, stages


def _video_report(video: VideoProgress) -> VideoReport:
    counts, stages = _added(_segments(video))
    muxed = video.finished.muxed if video.finished else None
    return VideoReport(
        source=as_text(video.task.source),
        destination=as_text(video.task.destination),
        state=video.state.value,
        error=video.error and as_text(video.error),
        resumed=video.resumed,
        frames=video.plan.frames if video.planned else 0,
        unrestored_frames=video.unrestored_frames,
        segments=len(video.plan.spans) if video.planned else 0,
        segments_resumed=video.resumed_parts,
        unsplittable_reason=video.plan.unsplittable_reason if video.planned else None,
        faces=counts.faces,
        frames_with_faces=counts.frames_with_faces,
        shots=counts.shots,
        tracks=counts.tracks,
        narrowest_face_searched=_narrowest_face(video),
        worker_seconds=sum(part.seconds for part in video.made_of.values()),
        seconds_per_stage=stages,
        retries=tuple(replace(one, message=as_text(one.message)) for one in video.troubles),
        warnings=tuple(_warnings(video)),
        streams=_streams(video),
        sha256=muxed.sha256 if muxed else None,
        bytes=muxed.bytes if muxed else 0,
    )


def _remuxed(video: VideoProgress) -> RemuxReport | None:
    return video.finished.muxed.report if video.finished else None


def _warnings(video: VideoProgress) -> list[str]:
    notes = list(video.plan.notes) if video.planned else []
    if video.unrestored_frames:
        notes.append(f"{video.unrestored_frames} frames went through unrestored: their segments could not be restored")
    notes += _nothing_restored(video)
    encoder_notes = sorted({note for segment in _segments(video) for note in segment.notes})
    return rewrite_warnings(video.read, notes, encoder_notes, _remuxed(video))


def _narrowest_face(video: VideoProgress) -> float | None:
    if not video.planned:
        return None
    config = video.task.config
    return narrowest_face(
        video.plan.width,
        video.plan.height,
        preview_side=config.detection.preview_side,
        searched=config.detection.search_seconds > 0,
        min_face=config.selection.min_face_px,
    )


def _nothing_restored(video: VideoProgress) -> list[str]:
    """Say of a video without restored faces what was looked for, and what to try."""
    counts, _ = _added(_segments(video))
    narrowest = _narrowest_face(video)
    if narrowest is None or not counts.frames or counts.frames_with_faces:
        return []
    selection, detection = video.task.config.selection, video.task.config.detection
    if counts.faces_found:
        said = (
            f"no face was restored: those that were found are narrower than {selection.min_face_px:g} pixels, turned "
            "away, uncertain, or there for a moment only; try a lower --min-face, or a larger "
            "restore.selection.max_yaw"
        )
        return [said]
    turned = ", upright and turned" if detection.search_seconds else ""
    lower = "a lower --min-face, or " if narrowest <= selection.min_face_px else ""
    said = (
        f"no face was found: those from {narrowest:.0f} pixels wide were looked for{turned}; if there are faces, try "
        f"{lower}the larger detector, --set restore.detector.name=retinaface-resnet50"
    )
    return [said]


def _streams(video: VideoProgress) -> dict[str, list[str]]:
    remuxed = _remuxed(video)
    names = ("copied", "converted", "left_out")
    return {name: list(getattr(remuxed, name)) for name in names} if remuxed is not None else {}
