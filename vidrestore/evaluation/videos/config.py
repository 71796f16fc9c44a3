"""What is compared, and how the truth's faces are found."""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from vidrestore.config import Options
from vidrestore.faces.config import TrackerConfig
from vidrestore.media.config import ShotConfig

_SMALLEST_CROP = 64


@dataclass(frozen=True, slots=True)
class ComparisonConfig(Options):
    """Options of a comparison.

    Raises:
        ConfigError: a value is out of range.
    """

    device: Annotated[
        str, Field(description="Device of the networks: `auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:N`.")
    ] = "auto"
    min_face: Annotated[
        float,
        Field(
            ge=0,
            description="Face width in display pixels below which a face is not measured: the default of full "
            "restoration.",
        ),
    ] = 24.0
    crop_size: Annotated[
        int, Field(ge=64, description="Side in pixels of the aligned faces that networks and profiles see.")
    ] = 256
    preview_side: Annotated[
        int,
        Field(
            ge=64,
            description="Longer side, in pixels, of the picture that the truth's faces and cuts are searched in, "
            "in every frame.",
        ),
    ] = 960
    piece_frames: Annotated[
        int,
        Field(ge=2, description="Frames of a piece: longer tracks are measured in pieces, so that memory is bounded."),
    ] = 1500
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    shots: ShotConfig = field(default_factory=ShotConfig)
