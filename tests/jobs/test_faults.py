"""Workers, machines and drivers die; the films come out as if nothing had happened, and little is done twice."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import ray
from ray.cluster_utils import Cluster

from benchmarks.simulated import simulated
from vidrestore.config import update
from vidrestore.errors import WorkerError
from vidrestore.jobs.config import BatchConfig
from vidrestore.jobs.entries import AttemptFailed, SegmentDone
from vidrestore.jobs.journal import read_journal
from vidrestore.jobs.progress import JobProgress
from vidrestore.jobs.report import JobReport
from vidrestore.jobs.restore import restore_videos
from vidrestore.media.reader import VideoReader
from vidrestore.runtime.ray.worker_pool import RayWorkerPool
from vidrestore.runtime.worker_pool import LocalWorkerPool

pytestmark = [pytest.mark.ray, pytest.mark.slow]

MakeClip = Callable[..., Path]
SHORT_SIGHTED = {"history_seconds": 0.3, "lookahead_seconds": 0.2, "max_gap_seconds": 0.2, "max_lost_seconds": 0.2}
QUICK_TO_NOTICE = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 400,
    "health_check_timeout_ms": 2000,
    "health_check_failure_threshold": 3,
}
WORKERS = ("TaskWorker", "InferenceWorker")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three machines on this one, that notice each other's death soon."""
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 2, "_system_config": QUICK_TO_NOTICE, "include_dashboard": False},
    )
    for _ in range(2):
        cluster.add_node(num_cpus=2)
    cluster.wait_for_nodes()
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(autouse=True)
def _disconnect() -> Iterator[None]:
    yield
    ray.shutdown()


def a_job(address: str | None, **options: Any) -> BatchConfig:
    base = {
        "restore": {"encode": {"lossless": True}, "tracker": SHORT_SIGHTED},
        "retries": 8,
        "ray": {"address": address, "start_timeout_seconds": 60.0},
        "segment_seconds": 0.8,
    }
    return update(BatchConfig(), {**base, **options})


def on_ray(
    videos: Path,
    out: Path,
    job: BatchConfig,
    *,
    most: int = 0,
    seconds: float = 0.01,
    watch: Callable[[JobProgress], None] | None = None,
) -> JobReport:
    pool = partial(RayWorkerPool, job.restore, job.ray, most=most, face_worker=simulated(seconds))
    return restore_videos([str(videos)], str(out), job, on_progress=watch, open_pool=pool)


