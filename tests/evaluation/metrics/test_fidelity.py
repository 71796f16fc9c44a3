"""Fidelity against scikit-image, hand-computed values, and what has to hold for any images."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from skimage.data import astronaut
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from vidrestore.errors import RestorationError
from vidrestore.evaluation.metrics.fidelity import (
    PSNR_CEILING_DECIBELS,
    mean_psnr,
    psnr,
    sharpness,
    sharpness_ratio,
    ssim,
)


def portrait() -> np.ndarray:
    return astronaut()[30:190, 150:310]


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), sigma)


def noisy(image: np.ndarray, deviation: float) -> np.ndarray:
    noise = np.random.default_rng(3).normal(0, deviation, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def batch(*images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


Metric = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
DAMAGES = (lambda image: blurred(image, 2), lambda image: noisy(image, 20), lambda image: 255 - image)


@pytest.mark.parametrize("damage", DAMAGES, ids=["blur", "noise", "negative"])
def test_psnr_and_ssim_are_those_of_scikit_image(damage: Callable[[np.ndarray], np.ndarray]) -> None:
    truth, restored = portrait(), damage(portrait())
    found = psnr(batch(restored), batch(truth)).item(), ssim(batch(restored), batch(truth)).item()
    wanted = structural_similarity(
        restored, truth, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=2, data_range=255
    )
    assert found == pytest.approx((peak_signal_noise_ratio(truth, restored), wanted), abs=1e-6)


def test_psnr_of_one_level_everywhere_is_that_of_the_formula() -> None:
    truth = torch.full((1, 3, 4, 4), 100, dtype=torch.uint8)
    assert psnr(truth + 1, truth).item() == pytest.approx(20 * np.log10(255))


def test_uint8_and_float_images_measure_the_same() -> None:
    restored, truth = batch(noisy(portrait(), 9)), batch(portrait())
    for metric in (psnr, ssim, sharpness_ratio):
        as_float = metric(restored.float() / 255, truth.float() / 255)
        torch.testing.assert_close(as_float, metric(restored, truth), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("metric", [psnr, ssim, sharpness_ratio])
def test_an_image_is_measured_the_same_alone_and_in_a_batch(
    metric: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> None:
    restored, truth = batch(noisy(portrait(), 9), blurred(portrait(), 1)), batch(portrait(), portrait())
    together = metric(restored, truth)
    assert together.dtype == torch.float64
    assert together.shape == (2,)
    alone = torch.cat([metric(restored[i : i + 1], truth[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(together, alone)


def test_psnr_and_ssim_are_symmetric() -> None:
    restored, truth = batch(noisy(portrait(), 9)), batch(portrait())
    torch.testing.assert_close(psnr(restored, truth), psnr(truth, restored))
    torch.testing.assert_close(ssim(restored, truth), ssim(truth, restored))


def test_identical_images_are_perfect_and_count_with_the_ceiling() -> None:
    truth = batch(portrait())
    assert psnr(truth, truth).isinf().all()
    assert mean_psnr(psnr(truth, truth)) == PSNR_CEILING_DECIBELS
    assert mean_psnr(torch.tensor([20.0, torch.inf])) == (20 + PSNR_CEILING_DECIBELS) / 2
    assert ssim(truth, truth).item() == pytest.approx(1, abs=1e-12)
    assert sharpness_ratio(truth, truth).item() == 1


def test_ssim_stays_between_minus_one_and_one() -> None:
    generator = torch.Generator().manual_seed(5)
    first = torch.rand(6, 3, 24, 24, generator=generator).round()
    values = torch.cat([ssim(first, other) for other in (1 - first, torch.rand(first.shape, generator=generator))])
    assert values.min() >= -1
    assert values.max() <= 1
    assert values[:6].max() < -0.5


def test_sharpness_falls_with_every_step_of_blur() -> None:
    truth = portrait()
    steps = batch(truth, *(blurred(truth, sigma) for sigma in (0.5, 1, 2, 4)))
    energies = sharpness(steps)
    assert (energies.diff() < 0).all()
    ratios = sharpness_ratio(steps, steps[:1].expand_as(steps))
    torch.testing.assert_close(ratios, energies / energies[0])


def test_sharpness_of_a_checkerboard_is_that_of_the_formula() -> None:
    rows, columns = torch.meshgrid(torch.arange(40), torch.arange(40), indexing="ij")
    board = ((rows + columns) % 2).float().expand(1, 3, 40, 40)
    assert sharpness(board).item() == pytest.approx(16)


def test_sharpness_does_not_see_hair_and_background() -> None:
    truth = torch.full((1, 3, 100, 100), 0.5)
    framed = truth.clone()
    framed[..., :30, :] = torch.rand(1, 3, 30, 100, generator=torch.Generator().manual_seed(1))
    assert sharpness(framed).item() == sharpness(truth).item()


def test_flat_pictures_have_a_finite_ratio() -> None:
    flat, detailed = (
        torch.full((1, 3, 64, 64), 0.5),
        torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)),
    )
    assert sharpness_ratio(flat, flat).item() == 1
    assert sharpness_ratio(detailed, flat).isfinite().all()


@pytest.mark.parametrize(
    ("restored", "truth", "reason"),
    [
        (torch.zeros(1, 3, 20, 20), torch.zeros(1, 3, 20, 21), "same shape"),
        (torch.zeros(3, 20, 20), torch.zeros(3, 20, 20), r"\[B, 3, H, W\]"),
        (torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8), "11 x 11"),
        (torch.zeros(0, 3, 20, 20), torch.zeros(0, 3, 20, 20), r"\[B, 3, H, W\]"),
    ],
)
def test_images_that_cannot_be_compared_are_refused(restored: torch.Tensor, truth: torch.Tensor, reason: str) -> None:
    with pytest.raises(RestorationError, match=reason):
        ssim(restored, truth)
