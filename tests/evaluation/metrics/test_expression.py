"""Expressions: in time with the truth or not, whatever the brightness, and honest about what does not move."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidrestore.errors import RestorationError
from vidrestore.evaluation.metrics.expression import (
    LEAST_FRAMES,
    ExpressionMatch,
    eyes_profile,
    match_expression,
    mouth_profile,
)
from vidrestore.faces.alignment import TEMPLATE

SIDE, FRAMES = 128, 60
SECONDS = np.arange(FRAMES) / 25
OPENINGS = np.clip(0.5 + 0.5 * np.sin(SECONDS * 14) + 0.4 * np.sin(SECONDS * 23 + 1), 0, None)


def face(mouth: float, eyes: float = 1.0, *, light: float = 0.0) -> np.ndarray:
    """A face whose mouth and eyes are dark gaps, float32 [S, S]; openings 0 to about 1.5."""
    picture = np.full((SIDE, SIDE), 170 + light, np.float32)
    places = [(TEMPLATE[3:].mean(axis=0), 14, mouth), *((eye, 7, eyes) for eye in TEMPLATE[:2])]
    for centre, width, opening in places:
        x, y = np.round(centre * SIDE).astype(int)
        cv2.ellipse(picture, (int(x), int(y)), (width, 1 + round(4 * opening)), 0, 0, 360, 60 + light, -1, cv2.LINE_AA)
    return cv2.GaussianBlur(picture, (0, 0), 1.0)


def mouths(openings: np.ndarray, **changes: float) -> np.ndarray:
    return np.stack([mouth_profile(face(opening, **changes)) for opening in openings])


TRUTH = mouths(OPENINGS)


def test_the_truth_follows_itself() -> None:
    match = match_expression(TRUTH, TRUTH, SECONDS)
    assert match.correlation == pytest.approx(1)
    assert match.gain == pytest.approx(1)
    assert match.unmeasured is None


@given(st.floats(0.1, 3), st.floats(-40, 40))
@settings(max_examples=20, deadline=None)
def test_contrast_is_the_gain_and_constant_profiles_do_not_count(gain: float, shift: float) -> None:
    match = match_expression((gain * TRUTH + shift).astype(np.float32), TRUTH, SECONDS)
    assert match.correlation == pytest.approx(1, abs=1e-4)
    assert match.gain == pytest.approx(gain, rel=1e-3)


def test_light_on_the_face_is_no_expression() -> None:
    match = match_expression(mouths(OPENINGS, light=30), TRUTH, SECONDS)
    assert match.correlation == pytest.approx(1, abs=0.01)


def test_every_frame_of_delay_costs_correlation() -> None:
    delayed = [match_expression(np.roll(TRUTH, late, axis=0), TRUTH, SECONDS).correlation for late in (0, 1, 2, 3)]
    assert delayed == sorted(delayed, reverse=True)
    assert delayed[1] < 0.95
    assert delayed[3] < 0.4


def test_a_mouth_that_does_the_opposite_is_negative() -> None:
    match = match_expression(mouths(OPENINGS.max() - OPENINGS), TRUTH, SECONDS)
    assert match.correlation < -0.8
    assert match.gain < 0


def test_a_mouth_that_moves_half_as_far_has_a_smaller_gain_and_still_follows() -> None:
    match = match_expression(mouths(0.5 * OPENINGS), TRUTH, SECONDS)
    assert match.correlation > 0.9
    assert match.gain < 0.75


def test_a_frozen_video_of_a_talking_face_has_none() -> None:
    assert match_expression(np.repeat(TRUTH[:1], FRAMES, axis=0), TRUTH, SECONDS) == ExpressionMatch(0.0, 0.0)


def test_a_slow_change_that_all_videos_share_is_no_expression() -> None:
    ramp = np.linspace(0, 60, FRAMES, dtype=np.float32)[:, None] * np.linspace(-1, 1, TRUTH.shape[1], dtype=np.float32)
    still = np.repeat(TRUTH[:1], FRAMES, axis=0)
    assert match_expression(still + ramp, TRUTH + ramp, SECONDS).correlation < 0.3


def test_eyes_have_profiles_of_their_own() -> None:
    lids = np.stack([eyes_profile(face(0.5, eyes=opening)) for opening in OPENINGS])
    assert match_expression(lids, lids, SECONDS).correlation == pytest.approx(1)
    talking = np.stack([eyes_profile(face(opening)) for opening in OPENINGS])
    np.testing.assert_array_equal(talking, talking[:1].repeat(FRAMES, axis=0))


def test_what_cannot_be_said_is_not_said() -> None:
    few = slice(LEAST_FRAMES - 1)
    assert match_expression(TRUTH[few], TRUTH[few], SECONDS[few]) == ExpressionMatch(None, None, "too short")
    grain = np.random.default_rng(0).normal(0, 0.3, TRUTH.shape).astype(np.float32)
    still = TRUTH[:1] + grain
    assert match_expression(TRUTH, still, SECONDS) == ExpressionMatch(None, None, "too still")


def test_profiles_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RestorationError, match=r"wanted \[n, d\]"):
        match_expression(TRUTH[1:], TRUTH, SECONDS)
