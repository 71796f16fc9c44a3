"""Landmark jitter: what trembles counts, what moves evenly does not."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidrestore.errors import RestorationError
from vidrestore.evaluation.metrics.jitter import landmark_jitter

WHOLE = st.integers(-50, 50)


@given(WHOLE, WHOLE)
def test_a_constant_error_that_drifts_evenly_is_no_jitter(error: int, drift: int) -> None:
    offsets = np.array([np.full((5, 2), error + drift * frame) for frame in range(3)], np.float64)
    assert landmark_jitter(offsets, 60) == 0


@given(st.integers(0, 2**32 - 1), st.floats(0.5, 20))
def test_jitter_is_in_per_cent_of_the_eye_distance(seed: int, factor: float) -> None:
    offsets = np.random.default_rng(seed).normal(size=(3, 5, 2))
    once = landmark_jitter(offsets, 60)
    assert landmark_jitter(factor * offsets, 60) == pytest.approx(factor * once)
    assert landmark_jitter(factor * offsets, factor * 60) == pytest.approx(once)


def test_one_step_there_and_back_counts_twice() -> None:
    offsets = np.zeros((3, 5, 2), np.float32)
    offsets[1, :, 0] = 3
    assert landmark_jitter(offsets, 60) == pytest.approx(100 * 6 / 60)


def test_one_point_of_five_counts_with_its_square() -> None:
    offsets = np.zeros((3, 5, 2), np.float32)
    offsets[2, 4] = [3, 4]
    assert landmark_jitter(offsets, 50) == pytest.approx(10 / math.sqrt(5))


@pytest.mark.parametrize(("shape", "eyes"), [((2, 5, 2), 60), ((3, 5, 2), 0), ((3, 5, 2), math.nan)])
def test_other_shapes_and_eyes_in_one_place_are_refused(shape: tuple[int, ...], eyes: float) -> None:
    with pytest.raises(RestorationError, match=r"wanted \[3, 5, 2\]"):
        landmark_jitter(np.zeros(shape), eyes)
