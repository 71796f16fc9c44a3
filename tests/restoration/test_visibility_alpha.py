"""What is in front of a face stays there."""

import numpy as np
import pytest

from vidrestore.errors import ConfigError
from vidrestore.restoration.config import OcclusionConfig
from vidrestore.restoration.face.visibility_alpha import smooth_visibility, visibility_to_alpha
from vidrestore.types import FlowField


def path(x: float = 0.0, *, confidence: float = 1.0, side: int = 128) -> FlowField:
    shift = np.zeros((side, side, 2), np.float32)
    shift[..., 0] = x
    return FlowField(shift, np.full((side, side), confidence, np.float32))


def test_certain_visibility_maps_to_alpha_one_or_zero() -> None:
    answer = np.linspace(0, 255, 64 * 64).astype(np.uint8).reshape(64, 64)
    shares = visibility_to_alpha(answer, OcclusionConfig())
    assert (shares[answer <= 76] == 0).all()
    assert (shares[answer >= 179] == 1).all()
    assert (np.diff(shares.ravel()) >= 0).all()
    assert shares.dtype == np.float32


def test_a_border_that_trembles_is_held_and_a_still_one_stays_exactly() -> None:
    generator = np.random.default_rng(1)
    still = (np.indices((64, 64))[1] > 30).astype(np.float32)
    assert np.array_equal(smooth_visibility(still, [(0.9, path(), still), (0.5, path(), still)]), still)
    soft = 0.3 + 0.4 * still
    trembling = [(soft + generator.normal(0, 0.1, still.shape)).astype(np.float32) for _ in range(5)]
    held = smooth_visibility(trembling[2], [(0.8, path(), trembling[index]) for index in (0, 1, 3, 4)])
    assert (held - soft).std() < 0.6 * (trembling[2] - soft).std()


def test_shares_follow_the_motion_as_far_as_it_is_trusted() -> None:
    now, before = (np.zeros((64, 64), np.float32) for _ in range(2))
    now[:, 30:40] = 1
    before[:, 25:35] = 1  # ten grid pixels, five of the mask's, to the left
    followed = smooth_visibility(now, [(0.8, path(-10.0), before)])
    np.testing.assert_allclose(followed, now, atol=1e-6)
    assert np.array_equal(smooth_visibility(now, [(0.8, path(confidence=0.0), before)]), now)


def test_thresholds_out_of_order_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"hidden is 0\.8"):
        OcclusionConfig(hidden=0.8)
