"""One segment of a film, from its source to a part file of encoded video: the work of a segment worker."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from vidrestore.engine import Parts, RestoreConfig, restore_frames
from vidrestore.report import Recorder
from vidrestore.video.reader import ReadStatistics, VideoReader
from vidrestore.video.writer import VideoWriter


@dataclass(frozen=True, slots=True)
class Segment:
    """What to restore, and where the encoded video goes. At present a segment is a whole film."""

    source: Path
    part: Path


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a segment is."""

    frames: int = 0
    faces: int = 0


@dataclass(frozen=True, slots=True)
class SegmentReport:
    """What became of a segment."""

    part: Path
    """Where its encoded video is."""
    frames_written: int
    read: ReadStatistics
    counts: dict[str, int]
    seconds: dict[str, float]
    notes: tuple[str, ...] = field(default=())
    """What the writer had to choose, such as another pixel format."""


def restore_segment(
    segment: Segment, parts: Parts, config: RestoreConfig, on_progress: Callable[[Progress], None]
) -> SegmentReport:
    """Decode, restore and encode a segment.

    Args:
        segment: source and part file; the part is complete when this returns.
        parts: where detection and restoration run.
        config: of every stage.
        on_progress: called after each frame.

    Raises:
        VidrestoreError: as reading, restoring and writing do; the part file is then worthless.
    """
    recorder = Recorder()
    written = 0
    with VideoReader(segment.source) as reader, ExitStack() as stack:
        writer = stack.enter_context(VideoWriter(segment.part, reader.info, config.encode))
        for frame in restore_frames(reader, parts, config, recorder):
            with recorder.timing("encode"):
                writer.write(frame)
            written += 1
            on_progress(Progress(written, recorder.counts["faces"]))
        # Leaving the writer flushes the encoder, which on a short film is most of its work.
        with recorder.timing("encode"):
            stack.close()
    counts = dict(recorder.counts)
    return SegmentReport(segment.part, written, reader.statistics, counts, dict(recorder.seconds), writer.notes)
