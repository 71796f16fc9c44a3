"""The learning rate over a training, by hand."""

import math

import pytest

from vidrestore.errors import ConfigError
from vidrestore.training.loop.schedule import ScheduleConfig


def test_the_rate_warms_up_stays_and_falls_along_half_a_cosine() -> None:
    schedule = ScheduleConfig(steps=100, warmup_steps=3, decay_share=0.4)
    assert [schedule.rate(step) for step in (0, 1, 2, 3)] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert [schedule.rate(step) for step in (4, 30, 60)] == [1.0, 1.0, 1.0]
    quarter = 0.5 * (1 + math.cos(math.pi / 4))
    assert [schedule.rate(step) for step in (70, 80)] == pytest.approx([quarter, 0.5])
    assert schedule.rate(99) == pytest.approx(0.5 * (1 + math.cos(math.pi * 39 / 40)))


def test_the_rate_never_reaches_zero_even_past_the_end() -> None:
    schedule = ScheduleConfig(steps=10, warmup_steps=0, decay_share=1.0)
    assert [schedule.rate(step) for step in (10, 1000)] == pytest.approx([1e-3, 1e-3])
    assert schedule.rate(0) == 1.0


def test_without_decay_and_warm_up_the_rate_stays() -> None:
    schedule = ScheduleConfig(steps=10, warmup_steps=0, decay_share=0.0)
    assert {schedule.rate(step) for step in range(20)} == {1.0}


@pytest.mark.parametrize("options", [{"steps": 0}, {"warmup_steps": -1}, {"decay_share": 1.1}, {"decay_share": -0.1}])
def test_impossible_schedules_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        ScheduleConfig(**options)  # type: ignore[arg-type]  # one wrong value each
