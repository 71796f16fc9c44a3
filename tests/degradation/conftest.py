"""Films and profiles for the tests of this folder."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from vidrestore.degradation.medium.clip import MediumConfig
from vidrestore.degradation.medium.codec import CodecConfig
from vidrestore.degradation.medium.dropouts import DropoutConfig
from vidrestore.degradation.medium.profiles import DegradationProfile, ProfileConfig, sample_profile

NONE = (0, 0)
CLEAN = ProfileConfig(
    MediumConfig(
        scale=(1, 1),
        blur_sigma=NONE,
        flicker=NONE,
        grain_strength=NONE,
        read_noise=NONE,
        shot_noise=NONE,
        codecs=(CodecConfig(bits_per_pixel=(8, 8), presets=("ultrafast",), b_frames=NONE),),
    ),
    DropoutConfig(),
)
"""Nothing but a codec with all the bits that it wants: a base on which a test lays one damage."""


@pytest.fixture(scope="session")
def clean_profile() -> Callable[..., DegradationProfile]:
    """A profile without damage but what is named: parameters of the medium, or `dropouts`."""

    def make(*, dropouts: DropoutConfig | None = None, **medium: object) -> DegradationProfile:
        profile = sample_profile(replace(CLEAN, dropouts=dropouts or DropoutConfig()), seed=0)
        return replace(profile, medium=replace(profile.medium, **medium))

    return make


def _read(path: Path) -> list[tuple[Fraction, np.ndarray]]:
    with av.open(str(path)) as container:
        return [
            (frame.pts * frame.time_base, frame.to_ndarray(format="rgb24").copy())
            for frame in container.decode(video=0)
        ]


@pytest.fixture(scope="session")
def read() -> Callable[[Path], list[tuple[Fraction, np.ndarray]]]:
    """Times in seconds and uint8 [H, W, 3] pictures of a film."""
    return _read


@pytest.fixture(scope="session")
def decibels() -> Callable[[Path, Path], list[float]]:
    """PSNR of each frame of one film against another's."""

    def compare(path: Path, truth: Path) -> list[float]:
        pairs = zip(_read(path), _read(truth), strict=True)
        return [10 * np.log10(255**2 / np.mean((seen[1].astype(float) - wanted[1]) ** 2)) for seen, wanted in pairs]

    return compare
