"""What is given up, in which order, and how it comes back."""

from itertools import pairwise

from vidrestore.live.config import QualityConfig
from vidrestore.live.quality import QUALITY_LEVELS, QualityController


def seconds_of(controller: QualityController, seconds: int, *, dropped: int, busy: float, faces: int = 3) -> None:
    for _ in range(seconds):
        controller.judge(seconds=1.0, received=25, dropped=dropped, busy=busy, faces=faces)


def test_overload_goes_down_in_the_stated_order_to_passing_through() -> None:
    controller = QualityController(QualityConfig())
    names = [controller.name]
    for _ in range(40):
        seconds_of(controller, 1, dropped=10, busy=1.0)
        names += [controller.name] if controller.name != names[-1] else []
    assert names == [level.name for level in QUALITY_LEVELS]
    assert controller.limits.faces == 0


def test_one_bad_second_changes_nothing() -> None:
    controller = QualityController(QualityConfig())
    for _ in range(10):
        seconds_of(controller, 1, dropped=20, busy=1.0)
        seconds_of(controller, 1, dropped=0, busy=0.9)
    assert controller.level == 0


def test_a_limit_that_leaves_as_many_faces_is_passed_over() -> None:
    controller = QualityController(QualityConfig())
    seconds_of(controller, 40, dropped=10, busy=1.0, faces=1)
    assert controller.steps_down == len(QUALITY_LEVELS) - 1 - sum(
        (level.limits.faces or 0) >= 1 for level in QUALITY_LEVELS
    )


def test_room_brings_quality_back_step_by_step() -> None:
    controller = QualityController(QualityConfig(up_after_seconds=3))
    seconds_of(controller, 40, dropped=10, busy=1.0)
    seconds_of(controller, 3 * len(QUALITY_LEVELS), dropped=0, busy=0.2)
    assert (controller.level, controller.limits.restore_every, controller.limits.faces) == (0, 1, None)
    assert controller.steps_up == len(QUALITY_LEVELS) - 1


def test_a_better_way_that_proves_too_much_is_tried_ever_less_often() -> None:
    controller = QualityController(QualityConfig(up_after_seconds=2, max_up_after_seconds=64))
    climbs = []
    for second in range(400):
        level = controller.level
        seconds_of(
            controller, 1, dropped=10 if controller.level == 0 else 0, busy=1.0 if controller.level == 0 else 0.3
        )
        climbs += [second] if controller.level < level else []
    waits = [after - before for before, after in pairwise(climbs)]
    assert waits == sorted(waits)
    assert waits[-1] >= 64


def test_what_the_network_can_hardly_bear_is_tried_seldom() -> None:
    controller = QualityController(QualityConfig(up_after_seconds=2, max_up_after_seconds=100))
    names = [level.name for level in QUALITY_LEVELS]
    while controller.level < names.index("restore every fourth frame"):
        seconds_of(controller, 1, dropped=10, busy=1.0)

    def idle(seconds: int, frames_of_network: float) -> str:
        for _ in range(seconds):
            network = frames_of_network / controller.limits.restore_every
            controller.judge(seconds=1, received=25, dropped=0, busy=0.3, faces=3, network=network)
        return controller.name

    assert idle(90, frames_of_network=2) == "restore every third frame"
    assert idle(20, frames_of_network=2) == "restore every 2nd frame"
    assert idle(20, frames_of_network=0.6) == "everything"


def test_drops_without_load_are_not_the_engines_fault() -> None:
    controller = QualityController(QualityConfig())
    seconds_of(controller, 20, dropped=20, busy=0.1)
    assert controller.level == 0


def test_switched_off_it_stays_where_it_is() -> None:
    controller = QualityController(QualityConfig(enabled=False))
    seconds_of(controller, 20, dropped=20, busy=1.0)
    assert controller.level == 0
