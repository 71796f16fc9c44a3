"""A job's figures in Ray's dashboard and metrics, where it runs on Ray."""

from typing import Any

from vidrestore.jobs.progress import JobProgress

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
