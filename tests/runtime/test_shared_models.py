"""Networks that several threads share, and a pool of several threads."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from vidrestore.config import update
from vidrestore.errors import ModelError, RestorationError
from vidrestore.report import Recorder
from vidrestore.restoration.config import VideoRestoreConfig
from vidrestore.restoration.pipeline import InferenceModels
from vidrestore.runtime.shared_models import Device, SharedExecutor, recorded, shared
from vidrestore.runtime.worker_pool import LocalWorkerPool, OnProgress, Progress, TaskDone, TaskFailed
from vidrestore.stages import Inline


class Network:
    """Doubles numbers; the first call waits until the test lets it go on. Refuses numbers below zero."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.begun, self.may_go_on = threading.Event(), threading.Event()

    def __call__(self, items: Sequence[int], /) -> list[int]:
        self.calls.append(list(items))
        self.begun.set()
        assert self.may_go_on.wait(30)
        if min(items) < 0:
            raise RestorationError(f"{items} are below zero")
        return [2 * item for item in items]


def await_queue(executor: SharedExecutor[int, int], length: int) -> None:
    turn = threading.Event()
    while len(executor._waiting) < length:
        turn.wait(0.001)


def results_of(batches: list[list[int]], *, full: int) -> tuple[Network, list[Any]]:
    """Run batches, each in a thread of its own, and all but the first while the network is busy with the first."""
    network = Network()
    executor = SharedExecutor(Inline(network), Device(), full=full)

    def run(batch: list[int]) -> Any:
        try:
            return list(next(executor.map([batch])))
        except RestorationError as error:
            return error

    with ThreadPoolExecutor(len(batches)) as threads:
        futures = [threads.submit(run, batches[0])]
        assert network.begun.wait(30)
        for number, batch in enumerate(batches[1:], 1):
            futures.append(threads.submit(run, batch))
            await_queue(executor, number)
        network.may_go_on.set()
        return network, [future.result(30) for future in futures]


def test_batches_that_wait_are_joined_up_to_a_full_one() -> None:
    network, results = results_of([[1], [2, 3], [4], [5, 6]], full=3)

    assert results == [[2], [4, 6], [8], [10, 12]]
    assert network.calls[0] == [1]
    assert sorted(map(sorted, network.calls[1:])) in ([[2, 3, 4], [5, 6]], [[2, 3], [4, 5, 6]])


def test_bad_data_of_one_thread_fails_no_other() -> None:
    _, results = results_of([[1], [2], [-3], [4]], full=8)

    assert results[0] == [2]
    assert results[1] == [4]
    assert results[3] == [8]
    assert isinstance(results[2], RestorationError)


def test_waiting_for_the_networks_is_told_from_their_work() -> None:
    device, recorder = Device(), Recorder()
    models = InferenceModels(Inline(lambda items: [() for _ in items]), Inline(list), crop_size=8, batch_size=2)
    parts = recorded(shared(models, device), recorder)

    with recorder.timing("restore"):
        list(parts.restorer.map([[np.zeros((8, 8, 3), np.uint8)]]))

    assert set(recorder.seconds) == {"wait", "restore"}
    assert device.seconds > 0
    assert parts.crop_size == 8
    assert parts.visibility is None


@dataclass(frozen=True)
class MeetingTask:
    """Ends when as many tasks as are expected have begun."""

    reports_progress: ClassVar[bool] = True

    meeting: threading.Barrier
    number: int

    def run(self, models: InferenceModels, on_progress: OnProgress) -> int:
        assert models.batch_size == 1
        on_progress(Progress(self.number, 0))
        self.meeting.wait(30)
        if self.number == 2:
            raise RestorationError("no")
        return self.number


def test_as_many_tasks_run_at_once_as_there_are_threads() -> None:
    models = InferenceModels(Inline(list), Inline(list), crop_size=8, batch_size=1)  # type: ignore[arg-type]
    meeting = threading.Barrier(3)
    with LocalWorkerPool(models, "none", workers=3) as pool:
        assert pool.capacity == len(pool.idle_workers()) == 3
        for worker in pool.idle_workers():
            pool.submit(worker, 10 + worker.number, MeetingTask(meeting, worker.number))
        assert not pool.idle_workers()
        events: list[TaskDone | TaskFailed] = []
        while len(events) < 3:
            events += pool.poll(5.0)
        assert len(pool.idle_workers()) == 3

    outcomes = {event.task_id: event for event in events}
    assert isinstance(outcomes[10], TaskDone)
    assert isinstance(outcomes[11], TaskDone)
    assert outcomes[11].result == 1
    assert isinstance(outcomes[12], TaskFailed)


def test_leaving_the_pool_stops_what_runs() -> None:
    models = InferenceModels(Inline(list), Inline(list), crop_size=8, batch_size=1)  # type: ignore[arg-type]
    begun = threading.Event()

    class Endless:
        reports_progress = True

        def run(self, models: InferenceModels, on_progress: OnProgress) -> None:
            del models
            while True:
                on_progress(Progress())
                begun.set()

    with LocalWorkerPool(models, "none", workers=2) as pool:
        pool.submit(pool.idle_workers()[0], 1, Endless())
        assert begun.wait(30)


def test_an_error_of_loading_is_raised_to_who_asks() -> None:
    config = update(VideoRestoreConfig(), {"restorer": {"model": "/nowhere/weights.pth"}})
    with LocalWorkerPool.load(config) as pool, pytest.raises(ModelError, match="nowhere"):
        _ = pool.model_sha256


def test_faces_are_found_while_clips_are_restored() -> None:
    clips, finder = Network(), Network()
    finder.may_go_on.set()
    models: Any = InferenceModels(Inline(finder), Inline(finder), crop_size=8, batch_size=1, clips=Inline(clips))
    threads = shared(models, Device())
    with ThreadPoolExecutor(1) as other:
        restored = other.submit(lambda: [*threads.clips.map([[1], [2]])])
        assert clips.begun.wait(30)
        assert next(iter(threads.detector.map([[3]]))) == [6]
        clips.may_go_on.set()
        assert restored.result(30) == [[2], [4]]
