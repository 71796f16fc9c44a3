"""Smoothing: the most likely pose of a face at one moment, given its observations in a window of time.

For the motion model of `faces.motion` with Gaussian accelerations this is what a Kalman filter over the window followed
by a Rauch-Tung-Striebel smoother computes, and a test holds it to filterpy's. It is solved here as the least-squares
problem that it is: a chain of poses, each tied to the next by the motion model and to its observation by the
measurement. The matrix is that of a bent elastic beam (a cubic smoothing spline), banded, and one call of LAPACK solves
all four coordinates, much faster than a smoother in Python. Nothing outside the window influences the result.

Faces are still for most of the time and then turn quickly: accelerations follow Student's t, not a Gaussian. After a
first solution the beam is made softer where it bends by more than a calm face would, and stiffer where by less, and
solved again (one step of iteratively reweighted least squares, as in Agamennoni et al. 2012). The stiffness of a step
depends on the observations alone.
"""

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from vidrestore.faces.config import MotionConfig
from vidrestore.faces.motion import SHORTEST_STEP_SECONDS, Observation
from vidrestore.types import Float64

AVERAGING_SECONDS = 0.12
"""Standard deviation of the weights over time: a detector run and its neighbours at the usual rate."""
_BANDS = 4
_BENDS = 8
"""Degrees of freedom in which a step may depart from constant velocity: value and velocity of four coordinates."""


def smooth(
    observations: Sequence[Observation], seconds: float, *, ordinal: int, config: MotionConfig
) -> tuple[Float64, Float64]:
    """Return mean and variance, both float64 [4], of the pose in a frame at, between, before or after observations.

    Args:
        observations: one or more of the same face, by rising ordinal.
        seconds: the time of the frame asked for.
        ordinal: its number, which decides the order: times may repeat or fall in damaged files.
        config: strengths of motion and noise.
    """
    assert observations, "a pose without any observation is unknown"  # noqa: S101  the tracker asks for seen faces only
    seen = np.array([observation.seconds for observation in observations])
    at = bisect_left(observations, ordinal, key=lambda observation: observation.ordinal)
    observed = np.arange(len(seen))
    poses = np.array([observation.pose for observation in observations])
    poses[:, 1] = np.unwrap(poses[:, 1])
    trust = 1 / np.array([observation.variance for observation in observations])
    size = float(np.exp(np.median(poses[:, 0])))
    densities = config.accelerations(size) * config.calm_acceleration_ratio**2

    from scipy.linalg import solveh_banded  # noqa: PLC0415  imported where there is a face, like all of scipy

    def solved(seconds: Float64, stiffer: Float64, wanted: int) -> Float64:
        """Return float64 [coordinate, 2 * node, 2]: the chain, and its covariances with the pose `wanted`."""
        steps = np.maximum(np.diff(seconds), SHORTEST_STEP_SECONDS)
        stiffness = _beam(steps, stiffer)[:, None] / densities[None, :, None]  # [bands, coordinate, 2 * node]
        stiffness[0, :, 1] += 1 / config.start_speed(size)
        stiffness[0][:, 2 * observed] += trust.T
        load = np.zeros((4, 2 * len(seconds), 2))
        load[:, 2 * observed, 0] = (trust * poses).T
        load[:, 2 * wanted, 1] = 1
        flat = solveh_banded(stiffness.reshape(_BANDS, -1), load.reshape(-1, 2), lower=True, check_finite=False)
        return np.asarray(flat.reshape(load.shape))

    # First solution with the stiffness of a calm face, then one reweighting: softer steps where the chain bends.
    stiffer = np.ones(len(seen) - 1)
    if len(stiffer):
        steps = np.maximum(np.diff(seen), SHORTEST_STEP_SECONDS)
        bent = (_bending(solved(seen, stiffer, 0)[..., 0], steps) / densities[:, None]).sum(axis=0)
        stiffer = (config.student_t_dof + _BENDS) / (config.student_t_dof + bent)
    if at == len(seen) or observations[at].ordinal != ordinal:
        # A frame between two observations divides their step and leaves its stiffness unchanged.
        stiffer = np.insert(stiffer, min(at, len(stiffer)), stiffer[at - 1] if 0 < at < len(seen) else 1)
        observed += observed >= at
        seen = np.insert(seen, at, seconds)
    mean, variance = solved(seen, stiffer, at)[:, 2 * at].T
    return mean, variance


def average(values: Sequence[float], times: Sequence[float], seconds: float) -> float:
    """Return the mean of measurements around one moment, with Gaussian weights of `AVERAGING_SECONDS`.

    Args:
        values: one or more.
        times: time of each value, in seconds.
        seconds: the moment; far from all measurements the nearest ones prevail.
    """
    squares = np.square(np.array(times) - seconds) / (2 * AVERAGING_SECONDS**2)
    weights = np.exp(squares.min() - squares)
    return float(weights @ np.array(values) / weights.sum())


def _beam(steps: Float64, stiffer: Float64) -> Float64:
    """Return the inverse covariance of (value, velocity) chains with unit acceleration density: bands [4, 2 * nodes].

    Row b holds the elements b below the diagonal. Between neighbours lies the inverse of the process noise
    [[step^3 / 3, step^2 / 2], [step^2 / 2, step]], the stiffness matrix of a beam element, times `stiffer` [steps].
    """
    bands = np.zeros((_BANDS, 2 * len(steps) + 2))
    cubic, square, line = stiffer * 12 / steps**3, stiffer * 6 / steps**2, stiffer * 2 / steps
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


def _bending(chains: Float64, steps: Float64) -> Float64:
    """Return the squared Mahalanobis length [coordinate, steps] of each step's departure from constant velocity.

    Args:
        chains: [coordinate, 2 * node], value and velocity alternating.
        steps: seconds between nodes.
    """
    value, velocity = chains[:, 0::2], chains[:, 1::2]
    shift, turn = np.diff(value) - steps * velocity[:, :-1], np.diff(velocity)
    return np.asarray(12 * shift**2 / steps**3 - 12 * shift * turn / steps**2 + 4 * turn**2 / steps)
