"""Identity: the cosine by hand, and the embedded network on a real face."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.data import astronaut

from vidrestore.errors import RestorationError
from vidrestore.evaluation.metrics.identity import cosine_deviation, cosines, embeddings_of, identity_spread
from vidrestore.models.identity import load_identity


def test_cosines_are_those_of_the_angle_whatever_the_length() -> None:
    first = torch.tensor([[1.0, 0.0], [2.0, 0.0], [1.0, 1.0]])
    second = torch.tensor([[5.0, 0.0], [0.0, 3.0], [-1.0, -1.0]])
    found = cosines(first, second)
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx([1, 0, -1])


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (torch.ones(2, 3), torch.ones(2, 4), "twice"),
        (torch.ones(3), torch.ones(3), "twice"),
        (torch.ones(1, 2), torch.zeros(1, 2), "no direction"),
        (torch.ones(1, 2), torch.full((1, 2), torch.nan), "no direction"),
    ],
)
def test_embeddings_without_an_angle_are_refused(first: torch.Tensor, second: torch.Tensor, reason: str) -> None:
    with pytest.raises(RestorationError, match=reason):
        cosines(first, second)


def test_a_face_is_itself_and_the_less_so_the_more_it_is_blurred() -> None:
    face = cv2.resize(astronaut()[30:190, 140:300], (128, 128), interpolation=cv2.INTER_AREA)
    steps = np.stack([face, *(cv2.GaussianBlur(face, (0, 0), sigma) for sigma in (2, 6))])
    embeddings = embeddings_of(load_identity().eval(), torch.from_numpy(steps).permute(0, 3, 1, 2))
    same, soft, gone = cosines(embeddings, embeddings[:1].expand_as(embeddings)).tolist()
    assert same == pytest.approx(1, abs=1e-6)
    assert same > soft > gone >= -1


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
