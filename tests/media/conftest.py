"""Videos of the kinds that people have: each is made here, and a real one is taken where the folder of them is."""

from fractions import Fraction
from pathlib import Path

import pytest

from support import video_factory as videos
from vidrestore.types import Colour


@pytest.fixture(params=["made", "real"])
def gif(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An animation with its own pace."""
    if request.param == "real":
        shared: Path = request.getfixturevalue("shared")
        return shared / "clips" / "head-pose-face-detection-female-and-male.gif"
    times = [0, 8, 16, 24, 40, 48, 56, *range(70, 270, 8)]
    return videos.make_video(
        tmp_path / "made.gif", codec="gif", pixel_format="gray", time_base=Fraction(1, 100), pts=times, last_duration=8
    )


@pytest.fixture(params=["made", "real"])
def webcam(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A recording of 87 frames in full range."""
    if request.param == "real":
        shared: Path = request.getfixturevalue("shared")
        return shared / "clips" / "sister.mkv"
    return videos.make_video(
        tmp_path / "made.mkv",
        frames=87,
        codec="mjpeg",
        pixel_format="yuvj420p",
        colour=Colour(full_range=True),
        time_base=Fraction(1, 1000),
    )


@pytest.fixture(params=["made", "real"])
def concert(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A video with sound as long as itself."""
    if request.param == "real":
        shared: Path = request.getfixturevalue("shared")
        return shared / "clips" / "short_hamilton_clip.mp4"
    return videos.make_video(tmp_path / "made.mp4", frames=75, audio="aac", audio_seconds=Fraction(3))
