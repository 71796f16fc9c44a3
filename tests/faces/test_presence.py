"""Whether a face is there, from where it was found and looked for."""

from collections.abc import Sequence
from fractions import Fraction

import pytest

from vidrestore.faces.presence import Clock, TrackLifecycleRules, nanoseconds, presence_weight, time_since_update

EVERY, THIRD = range(12), range(0, 12, 3)


def clock(seconds: Sequence[Fraction | int] = range(12), *, first: int = 0) -> Clock:
    result = Clock(first)
    for one in seconds:
        result.tick(Fraction(one))
    return result


def shares(hits: Sequence[int], *, coast: int = 0, fade: float = 0, lookahead: int = 12) -> list[float]:
    """Presence in 12 frames, one a second."""
    ahead, full = nanoseconds(lookahead), max(1, nanoseconds(fade))
    rules = TrackLifecycleRules(3, min(ahead, nanoseconds(4)), nanoseconds(coast), full, ahead, lookahead)
    return [presence_weight(hits, EVERY, ordinal, clock=clock(), rules=rules) / full for ordinal in EVERY]


@pytest.mark.parametrize(
    ("hits", "runs", "ordinal", "expected"),
    [
        ([3, 4, 5], EVERY, 4, True),
        ([3, 4, 5], EVERY, 2, False),
        ([3, 4, 5], EVERY, 6, False),
        ([3, 4, 7], EVERY, 5, True),
        ([0, 1, 11], EVERY, 5, False),
        ([3, 4], EVERY, 4, False),
        ([0, 3, 6], THIRD, 4, True),
        ([0, 3, 6], THIRD, 8, False),
        ([3, 6, 9], THIRD, 11, True),
        ([3, 6, 9], THIRD, 2, False),
        ([4, 7, 10], [4, 7, 10], 2, True),
        ([4], [4], 4, True),
        ([], EVERY, 4, False),
    ],
)
def test_presence(hits: Sequence[int], runs: Sequence[int], ordinal: int, *, expected: bool) -> None:
    rules = TrackLifecycleRules(3, nanoseconds(4), 0, 1, nanoseconds(12), 12)

    assert presence_weight(hits, runs, ordinal, clock=clock(), rules=rules) == expected


def test_coasting_ends_after_its_time() -> None:
    assert shares([3, 4, 5], coast=3) == [0] * 3 + [1] * 5 + [0] * 4


def test_a_face_fades_before_the_end_that_the_window_shows() -> None:
    assert shares([1, 2, 3, 4, 5, 6], fade=4) == [0, 1, 1, 1, 0.75, 0.5, 0.25, 0, 0, 0, 0, 0]


def test_an_end_that_comes_into_sight_late_leaves_less_time_to_fade() -> None:
    assert shares([1, 2, 3, 4, 5, 6], fade=6, lookahead=2)[4:8] == pytest.approx([1, 2 / 3, 1 / 3, 0])


def test_the_clock_always_rises_and_depends_on_no_earlier_frame() -> None:
    seconds = [Fraction(one, 25) for one in (0, 1, 2, 2, 3, 0, 1, 2)]

    whole, part = clock(seconds), clock(seconds[3:], first=3)

    steps = [whole[ordinal + 1] - whole[ordinal] for ordinal in range(7)]
    assert steps == [40_000_000, 40_000_000, 1_000_000, 40_000_000, 1_000_000, 40_000_000, 40_000_000]
    assert [part[ordinal] - part[3] for ordinal in range(3, 8)] == [
        whole[ordinal] - whole[3] for ordinal in range(3, 8)
    ]


def test_the_clock_forgets_by_time_and_by_number() -> None:
    by_time, by_number = clock(), clock()
    by_time.forget(8, span=nanoseconds(3), frames=99)
    by_number.forget(8, span=nanoseconds(99), frames=2)

    assert (by_time.first, len(by_time)) == (5, 7)
    assert (by_number.first, len(by_number)) == (6, 6)


def test_misses_count_runs_without_the_face() -> None:
    assert [time_since_update([3], EVERY, ordinal) for ordinal in (2, 3, 5)] == [0, 0, 2]
    assert [time_since_update([3], THIRD, ordinal) for ordinal in (5, 6, 8, 9)] == [0, 1, 1, 2]
