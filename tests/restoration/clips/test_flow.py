"""Optical flow of many pairs at once."""

import cv2
import numpy as np
import pytest
import torch

from vidrestore.restoration.clips.flow import confidence, optical_flow

SIDE = 128


def scene(x: float, y: float, *, seed: int = 0) -> torch.Tensor:
    """A smooth picture, moved, float32 [1, SIDE, SIDE]."""
    noise = np.random.default_rng(seed).normal(0, 1, (2 * SIDE, 2 * SIDE)).astype(np.float32)
    picture = cv2.GaussianBlur(noise, (0, 0), 6) * 600 + 128
    shift = np.array([[1, 0, x - SIDE / 2], [0, 1, y - SIDE / 2]])
    return torch.from_numpy(cv2.warpAffine(picture, shift, (SIDE, SIDE), flags=cv2.INTER_CUBIC))[None]


@pytest.mark.parametrize(("x", "y"), [(2.0, 0.0), (0.0, -6.0), (1.5, 1.0)])
def test_a_shift_is_found(x: float, y: float) -> None:
    flow = optical_flow(scene(x, y)[None], scene(0, 0)[None])[0, :, 16:-16, 16:-16]
    assert (flow.mean(dim=(1, 2)) - torch.tensor([-x, -y])).abs().max() < 0.1 * max(abs(x), abs(y))


def test_equal_pictures_do_not_move_at_all() -> None:
    picture = scene(0, 0)[None]
    flow = optical_flow(picture, picture.clone())
    assert not flow.any()
    assert (confidence(flow, flow) == 1).all()


def test_a_brighter_lamp_is_no_motion() -> None:
    picture = scene(0, 0)[None]
    assert optical_flow(picture, picture + 20).abs().max() < 0.02


def test_a_pair_does_not_depend_on_the_others() -> None:
    pairs = [(scene(1, 0, seed=seed), scene(0, 0, seed=seed)) for seed in range(5)]
    together = optical_flow(torch.stack([a for a, _ in pairs]), torch.stack([b for _, b in pairs]))
    for flow, (a, b) in zip(together, pairs, strict=True):
        torch.testing.assert_close(flow, optical_flow(a[None], b[None])[0], rtol=0, atol=1e-4)


def test_what_leads_elsewhere_and_back_is_not_trusted() -> None:
    there, back = torch.full((1, 2, SIDE, SIDE), 2.0), torch.full((1, 2, SIDE, SIDE), 2.0)
    assert confidence(there, -back).min() > 0.99
    assert confidence(there, back).max() < 0.01
