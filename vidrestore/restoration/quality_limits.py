"""How much work a live stream can afford at present."""

from dataclasses import dataclass


@dataclass(slots=True)
class QualityLimits:
    """Limits that may be changed between two frames, by whoever watches the load; a film has none."""

    interval_seconds: float = 0.0
    """Least time between two searches for faces, whatever `detection.interval_seconds` says."""
    restore_every: int = 1
    """Frames to each pass of a face through the network; between them what it changed is carried along the motion."""
    faces: int | None = None
    """Most faces a frame, the largest first; 0 passes the film through, None leaves it to the configuration."""
