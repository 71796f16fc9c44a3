"""How a batch scales: the same videos by more and more workers, decode, restoration and encode included.

Without GPUs the networks are simulated by a sleep, one device a worker, so that what is measured is everything around
them: planning, placing, handing out, carrying crops, joining. With GPUs they are real, and the rest of the host
grows with them: each comes with workers of its own and its share of the host's cores, as a further node would.
The results of all runs are compared before any figure is reported.
"""

import statistics
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from benchmarks.cores import cores, pinned_to
from benchmarks.machine import Checkout, Host, describe_checkout, describe_machine
from benchmarks.simulated import simulated
from vidrestore.config import update
from vidrestore.errors import OutputError, WorkerError
from vidrestore.files import replace_text
from vidrestore.inference.worker import InferenceWorker
from vidrestore.jobs.config import BatchConfig
from vidrestore.jobs.restore import restore_videos
from vidrestore.media.config import EncodeConfig
from vidrestore.media.reader import VideoReader
from vidrestore.media.writer import VideoWriter
from vidrestore.report import installed_versions
from vidrestore.report_json import to_json
from vidrestore.runtime.ray.connection import fake_cluster
from vidrestore.runtime.ray.worker_pool import RayWorkerPool
from vidrestore.types import UInt8

_START_SECONDS = 300.0
_WARM_FRAMES = 12
"""Frames with which each worker is warmed up."""
_GPU_LEVELS = 1.0
"""Mean difference of a frame, in levels, that runs with GPUs may make: they store H.264, as jobs do, and x264 decides
otherwise from run to run."""
_SHORT_SIGHTED = {
    "tracker": {"history_seconds": 0.3, "lookahead_seconds": 0.2, "max_gap_seconds": 0.2, "max_lost_seconds": 0.2},
    "denoiser": {"frames": 0},
    "stabilizer": {"frames": 0},
}
"""Short lead-ins, so that short segments consist mostly of their own frames; the same for every number of workers."""


@dataclass(frozen=True, slots=True)
class ScalingConfig:
    """Options of the measurement."""

    counts: tuple[int, ...] = (1, 2, 4, 8, 16)
    """Numbers of workers, each with a simulated device; of GPUs where `gpus`."""
    gpus: bool = False
    seconds_per_face: float = 0.25
    """Seconds that a simulated device takes for a face."""
    segments: int = 32
    seconds_per_segment: float = 2.0
    rate: int = 10
    """Frames a second."""
    workers_per_gpu: int = 8
    model: str = "embedded"
    video: Path | None = None
    """A video with faces for the GPUs; without one a texture serves, in which simulated faces are found."""
    repeats: int = 1


@dataclass(frozen=True, slots=True)
class ScalingRow:
    """Result with one number of workers."""

    count: int
    seconds: tuple[float, ...]
    frames: int
    cores: int
    """Cores on which it all ran."""
    efficiency: float
    """Share of the first count's speed per worker that is kept; by medians."""


@dataclass(frozen=True, slots=True)
class ScalingResult:
    """Result of the measurement."""

    rows: tuple[ScalingRow, ...]
    difference: float
    """The largest mean difference of a frame between two runs, in levels."""
    config: ScalingConfig
    machine: Host
    checkout: Checkout
    versions: dict[str, str]


def measure_scaling(config: ScalingConfig, out: Path) -> ScalingResult:
    """Run the measurement, and write `scaling.json` after each run.

    Raises:
        OutputError: two runs gave different videos.
        WorkerError: not all workers became available.
    """
    times: dict[int, list[float]] = {}
    first_video: Path | None = None
    difference = 0.0
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        folder = Path(scratch)
        source = config.video or _texture(folder / "film.mp4", config)
        for repeat in range(config.repeats):
            for count in config.counts:
                with pinned_to(_cores(config, count)):
                    seconds, made, frames = _run(config, source, folder / f"{count}-{repeat}", count)
                times.setdefault(count, []).append(seconds)
                first_video = first_video or made
                difference = max(difference, _difference(first_video, made))
                if difference > (_GPU_LEVELS if config.gpus else 0):
                    raise OutputError(
                        f"{count} workers gave another video than {config.counts[0]}: {difference} levels"
                    )
                if made != first_video:
                    made.unlink()
                result = _result(config, times, frames, difference)  # kept after each run: they are long
                replace_text(out / "scaling.json", to_json(result))
    return result


def _result(config: ScalingConfig, times: dict[int, list[float]], frames: int, difference: float) -> ScalingResult:
    first = config.counts[0] * statistics.median(times[config.counts[0]])
    return ScalingResult(
        tuple(
            ScalingRow(
                count, tuple(found), frames, len(_cores(config, count)), first / (count * statistics.median(found))
            )
            for count, found in times.items()
        ),
        difference,
        config,
        describe_machine(),
        describe_checkout(),
        installed_versions(),
    )


