"""Alignment: the similarity between the five-point template and a face in an image.

A pose is `(log size, angle, centre x, centre y)`: the natural logarithm of the side of the aligned square in display
pixels; its rotation in radians, positive from the x axis towards the y axis, which a viewer sees as clockwise; and
the display position of its centre. The template lives in the unit square [0, 1]^2: pixel (i, j) of a crop of S x S
has its centre at ((i + 0.5) / S, (j + 0.5) / S), so that crops of every S show exactly the same square.
"""

from typing import Final

import numpy as np

from vidrestore.errors import RestorationError
from vidrestore.types import Float32, Float64

_TEMPLATE_SIDE = 512
TEMPLATE: Final[Float64] = (
    np.array([[192.98, 239.95], [318.90, 240.19], [256.63, 314.02], [201.26, 371.41], [313.09, 371.15]]) + 0.5
) / _TEMPLATE_SIDE
"""float64 [5, 2], unit square: left eye, right eye, nose tip, mouth corners. The points are facexlib's for 512 px
crops (pixel centres at integers), which GFP-GAN was trained with."""
TEMPLATE.setflags(write=False)

FACE_CENTRE: Final = (0.5, 0.53)
"""Centre of the face in the unit square."""
FACE_RADII: Final = (0.42, 0.45)
"""Half axes of the restored ellipse, as fractions of the square's side: ear to ear, forehead to chin."""

_EYES_Y, _NOSE_Y, _MOUTH_Y = TEMPLATE[:2, 1].mean(), TEMPLATE[2, 1], TEMPLATE[3:, 1].mean()
_NOSE_HEIGHT: Final = float((_NOSE_Y - _EYES_Y) / (_MOUTH_Y - _EYES_Y))
"""Position of the nose tip between eyes (0) and mouth (1)."""
_NOSE_DEPTH: Final = 0.5
"""Distance of the nose tip from the plane of eyes and mouth corners, in distances between the eyes."""
_UNIT_CENTRE: Final = 0.5 + 0.5j
_POINTS: Final = TEMPLATE[:, 0] + 1j * TEMPLATE[:, 1]
_CENTRED: Final = _POINTS - _POINTS.mean()

Pose = tuple[float, float, float, float]
"""(log size, angle, centre x, centre y), see the module docstring."""


def similarity(landmarks: Float32 | Float64) -> Pose:
    """Return the least-squares pose of a face: log size, angle in (-pi, pi] radians, centre x and y in display pixels.

    Minimises the squared distances in display pixels between `landmarks` [5, 2] and the moved template; mirrored
    faces are not considered (Umeyama 1991 without reflection; in the plane, one complex division).

    Raises:
        RestorationError: the landmarks are not five finite points that span an area.
    """
    factor, shift = _fit(landmarks)
    centre = factor * _UNIT_CENTRE + shift
    return float(np.log(abs(factor))), float(np.angle(factor)), float(centre.real), float(centre.imag)


def transform(pose: Pose | Float64) -> Float64:
    """Return the map of a pose, float64 [2, 3], unit square -> display pixels (x, y), as in `FaceTrack.to_display`."""
    log_size, angle, centre_x, centre_y = (float(value) for value in pose)
    cosine, sine = np.exp(log_size) * np.cos(angle), np.exp(log_size) * np.sin(angle)
    return np.array(
        [
            [cosine, -sine, centre_x - 0.5 * (cosine - sine)],
            [sine, cosine, centre_y - 0.5 * (sine + cosine)],
        ]
    )


def residual(landmarks: Float32 | Float64) -> float:
    """Return the root mean square distance of landmarks [5, 2] to the fitted template, in sides of the square.

    About 0.02 for a frontal face and 0.05 for a profile; a larger one is hardly a face.

    Raises:
        RestorationError: the landmarks are not five finite points that span an area.
    """
    factor, shift = _fit(landmarks)
    distances = np.abs(factor * _POINTS + shift - _complex(landmarks))
    return float(np.sqrt(np.mean(distances**2)) / abs(factor))


def yaw(landmarks: Float32 | Float64) -> float:
    """Return the yaw of a head in degrees from -90 to 90; positive where the nose points to the right of the image.

    The nose tip stands out from the plane of the other landmarks and moves sideways as the head turns, while they move
    closer together. Accurate to about 5 degrees for frontal faces and 10 for profiles, whose farther landmarks a
    detector guesses.

    Raises:
        RestorationError: the landmarks are not five finite points that span an area.
    """
    _fit(landmarks)
    left_eye, right_eye, nose, left_mouth, right_mouth = np.asarray(landmarks, dtype=np.float64)
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    down = mouth - eyes
    to_the_right = np.array([down[1], -down[0]]) / max(float(np.hypot(*down)), np.finfo(float).eps)
    width = max(0.0, float((right_eye - left_eye + right_mouth - left_mouth) @ to_the_right) / 2)
    sideways = float((nose - (eyes + _NOSE_HEIGHT * down)) @ to_the_right)
    return float(np.degrees(np.arctan2(sideways, _NOSE_DEPTH * width)))


def place(to_display: Float64, points: Float64 = TEMPLATE) -> Float64:
    """Map points float64 [n, 2] of the unit square to display pixels; by default the template's five landmarks."""
    moved: Float64 = points @ to_display[:, :2].T + to_display[:, 2]
    return moved


def crop_matrix(to_display: Float64, size: int, frame_to_display: Float64) -> Float64:
    """Return the map float64 [2, 3], frame pixels -> crop pixels, both (x, y) with pixel centres at integers.

    Args:
        to_display: float64 [2, 3], unit square -> display pixels.
        size: side of the crop in pixels.
        frame_to_display: float64 [2, 3], frame pixels -> display pixels; must be invertible.
    """
    unit_to_crop = np.array([[size, 0, -0.5], [0, size, -0.5], [0, 0, 1]])
    matrix: Float64 = unit_to_crop @ np.linalg.inv(_square(to_display)) @ _square(frame_to_display)
    return matrix[:2]


def _square(matrix: Float64) -> Float64:
    return np.vstack([matrix, [0, 0, 1]])


def _complex(landmarks: Float32 | Float64) -> np.ndarray[tuple[int], np.dtype[np.complex128]]:
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape != TEMPLATE.shape or not np.isfinite(points).all():
        raise RestorationError(f"got landmarks {points.tolist()}; wanted five finite points (x, y)")
    complex_points: np.ndarray[tuple[int], np.dtype[np.complex128]] = points[:, 0] + 1j * points[:, 1]
    return complex_points


def _fit(landmarks: Float32 | Float64) -> tuple[complex, complex]:
    """Return the complex factor a and shift b that minimise the sum of |a * template + b - landmark|^2."""
    points = _complex(landmarks)
    factor = complex(np.vdot(_CENTRED, points) / np.vdot(_CENTRED, _CENTRED).real)
    if abs(factor) < np.finfo(np.float32).eps:
        raise RestorationError(f"got landmarks {np.asarray(landmarks).tolist()}; wanted five points that span an area")
    return factor, complex(points.mean() - factor * _POINTS.mean())


def face_distance(size: int) -> Float64:
    """Return the distance from the middle of the face in radii of its ellipse, float64 [size, size] over the crop."""
    axis = (np.arange(size) + 0.5) / size
    across = (axis[None, :] - FACE_CENTRE[0]) / FACE_RADII[0]
    down = (axis[:, None] - FACE_CENTRE[1]) / FACE_RADII[1]
    distance: Float64 = np.hypot(across, down)
    return distance
