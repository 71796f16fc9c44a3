"""The window smoother against filterpy's filter and Rauch-Tung-Striebel smoother."""

from itertools import pairwise

import numpy as np
import pytest
from filterpy.kalman import KalmanFilter

from vidrestore.faces.config import MotionConfig
from vidrestore.faces.motion import Observation, process_noise, transition
from vidrestore.faces.smoothing import average, smooth
from vidrestore.types import Float64

CONFIG = MotionConfig()
GAUSSIAN = MotionConfig(calm_acceleration_ratio=1, student_t_dof=1e15)


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
    kalman.P = np.diag(np.concatenate([seen[0].variance, GAUSSIAN.start_speed(size)]))
    means, covariances, steps, noises = [kalman.x], [kalman.P], [np.eye(8)], [np.eye(8)]
    for before, now in pairwise(seen):
        steps.append(transition(now.seconds - before.seconds))
        noises.append(process_noise(now.seconds - before.seconds, GAUSSIAN.accelerations(size)))
        kalman.predict(F=steps[-1], Q=noises[-1])
        kalman.update(now.pose[:, None], R=np.diag(now.variance))
        means.append(kalman.x)
        covariances.append(kalman.P)
    smooth_means, smooth_covariances, _, _ = kalman.rts_smoother(np.array(means), np.array(covariances), steps, noises)
    return smooth_means[at, :4, 0], np.diag(smooth_covariances[at])[:4]


@pytest.mark.parametrize("at", [0, 1, 10, 24, 36])
def test_the_window_smoother_is_the_rauch_tung_striebel_smoother(at: int) -> None:
    seen = observations(37)

    mean, variance = smooth(seen, seen[at].seconds, ordinal=at, config=GAUSSIAN)
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


def walk(deviation: float, *, starts: float = np.inf, count: int = 60) -> tuple[list[Observation], Float64]:
    """A face of 100 pixels that stands, and from a moment on goes at a size a second; and where it really is."""
    generator = np.random.default_rng(1)
    times = np.arange(count) / 30
    truth = 50 + 100 * np.maximum(times - starts, 0)
    noise = deviation * generator.normal(size=(count, 4)) * [0.01, 0.01, 1, 1]
    poses = np.column_stack([np.full(count, 4.6), np.zeros(count), truth, np.full(count, 80.0)]) + noise
    variance = np.square(deviation * np.array([0.01, 0.01, 1, 1]))
    seen = [
        Observation(float(time), pose, variance, 0.9, at)
        for at, (time, pose) in enumerate(zip(times, poses, strict=True))
    ]
    return seen, truth


def places(seen: list[Observation], config: MotionConfig) -> Float64:
    return np.array([smooth(seen, one.seconds, ordinal=one.ordinal, config=config)[0][2] for one in seen])


def test_a_still_face_is_held_more_steadily_than_by_a_gaussian() -> None:
    seen, _ = walk(0.3)
    jitter, gaussian = (np.abs(np.diff(places(seen, config), 2)).mean() for config in (CONFIG, GAUSSIAN))
    assert jitter < 0.5 * gaussian


def test_a_face_that_starts_to_move_is_followed() -> None:
    seen, truth = walk(0.3, starts=1.0)
    calm = MotionConfig(student_t_dof=1e15)
    adaptive, rigid = (np.abs(places(seen, config) - truth)[25:36].max() for config in (CONFIG, calm))
    assert adaptive < 0.7 * rigid
    assert adaptive < 1.5


def test_a_frame_between_two_detections_moves_as_its_neighbours_do() -> None:
    """Noise apart, a face that sways is nowhere torn, whichever frames it was searched in."""
    times = np.arange(60) / 30
    truth = 50 + 10 * np.sin(np.pi * times)
    detections = [
        Observation(times[at], np.array([4.6, 0.0, truth[at], 80.0]), np.array([1e-5, 1e-5, 0.1, 0.1]), 0.9, at)
        for at in range(0, 60, 2)
    ]
    places = [smooth(detections, times[at], ordinal=at, config=CONFIG)[0][2] for at in range(60)]
    assert np.abs(np.diff(places - truth, 2))[5:-5].mean() < 0.02


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
