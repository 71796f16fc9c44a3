"""Overhead of a batch beyond its work: for each of many small videos, and for the plan of a very long one."""

import statistics
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import psutil

from benchmarks.machine import Checkout, Host, describe_checkout, describe_machine
from benchmarks.simulated import simulated
from vidrestore import storage
from vidrestore.files import replace_text
from vidrestore.jobs.config import BatchConfig
from vidrestore.jobs.progress import JobProgress
from vidrestore.jobs.restore import restore_videos
from vidrestore.jobs.tasks import PlanTask, VideoPlan
from vidrestore.report_json import to_json
from vidrestore.runtime.ray.worker_pool import RayWorkerPool

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Overhead:
    """Figures of the overhead."""

    videos: int
    seconds: float
    """Seconds of the whole batch, its plans and joins included, with one worker; without the start of Ray."""
    work_seconds: float
    """Part of these seconds that the workers spent restoring."""
    per_video: float
    """Seconds that a video costs beyond its work."""
    hours: float
    """Length of the long video."""
    megabytes: float
    """Size of the long video."""
    plan_seconds: float
    plan_segments: int
    driver_mib_first: float
    """Memory of the driver when a quarter of the videos was done."""
    driver_mib_last: float
    """Memory of the driver at the end."""
    machine: Host
    checkout: Checkout


def measure_overhead(out: Path, *, videos: int, hours: float) -> Overhead:
    """Make the videos, run the batch, plan the long one, and write `overhead.json`."""
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        folder = Path(scratch)
        for number in range(videos):
            _video(folder / "films" / f"{number:04d}.mp4", frames=25, repeats=1)
        seconds, work, memory = _batch(folder, videos)
        long = _video(folder / "long.mp4", frames=250, repeats=round(hours * 3600 / 10))
        plan, plan_seconds = _plan(long)
        found = Overhead(
            videos=videos,
            seconds=seconds,
            work_seconds=work,
            per_video=(seconds - work) / videos,
            hours=plan.seconds / 3600,
            megabytes=long.stat().st_size / 1e6,
            plan_seconds=plan_seconds,
            plan_segments=len(plan.spans),
            driver_mib_first=statistics.median(memory[len(memory) // 4 : len(memory) // 2]),
            driver_mib_last=statistics.median(memory[-len(memory) // 4 :]),
            machine=describe_machine(),
            checkout=describe_checkout(),
        )
    replace_text(out / "overhead.json", to_json(found))
    return found


def _batch(folder: Path, videos: int) -> tuple[float, float, list[float]]:
    job = BatchConfig()
    memory: list[float] = []
    process = psutil.Process()

    def watch(_: JobProgress) -> None:
        memory.append(process.memory_info().rss / _MIB)

    with RayWorkerPool(job.restore, job.ray, most=1, face_worker=simulated(0.0)) as pool:
        while not pool.idle_workers():
            time.sleep(0.05)
        started = time.perf_counter()
        report = restore_videos(
            [str(folder / "films")], str(folder / "out"), job, on_progress=watch, open_pool=lambda: nullcontext(pool)
        )
        seconds = time.perf_counter() - started
    assert report.done == videos, "small videos do not fail"  # noqa: S101
    return seconds, sum(video.worker_seconds for video in report.videos), memory


def _plan(video: Path) -> tuple[VideoPlan, float]:
    job = BatchConfig()
    order = PlanTask(str(video), storage.fingerprint(str(video)), "long.mp4", job.restore, 3000.0, None)
    started = time.perf_counter()
    plan = order.run(None, lambda _: None)
    return plan, time.perf_counter() - started


def _video(path: Path, *, frames: int, repeats: int) -> Path:
    """Make a video of noise at 2 Mbit/s and 25 frames a second by repeating its packets."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "g": "50", "b": "2000000"})
        assert isinstance(stream, av.VideoStream), "libx264 is a video encoder"  # noqa: S101
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        packets = []
        for index in range(frames):
            picture = av.VideoFrame.from_ndarray(chance.integers(60, 160, (240, 320, 3)).astype(np.uint8), "rgb24")
            picture.pts = index
            packets += stream.encode(picture)
        packets += stream.encode(None)
        kept = [
            (bytes(packet), packet.pts or 0, packet.dts or 0, packet.is_keyframe, packet.time_base)
            for packet in packets
        ]
        for repeat in range(repeats):
            for data, pts, dts, key, unit in kept:
                packet = av.Packet(data)
                step = repeat * frames
                packet.pts, packet.dts, packet.time_base, packet.stream = pts + step, dts + step, unit, stream
                packet.is_keyframe = key
                container.mux(packet)
    return path
