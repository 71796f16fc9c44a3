"""Scheduling rules of a job: the next task, and what follows from an outcome; without a clock, a cluster or a disk."""

import heapq
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

from vidrestore import storage
from vidrestore.errors import InputError, StorageError, VidrestoreError
from vidrestore.jobs.config import OnError
from vidrestore.jobs.entries import AttemptFailed, Entry, PartsInvalidated, SegmentDone, VideoDone, VideoPlanned
from vidrestore.jobs.retries import Answer, answer_to_failure
from vidrestore.jobs.segment_queue import SegmentQueue
from vidrestore.jobs.tasks import (
    DamagedParts,
    JobTask,
    Muxed,
    MuxTask,
    PartReport,
    PlanTask,
    RestoreTask,
    VideoPlan,
    split,
)
from vidrestore.jobs.videos import VideoProgress, VideoState, VideoStates
from vidrestore.media.rewrite import refuse_losses
from vidrestore.restoration.config import VideoRestoreConfig
from vidrestore.runtime.choice import encoder_threads
from vidrestore.runtime.worker_pool import Event, TaskDone, TaskFailed


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """Options of the scheduler."""

    out: str
    """Address of the output folder."""
    parts: str
    """Address of the folder for parts."""
    scratch: str
    """Address of a folder on the disk of the output folder."""
    retries: int
    """Number of times that a task is submitted again after its worker died."""
    on_error: OnError
    segment_cost: float
    segment_seconds: float | None
    max_open_videos: int
    """Maximum number of planned videos that wait, which bounds the memory for their plans."""
    strict: bool = False
    """Whether a damaged source is an error."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A task with its video and segment."""

    video: int
    task_name: str
    task: JobTask
    segment_index: int | None = None


