"""Pairs of known and found faces."""

import numpy as np
import pytest

from vidrestore.errors import ConfigError
from vidrestore.faces.association import associate, face_boxes
from vidrestore.faces.config import AssociationConfig, MotionConfig
from vidrestore.faces.motion import MotionFilter, Observation

CONFIG = AssociationConfig()


def seen(x: float, *, y: float = 100, size: float = 100, angle: float = 0, seconds: float = 0) -> Observation:
    return Observation(seconds, np.array([np.log(size), angle, x, y]), np.array([1e-5, 1e-5, 0.1, 0.1]), 0.9)


def known(*observations: Observation) -> MotionFilter:
    first, *rest = observations
    motion = MotionFilter(first, MotionConfig())
    for observation in rest:
        motion.predict(observation.seconds)
        motion.update(observation)
    return motion


def predicted(*observations: Observation, seconds: float = 1 / 30) -> MotionFilter:
    motion = known(*observations)
    motion.predict(seconds)
    return motion


def test_each_face_finds_itself_whatever_the_order() -> None:
    before = [predicted(seen(100)), predicted(seen(300)), predicted(seen(500))]
    after = [seen(502), seen(101), seen(299)]

    assert sorted(associate(before, after, config=CONFIG)) == [(0, 1), (1, 2), (2, 0)]


def test_the_sum_decides_and_not_the_first_come() -> None:
    before = [predicted(seen(100)), predicted(seen(130))]
    after = [seen(118), seen(92)]

    assert sorted(associate(before, after, config=CONFIG)) == [(0, 1), (1, 0)]


def test_motion_tells_faces_apart_that_meet() -> None:
    rightwards = known(*(seen(100 + 10 * step, seconds=step / 30) for step in range(9)))
    leftwards = known(*(seen(280 - 10 * step, seconds=step / 30) for step in range(9)))
    for motion in (rightwards, leftwards):
        motion.predict(12 / 30)

    assert sorted(associate([rightwards, leftwards], [seen(158), seen(221)], config=CONFIG)) == [(0, 1), (1, 0)]


@pytest.mark.parametrize(
    "stranger", [seen(400), seen(100, size=250), seen(100, angle=1.5)], ids=["far", "larger", "turned"]
)
def test_another_face_is_not_taken(stranger: Observation) -> None:
    assert associate([predicted(seen(100))], [stranger], config=CONFIG) == []


def test_the_angle_has_no_seam() -> None:
    assert associate([predicted(seen(100, angle=3.13))], [seen(100, angle=-3.13)], config=CONFIG) == [(0, 0)]


def test_nothing_pairs_with_nothing() -> None:
    assert associate([], [seen(1)], config=CONFIG) == []
    assert associate([predicted(seen(1))], [], config=CONFIG) == []


def test_a_face_box_surrounds_the_face_of_its_pose() -> None:
    left, top, right, bottom = face_boxes([seen(200).pose])[0]

    assert left < 200 < right
    assert top < 100 < bottom
    assert right - left == pytest.approx(56)


def test_impossible_options_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"gate is"):
        AssociationConfig(gate=1.0)
    with pytest.raises(ConfigError, match=r"max_distance is"):
        AssociationConfig(max_distance=0)
