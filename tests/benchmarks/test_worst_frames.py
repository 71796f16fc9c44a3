"""Which frames are looked at."""

from dataclasses import fields, replace

from benchmarks.worst_frames import worst_frames
from vidrestore.evaluation.videos.results import FrameFigures, VideoFigures, summarise

NOTHING = FrameFigures(**{one.name: None for one in fields(FrameFigures)} | {"index": 0, "landmarks_missed": 0})


def video(**figures: list[float | None]) -> VideoFigures:
    frames = [
        replace(NOTHING, **dict(zip(figures, values, strict=True))) for values in zip(*figures.values(), strict=True)
    ]
    return VideoFigures("film", "film.mp4", "test", summarise([], []), (), tuple(frames))


def test_the_worst_are_those_with_the_highest_error_and_the_lowest_likeness() -> None:
    assert worst_frames(video(warp_error=[1, 5, 2, 9, 3]), count=2) == [1, 3]
    assert worst_frames(video(identity_cosine=[0.9, 0.2, 0.8, 0.95]), count=1) == [1]
    # bad in both beats worst in one
    assert worst_frames(video(warp_error=[9, 8, 1, 0], identity_cosine=[1, 0.1, 0.9, 0.95]), count=1) == [1]


def test_frames_without_figures_are_never_among_them() -> None:
    assert worst_frames(video(warp_error=[None, 1.0, None]), count=3) == [1]
    assert worst_frames(video(warp_error=[None, None])) == []
