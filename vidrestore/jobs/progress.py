"""Progress of a job."""

from dataclasses import dataclass

from vidrestore.runtime.worker_pool import PoolStatus


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
