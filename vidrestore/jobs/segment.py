"""Restoration of one segment of a video, from its source to a file of encoded video."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from vidrestore.media.pixel_formats import frame_bytes
from vidrestore.media.reader import ReadStatistics, SegmentRange, VideoReader
from vidrestore.media.writer import VideoWriter
from vidrestore.report import Counts, Recorder
from vidrestore.restoration.config import VideoRestoreConfig
from vidrestore.restoration.pipeline import InferenceModels, restore_frames
from vidrestore.restoration.support import within_budget
from vidrestore.runtime.shared_models import recorded
from vidrestore.runtime.worker_pool import OnProgress, Progress
from vidrestore.stages import run_ahead
from vidrestore.types import Frame


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of a source, and the file for its encoded video."""

    source: Path
    part: Path
    span: SegmentRange | None = None
    """Range of the segment; None: the whole video."""


@dataclass(frozen=True, slots=True)
class SegmentReport:
    """Outcome of a segment."""

    frames_written: int
    read: ReadStatistics
    counts: Counts
    seconds: dict[str, float]
    notes: tuple[str, ...] = field(default=())
    """Choices that the writer had to make, such as another pixel format."""


def restore_segment(
    segment: Segment, parts: InferenceModels | None, config: VideoRestoreConfig, on_progress: OnProgress
) -> SegmentReport:
    """Decode, restore and encode a segment.

    Args:
        segment: source and part file; the part is complete when this returns.
        parts: where detection and restoration run; None lets the frames through as they are.
        config: options of every stage.
        on_progress: called after each frame that is decoded or written; what it raises ends the work.

    Raises:
        VidrestoreError: as reading, restoring and writing do; the part file is then worthless.
    """
    recorder = Recorder()
    written = 0
    span = segment.span or SegmentRange()

    def decoded(reader: VideoReader) -> Iterator[Frame]:
        for frame in reader:
            on_progress(Progress(written, recorder.counts.faces))
            yield frame

    def restored(reader: VideoReader, parts: InferenceModels) -> Iterator[Frame]:
        size = reader.info
        options = within_budget(config, frame_bytes(size.pixel_format, size.width, size.height))
        fewer = min(parts.frames_per_batch, options.detection.frames_per_batch)
        timed_parts = recorded(replace(parts, frames_per_batch=fewer), recorder)
        return restore_frames(
            decoded(reader), timed_parts, options, recorder, overlap=True, is_counted=lambda one: span.holds(one.pts)
        )

    with VideoReader(segment.source, segment.span, max_pixels=config.max_pixels) as reader, ExitStack() as stack:
        writer = stack.enter_context(VideoWriter(segment.part, reader.info, config.encode))
        frames = restored(reader, parts) if parts is not None else recorder.timed("decode", decoded(reader))
        # Three threads: what comes before the networks, the networks with what comes after them, and the encoding.
        # They end before the reader is closed.
        ahead = stack.enter_context(closing(run_ahead(frames)))
        for frame in ahead:
            if span.stop is not None and frame.pts >= span.stop:
                break  # what follows was there for the frames before it
            if not span.holds(frame.pts):
                continue
            with recorder.timing("encode"):
                writer.write(frame)
            written += 1
            on_progress(Progress(written, recorder.counts.faces))
        # Leaving the writer flushes the encoder, which on a short video is most of its work.
        with recorder.timing("encode"):
            stack.close()
    return SegmentReport(written, reader.statistics, recorder.counts, dict(recorder.seconds), writer.notes)
