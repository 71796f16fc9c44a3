"""The one place that drops frames."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from vidrestore.live.frame_queue import DropOldestQueue


def a_handover(
    *, frames: int = 3, longest_wait: int = 100, blocking: bool = False, clock: list[int]
) -> DropOldestQueue[int]:
    return DropOldestQueue(frames=frames, longest_wait=longest_wait, blocking=blocking, clock=lambda: clock[0])


def test_the_oldest_goes_when_it_is_full() -> None:
    handover = a_handover(clock=[0])
    for item in range(5):
        handover.put(item)
    assert [handover.take(timeout=0) for _ in range(4)] == [2, 3, 4, None]
    assert (handover.received, handover.overflowed, handover.dropped) == (5, 2, 2)


def test_what_waited_too_long_gives_way_to_what_is_newer() -> None:
    clock = [0]
    handover = a_handover(clock=clock)
    for at in (0, 40, 80):
        clock[0] = at
        handover.put(at)
    clock[0] = 150
    assert handover.take(timeout=0) == 80
    assert handover.outdated == 2


def test_the_newest_is_taken_however_old_it_is() -> None:
    clock = [0]
    handover = a_handover(clock=clock)
    handover.put(7)
    clock[0] = 10**9
    assert handover.take(timeout=0) == 7


@given(st.lists(st.booleans(), max_size=80), st.integers(1, 4), st.integers(0, 6))
def test_what_came_is_what_went_and_what_was_dropped_and_what_waits(
    moves: list[bool], frames: int, longest_wait: int
) -> None:
    clock = [0]
    handover = a_handover(frames=frames, longest_wait=longest_wait, clock=clock)
    taken: list[int] = []
    for number, comes in enumerate(moves):
        clock[0] += 2
        if comes:
            handover.put(number)
        elif (item := handover.take(timeout=0)) is not None:
            taken.append(item)
        assert handover.received == len(taken) + handover.dropped + len(handover)
        assert len(handover) <= frames
    assert taken == sorted(taken)


def test_complete_mode_waits_and_drops_nothing() -> None:
    handover = a_handover(frames=2, blocking=True, clock=[0])
    source = threading.Thread(target=lambda: [handover.put(item) for item in range(50)], daemon=True)
    source.start()
    assert [handover.take(timeout=5) for _ in range(50)] == list(range(50))
    source.join(5)
    assert handover.dropped == 0


def test_closing_frees_a_source_that_waits_and_keeps_what_is_held() -> None:
    handover = a_handover(frames=1, blocking=True, clock=[0])
    handover.put(1)
    source = threading.Thread(target=handover.put, args=(2,), daemon=True)
    source.start()
    handover.close()
    source.join(5)
    assert not source.is_alive()
    assert (handover.take(timeout=0), handover.take(timeout=0), handover.ended) == (1, None, True)
    assert handover.received == 2
    assert handover.dropped == 1
