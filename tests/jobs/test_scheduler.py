"""The rules of a job, without workers: which task is next, what a failure means, which way a video may go."""

from array import array
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from support import video_factory
from vidrestore.config import update
from vidrestore.errors import InputError, RestorationError, WorkerError
from vidrestore.jobs.entries import AttemptFailed, Entry, VideoFailed, VideoPlanned, replay
from vidrestore.jobs.inputs import InputVideo
from vidrestore.jobs.scheduler import Assignment, Scheduler, SchedulerConfig
from vidrestore.jobs.segment import SegmentReport
from vidrestore.jobs.tasks import (
    DamagedParts,
    Inspection,
    Muxed,
    MuxTask,
    PartReport,
    PlanTask,
    RestoreTask,
    VideoPlan,
    split,
)
from vidrestore.jobs.videos import VideoProgress, VideoState, VideoStates
from vidrestore.media.reader import ReadStatistics, SegmentRange
from vidrestore.media.remux.mux import RemuxReport
from vidrestore.media.remux.plan import RemuxPlan
from vidrestore.media.segments import VideoIndex
from vidrestore.report import Counts
from vidrestore.restoration.config import VideoRestoreConfig
from vidrestore.runtime.worker_pool import TaskDone, TaskFailed

SPANS = (SegmentRange(None, None, 10, 12), SegmentRange(8, 10, 20, 22, 6), SegmentRange(18, 20, None, None, 16))
PLAN = VideoPlan("ab" * 32, 30, 64, 48, 1.2, SPANS, (10, 10, 10), (), None)


def a_scheduler(*sources: str, **options: Any) -> tuple[Scheduler, list[VideoProgress], list[Entry]]:
    videos = [
        VideoProgress(InputVideo(source, f"{number}.mp4", 0, VideoRestoreConfig()), "x", "y")
        for number, source in enumerate(sources)
    ]
    written: list[Entry] = []
    rules = {"retries": 2, "on_error": "fail", "segment_cost": 1000.0, "segment_seconds": None, "max_open_videos": 64}
    config = SchedulerConfig(out="/out", parts="/no/such/folder", scratch="/no/such/folder", **{**rules, **options})
    return Scheduler(videos, VideoStates(videos, written.append), config, written.append), videos, written


def result_of(assignment: Assignment, **read: int) -> Any:
    task = assignment.task
    if isinstance(task, PlanTask):
        return PLAN
    if isinstance(task, RestoreTask):
        segment = SegmentReport(10, ReadStatistics(10, **read), Counts(faces=4), {})
        return PartReport(task.part, "cd" * 32, 7, segment)
    return Muxed("z", "ef" * 32, 9, RemuxReport(30, (), (), ()))


def take(scheduler: Scheduler, node: str = "here") -> tuple[int, Assignment]:
    taken = scheduler.next_task(node)
    assert taken is not None
    return taken


def succeed(scheduler: Scheduler, node: str = "here", **read: int) -> Assignment:
    task_id, assignment = take(scheduler, node)
    return scheduler.on_event(TaskDone(task_id, result_of(assignment, **read), node, 1.0))


def fail(scheduler: Scheduler, error: Any, *, worker_lost: bool = False, preempted: bool = False) -> Assignment:
    task_id, _ = take(scheduler)
    return scheduler.on_event(TaskFailed(task_id, error, worker_lost, "here", 1.0, preempted))


def test_a_video_goes_from_its_plan_to_its_result() -> None:
    scheduler, (video,), written = a_scheduler("/a.mp4")
    names = [succeed(scheduler).task_name for _ in range(5)]
    assert names == ["plan", "segment 0", "segment 1", "segment 2", "mux"]
    assert scheduler.finished
    assert video.state is VideoState.DONE
    assert (scheduler.states.totals.frames_done, scheduler.states.totals.faces_done) == (30, 12)
    assert scheduler.obsolete_parts == [f"/no/such/folder/{video.part_name(index)}" for index in range(3)]
    assert replay(written)["0.mp4"].state == "done"


def test_there_is_no_way_but_those_in_the_table() -> None:
    _, videos, written = a_scheduler("/a.mp4")
    states = VideoStates(videos, written.append)
    with pytest.raises(AssertionError, match="no such way"):
        states.transition(videos[0], VideoState.MUXING, "by mistake")
    states.fail(videos[0], InputError("it is empty"))
    with pytest.raises(AssertionError, match="no such way"):
        states.transition(videos[0], VideoState.PLANNING, "once more")


def test_a_failure_is_noted_with_its_attempts() -> None:
    scheduler, (video,), written = a_scheduler("/a.mp4")
    succeed(scheduler)
    for _ in range(3):
        fail(scheduler, WorkerError("killed"), worker_lost=True)
    assert video.error == "segment 0: killed (tried 3 times)"
    assert isinstance(video.failure, WorkerError)
    assert Counter(type(entry) for entry in written) == {VideoPlanned: 1, AttemptFailed: 3, VideoFailed: 1}
    record = replay(written)["0.mp4"]
    assert (record.state, record.failed_attempts, record.failure) == ("failed", 3, video.error)
    assert scheduler.finished
    assert scheduler.next_task("here") is None, "its other segments are not restored"


