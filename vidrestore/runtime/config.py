"""Options of where work runs."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from vidrestore.config import Options

Runtime = Literal["auto", "ray", "local"]


@dataclass(frozen=True, slots=True)
class RayConfig(Options):
    """Ray cluster: its address, and the workers and resources on it."""

    address: Annotated[
        str | None,
        Field(
            description="Address of a running Ray cluster: auto, HOST:PORT or ray://HOST:PORT; none starts Ray on this "
            "machine and stops it afterwards."
        ),
    ] = None
    face_workers: Annotated[
        int,
        Field(
            ge=0, description="Number of workers that hold the networks; 0: as many as fit the GPUs, else one per node."
        ),
    ] = 0
    cpus_per_face_worker: Annotated[float, Field(ge=0, description="CPUs that Ray reserves for a face worker.")] = 1.0
    gpus_per_face_worker: Annotated[
        float | None,
        Field(
            ge=0,
            description="GPUs, or fraction of one, for a face worker; none: one where there are GPUs, else no GPU.",
        ),
    ] = None
    cpus_per_segment_worker: Annotated[
        float, Field(ge=0, description="CPUs that Ray reserves for a segment worker.")
    ] = 1.0
    batches_in_flight: Annotated[
        int, Field(ge=1, description="Batches of each kind that a segment worker has under way at a time.")
    ] = 2
    max_batching_delay_seconds: Annotated[
        float,
        Field(
            ge=0,
            description="Time for which a batch that is not full waits for crops of other segments; those of live "
            "streams never wait.",
        ),
    ] = 0.003
    placement: Annotated[
        Literal["spread", "pack"],
        Field(description="Placement of workers: on as many nodes as there are, or on as few as suffice."),
    ] = "spread"
    start_timeout_seconds: Annotated[
        float, Field(gt=0, description="Time after which workers that could not be scheduled are an error.")
    ] = 120.0

    @property
    def strategy(self) -> str:
        """Ray's name of the placement."""
        return "SPREAD" if self.placement == "spread" else "DEFAULT"
