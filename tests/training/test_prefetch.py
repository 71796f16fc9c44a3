"""Pictures made ahead: whatever step is asked for comes, and nobody works for steps that are not wanted."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest

from vidrestore.training.data import prefetch
from vidrestore.training.data.prefetch import LookAhead
from vidrestore.types import UInt8


class Work:
    """Hands in one picture for each step, that step's number; fails to hand in what it is told to."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.pool, self.asked, self.failing = pool, list[int](), set[int]()

    def submit(self, step: int) -> list[Future[UInt8]]:
        if step in self.failing:
            raise OSError(step)
        self.asked.append(step)
        return [self.pool.submit(np.full, (1,), step, np.uint8)]


@pytest.fixture
def work() -> Iterator[Work]:
    with ThreadPoolExecutor(1) as pool:
        yield Work(pool)


def test_steps_in_order_are_each_made_once_and_so_many_ahead(work: Work) -> None:
    ahead = LookAhead(work.pool, work.submit, steps=2)
    assert [int(ahead.at(step)[0][0]) for step in range(4)] == [0, 1, 2, 3]
    assert work.asked == [0, 1, 2, 3, 4, 5]


def test_work_that_a_broken_pool_lost_is_not_awaited_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a process dies just as work is handed in: CPython then forgets it."""

    class Broken(ThreadPoolExecutor):
        def submit(self, *_: object, **__: object) -> Future[UInt8]:  # type: ignore[override]
            raise BrokenProcessPool

    monkeypatch.setattr(prefetch, "_CHECK_SECONDS", 0.05)
    ahead = LookAhead(Broken(1), lambda _: [Future()], steps=1)
    with pytest.raises(BrokenProcessPool):
        ahead.at(0)


def test_steps_out_of_order_come_too(work: Work) -> None:
    ahead = LookAhead(work.pool, work.submit, steps=2)
    assert [int(ahead.at(step)[0][0]) for step in (7, 3, 7, 7, 0)] == [7, 3, 7, 7, 0]


def test_a_step_that_could_not_be_handed_in_spoils_no_other(work: Work) -> None:
    ahead = LookAhead(work.pool, work.submit, steps=2)
    ahead.at(0)
    work.failing = {51}
    with pytest.raises(OSError, match="51"):
        ahead.at(50)
    work.failing = set()
    assert [int(ahead.at(step)[0][0]) for step in (2, 50, 51)] == [2, 50, 51]


def test_what_the_making_raised_is_raised_where_it_is_wanted(work: Work) -> None:
    ahead = LookAhead(work.pool, lambda step: [work.pool.submit(np.full, (1,), 1 // step, np.uint8)], steps=1)
    with pytest.raises(ZeroDivisionError):
        ahead.at(0)


def test_closing_ends_the_pool(work: Work) -> None:
    ahead = LookAhead(work.pool, work.submit, steps=2)
    ahead.at(0)
    ahead.close()
    with pytest.raises(RuntimeError, match="after shutdown"):
        ahead.at(9)
