"""What is Ray's own: workers die, clusters have no room."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from vidrestore.config import update
from vidrestore.errors import ConfigError, WorkerError
from vidrestore.jobs.config import JobConfig
from vidrestore.jobs.progress import JobProgress
from vidrestore.jobs.restore import restore_video
from vidrestore.media.reader import VideoReader
from vidrestore.runtime.config import RayConfig

MakeVideo = Callable[..., Path]
JOB = update(JobConfig(), {"runtime": "ray", "restore": {"encode": {"lossless": True}}})


class Killer:
    """Kills one worker process of a kind, once frames are coming."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.killed = 0

    def __call__(self, progress: JobProgress) -> None:
        if self.killed or not progress.frames_done:
            return
        for process in psutil.Process().children(recursive=True):
            if process.name().startswith("ray::") and self._kind in " ".join([process.name(), *process.cmdline()]):
                process.kill()
                self.killed += 1


@pytest.mark.ray
@pytest.mark.nightly
@pytest.mark.parametrize(("kind", "retries"), [("TaskWorker", 1), ("InferenceWorker", 0)])
def test_a_killed_worker_costs_time_and_not_the_video(
    kind: str, retries: int, make_portrait_video: MakeVideo, tmp_path: Path
) -> None:
    source = make_portrait_video(frames=24)
    killer = Killer(kind)
    report = restore_video(source, tmp_path / "ray.mkv", JOB, on_progress=killer)
    assert killer.killed == 1
    assert report.retries == retries
    assert report.frames_written == 24
    assert list(tmp_path.iterdir()) == [tmp_path / "ray.mkv"]
    restore_video(source, tmp_path / "local.mkv", update(JOB, {"runtime": "local"}))
    with VideoReader(tmp_path / "ray.mkv") as ray, VideoReader(tmp_path / "local.mkv") as local:
        for one, other in zip(ray, local, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(one.planes, other.planes, strict=True))


@pytest.mark.ray
@pytest.mark.parametrize("worker", ["face", pytest.param("segment", marks=pytest.mark.nightly)])
def test_a_cluster_without_room_is_said_to_have_none(
    worker: str, make_portrait_video: MakeVideo, tmp_path: Path
) -> None:
    patience = 3.0 if worker == "face" else 12.0
    job = update(JOB, {"ray": {f"cpus_per_{worker}_worker": 4000.0, "start_timeout_seconds": patience}})
    with pytest.raises(WorkerError, match="has the cluster room"):
        restore_video(make_portrait_video(), tmp_path / "out.mkv", job)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.ray
def test_a_cluster_that_is_not_there_is_named(make_portrait_video: MakeVideo, tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"cannot reach Ray at 127\.0\.0\.1:1"):
        restore_video(make_portrait_video(), tmp_path / "out.mkv", update(JOB, {"ray": {"address": "127.0.0.1:1"}}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.ray
def test_a_gpu_by_number_is_refused_for_ray_chooses(make_portrait_video: MakeVideo, tmp_path: Path) -> None:
    job = update(JOB, {"restore": {"restorer": {"device": "cuda:1"}}})
    with pytest.raises(ConfigError, match="Ray chooses the GPU"):
        restore_video(make_portrait_video(), tmp_path / "out.mkv", job)


def test_impossible_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="batches_in_flight is 0; use 1 or more"):
        RayConfig(batches_in_flight=0)