@pytest.fixture(scope="module")
def videos(make_clip: MakeClip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for number in range(3):
        make_clip(folder, f"{number}.mp4", frames=50 + 15 * number, seed=number)
    return folder


@pytest.fixture(scope="module")
def expected(videos: Path, simulated_parts: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[bytes]]:
    """What one process makes of them, whole."""
    out = tmp_path_factory.mktemp("expected")
    job = a_job(None, segment_seconds=1000.0)
    restore_videos([str(videos)], str(out), job, open_pool=lambda: LocalWorkerPool(simulated_parts, "simulated"))
    return results(out)


def results(out: Path) -> dict[str, list[bytes]]:
    found = {}
    for path in sorted(out.glob("*.mkv")):
        with VideoReader(path) as reader:
            found[path.name] = [
                f"{float(frame.seconds):.3f}".encode() + b"".join(plane.tobytes() for plane in frame.planes)
                for frame in reader
            ]
    return found


def done_of(out: Path) -> Counter[tuple[str, int]]:
    """How often each segment was done."""
    entries = read_journal(out / ".vidrestore" / "journal.jsonl")
    return Counter((entry.destination, entry.index) for entry in entries if isinstance(entry, SegmentDone))


def workers_of(kind: str, root: int | None = None) -> list[psutil.Process]:
    found = []
    for process in psutil.Process(root).children(recursive=True):
        try:
            if process.name().startswith("ray::") and kind in " ".join([process.name(), *process.cmdline()]):
                found.append(process)
        except psutil.Error:
            continue
    return found


class Saboteur:
    """Kills something at random moments while a job runs, as often as asked."""

    def __init__(self, cluster: Cluster, kills: int, *, seed: int, nodes: bool) -> None:
        self._random = random.Random(seed)  # noqa: S311  not for secrets
        self._cluster = cluster
        self._left = kills
        self._nodes = nodes
        self._next = 0.0
        self.kills: Counter[str] = Counter()

    def __call__(self, progress: JobProgress) -> None:
        if not self._left or not progress.pool.busy:
            return
        if not self._next:
            self._next = progress.seconds + self._random.uniform(0.1, 1.0)
        if progress.seconds < self._next:
            return
        what = self._random.choice([*WORKERS, *(["node"] if self._nodes else [])])
        if self._kill(what):
            self._left -= 1
            self.kills[what] += 1
            self._next = progress.seconds + self._random.uniform(0.3, 2.0)

    def _kill(self, what: str) -> bool:
        if what == "node":
            victims = list(self._cluster.worker_nodes)
            if not victims:
                return False
            self._cluster.remove_node(self._random.choice(victims), allow_graceful=False)
            self._cluster.add_node(num_cpus=2)
            return True
        victims = workers_of(what)
        if victims:
            self._random.choice(victims).kill()
        return bool(victims)


@pytest.mark.nightly
@pytest.mark.parametrize("most", [1, 4])
def test_any_number_of_workers_gives_the_same_bits(
    cluster: Cluster, videos: Path, expected: dict[str, list[bytes]], tmp_path: Path, most: int
) -> None:
    report = on_ray(videos, tmp_path, a_job(cluster.address), most=most)
    assert report.done == 3
    assert report.retries == 0
    assert results(tmp_path) == expected
    assert set(done_of(tmp_path).values()) == {1}
    assert max(sample.workers for sample in report.samples) <= most


@pytest.mark.parametrize(
    ("kills", "among", "seed"),
    [(2, "nodes too", 2), (12, "workers", 3), (6, "nodes too", 4), (6, "nodes too", 5)],
)
@pytest.mark.nightly
def test_deaths_cost_time_and_no_frame(
    cluster: Cluster,
    videos: Path,
    expected: dict[str, list[bytes]],
    tmp_path: Path,
    kills: int,
    among: str,
    seed: int,
) -> None:
    saboteur = Saboteur(cluster, kills, seed=seed, nodes=among == "nodes too")
    report = on_ray(videos, tmp_path, a_job(cluster.address), seconds=max(0.06, 0.01 * kills), watch=saboteur)
    assert saboteur.kills.total() == kills, saboteur.kills
    assert report.done == 3
    assert results(tmp_path) == expected
    assert set(done_of(tmp_path).values()) == {1}, "what was done is not done again"
    told = [
        entry for entry in read_journal(tmp_path / ".vidrestore" / "journal.jsonl") if isinstance(entry, AttemptFailed)
    ]
    assert len(told) == report.retries
    left = [path.name for path in tmp_path.rglob("*") if path.name.startswith((".order", ".0", ".1", ".2"))]
    assert not left, "nothing half done is left"


DRIVER = """
import sys
from functools import partial
from benchmarks.simulated import simulated
from vidrestore.config import update
from vidrestore.jobs.config import BatchConfig
from vidrestore.jobs.restore import restore_videos
from vidrestore.runtime.ray.worker_pool import RayWorkerPool
job = update(BatchConfig(), {"restore": {"encode": {"lossless": True}, "tracker": %r}, "segment_seconds": 0.8,
    "ray": {"address": sys.argv[1]}})
print("begins", flush=True)
restore_videos([sys.argv[2]], sys.argv[3], job,
    open_pool=partial(RayWorkerPool, job.restore, job.ray, most=2, face_worker=simulated(0.03)))
"""


@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.nightly)])
def test_a_killed_driver_costs_what_was_under_way(
    cluster: Cluster, videos: Path, expected: dict[str, list[bytes]], tmp_path: Path, kills: int
) -> None:
    chance = random.Random(kills)  # noqa: S311
    journal = tmp_path / ".vidrestore" / "journal.jsonl"
    command = [sys.executable, "-c", DRIVER % SHORT_SIGHTED, cluster.address, str(videos), str(tmp_path)]
    done = 0
    for _ in range(kills):
        with subprocess.Popen(command, start_new_session=True) as driver:
            wanted = done + chance.randint(0, 1)
            while driver.poll() is None and (not journal.exists() or done_of(tmp_path).total() <= wanted):
                time.sleep(0.05)
            time.sleep(chance.uniform(0, 0.5))
            driver.send_signal(signal.SIGKILL)
        done = done_of(tmp_path).total()
        assert set(done_of(tmp_path).values()) <= {1}
    report = on_ray(videos, tmp_path, a_job(cluster.address), most=2)
    assert report.done == 3
    assert sum(video.segments_resumed for video in report.videos if not video.resumed) <= done
    assert set(done_of(tmp_path).values()) == {1}, "what was done is not done again"
    assert results(tmp_path) == expected


