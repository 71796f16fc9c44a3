"""Motion model: a constant-velocity Kalman model of a face's pose in real time.

The state is (log size, angle, x, y) and their velocities per second. Accelerations are white noise whose strength is
relative to the size of the face, so that a face moves alike at every resolution, frame rate and gap: the process noise
of one long step equals that of many short ones, and variable frame rates need no special case.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from vidrestore.faces.alignment import TEMPLATE, residual, similarity, yaw
from vidrestore.faces.config import MotionConfig
from vidrestore.types import Detection, Float64

_CENTRED = TEMPLATE - TEMPLATE.mean(axis=0)
_SPREAD = float(np.sqrt((_CENTRED**2).sum()))
_LEVER = float(np.hypot(*(0.5 - TEMPLATE.mean(axis=0))))
SHORTEST_STEP_SECONDS: Final = 1e-3
"""Shortest time step in seconds; equal or falling times (damaged files) count as this step."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A detection as the motion model sees it."""

    seconds: float
    pose: Float64
    """float64 [4], see `faces.alignment`."""
    variance: Float64
    """float64 [4]: variance of each coordinate of the pose."""
    score: float
    ordinal: int = 0
    """Number of the frame in the order of its stream, from 0."""
    yaw: float = 0.0
    """Yaw in degrees, see `faces.alignment.yaw`."""


def observe(detection: Detection, *, seconds: float, ordinal: int, config: MotionConfig) -> Observation:
    """Fit a pose to a detection, with variances that are larger for uncertain and non-frontal faces.

    Independent noise on the landmarks gives the variances of the fit in closed form.

    Raises:
        RestorationError: the landmarks are degenerate.
    """
    pose = np.array(similarity(detection.landmarks))
    size = float(np.exp(pose[0]))
    doubt = 1 + 3 * (1 - detection.score)
    shape_noise = 0.1 * residual(detection.landmarks)
    noise = np.hypot(doubt * np.hypot(config.landmark_noise, shape_noise), config.landmark_noise_pixels / size)
    turn = config.smoothing * noise / _SPREAD
    shift = config.smoothing * noise * size * np.hypot(len(TEMPLATE) ** -0.5, _LEVER / _SPREAD)
    return Observation(
        seconds, pose, np.square([turn, turn, shift, shift]), detection.score, ordinal, yaw(detection.landmarks)
    )


class MotionFilter:
    """The causal filter of one face, which predicts where it is next."""

    def __init__(self, first: Observation, config: MotionConfig) -> None:
        from filterpy.kalman import KalmanFilter  # noqa: PLC0415  it imports all of scipy.stats: no face, no need

        self._config = config
        self._seconds = first.seconds
        self._filter = KalmanFilter(dim_x=8, dim_z=4)
        self._filter.H = np.eye(4, 8)
        self._filter.x = np.concatenate([first.pose, np.zeros(4)])[:, None]
        self._filter.P = np.diag(np.concatenate([first.variance, config.start_speed(float(np.exp(first.pose[0])))]))

    @property
    def pose(self) -> Float64:
        """Pose float64 [4] at the time of the last prediction or update."""
        pose: Float64 = self._filter.x[:4, 0]
        return pose

    @property
    def covariance(self) -> Float64:
        """Covariance float64 [4, 4] of the pose."""
        covariance: Float64 = self._filter.P[:4, :4]
        return covariance

    def predict(self, seconds: float) -> None:
        """Predict the state at a later time."""
        step = max(seconds - self._seconds, SHORTEST_STEP_SECONDS)
        self._seconds = seconds
        densities = self._config.accelerations(float(np.exp(np.clip(self._filter.x[0, 0], -20, 20))))
        self._filter.predict(F=transition(step), Q=process_noise(step, densities))

    def update(self, observation: Observation) -> None:
        """Correct the state by an observation at the time of the last prediction."""
        pose = nearest_turn(observation.pose, float(self.pose[1]))
        self._filter.update(pose[:, None], R=np.diag(observation.variance))


def transition(step: float) -> Float64:
    """Return the transition matrix float64 [8, 8] of `step` seconds of constant velocity."""
    return np.eye(8) + step * np.eye(8, k=4)


def process_noise(step: float, densities: Float64) -> Float64:
    """Return the covariance float64 [8, 8] that white accelerations of spectral densities [4] add in `step` seconds."""
    return np.kron([[step**3 / 3, step**2 / 2], [step**2 / 2, step]], np.diag(densities)).astype(np.float64)


def nearest_turn(pose: Float64, angle: float) -> Float64:
    """Return a pose [4] with its angle shifted by full turns to within half a turn of `angle`."""
    turned = pose.copy()
    turned[1] += 2 * np.pi * np.round((angle - pose[1]) / (2 * np.pi))
    return turned
