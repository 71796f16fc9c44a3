"""The window smoother against filterpy's filter and Rauch-Tung-Striebel smoother."""

from itertools import pairwise

import numpy as np
import pytest
from filterpy.kalman import KalmanFilter

from vidrestore.faces.motion import MotionConfig, Observation, process_noise, transition
from vidrestore.faces.smoothing import average, smooth
from vidrestore.types import Float64

CONFIG = MotionConfig()


def observations(count: int, *, seed: int = 0) -> list[Observation]:
    generator = np.random.default_rng(seed)
    seconds = np.cumsum(generator.uniform(0.02, 0.06, count))
    deviation = np.array([0.003, 0.004, 0.2, 0.2])
    return [
        Observation(
            time,
            np.array([4.6, 0.1, 50 + 20 * time, 80]) + deviation * generator.normal(size=4),
            deviation**2 * generator.uniform(0.5, 2),
            0.9,
            ordinal,
        )
        for ordinal, time in enumerate(seconds.tolist())
    ]


def filterpy_smooth(seen: list[Observation], at: int) -> tuple[Float64, Float64]:
    size = float(np.exp(np.median([one.pose[0] for one in seen])))
    kalman = KalmanFilter(dim_x=8, dim_z=4)
    kalman.H = np.eye(4, 8)
    kalman.x = np.concatenate([seen[0].pose, np.zeros(4)])[:, None]
    kalman.P = np.diag(np.concatenate([seen[0].variance, CONFIG.start_speed(size)]))
    means, covariances, steps, noises = [kalman.x], [kalman.P], [np.eye(8)], [np.eye(8)]
    for before, now in pairwise(seen):
        steps.append(transition(now.seconds - before.seconds))
        noises.append(process_noise(now.seconds - before.seconds, CONFIG.accelerations(size)))
        kalman.predict(F=steps[-1], Q=noises[-1])
        kalman.update(now.pose[:, None], R=np.diag(now.variance))
        means.append(kalman.x)
        covariances.append(kalman.P)
    smooth_means, smooth_covariances, _, _ = kalman.rts_smoother(np.array(means), np.array(covariances), steps, noises)
    return smooth_means[at, :4, 0], np.diag(smooth_covariances[at])[:4]


@pytest.mark.parametrize("at", [0, 1, 10, 24, 36])
def test_the_window_smoother_is_the_rauch_tung_striebel_smoother(at: int) -> None:
    seen = observations(37)

    mean, variance = smooth(seen, seen[at].seconds, ordinal=at, config=CONFIG)
    expected_mean, expected_variance = filterpy_smooth(seen, at)

    np.testing.assert_allclose(mean, expected_mean, rtol=1e-10)
    np.testing.assert_allclose(variance, expected_variance, rtol=1e-9)


def test_a_moment_between_observations_is_less_certain_than_its_neighbours() -> None:
    seen = observations(20)
    between = (seen[9].seconds + seen[10].seconds) / 2

    _, at_nine = smooth(seen, seen[9].seconds, ordinal=9, config=CONFIG)
    _, halfway = smooth(seen[:9] + seen[11:], between, ordinal=10, config=CONFIG)

    assert (halfway > at_nine).all()


def test_beyond_the_last_observation_the_velocity_goes_on_and_certainty_falls() -> None:
    seen = observations(30)
    last, sooner, later = (
        smooth(seen, seen[-1].seconds + ahead, ordinal=29 + round(30 * ahead), config=CONFIG) for ahead in (0, 0.1, 0.2)
    )

    np.testing.assert_allclose(later[0] - sooner[0], sooner[0] - last[0], atol=1e-6)
    assert (last[1] < sooner[1]).all()
    assert (sooner[1] < later[1]).all()


def test_one_observation_is_given_back() -> None:
    (only,) = observations(1)

    mean, variance = smooth([only], only.seconds, ordinal=0, config=CONFIG)

    np.testing.assert_allclose(mean, only.pose)
    np.testing.assert_allclose(variance, only.variance)


def test_an_average_is_what_was_measured_around_the_moment() -> None:
    times = [0.0, 0.1, 0.2, 0.3, 0.4]
    assert average([3.0] * 5, times, 0.17) == pytest.approx(3)
    assert average([0, 1, 2, 3, 4], times, 0.2) == pytest.approx(2)
    assert average([0, 0, 1, 0, 0], times, 0.2) < 0.5
    assert average([5, 7], [0.0, 1.0], 300.0) == pytest.approx(7)


def test_an_average_between_two_measurements_moves_without_a_step() -> None:
    moments = np.linspace(0, 0.5, 51)
    values = [average([0.0, 1.0], [0.0, 0.5], moment) for moment in moments]
    assert (np.diff(values) >= 0).all()
    assert np.diff(values).max() < 0.1
    assert values[25] == pytest.approx(0.5)
