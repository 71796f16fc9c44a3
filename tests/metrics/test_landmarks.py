"""Landmarks: distances in per cent of the eyes' distance, with a real detector on a real face and with stand-ins."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from vidrestore.errors import RestorationError
from vidrestore.faces.alignment import TEMPLATE
from vidrestore.faces.detector import DetectorConfig, FaceDetector
from vidrestore.metrics.landmarks import LandmarkErrors, find_landmarks, landmark_error, landmark_errors
from vidrestore.types import Detection

SIDE = 256
POINTS = (TEMPLATE * SIDE - 0.5).astype(np.float32)
EYES = float(np.linalg.norm(POINTS[1] - POINTS[0]))


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector(DetectorConfig(device="cpu"))


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    return cv2.resize(astronaut()[40:190, 150:300], (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


def test_a_shift_by_a_tenth_of_the_eyes_distance_is_ten_per_cent() -> None:
    assert landmark_error(POINTS + np.float32([0, EYES / 10]), POINTS) == pytest.approx(10, rel=1e-5)


def test_one_point_astray_counts_a_fifth() -> None:
    moved = POINTS.copy()
    moved[2] += [EYES, 0]
    assert landmark_error(moved, POINTS) == pytest.approx(20, rel=1e-5)


def test_a_face_against_itself_has_no_error_and_a_shifted_one_has_its_shift(
    detector: FaceDetector, face: np.ndarray
) -> None:
    shifted = np.roll(face, 8, axis=1)
    (wanted,), (found,) = find_landmarks(detector, [face]), find_landmarks(detector, [shifted])
    assert wanted is not None
    assert landmark_errors([wanted], [wanted]).percents == (0,)
    eyes = float(np.linalg.norm(wanted[1] - wanted[0]))
    assert landmark_errors([found], [wanted]).mean_percent == pytest.approx(100 * 8 / eyes, rel=0.3)


def test_what_the_detector_does_not_find_is_counted(detector: FaceDetector, face: np.ndarray) -> None:
    grey = np.full_like(face, 128)
    truth = find_landmarks(detector, [face, face, grey])
    errors = landmark_errors(find_landmarks(detector, [face, grey, face]), truth)
    assert errors == LandmarkErrors((0.0,), missed=1, unknown=1)
    assert errors + errors == LandmarkErrors((0.0, 0.0), missed=2, unknown=2)


def test_the_mean_of_no_faces_is_not_a_number() -> None:
    assert math.isnan(LandmarkErrors((), missed=3).mean_percent)


def test_of_several_faces_the_one_in_the_middle_is_meant() -> None:
    def detect(images: Sequence[np.ndarray]) -> list[tuple[Detection, ...]]:
        box = np.zeros(4, np.float32)
        return [(Detection(POINTS / 4, box, 0.99), Detection(POINTS + 1, box, 0.7)) for _ in images]

    (found,) = find_landmarks(detect, [np.zeros((SIDE, SIDE, 3), np.uint8)])
    np.testing.assert_array_equal(found, POINTS + 1)


@pytest.mark.parametrize(
    ("found", "wanted", "reason"),
    [(POINTS[:4], POINTS, r"wanted \[5, 2\]"), (POINTS, np.zeros((5, 2), np.float32), "0.0 px apart")],
)
def test_points_that_are_no_face_are_refused(found: np.ndarray, wanted: np.ndarray, reason: str) -> None:
    with pytest.raises(RestorationError, match=reason):
        landmark_error(found, wanted)
