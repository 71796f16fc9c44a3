"""The options of a job: what to restore it with, where to run, what to accept."""

from dataclasses import dataclass, field
from pathlib import Path

from vidrestore.errors import ConfigError
from vidrestore.jobs.scheduler import OnError
from vidrestore.restoration.pipeline import RestoreConfig
from vidrestore.runtime.config import RayConfig, Runtime


@dataclass(frozen=True, slots=True)
class JobConfig:
    """Everything about a job of one video, and most of one of many."""

    restore: RestoreConfig = field(default_factory=RestoreConfig)
    ray: RayConfig = field(default_factory=RayConfig)
    runtime: Runtime = "ray"
    strict: bool = False
    """Whether a damaged source is an error instead of a warning."""
    overwrite: bool = False
    """Whether files that this job did not make may be replaced."""
    segment_seconds: float | None = None
    """Length of a segment; None splits by cost, about a minute of 1080p, and so that no worker is idle."""
    workers: int = 0
    """Segment workers at most; 0: as many as the cluster has room for."""
    on_error: OnError = "fail"
    """What becomes of a segment that cannot be restored: its video fails, or its frames go through as they are."""
    stall_seconds: float = 900.0
    """Time without a frame after which a worker is taken for dead."""
    work: str | None = None
    """Where parts lie until their video is muxed; a folder that all nodes share, or a store. None: with the output."""

    def __post_init__(self) -> None:
        if self.on_error not in {"fail", "passthrough"}:
            raise ConfigError(f"on_error is {self.on_error!r}; use fail or passthrough")
        if self.workers < 0 or not self.stall_seconds > 0:
            raise ConfigError("workers must be at least 0, stall_seconds above 0")
        if self.segment_seconds is not None and not self.segment_seconds > 0:
            raise ConfigError(f"segment_seconds is {self.segment_seconds}; use more than 0, or none")


@dataclass(frozen=True, slots=True)
class BatchConfig(JobConfig):
    """Everything about a job of many videos but its sources."""

    manifest: Path | None = None
    """See `inputs.discover_inputs`."""
    extension: str | None = None
    """Of all results; None keeps a video's own where it names a container that is written."""
    films_ahead: int = 64
    """Videos that are under way at a time."""

    def __post_init__(self) -> None:
        JobConfig.__post_init__(self)  # super() does not know the class that `slots` makes
        if self.films_ahead < 1:
            raise ConfigError("films_ahead must be at least 1")
