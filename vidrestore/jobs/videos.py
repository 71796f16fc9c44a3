"""Progress of each video of a job: its state, and the table of transitions between states."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from enum import Enum

from vidrestore.errors import VidrestoreError
from vidrestore.jobs.entries import (
    AttemptFailed,
    Entry,
    SegmentDone,
    VideoDone,
    VideoFailed,
    VideoPlanned,
    VideoRecord,
    replay,
)
from vidrestore.jobs.inputs import InputVideo
from vidrestore.jobs.names import as_text
from vidrestore.jobs.tasks import Inspection, VideoPlan
from vidrestore.media.reader import ReadStatistics

_log = logging.getLogger("vidrestore.jobs")


class VideoState(Enum):
    """State of a video in a job."""

    WAITING = "waiting"
    PLANNING = "planning"
    RESTORING = "restoring"
    MUXING = "muxing"
    DONE = "done"
    FAILED = "failed"


_TRANSITIONS = frozenset(
    {
        (VideoState.WAITING, VideoState.PLANNING),
        (VideoState.WAITING, VideoState.RESTORING),  # planned by an earlier run
        (VideoState.WAITING, VideoState.DONE),  # done by an earlier run
        (VideoState.PLANNING, VideoState.WAITING),  # its worker died: plan it again
        (VideoState.PLANNING, VideoState.RESTORING),
        (VideoState.PLANNING, VideoState.DONE),  # the source was touched, and its content is what it was
        (VideoState.RESTORING, VideoState.MUXING),
        (VideoState.MUXING, VideoState.RESTORING),  # parts were damaged
        (VideoState.MUXING, VideoState.DONE),
    }
    | {(state, VideoState.FAILED) for state in VideoState if state not in {VideoState.DONE, VideoState.FAILED}}
)
"""Transitions between states. `DONE` and `FAILED` are final."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Figures that add up over the videos of a job."""

    segments: int = 0
    segments_done: int = 0
    frames: int = 0
    frames_done: int = 0
    faces_done: int = 0
    resumed_frames: int = 0
    retries: int = 0

    def plus(self, other: "Totals", *, sign: int = 1) -> "Totals":
        """Add the totals of one more video, or subtract them."""
        return Totals(*(getattr(self, name) + sign * getattr(other, name) for name in self.__slots__))


