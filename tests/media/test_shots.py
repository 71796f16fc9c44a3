"""Cuts, and what only looks like one."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from vidrestore.errors import ConfigError
from vidrestore.media.config import ShotConfig
from vidrestore.media.shots import ShotDetector
from vidrestore.types import UInt8


def scene(seed: int, *, width: int = 320, height: int = 180) -> UInt8:
    """A picture uint8 [height, width, 3] of soft colour patches, a little larger than shown, to pan over."""
    patches = np.random.default_rng(seed).integers(0, 200, size=(6, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(patches, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def pan(seed: int, *, frames: int, step: int = 2) -> list[UInt8]:
    return [np.roll(scene(seed), step * index, axis=1) for index in range(frames)]


def brighter(image: UInt8, amount: int) -> UInt8:
    return np.clip(image.astype(np.int16) + amount, 0, 255).astype(np.uint8)


def cuts(images: list[UInt8], config: ShotConfig | None = None) -> list[int]:
    detector = ShotDetector(config)
    return [index for index, image in enumerate(images) if detector.is_cut(image)]


def test_cuts_are_found_at_the_first_frame_of_the_new_shot() -> None:
    assert cuts(pan(1, frames=20) + pan(2, frames=15) + pan(3, frames=20)) == [20, 35]


def test_the_first_frame_is_no_cut() -> None:
    assert cuts([scene(1)]) == []


def test_a_cut_right_after_the_first_frame_is_found() -> None:
    assert cuts([scene(1), scene(2), scene(2)]) == [1]


def test_a_pan_is_no_cut() -> None:
    assert cuts(pan(4, frames=40, step=6)) == []


@pytest.mark.parametrize("flash_frames", [1, 3])
def test_a_flash_is_no_cut(flash_frames: int) -> None:
    images = pan(5, frames=30)
    for index in range(12, 12 + flash_frames):
        images[index] = brighter(images[index], 90)

    assert cuts(images) == []


def test_a_cut_to_a_brighter_scene_is_one() -> None:
    assert cuts(pan(6, frames=10) + [brighter(image, 60) for image in pan(7, frames=10)]) == [10]


def test_a_strobe_of_scenes_is_reported_once_per_shortest_shot() -> None:
    images = [scene(index % 2) for index in range(20)]

    assert cuts(images, ShotConfig(min_shot_frames=5)) == [1, 7, 13, 19]


def test_pictures_may_change_their_size() -> None:
    larger = [np.asarray(cv2.resize(image, (640, 360)), np.uint8) for image in pan(8, frames=5)]

    assert cuts(pan(8, frames=5) + larger + pan(9, frames=5)) == [10]


def test_impossible_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="width is 2; use 16 or more"):
        ShotConfig(width=2)
    with pytest.raises(ConfigError, match="min_shot_frames is 0; use 1 or more"):
        ShotConfig(min_shot_frames=0)


@pytest.mark.parametrize(
    ("clip", "expected"),
    [
        ("short_hamilton_clip.mp4", [20, 82, 211]),
        ("sister.mkv", []),
        ("head-pose-face-detection-male.gif", []),
        ("head-pose-face-detection-female-and-male.gif", []),
        ("face-demographics-walking.gif", []),
    ],
)
def test_real_clips_are_cut_where_a_viewer_sees_it(shared: Path, clip: str, expected: list[int]) -> None:
    with av.open(shared / "clips" / clip) as container:
        images = [frame.to_ndarray(format="rgb24", width=320, height=180) for frame in container.decode(video=0)]

    assert cuts(images) == expected
