"""What is given up, in which order, and how it comes back."""

from itertools import pairwise

from vidrestore.live.config import QualityConfig
from vidrestore.live.quality import QUALITY_LEVELS, QualityController


def seconds_of(ladder: QualityController, seconds: int, *, dropped: int, busy: float, faces: int = 3) -> None:
    for _ in range(seconds):
        ladder.judge(seconds=1.0, received=25, dropped=dropped, busy=busy, faces=faces)


def test_overload_goes_down_in_the_stated_order_to_passing_through() -> None:
    ladder = QualityController(QualityConfig())
    names = [ladder.name]
    for _ in range(40):
        seconds_of(ladder, 1, dropped=10, busy=1.0)
        names += [ladder.name] if ladder.name != names[-1] else []
    assert names == [rung.name for rung in QUALITY_LEVELS]
    assert ladder.limits.faces == 0


def test_one_bad_second_changes_nothing() -> None:
    ladder = QualityController(QualityConfig())
    for _ in range(10):
        seconds_of(ladder, 1, dropped=20, busy=1.0)
        seconds_of(ladder, 1, dropped=0, busy=0.9)
    assert ladder.rung == 0


def test_a_limit_that_leaves_as_many_faces_is_passed_over() -> None:
    ladder = QualityController(QualityConfig())
    seconds_of(ladder, 40, dropped=10, busy=1.0, faces=1)
    assert ladder.steps_down == len(QUALITY_LEVELS) - 1 - sum((rung.limits.faces or 0) >= 1 for rung in QUALITY_LEVELS)


def test_room_brings_quality_back_step_by_step() -> None:
    ladder = QualityController(QualityConfig(up_after_seconds=3))
    seconds_of(ladder, 40, dropped=10, busy=1.0)
    seconds_of(ladder, 3 * len(QUALITY_LEVELS), dropped=0, busy=0.2)
    assert (ladder.rung, ladder.limits.restore_every, ladder.limits.faces) == (0, 1, None)
    assert ladder.steps_up == len(QUALITY_LEVELS) - 1


def test_a_better_way_that_proves_too_much_is_tried_ever_less_often() -> None:
    ladder = QualityController(QualityConfig(up_after_seconds=2, max_up_after_seconds=64))
    climbs = []
    for second in range(400):
        rung = ladder.rung
        seconds_of(ladder, 1, dropped=10 if ladder.rung == 0 else 0, busy=1.0 if ladder.rung == 0 else 0.3)
        climbs += [second] if ladder.rung < rung else []
    waits = [after - before for before, after in pairwise(climbs)]
    assert waits == sorted(waits)
    assert waits[-1] >= 64


def test_what_the_network_can_hardly_bear_is_tried_seldom() -> None:
    ladder = QualityController(QualityConfig(up_after_seconds=2, max_up_after_seconds=100))
    names = [rung.name for rung in QUALITY_LEVELS]
    while ladder.rung < names.index("restore every fourth frame"):
        seconds_of(ladder, 1, dropped=10, busy=1.0)

    def idle(seconds: int, frames_of_network: float) -> str:
        for _ in range(seconds):
            network = frames_of_network / ladder.limits.restore_every
            ladder.judge(seconds=1, received=25, dropped=0, busy=0.3, faces=3, network=network)
        return ladder.name

    assert idle(90, frames_of_network=2) == "restore every third frame"
    assert idle(20, frames_of_network=2) == "restore every second frame, carry between"
    assert idle(20, frames_of_network=0.6) == "everything"


def test_drops_without_load_are_not_the_engines_fault() -> None:
    ladder = QualityController(QualityConfig())
    seconds_of(ladder, 20, dropped=20, busy=0.1)
    assert ladder.rung == 0


def test_switched_off_it_stays_where_it_is() -> None:
    ladder = QualityController(QualityConfig(enabled=False))
    seconds_of(ladder, 20, dropped=20, busy=1.0)
    assert ladder.rung == 0
