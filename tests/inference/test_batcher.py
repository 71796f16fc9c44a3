"""Batches from many callers."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from vidrestore.inference.batcher import DynamicBatcher


class Doubler:
    """Records the batches it was given; refuses negative numbers."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        if any(item < 0 for item in items):
            message = "negative"
            raise ValueError(message)
        return [item * 2 for item in items]


def ask(stage: Doubler, *requests: list[int], full: int = 8) -> list[object]:
    async def together() -> list[object]:
        with ThreadPoolExecutor(1) as threads:
            coalescer = DynamicBatcher[int, int](stage, threads, full=full, max_delay_seconds=0.01)
            return await asyncio.gather(*map(coalescer, requests), return_exceptions=True)

    return asyncio.run(together())


def test_each_caller_gets_its_own_results_from_one_shared_call() -> None:
    stage = Doubler()
    assert ask(stage, [1], [2, 3], [4]) == [[2], [4, 6], [8]]
    assert stage.batches == [[1, 2, 3, 4]]


def test_a_call_starts_when_it_is_full() -> None:
    stage = Doubler()
    assert ask(stage, [1, 2], [3, 4], [5], full=4) == [[2, 4], [6, 8], [10]]
    assert stage.batches == [[1, 2, 3, 4], [5]]


def test_one_callers_bad_data_fails_no_other() -> None:
    good, bad, other = ask(Doubler(), [1], [-1], [2])
    assert (good, other) == ([2], [4])
    assert isinstance(bad, ValueError)


def test_callers_of_later_rounds_are_served_too() -> None:
    async def rounds() -> list[list[int]]:
        with ThreadPoolExecutor(1) as threads:
            coalescer = DynamicBatcher[int, int](Doubler(), threads, full=4, max_delay_seconds=0.001)
            return [list(await coalescer([number])) for number in range(3)]

    assert asyncio.run(rounds()) == [[0], [2], [4]]


def test_a_stage_that_always_fails_tells_every_caller() -> None:
    results = ask(Doubler(), [-1], [-2])
    with pytest.raises(ValueError, match="negative"):
        raise results[1]  # type: ignore[misc]
    assert isinstance(results[0], ValueError)
