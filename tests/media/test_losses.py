"""Frames that a container promises and lacks, by numbers alone; with real files: test_reader.py."""

from fractions import Fraction

import pytest

from support.video_factory import make_info
from vidrestore.media.losses import LossEstimator, Promise
from vidrestore.media.timestamps import GrowingTimestamps

RATE, STEP, UNIT = Fraction(25), 512, Fraction(1, 12800)


def estimator(
    *,
    read: int,
    promised: int | None = None,
    promise: Promise | None = None,
    stream_frames: int | None = None,
    duration: Fraction | None = None,
    container: str = "mov,mp4",
) -> LossEstimator:
    """Return the estimator of a video of 25 frames per second of which the first frames were read."""
    info = make_info(time_base=UNIT, average_rate=RATE, frames=promised, duration=duration, container=container)
    timestamps = GrowingTimestamps(UNIT, first=0, step=STEP)
    for index in range(read):
        timestamps.next(index * STEP, None, STEP)
    end = None if stream_frames is None else stream_frames * STEP
    return LossEstimator(info, timestamps, promise=promise, stream_end=end)


def missing(losses: LossEstimator, read: int, *, empty: int = 0, undecodable: int = 0) -> int:
    return losses.missing(frames=read - undecodable, empty=empty, undecodable=undecodable)


def test_nothing_is_missing_where_nothing_is_promised() -> None:
    assert missing(estimator(read=30), 30) == 0


@pytest.mark.parametrize("read", [60, 59, 20])
def test_the_containers_count_less_what_was_read_is_missing(read: int) -> None:
    assert missing(estimator(read=read, promised=60), read) == 60 - read
    assert missing(estimator(read=read, promised=60, stream_frames=60), read) == 60 - read


def test_empty_packets_and_those_known_to_be_lost_are_not_missing() -> None:
    losses = estimator(read=60, promised=60, stream_frames=60)
    assert missing(losses, 60, undecodable=5) == 0
    assert losses.missing(frames=50, empty=10, undecodable=0) == 0


def test_frames_that_an_edit_list_cuts_are_not_missing() -> None:
    losses = estimator(read=40, promised=60, stream_frames=40, duration=40 / RATE)
    assert missing(losses, 40) == 0
    assert missing(estimator(read=30, promised=60, stream_frames=40, duration=40 / RATE), 30) == 10


@pytest.mark.parametrize(("seconds", "certain", "lost"), [(4, True, 50), (2, True, 0), (4, False, 50), (2.9, False, 0)])
def test_a_promised_length_counts_where_it_is_missed_by_more_than_it_is_sure(
    seconds: float, lost: int, *, certain: bool
) -> None:
    promise = Promise(Fraction(seconds).limit_denominator(10), certain=certain)
    assert missing(estimator(read=50, promise=promise, container="matroska,webm"), 50) == lost
