"""Live streams that share one face worker, against the same videos restored offline on it: the cost of being live.

Streams wait for their restoration (`mode=complete`) and give nothing up, so that both sides do the same work on as many
processes: detection, crops, networks, blending, encoding. Rates are taken in the middle of either. A stream plays no
faster than its video: one that keeps up does not show the limit, and is an error.
"""

import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.clips import repeat
from benchmarks.machine import Checkout, Host, describe_checkout, describe_machine
from benchmarks.scaling import await_workers
from vidrestore.config import update
from vidrestore.errors import WorkerError
from vidrestore.files import replace_text
from vidrestore.jobs.config import BatchConfig
from vidrestore.jobs.progress import JobProgress
from vidrestore.jobs.restore import restore_videos
from vidrestore.live.config import StreamConfig
from vidrestore.live.status import StreamStatus
from vidrestore.media.reader import VideoReader
from vidrestore.report_json import to_json
from vidrestore.restoration.config import for_files
from vidrestore.restoration.face.restorer import FaceRestorer
from vidrestore.runtime.config import RayConfig
from vidrestore.runtime.ray.connection import fake_cluster
from vidrestore.runtime.ray.streams import RayStreamRunner
from vidrestore.runtime.ray.worker_pool import RayWorkerPool
from vidrestore.runtime.streams import RunningStream, StreamSpec

_START_SECONDS = 300.0
_MIDDLE = (0.2, 0.8)
"""Part of a job in which all videos are under way and none is at its start or end."""
_WHOLE = 1e9
_KEEPS_UP = 0.95
"""Share of a video's rate from which a stream keeps up."""
_NETWORK_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class ShareConfig:
    """Options of the comparison."""

    video: Path
    """H.264 in mp4, with faces; it is repeated."""
    streams: int = 4
    model: str = "embedded"
    frames: int = 600
    """Frames of each video, offline."""
    seconds: float = 60.0
    """Seconds for which the streams are measured."""
    warm_up_seconds: float = 20.0
    """Seconds before that, with all streams under way."""


@dataclass(frozen=True, slots=True)
class ShareResult:
    """Result of the comparison, in faces a second."""

    offline: float
    live: float
    """Rate of all streams together."""
    each: tuple[float, ...]
    """Rate of each stream."""
    network: float
    """Rate of GFP-GAN alone, in full passes, without other work."""
    mean_batch: float
    """Crops in a call of the shared face worker, live."""
    config: ShareConfig
    machine: Host
    checkout: Checkout

    @property
    def share(self) -> float:
        """Live rate as a share of the offline rate."""
        return self.live / self.offline


def measure_share(config: ShareConfig, out: Path) -> ShareResult:
    """Restore the videos offline, then live, and write `live_share.json`.

    Raises:
        WorkerError: not every face was restored, on either side.
    """
    stream = update(
        StreamConfig(),
        {
            "mode": "complete",
            "quality": {"enabled": False},
            "source": {"loop": True},
            "worker_timeout_seconds": _START_SECONDS,
            "restore": {"restorer": {"model": config.model}},
        },
    )
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        folder = Path(scratch)
        videos = [folder / f"film{number}.mp4" for number in range(config.streams)]
        for number, video in enumerate(videos):
            repeat(config.video, video, frames=config.frames + number)  # of different lengths: a batch does twins once
        with fake_cluster(config.streams + 2, torch.cuda.device_count()):
            offline = _offline(videos, stream, folder / "offline")
            each, mean_batch = _live(videos, stream, config, folder)
    result = ShareResult(
        offline,
        sum(each),
        each,
        _network(stream),
        mean_batch,
        config,
        describe_machine(),
        describe_checkout(),
    )
    replace_text(out / "live_share.json", to_json(result))
    return result


def share_table(result: ShareResult) -> str:
    """Format the result as a Markdown table."""
    count = len(result.each)
    return (
        "| what | faces/s | of offline |\n| :-- | --: | --: |\n"
        f"| {count} videos offline, one face worker | {result.offline:.1f} | 1.000 |\n"
        f"| {count} live streams, one face worker | {result.live:.1f} | {result.share:.3f} |\n"
        f"| the network alone | {result.network:.1f} | {result.network / result.offline:.3f} |\n"
    )


