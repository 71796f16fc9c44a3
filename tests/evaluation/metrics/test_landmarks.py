"""Landmarks: distances in per cent of the eyes' distance, with a real detector on a real face and with stand-ins."""

import math
from collections.abc import Iterator, Sequence
from functools import partial

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.data import astronaut

from vidrestore.errors import RestorationError
from vidrestore.evaluation.metrics.landmarks import (
    LandmarkErrors,
    believable,
    find_landmarks,
    landmark_error,
    landmark_errors,
    landmark_jitter,
    steady_landmarks,
)
from vidrestore.faces.alignment import TEMPLATE
from vidrestore.faces.config import DetectorConfig
from vidrestore.faces.detector import FaceDetector
from vidrestore.types import Detection

SIDE = 256
POINTS = (TEMPLATE * SIDE - 0.5).astype(np.float32)
EYES = float(np.linalg.norm(POINTS[1] - POINTS[0]))


@pytest.fixture(scope="module")
def detector() -> Iterator[FaceDetector]:
    """On one thread: a small network gains nothing from a second, and on a busy machine each waits for the other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield FaceDetector(DetectorConfig(device="cpu"))
    torch.set_num_threads(before)


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


def test_landmarks_of_the_face_are_believed_and_those_of_a_neighbour_are_not() -> None:
    turned = POINTS + np.float32([0.5 * EYES, 0])
    assert believable(POINTS, SIDE) is POINTS
    assert believable(turned, SIDE) is turned
    assert believable(POINTS + np.float32([1.5 * EYES, 0]), SIDE) is None
    assert believable(None, SIDE) is None


def spread(found: Sequence[np.ndarray | None]) -> float:
    """Root mean square distance of landmarks from their mean, per cent of the eyes' distance."""
    assert all(points is not None for points in found)
    stack = np.stack(found)
    mean = stack.mean(axis=0)
    return 100 * np.sqrt(np.square(stack - mean).sum(axis=2).mean()) / np.linalg.norm(mean[1] - mean[0])


def test_steady_landmarks_are_less_noisy_and_in_the_same_place(detector: FaceDetector, face: np.ndarray) -> None:
    generator = np.random.default_rng(5)
    grain = [cv2.GaussianBlur(generator.normal(0, 30, face.shape), (0, 0), 1) for _ in range(10)]
    grainy = [np.clip(face + one, 0, 255).astype(np.uint8) for one in grain]
    plain, steady = find_landmarks(detector, grainy), steady_landmarks(detector, grainy)
    assert spread(steady) < 0.85 * spread(plain)
    assert landmark_error(np.mean(steady, axis=0), np.mean(plain, axis=0)) < 4
    assert all(one.dtype == np.float32 and one.shape == (5, 2) for one in steady)


def test_a_mirrored_face_has_mirrored_steady_landmarks(detector: FaceDetector, face: np.ndarray) -> None:
    mirrored, (plain,) = np.ascontiguousarray(face[:, ::-1]), find_landmarks(detector, [face])
    (found,), (there,) = steady_landmarks(detector, [face]), steady_landmarks(detector, [mirrored])
    back = (np.float32([SIDE - 1, 0]) - there * np.float32([1, -1]))[[1, 0, 2, 4, 3]]
    assert landmark_error(back, found) < 0.05
    (other,) = find_landmarks(detector, [mirrored])
    assert landmark_error((np.float32([SIDE - 1, 0]) - other * np.float32([1, -1]))[[1, 0, 2, 4, 3]], plain) > 0.2


class Chart:
    """A picture whose colours say where a pixel comes from, and a detector that reads them; left before right."""

    def __init__(self, side: int) -> None:
        rows, columns = np.indices((side, side)) * (256 // side)
        self.image = np.dstack([columns, rows, np.zeros_like(rows)]).astype(np.uint8)
        self.points = np.round((POINTS + np.float32([6, -4])) * (side / SIDE))
        self.calls: list[int] = []
        self.blind: set[int] = set()
        self._scale = 256 // side

    def detect(self, images: Sequence[np.ndarray]) -> list[tuple[Detection, ...]]:
        self.calls.append(len(images))
        found = [(Detection(self._read(image), np.zeros(4, np.float32), 0.9),) for image in images]
        return [() if index in self.blind else faces for index, faces in enumerate(found)]

    def _read(self, image: np.ndarray) -> np.ndarray:
        away = [np.abs(image[..., :2] - point * self._scale).max(axis=2) for point in self.points]
        places = [np.argwhere(one <= 3)[:, ::-1].mean(axis=0) for one in away]
        order = [0, 1, 2, 3, 4] if places[0][0] < places[1][0] else [1, 0, 2, 4, 3]
        return np.stack(places)[order].astype(np.float32)


@pytest.mark.parametrize("side", [128, 256])
def test_what_the_copies_show_is_taken_back_to_the_face(side: int) -> None:
    chart = Chart(side)
    first, second = steady_landmarks(chart.detect, [chart.image, chart.image])
    np.testing.assert_allclose(first, chart.points, atol=0.3)
    np.testing.assert_array_equal(first, second)
    assert chart.calls == [8, 8]


@pytest.mark.parametrize(
    ("blind", "seen"), [({4, 5, 6, 7}, True), ({1, 3, 5}, True), ({3, 4, 5, 6, 7}, False), ({0}, False)]
)
def test_a_face_is_lost_only_after_many_missed_detections(blind: set[int], *, seen: bool) -> None:
    chart = Chart(SIDE)
    chart.blind = blind
    (found,) = steady_landmarks(chart.detect, [chart.image])
    if seen:
        np.testing.assert_allclose(found, chart.points, atol=0.3)
    else:
        assert found is None


def test_looks_that_find_a_neighbour_do_not_count() -> None:
    def neighbour_in(astray: set[int], images: Sequence[np.ndarray]) -> list[tuple[Detection, ...]]:
        box, shifts = np.zeros(4, np.float32), [1.5 * EYES * (index in astray) for index in range(len(images))]
        return [(Detection(POINTS + np.float32([shift, 0]), box, 0.9),) for shift in shifts]

    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    (found,) = steady_landmarks(partial(neighbour_in, {3, 6}), [picture])
    assert landmark_error(found, POINTS) < 15
    assert steady_landmarks(partial(neighbour_in, {0}), [picture]) == [None]
    assert steady_landmarks(partial(neighbour_in, set(range(3, 8))), [picture]) == [None]


@pytest.mark.parametrize(
    ("found", "wanted", "reason"),
    [(POINTS[:4], POINTS, r"wanted \[5, 2\]"), (POINTS, np.zeros((5, 2), np.float32), "0.0 px apart")],
)
def test_points_that_are_no_face_are_refused(found: np.ndarray, wanted: np.ndarray, reason: str) -> None:
    with pytest.raises(RestorationError, match=reason):
        landmark_error(found, wanted)


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
