"""How a film lies on the truth: known shifts and lamps are found and taken out, and what cannot be told is nothing."""

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from vidrestore.errors import RestorationError
from vidrestore.evaluation.metrics.flow import Motion
from vidrestore.evaluation.metrics.registration import ALIGNED, STEADY, Registration, register, shows, sway_between
from vidrestore.evaluation.metrics.temporal import luma

TRUTH = luma(astronaut()[:300, 60:460])
LARGE = cv2.resize(luma(astronaut()), (1920, 1080), interpolation=cv2.INTER_CUBIC)
EVERYWHERE = np.ones(TRUTH.shape, bool)
UNMOVED = Motion(np.zeros((*TRUTH.shape, 2), np.float32), EVERYWHERE)


def played(truth: np.ndarray, shift: tuple[float, float] = (0, 0), gain: float = 1, offset: float = 0) -> np.ndarray:
    """The truth by a gate and a lamp."""
    matrix = np.column_stack([np.eye(2), shift])
    flags, size = cv2.INTER_LANCZOS4, truth.shape[::-1]
    moved = cv2.warpAffine(truth, matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    return np.clip(moved * np.float32(gain) + np.float32(offset), 0, 255)


def grainy(picture: np.ndarray, sigma: float, seed: int = 2) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).round().astype(np.float32)


@pytest.mark.parametrize("truth", [TRUTH, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("shift", [(0.9, -0.35), (-1.6, 0.05), (0.02, 3.3)])
@pytest.mark.parametrize("sigma", [0, 10, 20])
def test_a_shift_is_found_to_a_tenth_of_a_pixel_under_grain(
    truth: np.ndarray, shift: tuple[float, float], sigma: float
) -> None:
    found = register(grainy(played(truth, shift, 1.03, -2), sigma), truth)
    assert found.found
    np.testing.assert_allclose(found.shift, shift, atol=0.1)


@pytest.mark.parametrize(("gain", "offset"), [(1.08, 0), (0.9, 0), (0.95, 6), (1.0, -4)])
@pytest.mark.parametrize("sigma", [0, 6])
def test_a_lamp_is_found_though_black_and_white_are_cut_off(gain: float, offset: float, sigma: float) -> None:
    found = register(grainy(played(TRUTH, (0.7, 0.4), gain, offset), sigma), TRUTH)
    assert found.gain == pytest.approx(gain, abs=0.01)
    assert found.gain * 128 + found.offset == pytest.approx(gain * 128 + offset, abs=0.5)


def test_identical_pictures_are_aligned_exactly() -> None:
    assert register(TRUTH, TRUTH.copy()) is ALIGNED
    assert (*ALIGNED.shift, ALIGNED.gain, ALIGNED.offset, ALIGNED.found) == (0, 0, 1, 0, True)
    flat = np.full_like(TRUTH, 40)
    assert register(flat, flat.copy()) is ALIGNED


@pytest.mark.parametrize(
    ("video", "truth"),
    [
        (TRUTH, np.full_like(TRUTH, 90)),
        (np.full_like(TRUTH, 90), TRUTH),
        (255 - TRUTH, TRUTH),
        (TRUTH[::-1, ::-1].copy(), TRUTH),
        (TRUTH * np.float32(0.3), TRUTH),
        (TRUTH, np.full_like(TRUTH, 255)),
        (played(TRUTH, (20, 0), 1.1), TRUTH),
        (TRUTH[:1, :1] + 1, TRUTH[:1, :1]),
        (TRUTH[:5, :5] + 1, TRUTH[:5, :5]),
    ],
    ids=[
        "flat truth",
        "flat film",
        "negative",
        "another picture",
        "night",
        "white",
        "too far",
        "one pixel",
        "few pixels",
    ],
)
def test_what_does_not_match_counts_as_nothing_and_says_so(video: np.ndarray, truth: np.ndarray) -> None:
    found = register(video, truth)
    assert (*found.shift, found.gain, found.offset, found.found) == (0, 0, 1, 0, False)


def test_pictures_of_two_sizes_are_refused() -> None:
    with pytest.raises(RestorationError, match=r"wanted \[h, w\] twice"):
        register(TRUTH, TRUTH[1:])


def test_equal_registrations_are_no_sway_and_frames_come_back_as_they_are() -> None:
    same = Registration(np.array([0.3, -0.7]), 1.037, 2.9)
    sway = sway_between(same, Registration(same.shift.copy(), 1.037, 2.9))
    for none in (sway, STEADY):
        now, before, within = none.taken_out(TRUTH, TRUTH)
        assert now is before is TRUTH
        assert within.all()


def test_a_sway_is_taken_out_but_for_what_came_from_beyond_the_edge() -> None:
    at, before = Registration(np.array([1.2, -0.6]), 1.04, 3), Registration(np.array([-0.5, 0.3]), 0.95, -2)
    frames = [played(TRUTH, tuple(one.shift), one.gain, one.offset) for one in (at, before)]
    now, then, within = sway_between(before, at).taken_out(*frames)
    assert (now.dtype, then.dtype) == (np.float32, np.float32)
    assert np.abs(now - then)[within].mean() < 0.15 * np.abs(frames[0] - frames[1]).mean()
    assert np.abs(now - then)[within & (frames[1] > 0) & (frames[1] < 255)].mean() < 1.5
    assert not within[:, :2].any()
    assert not within[-1:].any()
    assert within[:-1, 2:].all()


@pytest.mark.parametrize("still", [EVERYWHERE, ~EVERYWHERE], ids=["still", "nothing still"])
def test_a_sway_that_the_video_does_not_show_is_not_believed(still: np.ndarray) -> None:
    there = Registration(np.array([0.8, 0.5]), 1.03, 0)
    sway, real = sway_between(there, ALIGNED), grainy(played(TRUTH, (0.8, 0.5), 1.03), 5)
    assert shows(grainy(TRUTH, 5, seed=3), real, sway, UNMOVED, still)
    assert not shows(grainy(TRUTH, 5, seed=3), grainy(TRUTH, 5), sway, UNMOVED, still)
    assert not shows(grainy(TRUTH, 5, seed=3), grainy(TRUTH, 5), STEADY, UNMOVED, still)


def test_what_lags_behind_the_motion_is_no_sway_where_the_rest_stands_still() -> None:
    still, moving = EVERYWHERE.copy(), np.zeros((*TRUTH.shape, 2), np.float32)
    still[:, 200:], moving[:, 200:, 0] = False, -1
    lagging = TRUTH.copy()
    lagging[:, 200:] = played(TRUTH, (-1, 0))[:, 200:]
    sway = sway_between(ALIGNED, Registration(np.array([-0.5, 0]), 1, 0))
    assert not shows(lagging, TRUTH, sway, Motion(moving, EVERYWHERE), still)
