"""The geometry of the aligned square."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidrestore.errors import RestorationError
from vidrestore.faces.alignment import TEMPLATE, Pose, crop_matrix, place, residual, similarity, transform, yaw
from vidrestore.types import Float64

POSES = st.tuples(st.floats(2, 8), st.floats(-3.1, 3.1), st.floats(-500, 5000), st.floats(-500, 5000))


@given(POSES)
def test_a_pose_is_found_again_from_its_landmarks(pose: Pose) -> None:
    found = similarity(place(transform(pose)))

    np.testing.assert_allclose(found, pose, rtol=0, atol=1e-6)


@given(POSES)
def test_perfect_landmarks_have_no_residual(pose: Pose) -> None:
    assert residual(place(transform(pose))) < 1e-9


@given(POSES, st.integers(0, 2**32 - 1))
def test_no_nearby_pose_fits_better_than_the_least_squares_one(pose: Pose, seed: int) -> None:
    generator = np.random.default_rng(seed)
    landmarks = place(transform(pose)) + generator.normal(scale=0.03 * np.exp(pose[0]), size=(5, 2))
    best = np.array(similarity(landmarks))

    def squares(candidate: Float64) -> float:
        return float(((place(transform(candidate)) - landmarks) ** 2).sum())

    for nudge in generator.normal(size=(8, 4)) * [1e-3, 1e-3, 1e-3 * np.exp(best[0]), 1e-3 * np.exp(best[0])]:
        assert squares(best + nudge) >= squares(best)


@given(POSES, st.sampled_from([256, 512]), st.floats(-50, 50), st.floats(0.5, 2))
def test_the_crop_shows_the_template_where_the_network_expects_it(
    pose: Pose, size: int, shift: float, aspect: float
) -> None:
    frame_to_display = np.array([[aspect, 0, shift], [0, 1, -shift]])
    matrix = crop_matrix(transform(pose), size, frame_to_display)
    landmarks_in_frame = (place(transform(pose)) - frame_to_display[:, 2]) / [aspect, 1]

    in_crop = landmarks_in_frame @ matrix[:, :2].T + matrix[:, 2]

    np.testing.assert_allclose(in_crop, TEMPLATE * size - 0.5, atol=1e-6)


def test_the_512_pixel_crop_has_the_eyes_where_facexlib_puts_them() -> None:
    whole_frame = transform((np.log(512), 0, 255.5, 255.5))

    np.testing.assert_allclose(place(whole_frame)[:2], [[192.98, 239.95], [318.90, 240.19]])
    np.testing.assert_allclose(crop_matrix(whole_frame, 512, np.eye(2, 3)), np.eye(2, 3), atol=1e-12)


def test_crops_of_every_size_show_the_same_square() -> None:
    to_display = transform((5.0, 0.3, 200, 100))
    corners = {}
    for size in (64, 256, 512):
        to_frame = np.linalg.inv(np.vstack([crop_matrix(to_display, size, np.eye(2, 3)), [0, 0, 1]]))
        corners[size] = to_frame @ [[-0.5, size - 0.5], [-0.5, size - 0.5], [1, 1]]

    np.testing.assert_allclose(corners[64], corners[512], atol=1e-9)
    np.testing.assert_allclose(corners[64], corners[256], atol=1e-9)


@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
def test_a_face_on_its_side_or_upside_down_has_that_angle(quarter_turns: int) -> None:
    landmarks = place(transform((5.0, quarter_turns * np.pi / 2, 0, 0)))

    turned = similarity(landmarks)[1] / (np.pi / 2)

    assert (turned - quarter_turns + 2) % 4 == pytest.approx(2, abs=1e-9)


def test_a_profile_fits_worse_than_a_frontal_face() -> None:
    profile = place(transform((5.0, 0, 300, 300)))
    profile[:, 0] = 300 + 0.3 * (profile[:, 0] - 300)

    assert residual(profile) > 0.05


@pytest.mark.parametrize(
    "landmarks", [np.full((5, 2), 7.0), np.full((5, 2), np.nan), np.zeros((4, 2))], ids=["a point", "nan", "four"]
)
def test_degenerate_landmarks_are_refused(landmarks: Float64) -> None:
    with pytest.raises(RestorationError, match="wanted five"):
        similarity(landmarks)


def turned(degrees: float) -> Float64:
    """The template on a head that is turned: points draw together, and the nose, half an eye distance out, moves."""
    angle = np.radians(degrees)
    depth = np.zeros(5)
    depth[2] = 0.5 * (TEMPLATE[1, 0] - TEMPLATE[0, 0])
    points = TEMPLATE.copy()
    points[:, 0] = 0.5 + (TEMPLATE[:, 0] - 0.5) * np.cos(angle) + depth * np.sin(angle)
    return points


@given(POSES, st.floats(-85, 85))
def test_the_yaw_of_a_turned_head_is_found_wherever_and_however_large_it_is(pose: Pose, degrees: float) -> None:
    assert yaw(place(transform(pose), turned(degrees))) == pytest.approx(degrees, abs=4)


def test_a_mirrored_face_looks_the_other_way() -> None:
    points = turned(50)
    mirrored = np.column_stack((1 - points[:, 0], points[:, 1]))[[1, 0, 2, 4, 3]]
    assert yaw(mirrored) == pytest.approx(-yaw(points), abs=1)


def test_a_profile_whose_eyes_are_one_point_is_turned_all_the_way() -> None:
    points = turned(90)
    assert yaw(points) == pytest.approx(90, abs=1)
    with pytest.raises(RestorationError):
        yaw(np.ones((5, 2)))
