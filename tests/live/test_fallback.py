"""Workers that are slow, dead or wrong."""

import time
from collections.abc import Sequence
from concurrent.futures import Future

from vidrestore.live.fallback import FallbackExecutor, GuardCounts


def guarded(ask: object, counts: GuardCounts, *, rest: float = 0.2) -> FallbackExecutor[int, int]:
    return FallbackExecutor(ask, lambda item: -item, patience_seconds=0.1, rest_seconds=rest, counts=counts)  # type: ignore[arg-type]


def answer(value: Sequence[int]) -> Future[Sequence[int]]:
    future: Future[Sequence[int]] = Future()
    future.set_result(value)
    return future


def test_answers_are_passed_on_and_nothing_is_read_ahead() -> None:
    drawn: list[int] = []

    def batches():  # noqa: ANN202
        for number in range(3):
            drawn.append(number)
            yield [number]

    counts = GuardCounts()
    results = guarded(lambda batch: answer([item + 10 for item in batch]), counts).map(batches())
    assert next(results) == [10]
    assert drawn == [0]
    assert list(results) == [[11], [12]]
    assert counts == GuardCounts()


def test_an_empty_batch_asks_nobody() -> None:
    def ask(_: Sequence[int]) -> Future[Sequence[int]]:
        raise AssertionError

    assert list(guarded(ask, GuardCounts()).map([[], []])) == [[], []]


def test_a_failure_is_answered_neutrally_and_the_worker_rests() -> None:
    asked: list[Sequence[int]] = []

    def ask(batch: Sequence[int]) -> Future[Sequence[int]]:
        asked.append(batch)
        raise RuntimeError("gone\nand a stack")

    counts = GuardCounts()
    assert list(guarded(ask, counts, rest=60).map([[1, 2], [3]])) == [[-1, -2], [-3]]
    assert asked == [[1, 2]]
    assert (counts.failures, counts.replaced, counts.last_problem) == (1, 3, "RuntimeError: gone")


def test_a_worker_that_is_late_is_not_asked_again_before_it_has_answered() -> None:
    late: Future[Sequence[int]] = Future()
    futures = [late, answer([7])]
    counts = GuardCounts()
    executor = guarded(lambda _: futures.pop(0), counts, rest=0.01)
    assert list(executor.map([[1]])) == [[-1]]
    time.sleep(0.02)  # longer than it rests
    assert list(executor.map([[2]])) == [[-2]]
    assert len(futures) == 1, "it was not asked"
    late.set_result([1])
    assert list(executor.map([[3]])) == [[7]]
    assert (counts.failures, counts.replaced) == (1, 2)
    assert "in time" in counts.last_problem
