import math

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vidrestore.degradation.image.blur_kernels import blur, fast_length, gaussian_kernels, window_radius

SIGMA = st.floats(0.0, 8.0)
ANGLE = st.floats(-math.pi, math.pi)


def noise(batch: int, side: int, seed: int = 0) -> Tensor:
    return torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(seed))


def direct(images: Tensor, kernels: Tensor) -> Tensor:
    radius = kernels.shape[-1] // 2
    padded = F.pad(images, (radius,) * 4, mode="reflect")
    rows = [
        # conv2d correlates: the kernels are symmetric about their centre, so that this is the convolution.
        F.conv2d(image[:, None], kernel[None, None])[:, 0]
        for image, kernel in zip(padded, kernels, strict=True)
    ]
    return torch.stack(rows)


@settings(max_examples=50, deadline=None)
@given(sigma_x=SIGMA, sigma_y=SIGMA, angle=ANGLE)
def test_every_kernel_sums_to_one(sigma_x: float, sigma_y: float, angle: float) -> None:
    kernel = gaussian_kernels(*torch.tensor([[sigma_x], [sigma_y], [angle]]), radius=32)
    assert torch.isfinite(kernel).all()
    assert kernel.min() >= 0
    assert kernel.sum().item() == pytest.approx(1, abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(sigma=st.floats(0.3, 4.0), angle=ANGLE)
def test_isotropic_kernels_are_opencvs_at_any_angle(sigma: float, angle: float) -> None:
    (kernel,) = gaussian_kernels(torch.tensor([sigma]), torch.tensor([sigma]), torch.tensor([angle]), radius=16)
    line = cv2.getGaussianKernel(33, sigma)
    np.testing.assert_allclose(kernel.numpy(), line @ line.T, atol=1e-5)


def test_moments_of_an_anisotropic_kernel_are_its_sigmas_along_its_axes() -> None:
    angle = math.radians(30)
    (kernel,) = gaussian_kernels(torch.tensor([5.0]), torch.tensor([1.5]), torch.tensor([angle]), radius=24)
    offset = torch.arange(-24, 25).float()
    across, down = offset[None, :], offset[:, None]
    along = math.cos(angle) * across + math.sin(angle) * down
    beside = math.cos(angle) * down - math.sin(angle) * across
    assert (kernel * along**2).sum().sqrt().item() == pytest.approx(5.0, rel=0.01)
    assert (kernel * beside**2).sum().sqrt().item() == pytest.approx(1.5, rel=0.01)
    assert (kernel * along * beside).sum().item() == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("side", [40, 64])
def test_blur_equals_direct_convolution(side: int) -> None:
    images = noise(4, side)
    sigma_x, sigma_y = torch.tensor([0.1, 1.0, 2.5, 4.0]), torch.tensor([0.1, 3.0, 0.5, 4.0])
    angle = torch.tensor([0.0, 0.7, -2.0, 3.0])
    expected = direct(images, gaussian_kernels(sigma_x, sigma_y, angle, radius=16))
    torch.testing.assert_close(blur(images, sigma_x, sigma_y, angle, radius=16), expected, atol=2e-6, rtol=0)


def test_blur_of_an_oblong_image_equals_opencv() -> None:
    image = noise(1, 48)[:, :, :32]
    result = blur(image, torch.tensor([1.5]), torch.tensor([1.5]), torch.tensor([0.0]), radius=6)
    expected = cv2.GaussianBlur(image[0].permute(1, 2, 0).numpy(), (13, 13), 1.5, borderType=cv2.BORDER_REFLECT_101)
    np.testing.assert_allclose(result[0].permute(1, 2, 0).numpy(), expected, atol=1e-5)


def test_sigma_zero_changes_nothing() -> None:
    images = noise(2, 32)
    zero = torch.zeros(2)
    torch.testing.assert_close(blur(images, zero, zero, zero, radius=8), images, atol=1e-6, rtol=0)


def test_a_flat_image_stays_flat_under_a_window_larger_than_itself() -> None:
    images = torch.full((1, 3, 16, 16), 0.25)
    sigma = torch.tensor([9.0])
    result = blur(images, sigma, sigma, torch.zeros(1), radius=window_radius(9.0))
    torch.testing.assert_close(result, images, atol=1e-6, rtol=0)


def test_window_reaches_four_sigmas() -> None:
    assert window_radius(5.0) == 20
    assert window_radius(0.3) == 2


@pytest.mark.parametrize(("least", "length"), [(2, 2), (7, 8), (295, 300), (296, 300), (300, 300), (592, 600)])
def test_fast_length_is_the_next_even_one_of_small_factors(least: int, length: int) -> None:
    assert fast_length(least) == length
