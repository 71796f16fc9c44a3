"""Distances of features: the Frechet distance against closed forms and scipy's root of a matrix."""

import numpy as np
import pytest
import scipy.linalg
import torch

from vidrestore.errors import RestorationError
from vidrestore.evaluation.metrics.features import feature_distances, features_of, frechet_distance
from vidrestore.models.perceptual import MobileNetV2Features


def crowd(count: int, dimensions: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, dimensions)) @ generator.normal(size=(dimensions, dimensions))


def test_equal_crowds_have_no_distance() -> None:
    features = crowd(200, 8, 1)
    assert frechet_distance(features, features[::-1]) == pytest.approx(0, abs=1e-9)


def test_a_shift_counts_its_squared_length() -> None:
    features = crowd(200, 3, 1)
    assert frechet_distance(features + np.array([1, 2, 2]), features) == pytest.approx(9)


def test_a_change_of_spread_counts_the_squared_difference_of_deviations() -> None:
    features = np.random.default_rng(2).normal(size=(500, 1))
    deviation = features.std(ddof=1)
    centred = features - features.mean()
    assert frechet_distance(3 * centred, centred) == pytest.approx((2 * deviation) ** 2)


def test_it_is_the_formula_with_the_root_of_the_product() -> None:
    first, second = crowd(300, 6, 3), crowd(200, 6, 4) + 0.5
    one, two = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    shift = first.mean(axis=0) - second.mean(axis=0)
    wanted = shift @ shift + np.trace(one + two - 2 * scipy.linalg.sqrtm(one @ two).real)
    assert frechet_distance(first, second) == pytest.approx(wanted, rel=1e-9)
    assert frechet_distance(second, first) == pytest.approx(wanted, rel=1e-9)


def test_fewer_faces_than_dimensions_give_a_finite_distance() -> None:
    first, second = crowd(5, 64, 5).astype(np.float32), crowd(7, 64, 6).astype(np.float32)
    distance = frechet_distance(first, second)
    assert np.isfinite(distance)
    assert distance > 0
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (np.zeros((4, 3)), np.zeros((4, 2)), "same kind"),
        (np.zeros((1, 3)), np.zeros((4, 3)), "two faces or more"),
        (np.full((4, 3), np.nan), np.zeros((4, 3)), "NaN or infinite"),
    ],
)
def test_features_that_cannot_be_compared_are_refused(first: np.ndarray, second: np.ndarray, reason: str) -> None:
    with pytest.raises(RestorationError, match=reason):
        frechet_distance(first, second)


def images(seed: int, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 256, (count, 3, 8, 8), generator=generator, dtype=torch.uint8)
    return coarse.repeat_interleave(8, 2).repeat_interleave(8, 3)


def test_the_distance_of_features_is_zero_for_identical_images_and_symmetric() -> None:
    network = MobileNetV2Features().eval()
    first, second = features_of(network, images(1)), features_of(network, images(2))
    assert feature_distances(first, first).tolist() == [0, 0]
    distances = feature_distances(first, second)
    assert distances.dtype == torch.float64
    assert (distances > 0).all()
    torch.testing.assert_close(distances, feature_distances(second, first))


def test_features_see_uint8_images_as_minus_one_to_one() -> None:
    seen = []
    features_of(
        lambda images: (seen.append(images), images)[1:], torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None]
    )
    assert seen[0].flatten().tolist() == [-1, 1]
    with pytest.raises(RestorationError, match="wanted uint8"):
        features_of(lambda images: (images,), torch.zeros(1, 3, 8, 8))
