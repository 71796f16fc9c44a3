"""Films in step: what does not fit is refused by name, what cannot be measured is counted."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vidrestore.errors import ConfigError, InputError
from vidrestore.evaluation.images.metric_models import MetricModels
from vidrestore.evaluation.videos.compare import compare_videos
from vidrestore.evaluation.videos.config import ComparisonConfig
from vidrestore.evaluation.videos.results import VideoComparison
from vidrestore.types import UInt8

Write = Callable[..., Path]
Drawn = Callable[..., list[UInt8]]
SMALL = ComparisonConfig(crop_size=64, device="cpu")


def test_videos_of_another_size_are_refused_with_both_names(write: Write, drawn: Drawn, judges: MetricModels) -> None:
    large, small = write("large", drawn(3, width=80)), write("small", drawn(3))
    with pytest.raises(InputError, match=r"small\.mkv shows 64x64 and .*large\.mkv 80x64"):
        compare_videos(large, [small], judges=judges, config=SMALL)


@pytest.mark.parametrize(("frames", "reason"), [(4, r"test\.mkv ends after 4"), (8, r"truth\.mkv ends after 6")])
def test_videos_of_another_length_are_refused_with_both_names(
    write: Write, drawn: Drawn, judges: MetricModels, frames: int, reason: str
) -> None:
    truth, test = write("truth", drawn(6)), write("test", drawn(frames))
    with pytest.raises(InputError, match=f"{reason} frames and .*goes on"):
        compare_videos(truth, [test], judges=judges, config=SMALL)


def test_videos_of_other_times_are_refused_with_both_names(write: Write, drawn: Drawn, judges: MetricModels) -> None:
    truth = write("truth", drawn(4))
    test = write("test", drawn(4), times=[0, 40, 90, 120])
    with pytest.raises(InputError, match=r"frame 2 of .*test\.mkv comes 0\.0900 s .*truth\.mkv 0\.0800 s"):
        compare_videos(truth, [test], judges=judges, config=SMALL)


def test_a_later_beginning_and_a_tick_are_no_difference(write: Write, drawn: Drawn, judges: MetricModels) -> None:
    truth = write("truth", drawn(4))
    test = write("test", drawn(4), times=[500, 541, 579, 620])
    assert compare_videos(truth, [test], judges=judges, config=SMALL).frames == 4


def test_no_test_and_a_video_given_twice_are_refused(write: Write, drawn: Drawn, judges: MetricModels) -> None:
    truth, test = write("truth", drawn(3)), write("test", drawn(3))
    with pytest.raises(ConfigError, match="one or more"):
        compare_videos(truth, [], judges=judges)
    with pytest.raises(ConfigError, match=r"test\.mkv is given twice"):
        compare_videos(truth, [test], degraded=test, judges=judges)


@pytest.mark.parametrize("option", ["min_face", "crop_size", "preview_side", "piece_frames"])
def test_options_out_of_range_are_refused(option: str) -> None:
    with pytest.raises(ConfigError, match=f"{option} is -1"):
        replace(ComparisonConfig(), **{option: -1})


def test_a_video_without_faces_is_measured_elsewhere_and_counted(write: Write, judges: MetricModels) -> None:
    plain = [np.full((64, 64, 3), 90, np.uint8)] * 4
    done = compare_videos(write("truth", plain), [write("test", plain)], judges=judges, config=SMALL)
    assert (done.frames, done.frames_without_faces, done.faces, done.tracks) == (4, 4, 0, 0)
    row = done.videos[1].summary
    assert (row.psnr_elsewhere, row.flicker_elsewhere) == (100, 0)
    assert row.psnr_faces is row.identity_cosine is row.mouth_correlation is row.jitter_percent is None
    assert row.frames_measured["psnr_faces"] == 0
    assert row.frames_measured["flicker_elsewhere"] == 3


def test_faces_that_are_too_small_are_left_out_and_counted(write: Write, drawn: Drawn, judges: MetricModels) -> None:
    config = replace(SMALL, min_face=60)
    done = compare_videos(write("truth", drawn(5)), [write("test", drawn(5))], judges=judges, config=config)
    assert (done.faces, done.faces_too_small, done.frames_without_faces) == (0, 5, 5)


def test_nothing_is_compared_across_a_cut(write: Write, drawn: Drawn, judges: MetricModels) -> None:
    other = [255 - np.roll(picture, 20, axis=0) for picture in drawn(8)]
    pictures = [*drawn(8), *other]
    done = compare_videos(write("truth", pictures), [write("test", pictures)], judges=judges, config=SMALL)
    assert (done.shots, done.tracks) == (2, 2)
    frames = done.videos[1].frames
    assert [frame.index for frame in frames if frame.warp_error is None] == [0, 8]
    assert [frame.index for frame in frames if frame.temporal_feature_distance is None] == [0, 8]
    assert [frame.index for frame in frames if frame.jitter_percent is None] == [0, 1, 8, 9]
    assert [(track.first_frame, track.last_frame) for track in done.videos[1].tracks] == [(0, 7), (8, 15)]


def test_long_tracks_are_judged_in_pieces(write: Write, drawn: Drawn, judges: MetricModels) -> None:
    config = replace(SMALL, piece_frames=4)
    done = compare_videos(write("truth", drawn(10)), [write("test", drawn(10))], judges=judges, config=config)
    assert [track.frames for track in done.videos[1].tracks] == [4, 4, 2]
    assert done.tracks == 1


def test_faces_lost_in_a_test_are_counted(write: Write, drawn: Drawn, judges: MetricModels) -> None:
    plain = [np.full((64, 64, 3), 90, np.uint8)] * 5
    done = compare_videos(write("truth", drawn(5)), [write("test", plain)], judges=judges, config=SMALL)
    assert done.videos[1].summary.landmarks_missed == 5
    assert done.videos[1].summary.jitter_percent is None


def test_progress_is_told_frame_by_frame_and_the_report_comes_back_the_same(
    write: Write, drawn: Drawn, judges: MetricModels
) -> None:
    told = []
    done = compare_videos(
        write("truth", drawn(4)),
        [write("test", drawn(4))],
        judges=judges,
        config=SMALL,
        on_progress=lambda frames, _total: told.append(frames),
    )
    assert told == [1, 2, 3, 4]
    assert VideoComparison.from_json(done.to_json()) == done


def test_a_result_does_not_depend_on_the_videos_beside_it(write: Write, drawn: Drawn, judges: MetricModels) -> None:
    truth, one, two = write("truth", drawn(5)), write("one", drawn(5)[::-1]), write("two", drawn(5))
    alone = compare_videos(truth, [one], judges=judges, config=SMALL).videos[1]
    beside = compare_videos(truth, [two, one], judges=judges, config=SMALL).videos[2]
    assert alone == beside
