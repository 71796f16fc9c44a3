"""A job's figures in Ray's dashboard and metrics, where it runs on Ray."""

from typing import Any

from vidrestore.jobs.progress import JobProgress
from vidrestore.runtime.ray_metrics import ray_gauge

_GAUGES = {
    "vidrestore_frames_done": "Frames that are restored.",
    "vidrestore_frames": "Frames of all films that are planned.",
    "vidrestore_segments_done": "Segments that are restored.",
    "vidrestore_segments": "Segments of all films that are planned.",
    "vidrestore_retries": "Attempts that failed.",
    "vidrestore_workers": "Segment workers that have a place.",
    "vidrestore_face_workers": "Workers that hold the networks.",
    "vidrestore_network_seconds": "For which the networks have run.",
}


class JobMetrics:
    """The gauges of one job; none where the job does not run on Ray."""

    def __init__(self, crew_name: str) -> None:
        self._gauges: dict[str, Any] = {}
        if crew_name == "ray":
            self._gauges = {name: ray_gauge(name, text) for name, text in _GAUGES.items()}

    def tell(self, progress: JobProgress) -> None:
        """Set all of them."""
        crew = progress.crew
        values = (
            progress.frames_done,
            progress.frames,
            progress.segments_done,
            progress.segments,
            progress.retries,
            crew.workers,
            crew.face_workers,
            crew.network_seconds,
        )
        for gauge, value in zip(self._gauges.values(), values, strict=False):
            gauge.set(float(value))
