"""The most likely pose of a face at one moment, given everything seen of it in a window of time.

For the motion model of `faces.motion` this is what a Kalman filter over the window followed by a Rauch-Tung-Striebel
smoother computes, and a test holds it to filterpy's. It is solved here as the least-squares problem that it is: a
chain of poses, each tied to the next by the motion model and to its observation by the measurement. The matrix is that
of a bent elastic beam (a cubic smoothing spline), banded, and one call of LAPACK solves all four coordinates: 0.2 ms
where filterpy takes 4 ms for a window of 37 frames. Nothing outside the window has a say.
"""

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from scipy.linalg import solveh_banded

from vidrestore.faces.motion import SHORTEST_STEP_SECONDS, MotionConfig, Observation
from vidrestore.types import Float64

AVERAGING_SECONDS = 0.12
"""Sigma: a look and its neighbours at the usual rate of looking."""
_BANDS = 4


def smooth(
    observations: Sequence[Observation], seconds: float, *, ordinal: int, config: MotionConfig
) -> tuple[Float64, Float64]:
    """Mean and variance, both float64 [4], of the pose in a frame with, between, before or after observations.

    Args:
        observations: one or more of the same face, by rising ordinal.
        seconds: the time of the frame asked for.
        ordinal: its number, which decides its place in the order: times may repeat or fall in damaged files.
        config: strengths of motion and noise.
    """
    assert observations, "a pose without any observation is unknown"  # noqa: S101  the tracker asks for seen faces only
    seen = np.array([observation.seconds for observation in observations])
    at = bisect_left(observations, ordinal, key=lambda observation: observation.ordinal)
    observed = np.arange(len(seen))
    if at == len(seen) or observations[at].ordinal != ordinal:
        observed += observed >= at
        seen = np.insert(seen, at, seconds)
    poses = np.array([observation.pose for observation in observations])
    poses[:, 1] = np.unwrap(poses[:, 1])
    trust = 1 / np.array([observation.variance for observation in observations])
    size = float(np.exp(np.median(poses[:, 0])))

    nodes = len(seen)
    beam = _beam(np.maximum(np.diff(seen), SHORTEST_STEP_SECONDS))
    stiffness = beam[:, None] / config.accelerations(size)[None, :, None]  # [bands, coordinate, 2 * node]
    stiffness[0, :, 1] += 1 / config.start_speed(size)
    stiffness[0][:, 2 * observed] += trust.T
    load = np.zeros((4, 2 * nodes, 2))
    load[:, 2 * observed, 0] = (trust * poses).T
    load[:, 2 * at, 1] = 1
    solution = solveh_banded(stiffness.reshape(_BANDS, -1), load.reshape(-1, 2), lower=True, check_finite=False)
    mean, variance = solution.reshape(4, -1, 2)[:, 2 * at].T
    return mean, variance


def average(values: Sequence[float], times: Sequence[float], seconds: float) -> float:
    """What was measured around one moment: a mean that falls off as a Gaussian of `AVERAGING_SECONDS`.

    Args:
        values: one or more.
        times: of each, in seconds.
        seconds: the moment; far from every measurement, the nearest decide.
    """
    squares = np.square(np.array(times) - seconds) / (2 * AVERAGING_SECONDS**2)
    weights = np.exp(squares.min() - squares)
    return float(weights @ np.array(values) / weights.sum())


def _beam(steps: Float64) -> Float64:
    """Bands [4, 2 * nodes] of the inverse covariance of (value, velocity) chains with unit acceleration density.

    Row b holds the elements b below the diagonal. Between neighbours lies the inverse of the process noise
    [[step^3 / 3, step^2 / 2], [step^2 / 2, step]], the stiffness matrix of a beam element.
    """
    bands = np.zeros((_BANDS, 2 * len(steps) + 2))
    cubic, square, line = 12 / steps**3, 6 / steps**2, 2 / steps
    bands[0, 0:-2:2] += cubic
    bands[0, 1:-2:2] += 2 * line
    bands[0, 2::2] += cubic
    bands[0, 3::2] += 2 * line
    bands[1, 0:-2:2] += square
    bands[1, 1:-2:2] -= square
    bands[1, 2::2] -= square
    bands[2, 0:-2:2] -= cubic
    bands[2, 1:-2:2] += line
    bands[3, 0:-2:2] += square
    return bands