@dataclass(slots=True)
class VideoProgress:
    """A video of a job, with its state and what is known of it."""

    task: InputVideo
    fingerprint: str
    options: str
    """SHA-256 of everything that the result depends on besides the source."""
    state: VideoState = VideoState.WAITING
    inspection: Inspection | None = None
    """Result of inspecting the source, where that came before planning."""
    planned: VideoPlanned | None = None
    parts: dict[int, SegmentDone] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    """Number of failed attempts, by task."""
    passthrough: set[int] = field(default_factory=set)
    finished: VideoDone | None = None
    """Finished result with the same source and options as now."""
    record: VideoRecord = field(default_factory=VideoRecord)
    """State according to the journal of earlier runs."""
    failure: VidrestoreError | None = None
    error: str | None = None
    """Error of the video, with the task that failed."""
    resumed: bool = False
    """Whether the video was done before this run."""
    resumed_parts: int = 0
    resumed_frames: int = 0
    """Number of frames in resumed parts, and in a video that was done before this run."""
    troubles: list[AttemptFailed] = field(default_factory=list)
    """Failed attempts of this run."""
    nodes: set[str] = field(default_factory=set)
    """Nodes that have read the source."""
    counted: Totals = field(default_factory=Totals)
    """Totals of this video as last added to those of the job."""

    @property
    def source(self) -> str:
        """Address of the source as text: bytes of a name that are not UTF-8 are written as escapes."""
        return as_text(self.task.source)

    @property
    def plan(self) -> VideoPlan:
        """The plan of a video that is planned."""
        assert self.planned is not None, "it is planned"  # noqa: S101
        return self.planned.plan

    @property
    def made_of(self) -> dict[int, SegmentDone]:
        """Segments of the result, of whichever run."""
        return self.record.made_of if self.resumed else self.parts

    @property
    def unrestored_frames(self) -> int:
        """Number of frames in segments that passed through unrestored."""
        if self.finished is not None:
            return self.finished.unrestored_frames
        return sum(part.report.segment.frames_written for part in self.parts.values() if part.passthrough)

    @property
    def read(self) -> ReadStatistics:
        """Statistics of the source's packets and frames, over the segments that are done."""
        segments = [self.made_of[index].report.segment.read for index in sorted(self.made_of)]
        counts = [one.name for one in fields(ReadStatistics) if one.name != "read_error"]
        sums = {name: sum(getattr(read, name) for read in segments) for name in counts}
        return ReadStatistics(**sums, read_error=next((read.read_error for read in segments if read.read_error), None))

    def part_name(self, index: int) -> str:
        """Name the part of a segment, for the current plan."""
        assert self.planned is not None, "it is planned"  # noqa: S101
        return self.planned.part_name(index, passthrough=index in self.passthrough)

    def recall(self, record: VideoRecord) -> None:
        """Take over what earlier runs have done of the video with its current source and options; ignore the rest."""
        self.record = record
        planned = record.planned
        if planned is not None and (planned.options, planned.source) == (self.options, self.source):
            self.planned = planned
            self.parts = dict(record.segments)
            self.passthrough = {index for index, part in self.parts.items() if part.passthrough}
        if record.done is not None and record.done.key.endswith(f":{self.options}"):
            self.finished = record.done

    def note_resumed(self) -> None:
        """Record how much was done before this run."""
        self.resumed_parts = len(self.parts)
        self.resumed_frames = sum(part.report.segment.frames_written for part in self.parts.values())

    def totals(self) -> Totals:
        """Add up the video's segments."""
        if self.planned is None:
            return Totals(retries=len(self.troubles))
        is_done = self.state is VideoState.DONE
        segments = [part.report.segment for part in (self.made_of if is_done else self.parts).values()]
        frames = sum(segment.frames_written for segment in segments)
        return Totals(
            segments=len(self.plan.spans),
            segments_done=len(self.plan.spans) if is_done else len(segments),
            frames=self.plan.frames,
            frames_done=self.plan.frames if is_done else frames,
            faces_done=sum(segment.counts.faces for segment in segments),
            resumed_frames=self.resumed_frames,
            retries=len(self.troubles),
        )


class VideoStates:
    """Moves the videos of a job from state to state: each transition is checked, journalled and logged here.

    Args:
        videos: all of them, waiting.
        write: called with each journal entry before anything builds on it.
    """

    def __init__(self, videos: Iterable[VideoProgress], write: Callable[[Entry], None]) -> None:
        self.counts: Counter[VideoState] = Counter(video.state for video in videos)
        self.totals = Totals()
        self._write = write

    def transition(self, video: VideoProgress, to: VideoState, reason: str, entry: Entry | None = None) -> None:
        """Move a video to another state, after its journal entry is written."""
        assert (video.state, to) in _TRANSITIONS, f"{video.state} -> {to}: there is no such way"  # noqa: S101
        if entry is not None:
            self._write(entry)
        _log.info("%s: %s -> %s: %s", as_text(video.task.destination), video.state.value, to.value, reason)
        self.counts[video.state] -= 1
        self.counts[to] += 1
        video.state = to
        self.recount(video)

    def fail(
        self, video: VideoProgress, error: VidrestoreError, *, message: str | None = None, is_noted: bool = True
    ) -> None:
        """Give up a video for this run; note it in the journal, or not."""
        video.failure, video.error = error, message or error.message
        entry = VideoFailed(video.task.destination, video.error) if is_noted else None
        self.transition(video, VideoState.FAILED, video.error, entry)

    def recount(self, video: VideoProgress) -> None:
        """Bring the totals up to date with one video."""
        now = video.totals()
        self.totals = self.totals.plus(video.counted, sign=-1).plus(now)
        video.counted = now

    def begun(self) -> bool:
        """Return whether any video is in progress."""
        return any(self.counts[state] for state in VideoState if state not in {VideoState.DONE, VideoState.FAILED})


def recall(videos: Iterable[VideoProgress], entries: Iterable[Entry]) -> int:
    """Take over the finished work of a journal.

    Returns:
        Number of impossible entries about these videos.
    """
    records = replay(entries)
    impossible = 0
    for video in videos:
        record = records.get(video.task.destination)
        if record is not None:
            video.recall(record)
            impossible += record.impossible
    return impossible
