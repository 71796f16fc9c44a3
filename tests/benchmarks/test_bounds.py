from dataclasses import replace

import pytest

from benchmarks.bounds import balance, bound_of, words
from benchmarks.results import Benchmark, Session


def test_the_slowest_part_of_the_same_video_bounds_a_row_after_its_start(made_up: Benchmark) -> None:
    ours = made_up.rows[1]
    bound = bound_of(ours, made_up.rows, made_up.limits)
    assert bound
    assert (bound.part, bound.frames_per_second, bound.start_seconds) == ("x264 medium alone", 100, 5)
    assert bound.reached == pytest.approx(40 / (400 / (5 + 4)))
    assert words(ours, bound) == "x264 medium alone (100 frames/s) and 5.0 s of start: 90% reached"


def test_of_the_network_the_fastest_way_counts_and_every_face_of_a_frame(made_up: Benchmark) -> None:
    ours = made_up.rows[1]
    limits = [limit for limit in made_up.limits if not limit.name.startswith("x264")]
    bound = bound_of(ours, made_up.rows, limits)
    assert bound
    assert (bound.part, bound.frames_per_second) == ("network alone, compiled, bf16, batch 8", 200)
    assert "busiest stage restore, 10.0 ms a frame" in words(ours, bound)


def test_without_limits_nothing_is_claimed(made_up: Benchmark) -> None:
    assert bound_of(made_up.rows[1], made_up.rows, ()) is None
    assert words(made_up.rows[1], None).startswith("not measured")


def test_the_reference_is_bounded_by_its_steps(made_up: Benchmark) -> None:
    rival = made_up.rows[2]
    said = words(rival, bound_of(rival, made_up.rows, made_up.limits))
    assert said == "one step after the other; busiest stage restore, 40.0 ms a frame"
    assert words(made_up.rows[0], None) == "the start"


def test_the_start_of_another_device_does_not_count(session: Session) -> None:
    elsewhere = replace(session.rows[1], device="cpu")
    bound = bound_of(elsewhere, session.rows, session.limits)
    assert bound
    assert bound.start_seconds == 0


def test_the_balance_names_what_bounds_the_network(made_up: Benchmark) -> None:
    said = balance(made_up.limits, device="cuda", network="512 px")
    assert said
    assert "arithmetic allows 2000 faces/s" in said
    assert "arithmetic bounds it" in said
    assert "batch 8* reaches 1200, 60% of that" in said
    assert balance(made_up.limits, device="cpu", network="512 px") is None
