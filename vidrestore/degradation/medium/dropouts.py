"""Dropouts: the damage that strikes single places of single frames, by medium."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from vidrestore.config import Options
from vidrestore.degradation.medium.codec import check_range
from vidrestore.degradation.medium.rng import Purpose, rng_for
from vidrestore.degradation.medium.surface import add_dust, add_scratch, scratches_at
from vidrestore.degradation.medium.tape import add_streaks
from vidrestore.types import UInt8

_BOUNDS: dict[str, tuple[float, float]] = {
    "streaks": (0, 1000),
    "streak_lengths": (0.001, 2),
    "dust": (0, 1000),
    "dust_sizes": (0.0002, 0.2),
    "scratches": (0, 1),
    "scratch_frames": (1, 10_000),
}
_RATES = ("streaks", "dust", "scratches")
"""Pairs drawn once for a video; the other pairs are of each streak, speck and scratch."""


@dataclass(frozen=True, slots=True)
class DropoutConfig(Options):
    """Frequency and size of dropouts: pairs are (lowest, highest)."""

    streaks: tuple[float, float] = (0, 0)
    """White streaks in a frame, on average: a worn tape."""
    streak_lengths: tuple[float, float] = (0.02, 0.6)
    """Length of a streak as a share of a line."""
    dust: tuple[float, float] = (0, 0)
    """Specks and fibres in a frame, on average."""
    dust_sizes: tuple[float, float] = (0.0015, 0.007)
    """Radii as shares of the picture's height."""
    scratches: tuple[float, float] = (0, 0)
    """Vertical scratches that begin in a frame, on average."""
    scratch_frames: tuple[int, int] = (8, 80)
    """Frames that a scratch lasts."""
    pale_probability: Annotated[
        float, Field(ge=0, le=1, description="Fraction of videos whose dust and scratches are white; else black.")
    ] = 0.5

    def check_together(self) -> None:
        """Check that pairs are within their ranges."""
        for name, bounds in _BOUNDS.items():
            check_range(name, getattr(self, name), bounds=bounds)


@dataclass(frozen=True, slots=True)
class Dropouts:
    """Dropouts of one video; units are those of `DropoutConfig`."""

    streaks: float
    streak_lengths: tuple[float, float]
    dust: float
    dust_sizes: tuple[float, float]
    scratches: float
    scratch_frames: tuple[int, int]
    pale: bool


def draw_dropouts(config: DropoutConfig, generator: np.random.Generator) -> Dropouts:
    """Draw the dropouts of one video, at random within `config`."""
    streaks, dust, scratches = (float(generator.uniform(*getattr(config, name))) for name in _RATES)
    return Dropouts(
        streaks=streaks,
        streak_lengths=config.streak_lengths,
        dust=dust,
        dust_sizes=config.dust_sizes,
        scratches=scratches,
        scratch_frames=config.scratch_frames,
        pale=bool(generator.random() < config.pale_probability),
    )


def add_dropouts(picture: UInt8, dropouts: Dropouts, *, seed: int, index: int) -> UInt8:
    """Add dropouts to frame `index` of the video, uint8 [h, w, 3] RGB; a function of the arguments alone."""
    generator = rng_for(seed, Purpose.DROPOUTS, index)
    picture = add_dust(picture, generator, mean=dropouts.dust, sizes=dropouts.dust_sizes, pale=dropouts.pale)
    for scratch in scratches_at(seed, index, starts=dropouts.scratches, lasting=dropouts.scratch_frames):
        picture = add_scratch(picture, scratch, generator, index=index, pale=dropouts.pale)
    return add_streaks(picture, generator, mean=dropouts.streaks, lengths=dropouts.streak_lengths)
