"""A talking face with the package's own networks: every figure says what it should of films that are known."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from vidrestore.evaluation.videos.compare import compare_videos
from vidrestore.evaluation.videos.config import ComparisonConfig
from vidrestore.evaluation.videos.results import Summary, VideoComparison
from vidrestore.types import UInt8

WriteOnce = Callable[[str, Sequence[UInt8]], Path]
CPU = ComparisonConfig(device="cpu")

pytestmark = pytest.mark.nightly


def noisy(pictures: Sequence[UInt8], sigma: float) -> list[UInt8]:
    generator = np.random.default_rng(7)
    return [np.clip(one + generator.normal(0, sigma, one.shape), 0, 255).astype(np.uint8) for one in pictures]


def blurred(pictures: Sequence[UInt8], sigma: float) -> list[UInt8]:
    return [cv2.GaussianBlur(one, (0, 0), sigma) for one in pictures]


@pytest.fixture(scope="module")
def compared(write_once: WriteOnce, talking: list[UInt8]) -> VideoComparison:
    truth = write_once("truth", talking)
    tests = {"blurred": blurred(talking, 1.2), "noisy": noisy(talking, 20), "late": [talking[0], *talking[:-1]]}
    paths = [truth, *(write_once(name, pictures) for name, pictures in tests.items())]
    return compare_videos(truth, paths, degraded=write_once("input", blurred(talking, 2.5)), config=CPU)


@pytest.fixture(scope="module")
def rows(compared: VideoComparison) -> dict[str, Summary]:
    names = ("reference", "input", "same", "blurred", "noisy", "late")
    return {name: video.summary for name, video in zip(names, compared.videos, strict=True)}


def test_every_frame_is_measured_in_every_video(compared: VideoComparison) -> None:
    assert (compared.frames, compared.faces, compared.tracks, compared.shots) == (26, 26, 1, 1)
    assert compared.frames_without_faces == 0
    assert [video.role for video in compared.videos] == ["reference", "input", *["test"] * 4]
    for video in compared.videos:
        assert [frame.index for frame in video.frames] == list(range(26))
        measured = dict(video.summary.frames_measured)
        assert measured.pop("jitter_percent") >= 20
        pairs = ("warp_error", "temporal_feature_distance", "flicker_faces", "flicker_elsewhere")
        assert all(measured.pop(name) <= 25 for name in pairs)
        assert set(measured.values()) == {26}


def test_the_truth_against_itself_is_perfect(rows: dict[str, Summary]) -> None:
    same, floor = rows["same"], rows["reference"]
    assert (same.psnr_faces, same.psnr_elsewhere, same.ssim_faces, same.ssim_elsewhere) == (100, 100, 1, 1)
    assert (same.jitter_percent, same.temporal_feature_distance, same.seam_energy, same.identity_deviation) == (
        pytest.approx((0, 0, 0, 0), abs=1e-9)
    )
    perfect = (same.sharpness_ratio, same.identity_cosine, same.mouth_correlation, same.mouth_gain)
    assert perfect == pytest.approx((1, 1, 1, 1))
    assert (same.eyes_correlation, same.eyes_gain) == pytest.approx((1, 1))
    assert (same.warp_error, same.flicker_faces) == (floor.warp_error, floor.flicker_faces)
    assert same.identity_spread == floor.identity_spread


def test_the_floor_of_jitter_is_the_detectors_own(rows: dict[str, Summary]) -> None:
    assert 0 < rows["reference"].jitter_percent < rows["noisy"].jitter_percent


def test_blur_costs_sharpness_and_wins_warp_error(rows: dict[str, Summary]) -> None:
    inputs, soft, floor = rows["input"], rows["blurred"], rows["reference"]
    assert inputs.sharpness_ratio < soft.sharpness_ratio < 0.8
    assert inputs.warp_error < soft.warp_error < floor.warp_error
    assert inputs.identity_cosine < soft.identity_cosine < 1
    assert inputs.psnr_faces < soft.psnr_faces < 60


def test_noise_of_every_frame_shows_in_all_that_is_about_time(rows: dict[str, Summary]) -> None:
    grain, floor = rows["noisy"], rows["reference"]
    assert grain.warp_error > floor.warp_error + 5
    assert grain.flicker_elsewhere > 5
    assert grain.jitter_percent > 0
    assert grain.temporal_feature_distance > rows["same"].temporal_feature_distance + 0.01
    assert grain.sharpness_ratio > 1.2
    assert grain.identity_deviation > 0


def test_a_frame_of_delay_shows_in_the_expression(rows: dict[str, Summary]) -> None:
    assert rows["late"].mouth_correlation < 0.8
    assert rows["late"].eyes_correlation < 0.8
    assert rows["late"].mouth_correlation < rows["blurred"].mouth_correlation
    assert rows["late"].identity_cosine > 0.8


def test_a_video_that_only_lost_detail_still_follows(rows: dict[str, Summary]) -> None:
    assert rows["blurred"].mouth_correlation > 0.95
    assert rows["blurred"].eyes_correlation > 0.9


def test_a_frozen_video_is_perfectly_steady_however_bad_it_is(write_once: WriteOnce, talking: list[UInt8]) -> None:
    still = [talking[0]] * 6
    grain = noisy(still[:1], 15) * 6
    done = compare_videos(
        write_once("still", still),
        [write_once("still-soft", blurred(still, 2)), write_once("grain", grain)],
        config=CPU,
    )
    for video in done.videos[1:]:
        row = video.summary
        steady = (row.warp_error, row.jitter_percent, row.flicker_faces, row.flicker_elsewhere)
        assert steady == (0, 0, 0, 0)
        assert row.temporal_feature_distance == 0
        assert row.mouth_correlation is None
        assert row.expressions_unmeasured == {"mouth too short": 1, "eyes too short": 1}


def test_a_face_pasted_with_another_brightness_has_a_seam(write_once: WriteOnce, talking: list[UInt8]) -> None:
    centre, axes = (128, 98), (38, 46)
    pictures = talking[:4]
    masks = [cv2.ellipse(np.zeros(one.shape, np.float32), centre, axes, 0, 0, 360, (1, 1, 1), -1) for one in pictures]
    pasted = [
        np.clip(one + 25 * cv2.GaussianBlur(mask, (0, 0), 2), 0, 255).astype(np.uint8)
        for one, mask in zip(pictures, masks, strict=True)
    ]
    soft = blurred(pictures, 1.0)
    reference, source = write_once("short", pictures), write_once("short-soft", soft)
    videos = compare_videos(reference, [write_once("pasted", pasted)], degraded=source, config=CPU).videos
    _, inputs, test = (video.summary for video in videos)
    assert test.seam_energy > 3 * inputs.seam_energy
    assert test.seam_energy_over_both > 0.1
    assert test.seam_energy_over_both <= test.seam_energy
    assert inputs.seam_energy_over_both == videos[0].summary.seam_energy_over_both == 0
