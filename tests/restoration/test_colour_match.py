"""The film's colours on the restored face."""

import numpy as np

from vidrestore.restoration.face.colour_match import enlarge, low_frequencies, steady_difference


def test_low_frequencies_of_an_even_picture_are_its_colour() -> None:
    low = low_frequencies(np.full((256, 256, 3), (10, 100, 200), np.uint8))
    assert low.shape == (32, 32, 3)
    assert np.allclose(low, (10, 100, 200), atol=1e-3)
    assert np.allclose(enlarge(low, 256), (10, 100, 200), atol=1e-3)


def test_fine_texture_has_no_low_frequencies() -> None:
    checkers = (np.indices((256, 256)).sum(axis=0) % 2 * 200).astype(np.uint8)
    assert np.ptp(low_frequencies(np.dstack([checkers] * 3))) < 1


def test_equal_differences_give_exactly_their_value() -> None:
    own = np.random.default_rng(0).normal(0, 5, (32, 32, 3)).astype(np.float32)
    assert np.array_equal(steady_difference(own, [(0.3, own.copy()), (0.7, own.copy())]), own)


def test_noise_of_differences_is_averaged() -> None:
    draw = np.random.default_rng(0)
    values = [draw.normal(0, 5, (32, 32, 3)).astype(np.float32) for _ in range(9)]
    mean = steady_difference(values[0], [(1.0, value) for value in values[1:]])
    assert np.allclose(mean, np.mean(values, axis=0), atol=1e-4)
