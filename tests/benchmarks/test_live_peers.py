"""What a viewer's beeps and pictures say of sound and picture."""

import pytest

from benchmarks.live_peers import Seen, Viewing

RATE = 15


def shown(first: int, last: int, *, start: float) -> list[Seen]:
    return [Seen(number, 0.0, start + (number - first) / RATE) for number in range(first, last + 1)]


def test_a_beep_is_measured_against_its_own_picture() -> None:
    beep = 10 + 4 / RATE
    viewing = Viewing(shown(60, 100, start=10.0), [beep + 0.05, beep + 32 / RATE])
    assert viewing.sound_offsets(RATE) == pytest.approx([0.05, 0.0])


def test_a_picture_that_is_first_seen_when_it_is_held_says_nothing() -> None:
    """The viewer came between the picture and its first key frame, when the source had gone."""
    held = [Seen(64, 0.0, 10.767 + repeat / 10) for repeat in range(20)]
    viewing = Viewing([*held, *shown(90, 100, start=13.0)], [10.0, 13.0 + 6 / RATE])
    assert viewing.sound_offsets(RATE) == pytest.approx([0.0])