class Scheduler:
    """Hands out tasks and processes their outcomes.

    Planning goes before muxing and muxing before restoring; of segments the costliest goes first, over all videos.

    Args:
        videos: all of them; those that wait have what an earlier run has done filled in.
        states: moves them from state to state.
        config: options of the scheduler.
        write: called with each journal entry before anything builds on it.
    """

    def __init__(
        self, videos: list[VideoProgress], states: VideoStates, config: SchedulerConfig, write: Callable[[Entry], None]
    ) -> None:
        self.videos = videos
        self.states = states
        self.capacity = 1
        """Number of workers that could run at the same time: a video is split so that none of them is idle."""
        self.cores_per_worker = 1.0
        """Number of cores that each of them may count on."""
        self.obsolete_parts: list[str] = []
        """Addresses of parts that are not needed any more; the caller removes them."""
        self._config = config
        self._write = write
        self._to_plan: list[tuple[int, int]] = []
        self._to_mux: list[int] = []
        self._segments = SegmentQueue()
        self._encoder_threads: dict[int, int] = {}
        self._read_by: defaultdict[str, set[int]] = defaultdict(set)
        """Numbers of the videos whose source each node has read."""
        self._open: dict[int, Assignment] = {}
        self._task_ids = 0
        for number, video in enumerate(videos):
            if video.state is not VideoState.WAITING:
                continue
            planned = video.planned if video.finished is None else None
            if planned is not None and planned.fingerprint == video.fingerprint:
                video.note_resumed()
                is_lost = video.record.published is not None  # what this job published is gone: claim its place again
                self._enqueue(number, "planned before", planned if is_lost else None)
            else:
                self._to_plan.append((-video.task.bytes, number))
        heapq.heapify(self._to_plan)

    @property
    def finished(self) -> bool:
        """Whether every video is done or has failed."""
        return not self._open and not self.states.begun()

    @property
    def pending(self) -> int:
        """Number of tasks that could be submitted now."""
        return len(self._segments) + len(self._to_mux) + (len(self._to_plan) if self._may_plan() else 0)

    def next_task(self, node: str) -> tuple[int, Assignment] | None:
        """Return the best task for a worker of a node, and its number; None when there is nothing to do now."""
        assignment = self._next_plan() or self._next_mux() or self._next_segment(node)
        if assignment is None:
            return None
        self.videos[assignment.video].nodes.add(node)
        self._read_by[node].add(assignment.video)
        self._task_ids += 1
        self._open[self._task_ids] = assignment
        return self._task_ids, assignment

    def on_event(self, event: Event) -> Assignment:
        """Process the outcome of a task."""
        assignment = self._open.pop(event.task_id)
        if isinstance(event, TaskDone):
            self._on_done(assignment, event)
        else:
            self._on_failed(assignment, event)
        self.states.recount(self.videos[assignment.video])
        return assignment

    def _may_plan(self) -> bool:
        counts = self.states.counts
        return counts[VideoState.PLANNING] + counts[VideoState.RESTORING] < self._config.max_open_videos

    def _next_plan(self) -> Assignment | None:
        while self._to_plan and self._may_plan():
            number = heapq.heappop(self._to_plan)[1]
            video, config = self.videos[number], self._config
            self.states.transition(video, VideoState.PLANNING, "it is its turn")
            min_segments = max(1, self.capacity // len(self.videos))
            if video.inspection is not None:  # the source was looked at before there were workers
                plan = split(
                    video.inspection,
                    video.task.config,
                    segment_cost=config.segment_cost,
                    segment_seconds=config.segment_seconds,
                    min_segments=min_segments,
                )
                self._on_planned(number, plan)
                continue
            task = PlanTask(
                video.task.source,
                video.fingerprint,
                video.task.destination,
                video.task.config,
                config.segment_cost,
                config.segment_seconds,
                min_segments,
            )
            return Assignment(number, "plan", task)
        return None

    def _next_mux(self) -> Assignment | None:
        if not self._to_mux:
            return None
        number = self._to_mux.pop(0)
        video = self.videos[number]
        parts = [video.parts[index] for index in range(len(video.plan.spans))]
        task = MuxTask(
            video.task.source,
            video.fingerprint,
            tuple((self._part(video, part.index), part.report.sha256) for part in parts),
            self._config.out,
            video.task.destination,
            sum(part.report.segment.frames_written for part in parts),
            self._config.scratch,
            self._config.strict,
            video.plan.info,
            video.plan.remux,
        )
        return Assignment(number, "mux", task)

    def _next_segment(self, node: str) -> Assignment | None:
        """Choose the costliest; where sources must be fetched, rather one of a video that this node has fetched."""
        number = self._segments.costliest_video()
        if number is None:
            return None
        if storage.is_remote(self.videos[number].task.source) and node not in self.videos[number].nodes:
            read = self._read_by[node] = {one for one in self._read_by[node] if not self._is_over(one)}
            near = self._segments.costliest_video(read)
            number = number if near is None else near
        index = self._segments.pop(number)
        video = self.videos[number]
        task = RestoreTask(
            video.task.source,
            video.fingerprint,
            video.plan.spans[index],
            self._part(video, index),
            self._with_encoder_threads(number),
            index in video.passthrough,
        )
        return Assignment(number, f"segment {index}", task, index)

    def _with_encoder_threads(self, number: int) -> VideoRestoreConfig:
        """Return the options of a video, with a number of encoder threads: the same for all of its segments."""
        video = self.videos[number]
        encode = video.task.config.encode
        if not encode.threads:
            at_once = min(self.capacity, len(video.plan.spans) * len(self.videos))
            threads = encoder_threads(self.capacity * self.cores_per_worker, at_once)
            encode = replace(encode, threads=self._encoder_threads.setdefault(number, threads))
        return replace(video.task.config, encode=encode)

    def _is_over(self, number: int) -> bool:
        return self.videos[number].state in {VideoState.DONE, VideoState.FAILED}

    def _enqueue(self, number: int, reason: str, entry: Entry | None = None) -> None:
        """Queue the remaining work of a planned video."""
        video = self.videos[number]
        if video.state is not VideoState.RESTORING:
            self.states.transition(video, VideoState.RESTORING, reason, entry)
        if self._refuses(number):
            return
        missing = [index for index in range(len(video.plan.spans)) if index not in video.parts]
        for index in missing:
            self._segments.push(number, index, video.plan.cost(index))
        if not missing:
            self._mux(number)

    def _mux(self, number: int) -> None:
        self.states.transition(self.videos[number], VideoState.MUXING, "all segments are done")
        self._to_mux.append(number)

    def _refuses(self, number: int) -> bool:
        """Give up a video whose source turned out to be damaged, where that is an error."""
        if not self._config.strict:
            return False
        video = self.videos[number]
        try:
            refuse_losses(video.read.losses(), video.task.source, strict=True)
        except InputError as error:
            self._give_up(number, error)
            return True
        return False

    def _on_done(self, assignment: Assignment, event: TaskDone) -> None:
        number, result = assignment.video, event.result
        video = self.videos[number]
        if video.state is VideoState.FAILED:
            return
        if isinstance(result, VideoPlan):
            self._on_planned(number, result)
        elif isinstance(result, PartReport):
            self._on_restored(assignment, result, event.seconds)
        elif isinstance(result, Muxed):
            assert video.planned is not None, "a video that is muxed is planned"  # noqa: S101
            done = VideoDone(video.task.destination, video.planned.key, result, video.unrestored_frames)
            self.states.transition(video, VideoState.DONE, "published", done)
            video.finished = done
            self.obsolete_parts += [self._part(video, index) for index in video.parts]
        elif isinstance(result, DamagedParts):
            self._on_damaged(number, result.indices)

    def _on_planned(self, number: int, plan: VideoPlan) -> None:
        video = self.videos[number]
        before = video.planned
        planned = VideoPlanned(video.task.destination, video.source, video.fingerprint, video.options, plan)
        if before is not None and before.key == planned.key:
            # what is done of it was split as it was then
            kept = replace(before.plan, info=plan.info, remux=plan.remux)
            planned = replace(planned, plan=kept)
        else:
            video.parts.clear()
        video.planned = planned
        if video.finished is not None and video.finished.key == planned.key:
            video.resumed, video.resumed_frames = True, plan.frames
            self.states.transition(video, VideoState.DONE, "the source was touched, and is what it was", planned)
            return
        video.finished = None
        video.note_resumed()
        self._enqueue(number, "planned", planned)

    def _on_restored(self, assignment: Assignment, report: PartReport, seconds: float) -> None:
        number, index = assignment.video, assignment.segment_index
        video = self.videos[number]
        assert video.planned is not None, "a segment is of a planned video"  # noqa: S101
        assert index is not None, "it has an index"  # noqa: S101
        if self._is_stale(assignment):
            return
        held, read = video.plan.frames_in_spans[index], report.segment.read
        if len(video.plan.spans) > 1 and held != read.frames + read.undecodable_packets + read.empty_packets:
            reason = f"segment {index} held {read.frames} frames where {held} were counted"
            self._restore_in_one_piece(number, reason)
            return
        attempts = video.attempts.get(assignment.task_name, 0) + 1
        passed = index in video.passthrough
        done = SegmentDone(video.task.destination, video.planned.key, index, report, seconds, attempts, passed)
        self._write(done)
        video.parts[index] = done
        if not self._refuses(number) and len(video.parts) == len(video.plan.spans):
            self._mux(number)

    def _restore_in_one_piece(self, number: int, reason: str) -> None:
        """Restore a video without splitting it, since its packets do not predict its frames."""
        video = self.videos[number]
        assert video.planned is not None, "it was split"  # noqa: S101
        video.planned = replace(video.planned, plan=video.plan.in_one_piece(reason))
        self._write(video.planned)
        video.parts.clear()
        self._segments.drop(number)
        self._enqueue(number, reason)

    def _on_damaged(self, number: int, indices: tuple[int, ...]) -> None:
        video = self.videos[number]
        assert video.planned is not None, "a video that is muxed is planned"  # noqa: S101
        video.attempts["mux"] = video.attempts.get("mux", 0) + 1
        invalidated = PartsInvalidated(video.task.destination, video.planned.key, indices)
        if video.attempts["mux"] > self._config.retries:
            self._write(invalidated)
            message = f"its parts are damaged again and again: check the disk under {self._config.parts}"
            self._give_up(number, StorageError(message))
            return
        for index in indices:
            video.parts.pop(index, None)
        self._enqueue(number, "parts are damaged", invalidated)

    def _on_failed(self, assignment: Assignment, event: TaskFailed) -> None:
        video = self.videos[assignment.video]
        attempt = video.attempts.get(assignment.task_name, 0) + (not event.preempted)
        video.attempts[assignment.task_name] = attempt
        message = event.error.message
        failed = AttemptFailed(
            video.task.destination,
            assignment.task_name,
            attempt,
            message,
            event.worker_lost,
            event.node,
            event.seconds,
        )
        self._write(failed)
        video.troubles.append(failed)
        if video.state is VideoState.FAILED or self._is_stale(assignment):
            return
        answer = answer_to_failure(
            event,
            attempt=attempt,
            retries=self._config.retries,
            may_pass_through=self._config.on_error == "passthrough"
            and assignment.segment_index is not None
            and assignment.segment_index not in video.passthrough,
        )
        if answer is Answer.PASS_THROUGH:
            assert assignment.segment_index is not None, "it is a segment"  # noqa: S101
            video.passthrough.add(assignment.segment_index)
            video.attempts[assignment.task_name] = 0
        if answer is Answer.GIVE_UP:
            tried = f" (tried {attempt} times)" if attempt > 1 else ""
            self._give_up(assignment.video, event.error, f"{assignment.task_name}: {message}{tried}")
        else:
            self._retry(assignment)

    def _is_stale(self, assignment: Assignment) -> bool:
        """Return whether the video has been split differently since a segment of it was submitted."""
        if not isinstance(assignment.task, RestoreTask) or assignment.segment_index is None:
            return False
        spans = self.videos[assignment.video].plan.spans
        return assignment.segment_index >= len(spans) or assignment.task.span != spans[assignment.segment_index]

    def _retry(self, assignment: Assignment) -> None:
        video = self.videos[assignment.video]
        if assignment.segment_index is not None:
            index = assignment.segment_index
            self._segments.push(assignment.video, index, video.plan.cost(index))
        elif isinstance(assignment.task, PlanTask):
            self.states.transition(video, VideoState.WAITING, "planning failed, and may succeed")
            heapq.heappush(self._to_plan, (-video.task.bytes, assignment.video))
        else:
            self._to_mux.append(assignment.video)

    def _give_up(self, number: int, error: VidrestoreError, message: str | None = None) -> None:
        self._segments.drop(number)
        self.states.fail(self.videos[number], error, message=message)

    def _part(self, video: VideoProgress, index: int) -> str:
        """Return the address of a segment's part: always in this job's folder, whatever the journal says."""
        return storage.join(self._config.parts, video.part_name(index))
