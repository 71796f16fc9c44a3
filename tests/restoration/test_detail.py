"""Fine detail after averaging is as strong as before."""

import cv2
import numpy as np
import pytest

from vidrestore.restoration.temporal.detail import match_detail


def picture(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 1, (128, 128, 3)).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 1.0) * 60 + 120


def energy(values: np.ndarray) -> float:
    grey = cv2.cvtColor(values, cv2.COLOR_RGB2GRAY)
    return float(np.square(grey - cv2.GaussianBlur(grey, (0, 0), 1.5))[16:-16, 16:-16].mean())


@pytest.mark.parametrize("sigma", [0.5, 0.7])
def test_a_blurred_picture_gets_its_energy_back(sigma: float) -> None:
    sharp = picture()
    blurred = cv2.GaussianBlur(sharp, (0, 0), sigma)
    assert energy(blurred) < 0.9 * energy(sharp)
    assert 0.9 < energy(match_detail(blurred, sharp, most_gain=4)) / energy(sharp) < 1.03


def test_the_gain_is_bounded() -> None:
    flat = cv2.GaussianBlur(picture(), (0, 0), 3)
    raised = match_detail(flat, picture(), most_gain=0.5)
    assert energy(raised) <= 2.26 * energy(flat)


def test_nothing_is_taken_from_a_picture_that_is_sharp_enough() -> None:
    sharp = picture()
    assert np.array_equal(match_detail(sharp, cv2.GaussianBlur(sharp, (0, 0), 1), most_gain=2), sharp)
    assert np.array_equal(match_detail(sharp, sharp, most_gain=2), sharp)