@pytest.mark.nightly
@pytest.mark.parametrize("on_error", ["fail", "passthrough"])
def test_a_segment_that_kills_its_workers(
    cluster: Cluster, videos: Path, expected: dict[str, list[bytes]], tmp_path: Path, on_error: str
) -> None:
    """Whoever begins the last segment of the first film dies of it, until its frames go through as they are."""
    job = a_job(cluster.address, on_error=on_error, retries=1, ray={"address": cluster.address})
    pool = PoisonedCrew(job)
    report = restore_videos([str(videos)], str(tmp_path), job, open_pool=lambda: pool)
    poisoned = next(video for video in report.videos if video.destination == "0.mkv")
    assert [video.state for video in report.videos if video is not poisoned] == ["done", "done"]
    made = results(tmp_path)
    assert {name: made[name] for name in ("1.mkv", "2.mkv")} == {name: expected[name] for name in ("1.mkv", "2.mkv")}
    assert len(poisoned.retries) == pool.deaths == 2
    if on_error == "fail":
        assert poisoned.state == "failed"
        assert "died" in str(poisoned.error)
        assert "0.mkv" not in made
    else:
        assert poisoned.state == "done"
        changed = sum(one != other for one, other in zip(made["0.mkv"], expected["0.mkv"], strict=True))
        assert changed == poisoned.unrestored_frames > 0


class PoisonedCrew(RayWorkerPool):
    """A pool of which whoever restores one certain segment dies."""

    def __init__(self, job: BatchConfig) -> None:
        super().__init__(job.restore, job.ray, most=2, face_worker=simulated(0.005))
        self.deaths = 0

    def submit(self, worker: Any, task_id: int, order: Any) -> None:
        super().submit(worker, task_id, order)
        span = getattr(order, "span", None)
        poisoned = span is not None and span.start and order.source.endswith("0.mp4")
        if poisoned and span.stop is None and not order.passthrough:
            self.deaths += 1
            ray.kill(self._workers[worker.number].actor)


@pytest.mark.nightly
def test_a_worker_that_stalls_is_replaced(
    cluster: Cluster, videos: Path, expected: dict[str, list[bytes]], tmp_path: Path
) -> None:
    stopped: list[int] = []

    def watch(progress: JobProgress) -> None:
        victims = workers_of("TaskWorker")
        if progress.segments_done and not stopped and victims:
            stopped.append(victims[0].pid)
            victims[0].suspend()

    job = a_job(cluster.address)
    pool = partial(RayWorkerPool, job.restore, job.ray, most=1, stall_seconds=4.0, face_worker=simulated(0.005))
    report = restore_videos([str(videos)], str(tmp_path), job, on_progress=watch, open_pool=pool)
    for pid in stopped:
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)
    assert stopped
    assert report.done == 3
    assert report.retries
    assert results(tmp_path) == expected


@pytest.mark.nightly
def test_machines_that_come_later_get_work(
    cluster: Cluster, videos: Path, expected: dict[str, list[bytes]], tmp_path: Path
) -> None:
    added: list[Any] = []

    def watch(progress: JobProgress) -> None:
        if progress.segments_done >= 2 and not added:
            added.append(cluster.add_node(num_cpus=3))

    job = a_job(cluster.address)
    report = on_ray(videos, tmp_path, job, seconds=0.3, watch=watch)
    before = min(sample.workers for sample in report.samples if sample.workers)
    assert max(sample.workers for sample in report.samples) > before
    assert max(sample.face_workers for sample in report.samples) == len(cluster.list_all_nodes())
    assert results(tmp_path) == expected
    cluster.remove_node(added[0])


@pytest.mark.nightly
def test_a_full_object_store_spills_and_nothing_dies(
    videos: Path, expected: dict[str, list[bytes]], tmp_path: Path
) -> None:
    ray.init(address="local", num_cpus=3, object_store_memory=80 << 20)
    held = [ray.put(np.full(20 << 20, number, np.uint8)) for number in range(6)]
    report = on_ray(videos, tmp_path, a_job(None), most=2)
    assert report.done == 3
    assert report.retries == 0
    assert results(tmp_path) == expected
    assert [int(ray.get(one)[0]) for one in held] == list(range(6))


def test_a_cluster_that_is_not_there_is_named(videos: Path, tmp_path: Path) -> None:
    job = a_job("127.0.0.1:1")
    with pytest.raises(WorkerError, match="cannot reach Ray"):
        restore_videos([str(videos)], str(tmp_path), job)
    assert threading.active_count() < 50