def _offline(videos: Sequence[Path], stream: StreamConfig, out: Path) -> float:
    """Return the faces a second while all videos are under way."""
    job = update(BatchConfig(segment_seconds=_WHOLE), {"ray": {"face_workers": 1}})
    job = replace(job, restore=for_files(stream.restore, stream.sink.encode))
    seen: list[JobProgress] = []
    with RayWorkerPool(job.restore, job.ray, most=len(videos)) as pool:
        await_workers(pool, len(videos))
        report = restore_videos(
            [str(video) for video in videos],
            str(out),
            job,
            on_progress=seen.append,
            open_pool=lambda: nullcontext(pool),
        )
    if report.failed or report.retries or report.unrestored_frames:
        raise WorkerError(f"a video was not restored: {[video.error for video in report.videos]}")
    low, high = (share * report.frames for share in _MIDDLE)
    middle = [one for one in seen if low <= one.frames_done <= high]
    if len(middle) < 2:  # noqa: PLR2004  a rate wants two
        raise WorkerError("the videos were done at once; use more frames")
    first, last = middle[0], middle[-1]
    faces_per_frame = sum(video.faces for video in report.videos) / report.frames
    return faces_per_frame * (last.frames_done - first.frames_done) / (last.seconds - first.seconds)


def _live(
    videos: Sequence[Path], stream: StreamConfig, config: ShareConfig, folder: Path
) -> tuple[tuple[float, ...], float]:
    """Return the faces a second of each stream, and the mean batch."""
    with RayStreamRunner(stream.restore, RayConfig(face_workers=1), lambda _, __: None) as place:
        streams = [
            place.start(StreamSpec(video.stem, str(video), (str(folder / f"{video.stem}.mkv"),), stream))
            for video in videos
        ]
        deadline = time.monotonic() + _START_SECONDS
        while any((status := one.status()) is None or status.faces == 0 for one in streams):
            if time.monotonic() > deadline or not all(one.running() for one in streams):
                raise WorkerError(f"not all streams became live within {_START_SECONDS:.0f} s")
            time.sleep(0.5)
        time.sleep(config.warm_up_seconds)
        calls, items = place.batches()["restore"]
        before = [(time.monotonic(), _status(one)) for one in streams]
        time.sleep(config.seconds)
        after = [(time.monotonic(), _status(one)) for one in streams]
        calls_after, items_after = place.batches()["restore"]
        for one in streams:
            status = _status(one)
            if (
                status.faces_propagated
                or status.worker_failures
                or status.answers_replaced
                or sum(status.dropped.values())
            ):
                raise WorkerError(f"stream {status.name} did not restore every face: {status}")
        for one in streams:
            one.stop()
        for one in streams:
            one.join(_START_SECONDS)
    pairs = [(later, one, at - since) for (since, one), (at, later) in zip(before, after, strict=True)]
    with VideoReader(videos[0]) as reader:
        most = _KEEPS_UP * float(reader.info.average_rate or 0)
    if any((later.frames_in - one.frames_in) / seconds > most for later, one, seconds in pairs):
        raise WorkerError("the streams kept up with their videos; use a larger picture, more faces or more streams")
    rates = tuple((later.faces - one.faces) / seconds for later, one, seconds in pairs)
    return rates, (items_after - items) / max(1, calls_after - calls)


def _network(stream: StreamConfig) -> float:
    """Return the faces a second of the restorer in full passes."""
    restorer = FaceRestorer(stream.restore.restorer)
    noise = np.random.default_rng(0).integers(0, 255, (restorer.crop_size, restorer.crop_size, 3), np.uint8)
    crops = [noise] * restorer.batch_size
    restorer(crops)
    started = time.perf_counter()
    for _ in range(_NETWORK_ROUNDS):
        restorer(crops)
    return _NETWORK_ROUNDS * len(crops) / (time.perf_counter() - started)


def _status(stream: RunningStream) -> StreamStatus:
    status = stream.status()
    if status is None:
        raise WorkerError(f"a stream does not answer: {stream.problem}")
    return status
