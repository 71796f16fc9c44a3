"""Motion between face crops: found, composed, distrusted where something is hidden."""

import cv2
import numpy as np
import pytest

from vidrestore.restoration.temporal.flow import compose, grid_grey, link, sampling_grid, warp
from vidrestore.types import FlowField

CENTRE = (slice(24, 104), slice(24, 104))


def texture(seed: int = 0, side: int = 160) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 1, (side, side)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 2) * 4 + cv2.GaussianBlur(noise, (0, 0), 8) * 10
    return (soft * 40 + 128).clip(0, 255).astype(np.uint8)


def moved(picture: np.ndarray, x: float, y: float) -> np.ndarray:
    """The middle 128 x 128 of a picture whose content was pushed by (x, y)."""
    matrix = np.array([[1, 0, x - 16], [0, 1, y - 16]], np.float64)
    return cv2.warpAffine(picture, matrix, (128, 128), flags=cv2.INTER_CUBIC)


@pytest.mark.parametrize(("x", "y"), [(1.0, 0.0), (-2.5, 1.5), (4.0, -3.0)])
def test_a_known_motion_is_found_in_both_directions(x: float, y: float) -> None:
    found = link(moved(texture(), 0, 0), moved(texture(), x, y))
    allowed = 0.1 + 0.05 * np.hypot(x, y)
    assert np.abs(found.forward.shift[CENTRE] - (x, y)).mean() < allowed
    assert np.abs(found.backward.shift[CENTRE] + (x, y)).mean() < allowed
    assert found.backward.confidence[CENTRE].mean() > 0.9


def test_equal_pictures_do_not_move_at_all() -> None:
    found = link(moved(texture(), 0, 0), moved(texture(), 0, 0))
    for field in found:
        assert not field.shift.any()
        assert (field.confidence == 1).all()


def test_composed_steps_are_the_whole_way() -> None:
    first, second, third = (moved(texture(), 2.0 * step, -1.0 * step) for step in range(3))
    whole = compose(link(second, third).backward, link(first, second).backward)
    assert np.abs(whole.shift[CENTRE] - (-4, 2)).mean() < 0.2
    assert whole.confidence[CENTRE].mean() > 0.8


def test_what_was_hidden_is_not_trusted() -> None:
    earlier, later, patch = moved(texture(), 0, 0), moved(texture(), 0, 0), texture(9)[:60, :40]
    earlier[30:90, 40:80] = patch
    later[30:90, 48:88] = patch
    confidence = link(earlier, later).backward.confidence
    uncovered, still = confidence[40:80, 40:48].mean(), confidence[:, :24].mean()
    assert still > 0.95
    assert uncovered < still - 0.2


def test_a_path_out_of_the_crop_has_no_trust() -> None:
    still = FlowField(np.zeros((32, 32, 2), np.float32), np.ones((32, 32), np.float32))
    away = FlowField(np.full((32, 32, 2), 100, np.float32), np.ones((32, 32), np.float32))
    assert not compose(away, still).confidence.any()


def test_a_shift_on_the_grid_is_twice_as_far_in_a_crop_of_twice_its_side() -> None:
    shift = np.full((32, 32, 2), 1.5, np.float32)
    places = sampling_grid(shift, 64)
    assert places.shape == (64, 64, 2)
    assert np.allclose(places[10, 20], (23, 13))


def test_warping_by_nothing_changes_nothing() -> None:
    picture = texture(side=64).astype(np.float32)
    assert np.array_equal(warp(picture, sampling_grid(np.zeros((32, 32, 2), np.float32), 64)), picture)


def test_the_grid_is_half_of_a_crop_and_no_larger_than_128() -> None:
    assert grid_grey(np.zeros((64, 64, 3), np.uint8)).shape == (32, 32)
    assert grid_grey(np.zeros((512, 512, 3), np.uint8)).shape == (128, 128)


def test_motion_does_not_depend_on_the_number_of_threads() -> None:
    earlier, later = moved(texture(), 0, 0), moved(texture(), 3, 2)
    before = cv2.getNumThreads()
    results = []
    try:
        for threads in (1, 2, 3, 8):
            cv2.setNumThreads(threads)
            results.append(link(earlier, later).backward.shift)
    finally:
        cv2.setNumThreads(before)
    assert all(np.array_equal(result, results[0]) for result in results)
