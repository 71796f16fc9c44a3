"""How far a job is."""

from dataclasses import dataclass

from vidrestore.runtime.worker_pool import PoolStatus


@dataclass(frozen=True, slots=True)
class JobProgress:
    """A job at one moment."""

    videos: dict[str, int]
    """How many are in each state."""
    segments_done: int
    segments: int
    """Of all videos that are planned."""
    frames_done: int
    """Segments under way included."""
    frames: int
    """Of all videos that are planned."""
    retries: int
    pool: PoolStatus
    seconds: float
    resumed_frames: int = 0
    """Of `frames_done`, those of an earlier run."""
    faces_done: int = 0
    """Segments under way included."""
