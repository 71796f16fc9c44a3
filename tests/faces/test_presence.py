"""Whether a face is there, from where it was found and looked for."""

from collections.abc import Sequence

import pytest

from vidrestore.faces.presence import is_present, misses

EVERY, THIRD = range(12), range(0, 12, 3)


@pytest.mark.parametrize(
    ("hits", "looks", "ordinal", "expected"),
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
def test_presence(hits: Sequence[int], looks: Sequence[int], ordinal: int, *, expected: bool) -> None:
    assert is_present(hits, looks, ordinal, min_hits=3, max_gap=4, coast=0) is expected


def test_coasting_ends_after_its_frames() -> None:
    shown = [is_present([3, 4, 5], EVERY, ordinal, min_hits=3, max_gap=0, coast=2) for ordinal in EVERY]

    assert shown == [False] * 3 + [True] * 5 + [False] * 4


def test_misses_count_looks_in_vain() -> None:
    assert [misses([3], EVERY, ordinal) for ordinal in (2, 3, 5)] == [0, 0, 2]
    assert [misses([3], THIRD, ordinal) for ordinal in (5, 6, 8, 9)] == [0, 1, 1, 2]
