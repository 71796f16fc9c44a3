"""Profiles: what a medium does to a whole video; drawn once, it lasts from the first frame to the last."""

from dataclasses import dataclass, field, replace
from typing import Final

from vidrestore.config import Options
from vidrestore.degradation.medium.clip import MEDIA, MediumConfig, MediumParameters, draw, medium_preset
from vidrestore.degradation.medium.codec import CodecConfig
from vidrestore.degradation.medium.dropouts import DropoutConfig, Dropouts, draw_dropouts
from vidrestore.degradation.medium.rng import Purpose, rng_for
from vidrestore.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ProfileConfig(Options):
    """Ranges of the damage of a video."""

    medium: MediumConfig = field(default_factory=MediumConfig)
    """Damage to every frame, and how the video is coded."""
    dropouts: DropoutConfig = field(default_factory=DropoutConfig)
    mix: tuple[str, ...] = ()
    """Names of presets: one of them is drawn, and the fields above do not matter."""

    def check_together(self) -> None:
        """Check that names are known."""
        unknown = [name for name in self.mix if name not in MEDIA]
        if unknown:
            self.refuse("mix", f"use names out of {', '.join(MEDIA)}")


@dataclass(frozen=True, slots=True)
class DegradationProfile:
    """The damage of one video."""

    medium: MediumParameters
    dropouts: Dropouts


def _coded(medium: str, *codecs: CodecConfig, scale: tuple[float, float]) -> MediumConfig:
    """Return the damage of face clips of that medium, coded at a bit rate: rate control makes half of the damage."""
    return replace(medium_preset(medium), scale=scale, codecs=codecs)


_PROFILES: Final = {
    # Half an hour of a worn cassette on a DVD of 4 to 6 Mbit/s, or straight to a file.
    "vhs": ProfileConfig(
        medium=_coded(
            "vhs",
            CodecConfig("mpeg2", bits_per_pixel=(0.3, 0.7), group=(12, 15), b_frames=(2, 2), interlaced=True),
            CodecConfig("h264", bits_per_pixel=(0.08, 0.2)),
            CodecConfig("mpeg4", bits_per_pixel=(0.15, 0.35), group=(50, 250), b_frames=(0, 2)),
            scale=(1.5, 3),
        ),
        dropouts=DropoutConfig(streaks=(0.3, 3)),
    ),
    # A print that has been through many projectors.
    "film16": ProfileConfig(
        medium=replace(
            _coded(
                "film16",
                CodecConfig("h264", bits_per_pixel=(0.1, 0.3), presets=("medium", "slow")),
                CodecConfig("mpeg2", bits_per_pixel=(0.4, 0.9), group=(12, 15), b_frames=(2, 2)),
                scale=(1, 2.5),
            ),
            # the coarsest stock is for faces far away; over a whole picture it hides everything
            grain_strength=(0.015, 0.05),
            grain_size=(0.45, 0.85),
        ),
        dropouts=DropoutConfig(dust=(0.5, 4), scratches=(0.005, 0.03)),
    ),
    "webcam": ProfileConfig(
        medium=_coded(
            "webcam",
            CodecConfig(
                "h264",
                bits_per_pixel=(0.05, 0.15),
                presets=("ultrafast", "superfast", "veryfast"),
                group=(50, 300),
                b_frames=(0, 0),
            ),
            scale=(1.5, 3.5),
        ),
    ),
    "lowbitrate": ProfileConfig(
        medium=_coded(
            "lowbitrate",
            CodecConfig("h264", bits_per_pixel=(0.012, 0.04), presets=("veryfast", "medium", "slow")),
            CodecConfig("mpeg4", bits_per_pixel=(0.03, 0.08), group=(50, 250), b_frames=(0, 2)),
            scale=(1.2, 3),
        ),
    ),
    # A crowded multiplex: 0.8 to 2.5 Mbit/s for a picture of standard definition.
    "broadcast": ProfileConfig(
        medium=_coded(
            "broadcast",
            CodecConfig("mpeg2", bits_per_pixel=(0.08, 0.25), group=(12, 15), b_frames=(2, 2), interlaced=True),
            scale=(1.2, 3),
        ),
    ),
    "mixed": ProfileConfig(mix=MEDIA),
}
PROFILE_NAMES: Final = tuple(_PROFILES)


def profile_preset(name: str) -> ProfileConfig:
    """Return the profile of a medium by its name, one of PROFILE_NAMES; ConfigError for another name."""
    if name not in _PROFILES:
        raise ConfigError(f"preset {name!r} is unknown; give one of {', '.join(PROFILE_NAMES)}")
    return _PROFILES[name]


def sample_profile(config: ProfileConfig, *, seed: int) -> DegradationProfile:
    """Draw the damage of the video with that seed."""
    generator = rng_for(seed, Purpose.PROFILE)
    if config.mix:
        config = _PROFILES[config.mix[int(generator.integers(len(config.mix)))]]
    medium = draw(config.medium, generator)
    # a face is cut out of somewhere in a frame, a video begins at a block's corner
    medium = replace(medium, codec=replace(medium.codec, corner=(0, 0)))
    return DegradationProfile(medium, draw_dropouts(config.dropouts, generator))
