"""How far a job is."""

from dataclasses import dataclass

from vidrestore.runtime.crew import CrewStatus


@dataclass(frozen=True, slots=True)
class JobProgress:
    """A job at a moment."""

    films: dict[str, int]
    """How many are at each stage."""
    segments_done: int
    segments: int
    """Of all films that are planned."""
    frames_done: int
    """Segments under way included."""
    frames: int
    """Of all films that are planned."""
    retries: int
    crew: CrewStatus
    seconds: float
    resumed_frames: int = 0
    """Of `frames_done`, those of an earlier run."""
