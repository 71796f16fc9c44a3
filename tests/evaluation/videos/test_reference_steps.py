"""Gate weave and lamp flicker of an input: no fault of a film that has them too, and the fault of one that has not."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from vidrestore.evaluation.images.metric_models import MetricModels
from vidrestore.evaluation.videos.compare import compare_videos
from vidrestore.evaluation.videos.config import ComparisonConfig
from vidrestore.evaluation.videos.meter import VideoMeter
from vidrestore.evaluation.videos.output import remarks
from vidrestore.evaluation.videos.reference_faces import scene_of
from vidrestore.evaluation.videos.reference_steps import step_from
from vidrestore.evaluation.videos.results import Summary, VideoComparison
from vidrestore.evaluation.videos.views import Faces, Viewer
from vidrestore.faces.alignment import TEMPLATE, place, transform
from vidrestore.media.geometry import frame_to_display
from vidrestore.media.reader import VideoReader
from vidrestore.types import FaceTrack, FrameFaces, UInt8

pytestmark = pytest.mark.integration

Write = Callable[..., Path]
WriteOnce = Callable[[str, Sequence[UInt8]], Path]
Drawn = Callable[..., list[UInt8]]
CPU = ComparisonConfig(device="cpu")
SMALL = replace(CPU, crop_size=64)
WEAVE, LAMP = 0.9, 0.026


def played(pictures: Sequence[UInt8], *, grain: float = 0) -> list[UInt8]:
    """Pictures by an uneven gate and lamp: always the same ones."""
    generator, noise = np.random.default_rng(11), np.random.default_rng(12)
    result = []
    for picture in pictures:
        gate = np.column_stack([np.eye(2), generator.normal(0, WEAVE, 2)])
        size = picture.shape[1::-1]
        moved = cv2.warpAffine(picture, gate, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        lit = moved * generator.normal(1, LAMP) + noise.normal(0, grain, picture.shape)
        result.append(np.clip(lit + 0.5, 0, 255).astype(np.uint8))
    return result


def softened(pictures: Sequence[UInt8]) -> list[UInt8]:
    """Without detail that interpolation at parts of pixels would cost."""
    return [cv2.GaussianBlur(one, (0, 0), 1.2) for one in pictures]


@pytest.fixture(scope="module")
def videos(write_once: WriteOnce, talking: list[UInt8]) -> dict[str, Path]:
    truth = softened(talking[:14])
    return {
        "truth": write_once("sway-truth", truth),
        "played": write_once("sway-played", played(truth)),
        "grainy": write_once("sway-grainy", played(truth, grain=8)),
        "same": write_once("sway-same", truth),
    }


@pytest.fixture(scope="module")
def told(videos: dict[str, Path]) -> VideoComparison:
    return compare_videos(videos["truth"], [videos["grainy"], videos["same"]], degraded=videos["played"], config=CPU)


@pytest.fixture(scope="module")
def rows(told: VideoComparison, videos: dict[str, Path]) -> dict[str, Summary]:
    """With the input, and `untold` without."""
    untold = compare_videos(videos["truth"], [videos["played"]], config=CPU)
    summaries = [video.summary for video in (*told.videos, *untold.videos)]
    return dict(zip(("floor", "played", "grainy", "same", "untold floor", "untold"), summaries, strict=True))


@pytest.mark.parametrize("figure", ["warp_error", "flicker_elsewhere"])
def test_what_the_input_does_too_is_taken_out(rows: dict[str, Summary], figure: str) -> None:
    floor, kept, untold = (getattr(rows[name], figure) for name in ("floor", "played", "untold"))
    assert abs(kept - floor) < 0.6
    assert untold > 4 * kept
    assert untold > floor + 2


def test_landmarks_that_weave_as_the_input_does_are_steady(rows: dict[str, Summary]) -> None:
    assert rows["played"].jitter_percent < 0.25 * rows["untold"].jitter_percent
    assert rows["played"].jitter_percent < rows["floor"].jitter_percent


def test_grain_on_top_still_shows(rows: dict[str, Summary]) -> None:
    played_row, grainy = rows["played"], rows["grainy"]
    assert grainy.warp_error > played_row.warp_error + 3
    assert grainy.flicker_elsewhere > played_row.flicker_elsewhere + 3
    assert grainy.jitter_percent > played_row.jitter_percent


def test_a_video_that_stands_still_where_the_input_sways_is_at_fault(rows: dict[str, Summary]) -> None:
    assert rows["same"].warp_error > 3 * rows["played"].warp_error
    assert rows["same"].flicker_elsewhere > 3 * rows["played"].flicker_elsewhere
    assert rows["same"].jitter_percent > 3 * rows["played"].jitter_percent


def test_the_floor_and_all_that_is_not_about_time_stay_as_they_are(rows: dict[str, Summary]) -> None:
    for name in ("warp_error", "jitter_percent", "flicker_elsewhere", "psnr_faces", "identity_cosine"):
        assert getattr(rows["floor"], name) == getattr(rows["untold floor"], name)
    for name in ("psnr_faces", "ssim_faces", "psnr_elsewhere", "sharpness_ratio", "identity_cosine", "seam_energy"):
        assert getattr(rows["played"], name) == getattr(rows["untold"], name)
    assert rows["played"].mouth_correlation == rows["untold"].mouth_correlation


def test_how_much_the_input_sways_is_told(told: VideoComparison, videos: dict[str, Path]) -> None:
    sway = told.input_sway
    assert sway.frames_unknown == 0
    assert sway.weave_pixels == pytest.approx(2 * WEAVE, rel=0.5)  # two independent frames, two directions
    assert sway.lamp_levels == pytest.approx(128 * 2**0.5 * LAMP, rel=0.5)
    assert f"gate weave, {sway.weave_pixels:.2f} px" in remarks(told)[0]
    assert VideoComparison.from_json(told.to_json()) == told
    assert videos["played"].name in told.videos[1].path


def test_a_frozen_video_is_perfectly_steady_beside_a_frozen_input(write: Write, talking: list[UInt8]) -> None:
    still = [talking[0]] * 5
    (soft,) = softened(still[:1])
    (other,) = played(still[:1], grain=8)
    done = compare_videos(
        write("still", still),
        [write("soft", [soft] * 5), write("same", still)],
        degraded=write("input", [other] * 5),
        config=CPU,
    )
    for video in done.videos[1:]:
        row = video.summary
        assert (row.warp_error, row.jitter_percent, row.flicker_faces, row.flicker_elsewhere) == (0, 0, 0, 0)
    assert (done.input_sway.weave_pixels, done.input_sway.lamp_levels) == (0, 0)


def test_grain_of_a_still_input_is_distinguished_from_sway(write: Write, talking: list[UInt8]) -> None:
    still = softened([talking[0]] * 6)
    generator = np.random.default_rng(3)
    grainy = [np.clip(one + generator.normal(0, 20, one.shape), 0, 255).astype(np.uint8) for one in still]
    done = compare_videos(write("still", still), [write("same", still)], degraded=write("input", grainy), config=CPU)
    alone = compare_videos(write("still", still), [write("input", grainy)], config=CPU)
    assert done.videos[1].summary.flicker_faces == pytest.approx(alone.videos[1].summary.flicker_faces, rel=0.01)
    assert done.videos[2].summary.flicker_faces < 0.05
    assert done.input_sway.weave_pixels < 0.05


def test_without_an_input_nothing_is_told_or_taken_out(write: Write, drawn: Drawn, judges: MetricModels) -> None:
    done = compare_videos(write("truth", drawn(4)), [write("test", drawn(4))], judges=judges, config=SMALL)
    assert done.input_sway is None
    assert not any("gate weave" in line for line in remarks(done))


def test_frames_that_tell_nothing_are_counted(write: Write, drawn: Drawn, judges: MetricModels) -> None:
    plain = [np.full((64, 64, 3), 90, np.uint8)] * 4
    videos = write("truth", plain), [write("test", plain)]
    done = compare_videos(*videos, degraded=write("input", drawn(4)), judges=judges, config=SMALL)
    assert done.input_sway.frames_unknown == 4
    assert "In 4 frames weave or lamp of the input could not be measured." in remarks(done)
    assert done.videos[2].summary.flicker_elsewhere == 0


def test_a_single_frame_has_no_sway(write: Write, drawn: Drawn, judges: MetricModels) -> None:
    soft = softened(drawn(1))
    videos = write("truth", drawn(1)), [write("test", drawn(1))]
    done = compare_videos(*videos, degraded=write("input", soft), judges=judges, config=SMALL)
    assert (done.input_sway.weave_pixels, done.input_sway.lamp_levels) == (None, None)
    assert not any("gate weave" in line for line in remarks(done))


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(16, 11)])
def test_weave_is_taken_out_of_landmarks_of_turned_and_stretched_videos(
    write: Write, drawn: Drawn, judges: MetricModels, rotation: int, aspect: Fraction
) -> None:
    with VideoReader(write("film", drawn(3, width=96))) as reader:
        frames = [replace(one, rotation=rotation, sample_aspect_ratio=aspect) for one in reader]
    to_display = transform((np.log(50), 0.3, 36, 34))
    track = FaceTrack(1, to_display, 50, 0.9, np.eye(4))
    shifts = np.random.default_rng(1).normal(0, WEAVE, (3, 2))
    viewer, kept, fixed = Viewer(judges, 64), VideoMeter(64), VideoMeter(64, of_truth=True)
    jitters, before = [], None
    for frame, shift in zip(frames, shifts, strict=True):
        scene = scene_of(FrameFaces(frame, (track,), 0), SMALL)
        view = viewer.view(frame, scene)
        step = replace(step_from(before, scene, view, None), weave=shift)
        there = replace(view, faces=woven(view.faces, track, frame_to_display(frame), shift))
        jitters = [meter._jitter(step, there.faces) for meter in (kept, fixed)]
        before = step
    assert jitters[0] == pytest.approx(0, abs=1e-3)
    assert jitters[1] > 1


def woven(faces: Faces, track: FaceTrack, display: np.ndarray, shift: np.ndarray) -> Faces:
    """The truth's landmarks as a film shows them whose frames are moved by `shift`, by way of the viewer's screen."""
    moved = display[:, :2] @ shift
    unit = np.linalg.inv(np.vstack([track.to_display, [0, 0, 1]]))
    shown = place(track.to_display, (faces.landmarks[0] + 0.5) / 64) + moved
    landmarks = (shown @ unit[:2, :2].T + unit[:2, 2]) * 64 - 0.5
    assert landmarks.shape == TEMPLATE.shape
    return replace(faces, landmarks=(landmarks.astype(np.float32),))
