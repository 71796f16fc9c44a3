"""PSNR and SSIM of a region: those of whole pictures where the region is the whole, and of nothing else where not."""

import math

import numpy as np
import pytest
import torch
from skimage.data import astronaut

from vidrestore.errors import RestorationError
from vidrestore.evaluation.metrics.fidelity import psnr, ssim
from vidrestore.evaluation.metrics.regions import LEAST_PIXELS, region_mean, region_psnr, ssim_map

TRUTH = astronaut()[60:160, 160:290]
NOISY = np.clip(TRUTH + np.random.default_rng(3).normal(0, 12, TRUTH.shape), 0, 255).astype(np.uint8)
EVERYWHERE = np.ones(TRUTH.shape[:2], bool)


def batch(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None]


def test_a_region_of_the_whole_picture_has_the_psnr_of_the_picture() -> None:
    assert region_psnr(NOISY, TRUTH, EVERYWHERE) == pytest.approx(float(psnr(batch(NOISY), batch(TRUTH))))


def test_the_map_of_ssim_is_that_of_whole_pictures_away_from_the_border() -> None:
    inner = ssim_map(NOISY, TRUTH)[5:-5, 5:-5]
    assert float(inner.mean()) == pytest.approx(float(ssim(batch(NOISY), batch(TRUTH))), abs=1e-4)


def test_identical_pictures_are_perfect() -> None:
    assert region_psnr(TRUTH, TRUTH, EVERYWHERE) == math.inf
    assert np.all(ssim_map(TRUTH, TRUTH) == 1)


def test_what_lies_outside_the_region_does_not_count() -> None:
    left = EVERYWHERE.copy()
    left[:, 60:] = False
    spoilt = TRUTH.copy()
    spoilt[:, 60:] = 0
    assert region_psnr(spoilt, TRUTH, left) == math.inf
    assert region_psnr(spoilt, TRUTH, ~left) < 15


def test_a_region_of_a_few_pixels_is_not_measured() -> None:
    few = np.zeros_like(EVERYWHERE)
    few.ravel()[: LEAST_PIXELS - 1] = True
    assert region_psnr(NOISY, TRUTH, few) is None
    assert region_mean(np.ones(few.shape, np.float32), few) is None
    few.ravel()[LEAST_PIXELS - 1] = True
    assert region_mean(np.ones(few.shape, np.float32), few) == 1


@pytest.mark.parametrize("other", [TRUTH[:-1], TRUTH.astype(np.float32)])
def test_pictures_that_do_not_fit_are_refused(other: np.ndarray) -> None:
    with pytest.raises(RestorationError, match=r"wanted uint8 \[h, w, 3\]"):
        ssim_map(other, TRUTH)
    with pytest.raises(RestorationError, match=r"wanted uint8 \[h, w, 3\]"):
        region_psnr(other, TRUTH, EVERYWHERE)
