"""How embeddings and cosines scatter over a track."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidrestore.errors import RestorationError
from vidrestore.evaluation.metrics.deviation import cosine_deviation, identity_spread


def units(seed: int, frames: int, noise: float) -> np.ndarray:
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=64) / 8 + noise * generator.normal(size=(frames, 64)) / 8
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_a_face_that_stays_the_same_does_not_scatter(seed: int, frames: int) -> None:
    same = np.repeat(units(seed, 1, 0), frames, axis=0)
    assert identity_spread(same) == pytest.approx(0, abs=1e-12)
    assert cosine_deviation(same @ same[0]) == pytest.approx(0, abs=1e-12)


def test_the_more_noise_the_more_scatter() -> None:
    spreads = [identity_spread(units(1, 50, noise)) for noise in (0.1, 0.3, 1.0, 10.0)]
    assert spreads == sorted(spreads)
    assert spreads[-1] <= 1


def test_two_opposite_persons_are_one_apart_from_their_mean() -> None:
    assert identity_spread(np.array([[1.0, 0], [-1, 0]])) == pytest.approx(1)
    assert cosine_deviation(np.array([0.5, 0.9])) == pytest.approx(0.2)


@pytest.mark.parametrize("embeddings", [np.zeros((0, 4)), np.zeros(4)])
def test_no_embeddings_are_refused(embeddings: np.ndarray) -> None:
    with pytest.raises(RestorationError, match=r"wanted \[n, D\]"):
        identity_spread(embeddings)


def test_no_cosines_are_refused() -> None:
    with pytest.raises(RestorationError, match=r"wanted \[n\]"):
        cosine_deviation(np.zeros(0))
