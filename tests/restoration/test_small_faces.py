"""Crops that are much finer than the film are worked at more coarsely; what comes out is what it would have been."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from vidrestore.restoration.config import CompositorConfig
from vidrestore.restoration.face.compositor import Compositor
from vidrestore.restoration.face.cropper import scale_factor
from vidrestore.restoration.temporal.blend import changed, working
from vidrestore.restoration.temporal.denoiser import Denoiser
from vidrestore.restoration.temporal.stabilizer import Stabilizer
from vidrestore.stages import run
from vidrestore.types import AlignedFace, FaceTrack, Frame, FrameFaces, Restoration

SIDE = 512
WIDTH, HEIGHT = 320, 240


def at(fine: float, x: float = 80.0) -> np.ndarray:
    """A map of frame pixels to a crop that is so many times as fine, from (x, 60) on."""
    return np.array([[fine, 0, -fine * x], [0, fine, -fine * 60]], np.float64)


def item(index: int, video: np.ndarray, restored: np.ndarray, to_crop: np.ndarray) -> FrameFaces[Restoration]:
    planes = tuple(np.full((HEIGHT // n, WIDTH // n), 110, np.uint8) for n in (1, 2, 2))
    frame = Frame(index, index, Fraction(1, 25), 1, WIDTH, HEIGHT, "yuv420p", planes)
    track = FaceTrack(0, np.eye(3)[:2], 50.0, 0.9, np.eye(4))
    return FrameFaces(frame, (Restoration(AlignedFace(track, video, to_crop), restored),))


def enlarged(seed: int, fine: float) -> np.ndarray:
    """A crop that holds no more than the pixels of a small face in a film."""
    few = round(SIDE / fine)
    noise = np.random.default_rng(seed).normal(0, 40, (few, few, 3)).astype(np.float32)
    base = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 700, (few, few, 3)).astype(np.float32), (0, 0), few / 12)
    return cv2.resize((base + noise / 5 + 128).clip(0, 255).astype(np.uint8), (SIDE, SIDE))


@pytest.mark.parametrize(("fine", "side"), [(1.0, 512), (3.9, 512), (4.1, 256), (7.9, 256), (8.1, 128), (90.0, 128)])
def test_crops_are_halved_while_they_stay_twice_as_fine_as_the_video(fine: float, side: int) -> None:
    crop = enlarged(1, 4)
    small = working(crop, at(fine))
    assert small.shape == (side, side, 3)
    assert (small is crop) == (side == SIDE)
    assert abs(small.mean() - crop.mean()) < 0.5


def test_what_is_not_changed_stays_exactly_as_it_was() -> None:
    crop = enlarged(1, 6)
    small = working(crop, at(6))
    assert np.array_equal(changed(crop, small, small.astype(np.float32)), crop)
    brighter = changed(crop, small, small + np.float32(3))
    assert np.array_equal(brighter, crop + np.float32(3))


def test_a_frozen_small_face_does_not_flicker_at_all() -> None:
    video, restored = enlarged(1, 6), enlarged(2, 5)
    steady = list(run(Stabilizer(), [item(index, video, restored, at(6)) for index in range(8)]))
    crops = [one.faces[0].crop for one in steady]
    assert all(np.array_equal(crop, crops[0]) for crop in crops)
    clean = run(Denoiser(), [FrameFaces(one.frame, (one.faces[0].face,)) for one in steady])
    assert all(np.array_equal(one.faces[0].crop, video) for one in clean)


def test_a_small_face_loses_its_noise_as_a_large_one_does() -> None:
    truth = enlarged(3, 6).astype(float)
    videos = [enlarged(seed, 6) for seed in range(9)]
    mean = np.mean(videos, axis=0)
    left = []
    for fine in (1.0, 6.0):
        faces = [item(index, video, video, at(fine)) for index, video in enumerate(videos)]
        clean = list(run(Denoiser(), [FrameFaces(one.frame, (one.faces[0].face,)) for one in faces]))
        left.append(np.abs(clean[4].faces[0].crop - mean).mean())
    noise = np.abs(videos[4] - mean).mean()
    assert left[0] < 0.6 * noise
    assert left[1] < 1.2 * left[0]
    assert truth.std() > 20, "there was a face to keep"


def test_a_face_that_grows_past_the_bound_is_not_torn() -> None:
    video, restored = enlarged(1, 5), enlarged(2, 5)
    maps = [at(4.3 - 0.1 * index) for index in range(8)]
    assert len({working(video, one).shape for one in maps}) == 2
    growing = [item(index, video, restored, one) for index, one in enumerate(maps)]
    crops = [one.faces[0].crop.astype(int) for one in run(Stabilizer(), growing)]
    assert max(np.abs(crop - crops[0]).mean() for crop in crops) < 1.0
    assert max(np.abs(crop - crops[0]).max() for crop in crops) < 25


@pytest.mark.parametrize("fine", [4.2, 6.5, 11.0])
def test_a_crop_much_finer_than_the_frame_is_drawn_as_its_mean(fine: float) -> None:
    """Against brute force: every crop pixel goes to the frame pixel that it lies in."""
    crop = enlarged(5, fine)
    given = item(0, crop, crop, at(fine, x=100.0))
    drawn = Compositor(CompositorConfig(feather=0.05))(given).planes[0].astype(float)
    grey = 16 + (crop.astype(float) @ [0.299, 0.587, 0.114]) * 219 / 255
    rows, columns = np.indices((SIDE, SIDE))
    x, y = np.round(columns / fine + 100).astype(int), np.round(rows / fine + 60).astype(int)
    total, count = np.zeros((HEIGHT, WIDTH)), np.zeros((HEIGHT, WIDTH))
    np.add.at(total, (y, x), grey)
    np.add.at(count, (y, x), 1)
    wide = round(SIDE / fine / 5)
    middle = slice(60 + 2 * wide, 60 + 3 * wide), slice(100 + 2 * wide, 100 + 3 * wide)
    assert scale_factor(at(fine)) == pytest.approx(fine)
    assert np.abs(drawn - total / np.maximum(count, 1))[middle].mean() < 2.5
    assert (total / np.maximum(count, 1))[middle].std() > 4
