"""Where work runs: the options of Ray."""

from dataclasses import dataclass
from typing import Literal

from vidrestore.errors import ConfigError

Runtime = Literal["ray", "local"]


@dataclass(frozen=True, slots=True)
class RayConfig:
    """Where the actors are and what they may use."""

    address: str | None = None
    """Of a running cluster (`auto`, `HOST:PORT`, `ray://...`); None starts Ray here and stops it afterwards."""
    face_workers: int = 0
    """Actors that hold the networks; 0 means as many as the GPUs of the cluster have room for, or, where there is none,
    one for each machine."""
    cpus_per_face_worker: float = 1.0
    gpus_per_face_worker: float | None = None
    """None means one whole GPU where the cluster has any, otherwise none."""
    cpus_per_segment_worker: float = 1.0
    batches_in_flight: int = 2
    """Batches that a segment worker has under way at a time, for each kind of work."""
    batching_wait_seconds: float = 0.003
    """How long a batch that is not full waits for crops of other segments; those of live streams never wait."""
    retries: int = 2
    """How often a segment is begun anew after its worker died."""
    placement: Literal["spread", "pack"] = "spread"
    """Whether workers are put on as many machines as there are, or on as few as will do."""
    start_timeout_seconds: float = 120.0
    """How long to wait for actors before saying that the cluster has no room."""

    def __post_init__(self) -> None:
        if self.face_workers < 0 or self.batches_in_flight < 1 or self.retries < 0:
            message = f"{self}: face_workers and retries must be at least 0, batches_in_flight at least 1"
            raise ConfigError(message)

    @property
    def strategy(self) -> str:
        """Ray's name of the placement."""
        return "SPREAD" if self.placement == "spread" else "DEFAULT"
