"""Tensor operations beside the OpenCV functions that they stand for."""

import cv2
import numpy as np
import pytest
import torch

from vidrestore.restoration.clips import ops
from vidrestore.restoration.temporal.flow import sampling_grid
from vidrestore.restoration.temporal.flow import warp as warp_with_opencv


def image(side: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(0, 255, (side, side, channels)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 1.2)).reshape(side, side, channels)


def tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]


def array(images: torch.Tensor) -> np.ndarray:
    return images[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("side", [8, 16, 32])
def test_shrinking_averages_as_opencv_does(side: int) -> None:
    picture = image(64)
    wanted = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(array(ops.shrink(tensor(picture), side)), wanted, atol=1e-3)


def test_enlarging_is_that_of_opencv() -> None:
    picture = image(16)
    wanted = cv2.resize(picture, (64, 64), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(array(ops.enlarge(tensor(picture), 64)), wanted, atol=1e-3)


@pytest.mark.parametrize("sigma", [0.8, 1.0, 4.0])
def test_blurs_are_those_of_opencv(sigma: float) -> None:
    picture = image(64)
    np.testing.assert_allclose(
        array(ops.gaussian_blur(tensor(picture), sigma)), cv2.GaussianBlur(picture, (0, 0), sigma), atol=1e-3
    )
    np.testing.assert_allclose(
        array(ops.gaussian_blur(tensor(picture), 1.5, taps=9)), cv2.GaussianBlur(picture, (9, 9), 1.5), atol=1e-3
    )
    np.testing.assert_allclose(array(ops.box_blur(tensor(picture), 7)), cv2.blur(picture, (7, 7)), atol=1e-3)


def test_grey_is_that_of_opencv() -> None:
    picture = image(32)
    wanted = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    np.testing.assert_allclose(array(ops.grey(tensor(picture)))[..., 0], wanted, atol=1e-3)


@pytest.mark.parametrize("side", [None, 64, 16])
def test_positions_are_those_of_opencv(side: int | None) -> None:
    shift = image(32, 2) / 100 - 1
    found = array(ops.positions(tensor(shift), side))
    np.testing.assert_allclose(found, sampling_grid(shift, side), atol=1e-3)


@pytest.mark.parametrize("replicate", [False, True])
def test_warps_are_those_of_opencv(*, replicate: bool) -> None:
    picture, shift = image(64), image(64, 2, seed=1) / 25 - 5
    border = cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT
    wanted = warp_with_opencv(picture, sampling_grid(shift), border=border)
    found = array(ops.warp(tensor(picture), ops.positions(tensor(shift)), replicate=replicate))
    # OpenCV rounds positions to 1/32 of a pixel
    assert np.abs(found - wanted).mean() < 0.6


@pytest.mark.parametrize("side", [64, 128, 512])
def test_a_warp_without_motion_changes_nothing(side: int) -> None:
    picture = tensor(image(side))
    still = torch.zeros(1, 2, side, side)
    assert torch.equal(ops.warp(picture, ops.positions(still)), picture)
