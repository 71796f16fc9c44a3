"""Joining stages: order, laziness and bounds."""

import threading
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidrestore.stages import Inline, Threaded, batched, map_faces, run, run_ahead
from vidrestore.types import Frame, FrameFaces


def a_frame(index: int) -> Frame:
    return Frame(index, index, Fraction(1, 25), 1, 2, 2, "gray", (np.zeros((2, 2), np.uint8),))


class Delay:
    """Holds one item back, as a stage with lookahead does."""

    def __init__(self) -> None:
        self._held: list[int] = []

    def push(self, item: int) -> list[int]:
        ready, self._held = self._held, [item]
        return ready

    def flush(self) -> list[int]:
        return self._held


def test_run_gives_what_a_stage_holds_back_at_the_end() -> None:
    assert list(run(Delay(), [1, 2, 3])) == [1, 2, 3]


@given(st.lists(st.integers(0, 5)), st.integers(1, 9), st.integers(1, 4))
def test_batches_keep_every_item_in_order_and_stay_within_their_bounds(
    weights: list[int], full: int, longest: int
) -> None:
    batches = list(batched(weights, weight=lambda item: item, full=full, longest=longest))
    assert [item for batch in batches for item in batch] == weights
    assert all(1 <= len(batch) <= longest for batch in batches)
    assert all(sum(batch[:-1]) < full for batch in batches), "a batch goes out as soon as it is full"


@given(st.lists(st.integers(0, 4), max_size=20), st.integers(1, 7), st.integers(1, 5))
def test_the_result_does_not_depend_on_how_faces_are_grouped(counts: list[int], batch_size: int, longest: int) -> None:
    items = [FrameFaces(a_frame(i), tuple(range(i * 10, i * 10 + n)), shot=i // 3) for i, n in enumerate(counts)]
    executor = Inline[int, int](lambda batch: [value + 1 for value in batch])
    results = list(map_faces(executor, items, batch_size=batch_size, longest=longest))
    assert [item.frame.index for item in results] == list(range(len(counts)))
    assert [item.faces for item in results] == [tuple(face + 1 for face in item.faces) for item in items]
    assert [item.shot for item in results] == [item.shot for item in items]


def test_nothing_is_read_before_it_is_asked_for() -> None:
    read: list[int] = []

    def source() -> Iterator[FrameFaces[int]]:
        for index in range(100):
            read.append(index)
            yield FrameFaces(a_frame(index), (index,))

    stream = map_faces(Inline[int, int](list), source(), batch_size=4, longest=4)
    assert read == []
    next(stream)
    assert len(read) == 4


def test_a_batch_stage_that_loses_a_face_is_caught() -> None:
    def lossy(batch: Sequence[int]) -> Sequence[int]:
        return batch[:-1]

    with pytest.raises(AssertionError, match="gave 1 results for 2 faces"):
        list(map_faces(Inline(lossy), [FrameFaces(a_frame(0), (1, 2))], batch_size=2, longest=1))


def test_running_ahead_keeps_order_and_holds_two_at_most() -> None:
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for number in range(20):
            drawn.append(number)
            yield number

    for taken, number in enumerate(run_ahead(items())):
        assert number == taken
        assert len(drawn) <= taken + 3
    assert drawn == list(range(20))


def test_running_ahead_raises_what_the_items_raise() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    ahead = run_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="broken"):
        next(ahead)


def test_closing_ends_the_thread_that_runs_ahead() -> None:
    closed: list[bool] = []

    def items() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    before = threading.active_count()
    ahead = run_ahead(items())
    assert next(ahead) == 0
    ahead.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
    assert closed == [True]


def test_a_thread_keeps_the_order_and_reads_one_batch_ahead() -> None:
    made: list[int] = []

    def batches() -> Iterator[list[int]]:
        for number in range(4):
            made.append(number)
            yield [number]

    results = Threaded(Inline[int, int](lambda batch: [value * 10 for value in batch])).map(batches())
    assert next(results) == [0]
    assert made == [0, 1]
    assert list(results) == [[10], [20], [30]]


def test_what_fails_in_the_thread_is_raised_where_its_result_is_asked_for() -> None:
    def stage(batch: Sequence[int]) -> list[int]:
        if batch[0] == 1:
            raise ValueError("one")
        return list(batch)

    results = Threaded(Inline[int, int](stage)).map([[0], [1], [2]])
    assert next(results) == [0]
    with pytest.raises(ValueError, match="one"):
        next(results)
