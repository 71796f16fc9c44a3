"""Limits on the work that a live stream spends on a frame."""

from dataclasses import dataclass


@dataclass(slots=True)
class QualityLimits:
    """Limits that the load controller of a live stream may change between two frames; files are restored without."""

    interval_seconds: float = 0.0
    """Minimum time between two detector runs, whatever `detection.interval_seconds` says."""
    restore_every: int = 1
    """Number of frames per pass of a face through the network; its result is propagated to the frames between."""
    faces: int | None = None
    """Maximum number of faces per frame, the largest first; 0: passthrough; None: as configured."""