def _cores(config: ScalingConfig, count: int) -> list[int]:
    """Return the cores to work on: all, or for each GPU its share of the host's cores.

    Threads of one core stay together, or fewer GPUs would have whole cores where more have to share them.
    """
    every, gpus = cores(), torch.cuda.device_count()
    return every[: max(1, len(every) * count // gpus)] if config.gpus and gpus else every


def scaling_table(result: ScalingResult) -> str:
    """Format the result as a Markdown table."""
    head = "| workers | cores | seconds | frames/s | efficiency |\n| --: | --: | --: | --: | --: |\n"
    lines = []
    for row in result.rows:
        median = statistics.median(row.seconds)
        lines.append(f"| {row.count} | {row.cores} | {median:.1f} | {row.frames / median:.1f} | {row.efficiency:.3f} |")
    return head + "\n".join(lines) + "\n"


def _run(config: ScalingConfig, source: Path, out: Path, count: int) -> tuple[float, Path, int]:
    """Run once; return seconds, the video, and its frames."""
    workers = count * (config.workers_per_gpu if config.gpus else 1)
    with fake_cluster(workers + count + 1, count if config.gpus else 0):
        restore = {} if config.gpus else _SHORT_SIGHTED
        encode = {"preset": "veryfast"} if config.gpus else {"lossless": True}
        job = update(
            BatchConfig(),
            {
                "restore": {"restorer": {"model": config.model}, "encode": encode, **restore},
                "ray": {"face_workers": count},
                "segment_seconds": config.seconds_per_segment,
            },
        )
        kind = InferenceWorker if config.gpus else simulated(config.seconds_per_face)
        with RayWorkerPool(job.restore, job.ray, most=workers, face_worker=kind) as pool:
            await_workers(pool, workers)
            if config.gpus:  # this stands for a video of hours: networks and workers are warm
                head, length = _head(source, out.with_name(f"{out.name}-head.mp4"), frames=_WARM_FRAMES * workers)
                warm = replace(job, segment_seconds=length / workers)
                restore_videos([str(head)], str(out / "warm"), warm, open_pool=lambda: nullcontext(pool))
            started = time.perf_counter()
            report = restore_videos([str(source)], str(out), job, open_pool=lambda: nullcontext(pool))
            seconds = time.perf_counter() - started
        if report.failed or report.retries:
            raise WorkerError(f"a run with {count} workers had failures: {report.videos[0].error}")
        return seconds, out / report.videos[0].destination, report.frames


def await_workers(pool: RayWorkerPool, workers: int) -> None:
    """Wait until so many workers are free.

    Raises:
        WorkerError: they did not become free in time.
    """
    deadline = time.monotonic() + _START_SECONDS
    while len(pool.idle_workers()) < workers:
        pool.reconcile(workers)
        time.sleep(0.1)
        if time.monotonic() > deadline:
            raise WorkerError(f"{len(pool.idle_workers())} of {workers} workers came in {_START_SECONDS:.0f} s")


def _difference(one: Path, other: Path) -> float:
    """Return the largest mean difference of a frame, in levels."""
    if one == other:
        return 0.0
    with VideoReader(one) as mine, VideoReader(other) as yours:
        return max(
            float(np.mean([np.abs(a.astype(np.int32) - b).mean() for a, b in zip(f.planes, g.planes, strict=True)]))
            for f, g in zip(mine, yours, strict=True)
        )


def _head(video: Path, path: Path, *, frames: int) -> tuple[Path, float]:
    """Cut out the first frames of a video; return them and their length in seconds."""
    with VideoReader(video) as reader, VideoWriter(path, reader.info, EncodeConfig(preset="ultrafast")) as writer:
        first = last = None
        for frame in islice(reader, frames):
            writer.write(frame)
            first, last = first or frame, frame
        assert first is not None and last is not None, "a video has frames"  # noqa: PT018, S101
        return path, float(last.seconds - first.seconds)


def _texture(path: Path, config: ScalingConfig) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (120, 224, 3)).astype(np.uint8)
    texture: UInt8 = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), noise, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=config.rate, options={"g": "10", "preset": "ultrafast"})
        assert isinstance(stream, av.VideoStream), "libx264 is a video encoder"  # noqa: S101
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for index in range(round(config.segments * config.seconds_per_segment * config.rate)):
            left = 32 - abs(index % 64 - 32)
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(texture[:, left : left + 160]), "rgb24")
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path
