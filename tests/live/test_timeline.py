"""The output's clock, whatever the source's does."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from vidrestore.live.timeline import SECOND, Timeline

STEP = SECOND // 25


def test_times_keep_the_sources_distances_and_lie_behind_by_the_networks_jitter() -> None:
    timeline = Timeline()
    jitter = [3, 0, 12, 5, 1, 9, 0, 2, 30, 4]
    mapped = [
        timeline.map(0, 1000 * SECOND + n * STEP, 50 * SECOND + n * STEP + late * SECOND // 1000)
        for n, late in enumerate(jitter)
    ]
    steps = [after - before for before, after in pairwise(mapped[3:])]  # by then the mapping is that of the fastest
    assert all(abs(step - STEP) <= SECOND // 4000 for step in steps)


@given(st.lists(st.integers(0, 80), min_size=2, max_size=60))
def test_no_time_is_later_than_its_arrival_by_more_than_the_jitter(delays: list[int]) -> None:
    timeline = Timeline()
    now, slowest = 0, max(delays) * SECOND // 1000
    for n, delay in enumerate(delays):
        now = max(now, n * STEP + delay * SECOND // 1000)
        time = timeline.map(0, 7 * SECOND + n * STEP, now)
        assert n * STEP <= time <= max(now, n * STEP + slowest)


@given(st.lists(st.integers(0, 190), min_size=20, max_size=60), st.integers(1, 8))
def test_sound_and_picture_of_a_moment_never_part(delays: list[int], apart: int) -> None:
    """However much the network's way varies, and although the sound comes some packets later."""
    timeline = Timeline()
    pictures: dict[int, int] = {}
    now = 0
    for n, delay in enumerate(delays):
        now = max(now, n * STEP + delay * SECOND // 1000)
        pictures[n] = timeline.map(0, n * STEP, now)
        if (heard := n - apart) >= 0:
            sound = timeline.map(1, heard * STEP, now)
            assert abs(sound - pictures[heard]) < 0.04 * SECOND


def test_before_anything_is_shown_the_fastest_way_counts_at_once() -> None:
    timeline = Timeline()
    for n in range(5):  # a backlog, sent in one go
        timeline.map(0, n * STEP, SECOND + n, settled=False)
    assert timeline.map(0, 25 * STEP, SECOND + SECOND // 50, settled=False) == SECOND + SECOND // 50


def test_sound_and_picture_share_one_mapping() -> None:
    timeline = Timeline()
    timeline.map(0, 100 * SECOND, 5 * SECOND)
    sound = timeline.map(1, 100 * SECOND + SECOND // 2, 5 * SECOND + SECOND // 2)
    picture = timeline.map(0, 100 * SECOND + SECOND // 2, 5 * SECOND + SECOND // 2 + 1000)
    assert abs(sound - picture) < SECOND // 1000


@given(st.integers(0, 200), st.sampled_from([0, 1]))
def test_sound_and_picture_share_one_time_mapping(waited: int, track: int) -> None:
    timeline = Timeline()

    def mapped(track: int, n: int, *, settled: bool) -> int:
        """Sound comes when it is made, a picture when the next one is, and what is older came when all was read."""
        now = SECOND + max(0, n if track else n + 1) * STEP
        return timeline.map(track, SECOND + n * STEP, now, settled=settled)

    mapped(track, -waited, settled=False)
    mapped(1 - track, 0, settled=False)  # in time, and read before what else had waited
    for n in range(1 - waited, 1):
        mapped(track, n, settled=False)
    for n in range(1, 200):
        heard, shown = (mapped(track, n, settled=True) for track in (1, 0))
    assert heard == shown


@given(st.integers(-2, 2), st.sampled_from([0, 1]), st.sampled_from([0, 1]), st.sampled_from([48_000, 44_100, 8_000]))
def test_a_counter_that_is_whole_turns_ahead_shows_the_clock(turns: int, ahead: int, first: int, rate: int) -> None:
    timeline = Timeline()
    periods = [round((1 << 32) * SECOND / ticks) for ticks in (90_000, rate)]

    def mapped(track: int, n: int) -> int:
        """Sound comes when it is made, a picture when the next one is."""
        now = SECOND + (n if track else n + 1) * STEP
        source = 900 * SECOND + n * STEP + (turns * periods[track] if track == ahead else 0)
        return timeline.map(track, timeline.unwrap(track, source, now, period=periods[track]), now)

    mapped(first, 0)
    for n in range(1, 200):
        heard, shown = mapped(1, n), mapped(0, n)
    assert heard == shown
    assert timeline.jumps == 0


def test_a_counter_may_turn_in_mid_stream() -> None:
    timeline = Timeline()
    period = round((1 << 32) * SECOND / 48_000)
    times = [
        timeline.map(0, timeline.unwrap(0, (n - 20) * STEP % period, n * STEP, period=period), n * STEP)
        for n in range(50)
    ]
    assert all(abs(after - before - STEP) <= 1 for before, after in pairwise(times))
    assert timeline.jumps == 0


@given(st.sampled_from([8, 11, 30]), st.sampled_from([0, 1]))
def test_one_stray_packet_does_not_part_sound_and_picture(hours: int, stray: int) -> None:
    timeline = Timeline()
    periods = [round((1 << 32) * SECOND / ticks) for ticks in (90_000, 48_000)]
    for n in range(200):
        times = []
        for track in (1, 0):
            now = SECOND + (n if track else n + 1) * STEP
            source = 900 * SECOND + n * STEP + (hours * 3600 * SECOND if (n, track) == (50, stray) else 0)
            times.append(timeline.map(track, timeline.unwrap(track, source, now, period=periods[track]), now))
    assert times[0] == times[1]


def test_clocks_that_were_left_behind_are_not_taken_up_again() -> None:
    timeline = Timeline()
    times = []
    for n in range(30_000):  # 100 millionths fast, and it steps back once
        now = n * STEP
        source = round(now * 1.0001) - (1_050_000_000 if n >= 200 else 0)
        times.append(timeline.map(0, source, now))
    assert all(after > before for before, after in pairwise(times[250:]))


def test_sound_and_picture_share_the_mapping_of_a_new_clock_too() -> None:
    timeline = Timeline()
    for n in range(50):
        timeline.map(0, 500 * SECOND + n * STEP, n * STEP)
        timeline.map(1, 500 * SECOND + n * STEP, n * STEP)
    back = 60 * STEP  # the sound of the new clock comes in time, its pictures after more than a second
    timeline.map(1, 0, back)
    timeline.map(0, 0, back + SECOND + STEP)
    for n in range(1, 200):
        heard = timeline.map(1, n * STEP, back + n * STEP)
        shown = timeline.map(0, n * STEP, back + (n + 1) * STEP)
    assert heard == shown


def test_a_burst_after_a_freeze_lies_in_the_past_and_not_ahead() -> None:
    timeline = Timeline()
    for n in range(50):
        timeline.map(0, n * STEP, n * STEP)
    thaw = 50 * STEP + 5 * SECOND
    times = [timeline.map(0, n * STEP, thaw + n) for n in range(50, 175)]
    assert all(abs(time - n * STEP) < SECOND // 20 for n, time in enumerate(times, 50)), "when they were taken"
    assert timeline.jumps == 0


def test_a_clock_that_starts_again_goes_on_where_we_are() -> None:
    timeline = Timeline()
    last = max(timeline.map(0, 9000 * SECOND + n * STEP, n * STEP) for n in range(100))
    first = timeline.map(0, 0, 100 * STEP)
    assert last < first <= 100 * STEP
    assert timeline.jumps == 1


def test_packets_of_the_old_clock_are_understood_after_a_jump() -> None:
    timeline = Timeline()
    for n in range(50):
        timeline.map(0, 500 * SECOND + n * STEP, n * STEP)
        timeline.map(1, 500 * SECOND + n * STEP, n * STEP)
    timeline.map(0, 3 * SECOND, 50 * STEP)
    old = timeline.map(1, 500 * SECOND + 50 * STEP, 50 * STEP + 1000)
    new = timeline.map(1, 3 * SECOND + STEP, 51 * STEP)
    assert abs(old - 50 * STEP) < SECOND // 50
    assert abs(new - 51 * STEP) < SECOND // 50
    assert timeline.jumps == 1, "one jump, though two tracks took part in it"


def test_drift_of_a_day_never_adds_up() -> None:
    timeline = Timeline()
    fast = 1.0002
    worst = 0
    for n in range(0, 24 * 3600, 2):
        now = n * SECOND
        time = timeline.map(0, round(now / fast), now)
        worst = max(worst, now - time)
    assert worst < SECOND // 50, "17 s of drift would have come together"


def test_a_paced_source_waits_until_its_time() -> None:
    timeline = Timeline(paced=True)
    assert timeline.wait(0, 10 * SECOND, 0) == 0
    timeline.map(0, 10 * SECOND, 0)
    assert timeline.wait(0, 10 * SECOND + STEP, 1000) == STEP - 1000
    assert timeline.wait(0, 10 * SECOND + STEP, 2 * STEP) == 0


def test_another_session_begins_with_an_unknown_clock() -> None:
    timeline = Timeline()
    timeline.map(0, 10 * SECOND, 0)
    timeline.restart()
    assert timeline.map(0, 99 * SECOND, 5 * SECOND) == 5 * SECOND
    assert timeline.jumps == 0
