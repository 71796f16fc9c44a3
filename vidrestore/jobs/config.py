"""Options of a job: what to restore it with, where to run, what to accept."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from vidrestore.config import Options
from vidrestore.restoration.config import VideoRestoreConfig
from vidrestore.runtime.config import RayConfig, Runtime

OnError = Literal["fail", "passthrough"]


@dataclass(frozen=True, slots=True)
class JobConfig(Options):
    """Everything about a job of one video, and most of one of many."""

    restore: VideoRestoreConfig = field(default_factory=VideoRestoreConfig)
    ray: RayConfig = field(default_factory=RayConfig)
    runtime: Annotated[
        Runtime,
        Field(description="Run on Ray, or in this process; auto: in this process where that is as fast, else on Ray."),
    ] = "auto"
    retries: Annotated[int, Field(ge=0, description="Retries of a segment after a worker crash.")] = 2
    strict: Annotated[bool, Field(description="Fail on a damaged source instead of warning.")] = False
    overwrite: Annotated[bool, Field(description="Overwrite files that this job did not create.")] = False
    segment_seconds: Annotated[
        float | None,
        Field(gt=0, description="Segment length in seconds; none: automatic, about a minute of 1080p."),
    ] = None
    workers: Annotated[
        int, Field(ge=0, description="Maximum number of segment workers; 0: as many as there is room for.")
    ] = 0
    on_error: Annotated[
        OnError,
        Field(
            description="What happens to a segment that cannot be restored: its video fails, or it is copied as it is."
        ),
    ] = "fail"
    stall_seconds: Annotated[
        float, Field(gt=0, description="Time without a frame after which a worker counts as lost.")
    ] = 900.0
    work: Annotated[
        str | None,
        Field(
            description="Directory for intermediate segments; must be visible to all nodes. none: in the output folder."
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class BatchConfig(JobConfig):
    """Everything about a job of many videos but its sources."""

    manifest: Annotated[
        Path | None, Field(description="CSV or JSON lines with source, destination and options of each video.")
    ] = None
    extension: Annotated[
        str | None,
        Field(description="Extension of all results, such as .mkv; none: the source's own where it can be written."),
    ] = None
    max_open_videos: Annotated[
        int, Field(ge=1, description="Maximum number of videos that are under way at a time.")
    ] = 64
