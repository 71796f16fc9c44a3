import math
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import measure as measuring
from benchmarks.checks import require
from benchmarks.measure import BenchmarkConfig, measure
from benchmarks.results import Check, Quartiles, Run, stage_speeds, times
from vidrestore.errors import ConfigError, RestorationError


def run_of(seconds: float, stages: dict[str, float] | None = None) -> Run:
    return Run(seconds, 10, 10, stages or {})


def test_quartiles_are_those_of_the_usual_definition() -> None:
    assert Quartiles.of([4, 1, 3, 2, 5]) == Quartiles(2, 3, 4)
    assert Quartiles.of([7]) == Quartiles(7, 7, 7)


def test_the_ratio_is_taken_round_by_round() -> None:
    ours, theirs = [run_of(1), run_of(4), run_of(1)], [run_of(8), run_of(32), run_of(8)]
    assert times(ours, theirs) == Quartiles(8, 8, 8)


def test_rounds_that_only_one_took_part_in_do_not_count() -> None:
    assert times([run_of(1), run_of(100)], [run_of(5)]) == Quartiles(5, 5, 5)


def test_a_stage_that_took_no_time_has_no_speed() -> None:
    assert stage_speeds([run_of(3, {"decode": 0.5, "track": 0.0}), run_of(3, {"decode": 0.5})]) == {"decode": 20}


@pytest.mark.parametrize(("value", "at_least"), [(2.0, False), (0.5, True), (math.nan, True), (math.nan, False)])
def test_a_failed_check_ends_the_benchmark_with_its_value(value: float, at_least: bool) -> None:  # noqa: FBT001
    with pytest.raises(RestorationError, match=f"difference is {value:.3f}, wanted at"):
        require([Check("difference", value, 1.0, "grey levels", at_least=at_least)])


@pytest.mark.parametrize("options", [{"runs": 0}, {"frames": 0}, {"as_shipped_runs": -1}, {"runtimes": ()}])
def test_amounts_that_measure_nothing_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        BenchmarkConfig(**options)


@pytest.mark.nightly
def test_everybody_is_compared_and_then_timed_on_the_same_film(make_portrait_film: Callable[..., Path]) -> None:
    steps: list[str] = []
    config = BenchmarkConfig(runs=2, frames=3, as_shipped_runs=0, runtimes=("local",))
    found = measure(make_portrait_film(frames=3, blur=2), config, on_step=steps.append)
    ours, rival = found.rows
    assert [row.is_reference for row in found.rows] == [False, True]
    assert [run.frames for row in found.rows for run in row.runs] == [3, 3, 3, 3]
    assert [run.faces for run in rival.runs] == [3, 3]
    for run in (*ours.runs, *rival.runs):
        assert sum(run.stage_seconds.values()) == pytest.approx(run.seconds)
    assert ours.times_reference[rival.name].median > 0
    assert {"decode", "detect", "restore", "composite", "encode"} <= set(ours.stage_frames_per_second)
    assert all(check.passed for check in found.checks)
    order = [step for step in steps if step.startswith("round")]
    assert [("vidrestore" in step) for step in order] == [True, False, False, True]


def test_nothing_is_timed_when_a_check_fails(
    make_portrait_film: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Check("made to fail", 2.0, 1.0, "dB", at_least=False)
    monkeypatch.setattr(measuring, "check_networks", lambda *_: iter([failing]))
    monkeypatch.setattr(measuring, "_race", lambda *_: pytest.fail("timed all the same"))
    with pytest.raises(RestorationError, match="made to fail"):
        measure(make_portrait_film(frames=3), BenchmarkConfig(runs=1, as_shipped_runs=0, runtimes=("local",)))
