"""What is compared, and how the truth's faces are found."""

from dataclasses import dataclass, field

from vidrestore.errors import ConfigError
from vidrestore.faces.tracker import TrackerConfig
from vidrestore.media.shots import ShotConfig

_SMALLEST_CROP = 64


@dataclass(frozen=True, slots=True)
class ComparisonConfig:
    """Options of a comparison.

    Raises:
        ConfigError: a value is out of range.
    """

    device: str = "auto"
    """Of the networks: `auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:N`."""
    min_face: float = 24.0
    """Face width in display pixels below which a face is not measured: the default of full restoration."""
    crop_size: int = 256
    """Side in pixels of the aligned faces that networks and profiles see."""
    preview_side: int = 960
    """Longer side, in pixels, of the picture that the truth's faces and cuts are searched in, in every frame."""
    piece_frames: int = 1500
    """Longer tracks are judged in pieces of so many frames: what is held of each is bounded."""
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    shots: ShotConfig = field(default_factory=ShotConfig)

    def __post_init__(self) -> None:
        least = {"min_face": 0, "crop_size": _SMALLEST_CROP, "preview_side": _SMALLEST_CROP, "piece_frames": 2}
        for option, lowest in least.items():
            if not getattr(self, option) >= lowest:
                raise ConfigError(f"{option} is {getattr(self, option)}; use {lowest} or more")
