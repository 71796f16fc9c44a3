"""Options of reading and encoding videos."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from vidrestore.config import Options


@dataclass(frozen=True, slots=True)
class ShotConfig(Options):
    """Options of shot detection."""

    threshold: Annotated[
        float,
        Field(
            gt=0,
            le=255,
            description="Lowest mean change of hue, saturation and value that is a shot change. On real clips shot "
            "changes score 47 or more, whip pans 19.",
        ),
    ] = 27.0
    min_shot_frames: Annotated[
        int,
        Field(
            ge=1,
            description="Frames after a shot change in which no other is reported, so that a strobe does not reset the "
            "tracker every frame.",
        ),
    ] = 5
    width: Annotated[int, Field(ge=16, description="Width in pixels of the copy that is compared.")] = 128
    flash_brightness: Annotated[
        float, Field(ge=0, description="Smallest change of the mean grey level, 0 to 255, that may be a flash.")
    ] = 12.0
    flash_similarity: Annotated[
        float,
        Field(
            ge=-1,
            le=1,
            description="Lowest correlation of the grey levels of both frames that makes such a change a flash and no "
            "shot change.",
        ),
    ] = 0.8


@dataclass(frozen=True, slots=True)
class EncodeConfig(Options):
    """Options of the encoder; values that depend on it are checked against it."""

    codec: Annotated[str, Field(description="Video encoder, by FFmpeg's name: libx264, libx265, libsvtav1, ...")] = (
        "libx264"
    )
    crf: Annotated[
        float,
        Field(description="Constant quality; lower is better: 0 to 51 for x264 and x265, 0 to 63 for SVT-AV1 and VP9."),
    ] = 17
    preset: Annotated[
        str,
        Field(description="Encoder preset, from ultrafast to placebo; SVT-AV1 also takes its own numbers."),
    ] = "medium"
    lossless: Annotated[
        bool,
        Field(description="Encode losslessly with FFV1, which codec may then name too; crf and preset do not matter."),
    ] = False
    pixel_format: Annotated[
        str | None,
        Field(
            description="Output pixel format; none: same as the source if the encoder takes it, else the one that "
            "loses least."
        ),
    ] = None
    threads: Annotated[int, Field(ge=0, description="Encoder threads; 0: as many as the encoder likes.")] = 0
    options: Annotated[tuple[str, ...], Field(description='Further encoder options, each "key=value".')] = ()
