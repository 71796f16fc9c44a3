"""Warp error, flicker and feature flicker: none when frozen or perfect, less when blurred, more when noisy."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.data import astronaut

from vidrestore.errors import RestorationError
from vidrestore.evaluation.metrics.flow import Motion, motion_between
from vidrestore.evaluation.metrics.temporal import (
    luma,
    mean_change,
    still_pixels,
    temporal_feature_distances,
    warp_error,
)

BEFORE, NOW = (astronaut()[20:220, left : left + 240] for left in (103, 100))
EVERYWHERE = np.ones(NOW.shape[:2], bool)
LUMA_BEFORE, LUMA = luma(BEFORE), luma(NOW)
MOTION = motion_between(LUMA_BEFORE.astype(np.uint8), LUMA.astype(np.uint8))
NOTHING = Motion(np.zeros((*LUMA.shape, 2), np.float32), EVERYWHERE)


def noise(seed: int, sigma: float) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, sigma, LUMA.shape).astype(np.float32)


def test_luma_is_grey_levels() -> None:
    white, green = np.full((2, 2, 3), 255, np.uint8), np.zeros((2, 2, 3), np.uint8)
    green[..., 1] = 200
    assert luma(white)[0, 0] == pytest.approx(255, abs=1e-3)
    assert luma(green)[0, 0] == pytest.approx(0.587 * 200, abs=1e-3)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_whatever_is_frozen_has_no_error_and_does_not_flicker(seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (40, 50)).astype(np.uint8)
    frame, region = picture.astype(np.float32), np.ones(picture.shape, bool)
    motion = motion_between(picture, picture)
    still = still_pixels(frame, frame, motion)
    assert still.all()
    assert warp_error(frame, frame, motion, region) == 0
    assert mean_change(frame, frame, still) == 0


def test_motion_of_the_truth_is_no_error() -> None:
    moved = warp_error(LUMA, LUMA_BEFORE, MOTION, EVERYWHERE)
    assert moved < 0.2 * mean_change(LUMA, LUMA_BEFORE, EVERYWHERE)


@pytest.mark.parametrize("sigma", [1.0, 2.0, 4.0])
def test_blur_wins_warp_error(sigma: float) -> None:
    blurred = [cv2.GaussianBlur(frame, (0, 0), sigma) for frame in (LUMA, LUMA_BEFORE)]
    assert warp_error(*blurred, MOTION, EVERYWHERE) < warp_error(LUMA, LUMA_BEFORE, MOTION, EVERYWHERE)


def test_noise_of_its_own_in_every_frame_raises_warp_error_with_its_strength() -> None:
    errors = [
        warp_error(LUMA + noise(1, sigma), LUMA_BEFORE + noise(2, sigma), MOTION, EVERYWHERE) for sigma in (0, 2, 4, 8)
    ]
    assert errors == sorted(errors)
    assert errors[-1] > errors[0] + 5


def test_what_the_truth_hides_is_not_compared() -> None:
    visible = EVERYWHERE.copy()
    visible[:, 100:] = False
    spoilt = LUMA.copy()
    spoilt[:, 100:] += 50
    assert warp_error(spoilt, LUMA, Motion(NOTHING.to_before, visible), EVERYWHERE) == 0
    assert warp_error(spoilt, LUMA, Motion(NOTHING.to_before, ~EVERYWHERE), EVERYWHERE) is None


def test_still_is_what_neither_changes_nor_moves() -> None:
    changed = LUMA.copy()
    changed[80:120, 80:120] += 20
    moving = np.zeros_like(NOTHING.to_before)
    moving[150:, :, 1] = 0.5
    still = still_pixels(changed, LUMA, Motion(moving, EVERYWHERE))
    assert not still[80:120, 80:120].any()
    assert not still[150:].any()
    assert still[:70].all()


def test_flicker_is_the_mean_change_in_grey_levels() -> None:
    assert mean_change(LUMA + 3, LUMA, EVERYWHERE) == pytest.approx(3, abs=1e-4)
    assert mean_change(LUMA, LUMA, ~EVERYWHERE) is None


def test_a_face_that_changes_as_the_truth_does_has_no_feature_flicker() -> None:
    generator = torch.Generator().manual_seed(0)
    one, two, other = ((torch.rand(2, 3, 4, 4, generator=generator),) for _ in range(3))
    assert torch.equal(temporal_feature_distances(one, two, one, two), torch.zeros(2, dtype=torch.float64))
    frozen = temporal_feature_distances(one, one, one, two)
    restless = temporal_feature_distances(one, two, other, other)
    torch.testing.assert_close(frozen, restless)
    assert (frozen > 0).all()


def test_frames_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RestorationError, match=r"wanted \[h, w\]"):
        mean_change(LUMA, LUMA[1:], EVERYWHERE)
