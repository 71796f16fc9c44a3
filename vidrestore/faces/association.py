"""Association: the assignment of new detections to known faces."""

from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np

from vidrestore.faces.alignment import place, transform
from vidrestore.faces.boxes import box_iou
from vidrestore.faces.config import AssociationConfig
from vidrestore.faces.motion import MotionFilter, Observation
from vidrestore.types import Float32, Float64

_FORBIDDEN = 1e6
FACE_BOX: Final[Float64] = np.array([0.22, 0.22, 0.78, 0.86])
"""Left, top, right, bottom of a typical face in the unit square of the alignment template."""


def associate(
    predictions: Sequence[MotionFilter], observations: Sequence[Observation], *, config: AssociationConfig
) -> list[tuple[int, int]]:
    """Return the pairs (prediction, observation) of the same face, each at most once.

    Hungarian assignment on a cost of box overlap, landmark distance and squared Mahalanobis distance of the pose, each
    0 for a perfect match and 1 at its limit; pairs beyond the gate or the distance are never made.
    """
    if not (predictions and observations):
        return []
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415  a second to import, of which no face has no use

    known = [prediction.pose for prediction in predictions]
    seen = [observation.pose for observation in observations]
    innovation = _mahalanobis(predictions, observations, slack=config.slack) / _gate_threshold(config.gate)
    distance = _landmark_distances(known, seen) / config.max_distance
    cost = innovation + distance + 1 - box_iou(face_boxes(known), face_boxes(seen))
    cost[(innovation > 1) | (distance > 1)] = _FORBIDDEN
    rows, columns = linear_sum_assignment(cost)
    return [
        (int(row), int(column)) for row, column in zip(rows, columns, strict=True) if cost[row, column] < _FORBIDDEN
    ]


def face_boxes(poses: Sequence[Float64]) -> Float32:
    """Return upright boxes float32 [n, 4] (left, top, right, bottom, display pixels) around faces of poses [4]."""
    return upright_boxes(np.array([transform(pose) for pose in poses]))


def upright_boxes(to_display: Float64) -> Float32:
    """Return such boxes of faces given by their maps from the unit square to display pixels, float64 [n, 2, 3]."""
    left, top, right, bottom = FACE_BOX
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    moved = np.array([place(similarity, corners) for similarity in to_display])
    return np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1).astype(np.float32)


def _landmark_distances(known: Sequence[Float64], seen: Sequence[Float64]) -> Float64:
    """Return the root mean square distances [k, s] between landmarks, in sizes of the larger face."""
    before = np.array([place(transform(pose)) for pose in known])
    now = np.array([place(transform(pose)) for pose in seen])
    pixels = np.sqrt(((before[:, None] - now[None]) ** 2).sum(axis=3).mean(axis=2))
    sizes = np.exp(np.maximum.outer([pose[0] for pose in known], [pose[0] for pose in seen]))
    distances: Float64 = pixels / sizes
    return distances


def _mahalanobis(predictions: Sequence[MotionFilter], observations: Sequence[Observation], *, slack: float) -> Float64:
    """Return the squared Mahalanobis distances [p, o] of poses, with `slack` added to both uncertainties."""
    found = np.array([observation.pose for observation in observations])
    noise = np.array([np.diag(observation.variance) for observation in observations])
    squares = np.empty((len(predictions), len(observations)))
    for row, prediction in enumerate(predictions):
        size = float(np.exp(np.clip(prediction.pose[0], -20, 20)))
        innovation_cov = prediction.covariance + np.diag(np.square(slack * np.array([1, 1, size, size]))) + noise
        innovation = found - prediction.pose
        innovation[:, 1] -= 2 * np.pi * np.round(innovation[:, 1] / (2 * np.pi))
        squares[row] = (innovation * np.linalg.solve(innovation_cov, innovation[..., None])[..., 0]).sum(axis=1)
    return squares


@cache
def _gate_threshold(gate: float) -> float:
    """Return the squared Mahalanobis distance in four dimensions below which a fraction `gate` of true matches lies."""
    from scipy.stats import chi2  # noqa: PLC0415  as above

    return float(chi2.ppf(gate, df=4))
