"""Progress of a job: for whoever called it, for its report, and for Ray's dashboard and metrics."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vidrestore.jobs.videos import VideoState, VideoStates
from vidrestore.runtime.worker_pool import PoolStatus, WorkerPool

_SAMPLE_SECONDS = 2.0
_MAX_SAMPLES = 2000


@dataclass(frozen=True, slots=True)
class JobProgress:
    """Progress of a job at one moment."""

    videos: dict[str, int]
    """Number of videos in each state."""
    segments_done: int
    segments: int
    """Number of segments of all planned videos."""
    frames_done: int
    """Number of finished frames, including those of segments under way."""
    frames: int
    """Number of frames of all planned videos."""
    retries: int
    pool: PoolStatus
    seconds: float
    resumed_frames: int = 0
    """Number of frames in `frames_done` that an earlier run finished."""
    faces_done: int = 0
    """Number of restored faces, including those of segments under way."""


OnProgress = Callable[[JobProgress], None]


@dataclass(frozen=True, slots=True)
class Sample:
    """Figures of a job at one moment."""

    seconds: float
    """Time since the job began."""
    frames_done: int
    network_seconds: float
    """Time for which the networks of all face workers have run so far."""
    workers: int
    busy: int
    face_workers: int
    retries: int


class ProgressMeter:
    """Tells the progress of a job to its caller, and keeps samples of it for its report.

    Args:
        on_progress: called at each update.
    """

    def __init__(self, on_progress: OnProgress | None) -> None:
        self.samples: list[Sample] = []
        self._on_progress = on_progress
        self._sampled = 0.0
        self._gauges: JobMetrics | None = None

    def update(self, states: VideoStates, pool: WorkerPool, seconds: float, *, is_last: bool = False) -> None:
        """Report the state of a job, a number of seconds after it began."""
        totals, under_way = states.totals, pool.progress().values()
        progress = JobProgress(
            videos={state.value: states.counts[state] for state in VideoState},
            segments_done=totals.segments_done,
            segments=totals.segments,
            frames_done=min(totals.frames, totals.frames_done + sum(one.frames for one in under_way)),
            frames=totals.frames,
            faces_done=totals.faces_done + sum(one.faces for one in under_way),
            retries=totals.retries,
            pool=pool.status(),
            seconds=seconds,
            resumed_frames=totals.resumed_frames,
        )
        if self._on_progress:
            self._on_progress(progress)
        if is_last or seconds - self._sampled >= _SAMPLE_SECONDS:
            self._sampled = seconds
            self._sample(progress, pool.name)

    def _sample(self, progress: JobProgress, pool_name: str) -> None:
        if self._gauges is None:
            self._gauges = JobMetrics(pool_name)
        self._gauges.update(progress)
        if len(self.samples) >= _MAX_SAMPLES:
            del self.samples[1::2]
        pool = progress.pool
        self.samples.append(
            Sample(
                progress.seconds,
                progress.frames_done,
                pool.network_seconds,
                pool.workers,
                pool.busy,
                pool.face_workers,
                progress.retries,
            )
        )


_GAUGES = {
    "vidrestore_frames_done": "Frames restored.",
    "vidrestore_frames": "Frames of all planned videos.",
    "vidrestore_segments_done": "Segments restored.",
    "vidrestore_segments": "Segments of all planned videos.",
    "vidrestore_retries": "Failed attempts.",
    "vidrestore_workers": "Running segment workers.",
    "vidrestore_face_workers": "Inference workers.",
    "vidrestore_network_seconds": "Seconds of inference so far.",
}


class JobMetrics:
    """The gauges of one job; none where the job does not run on Ray."""

    def __init__(self, pool_name: str) -> None:
        self._gauges: dict[str, Any] = {}
        if pool_name == "ray":
            from vidrestore.runtime.ray.metrics import ray_gauge  # noqa: PLC0415  a local job imports no Ray

            self._gauges = {name: ray_gauge(name, text) for name, text in _GAUGES.items()}

    def update(self, progress: JobProgress) -> None:
        """Set all gauges."""
        pool = progress.pool
        values = (
            progress.frames_done,
            progress.frames,
            progress.segments_done,
            progress.segments,
            progress.retries,
            pool.workers,
            pool.face_workers,
            pool.network_seconds,
        )
        for gauge, value in zip(self._gauges.values(), values, strict=False):
            gauge.set(float(value))
