"""Tests of real time run alone; all others side by side."""

import threading
from pathlib import Path

from support.turns import Turns
from support.waiting import until


def test_many_may_be_in_at_once(tmp_path: Path) -> None:
    one, other = Turns(tmp_path), Turns(tmp_path)
    one.enter(alone=False)
    other.enter(alone=False)
    one.leave()
    other.leave()


def test_one_waits_to_be_alone_and_nobody_enters_before_it(tmp_path: Path) -> None:
    order: list[str] = []
    first, alone, later = (Turns(tmp_path) for _ in range(3))

    def come(turns: Turns, name: str, *, is_alone: bool) -> threading.Thread:
        def enter() -> None:
            turns.enter(alone=is_alone)
            order.append(name)

        thread = threading.Thread(target=enter)
        thread.start()
        return thread

    first.enter(alone=False)
    threads = [come(alone, "alone", is_alone=True)]
    until(alone.is_door_shut)
    threads.append(come(later, "later", is_alone=False))
    assert order == []
    first.leave()
    until(lambda: order == ["alone"])
    alone.enter(alone=True)  # again, for the next test of the kind
    assert order == ["alone"]
    alone.leave()
    until(lambda: order == ["alone", "later"])
    later.leave()
    for thread in threads:
        thread.join()