def test_a_preempted_task_is_not_held_against_it() -> None:
    scheduler, (video,), _ = a_scheduler("/a.mp4")
    succeed(scheduler)
    for _ in range(9):
        fail(scheduler, WorkerError("killed"), worker_lost=True, preempted=True)
    assert video.state is VideoState.RESTORING
    for _ in range(4):
        succeed(scheduler)
    assert video.state is VideoState.DONE


def test_a_segment_that_cannot_be_restored_may_pass_through() -> None:
    scheduler, (video,), _ = a_scheduler("/a.mp4", on_error="passthrough")
    succeed(scheduler)
    before = video.part_name(0)
    fail(scheduler, RestorationError("not finite"))
    tasks = [succeed(scheduler).task for _ in range(3)]
    assert [task.passthrough for task in tasks if isinstance(task, RestoreTask)] == [True, False, False]
    assert video.part_name(0) != before
    succeed(scheduler)
    assert (video.state, video.unrestored_frames) == (VideoState.DONE, 10)


@pytest.mark.parametrize("strict", [False, True])
def test_a_damaged_source_is_an_error_where_it_is_to_be(*, strict: bool) -> None:
    scheduler, (video,), _ = a_scheduler("/a.mp4", strict=strict)
    succeed(scheduler)
    succeed(scheduler, corrupt_frames=1)
    assert (video.state is VideoState.FAILED) == strict
    if strict:
        assert "without --strict" in str(video.error)


def test_damaged_parts_are_made_again() -> None:
    scheduler, (video,), written = a_scheduler("/a.mp4")
    for _ in range(4):
        succeed(scheduler)
    task_id, assignment = take(scheduler)
    assert isinstance(assignment.task, MuxTask)
    scheduler.on_event(TaskDone(task_id, DamagedParts((1,)), "here", 1.0))
    assert [succeed(scheduler).task_name for _ in range(2)] == ["segment 1", "mux"]
    assert video.state is VideoState.DONE
    assert replay(written)["0.mp4"].state == "done"


def test_a_node_goes_on_with_what_it_has_fetched() -> None:
    scheduler, _, _ = a_scheduler("s3://b/a.mp4", "s3://b/b.mp4")
    for node in ("one", "two"):
        succeed(scheduler, node)
    taken = [(node, succeed(scheduler, node).video) for node in ("two", "one", "two", "one")]
    assert taken == [("two", 1), ("one", 0)] * 2


def test_many_videos_cost_no_more_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is counted is kept up to date, one video at a time."""
    counted: Counter[str] = Counter()
    totals = VideoProgress.totals

    def count(video: VideoProgress) -> Any:
        counted["videos"] += 1
        return totals(video)

    monkeypatch.setattr(VideoProgress, "totals", count)
    scheduler, videos, _ = a_scheduler(*(f"/{number}.mp4" for number in range(500)))
    while not scheduler.finished:
        assert scheduler.pending > 0
        succeed(scheduler)
    assert all(video.state is VideoState.DONE for video in videos)
    assert counted["videos"] <= 10 * len(videos)


def test_all_segments_of_a_video_get_the_same_encoder_threads() -> None:
    scheduler, videos, _ = a_scheduler("a.mp4")
    scheduler.capacity, scheduler.cores_per_worker = 2, 3.0
    succeed(scheduler)
    first = take(scheduler)[1].task
    scheduler.capacity = 1
    second = take(scheduler)[1].task
    assert isinstance(first, RestoreTask)
    assert isinstance(second, RestoreTask)
    assert first.config.encode.threads == second.config.encode.threads == 3
    assert videos[0].task.config.encode.threads == 0, "what the result is compared by does not change"


def test_a_number_of_threads_that_was_asked_for_stays() -> None:
    config = update(VideoRestoreConfig(), {"encode": {"threads": 5}})
    scheduler, videos, _ = a_scheduler("a.mp4")
    videos[0].task = replace(videos[0].task, config=config)
    succeed(scheduler)
    task = take(scheduler)[1].task
    assert isinstance(task, RestoreTask)
    assert task.config.encode.threads == 5


@pytest.mark.parametrize(
    ("frames", "workers", "segments"),
    [(5000, 1, 3), (5000, 8, 8), (5000, 15, 15), (30_000, 15, 30), (300, 8, 3), (500, 8, 5), (50, 8, 1)],
)
def test_a_video_is_split_so_that_all_workers_have_work(frames: int, workers: int, segments: int) -> None:
    plan = split(an_inspection(frames), VideoRestoreConfig(), segment_cost=3000.0, min_segments=workers)
    assert len(plan.spans) == segments
    assert sum(plan.frames_in_spans) == frames
    assert max(plan.frames_in_spans) <= 1.25 * frames / segments


def an_inspection(frames: int) -> Inspection:
    """A video of 1080p at 25 frames a second, with a keyframe every ten seconds."""
    info = video_factory.make_info(width=1920, height=1080)
    step = round(1 / (25 * info.time_base))
    times = array("q", range(0, frames * step, step))
    return Inspection("x", info, VideoIndex(info.time_base, times, times[::250]), RemuxPlan("mp4", ()), "ab" * 32)
