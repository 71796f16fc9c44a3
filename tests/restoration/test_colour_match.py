"""The video's colours on the restored face."""

import cv2
import numpy as np
import pytest
import torch

from vidrestore.faces.alignment import TEMPLATE
from vidrestore.restoration.clips import colour as clip_colour
from vidrestore.restoration.face.colour_match import enlarge, low_frequencies, resolved_chroma, steady_difference


def test_low_frequencies_of_an_even_picture_are_its_colour() -> None:
    low = low_frequencies(np.full((256, 256, 3), (10, 100, 200), np.uint8))
    assert low.shape == (32, 32, 3)
    assert np.allclose(low, (10, 100, 200), atol=1e-3)
    assert np.allclose(enlarge(low, 256), (10, 100, 200), atol=1e-3)


def test_fine_texture_has_no_low_frequencies() -> None:
    checkers = (np.indices((256, 256)).sum(axis=0) % 2 * 200).astype(np.uint8)
    assert np.ptp(low_frequencies(np.dstack([checkers] * 3))) < 1


def test_equal_differences_give_exactly_their_value() -> None:
    own = np.random.default_rng(0).normal(0, 5, (32, 32, 3)).astype(np.float32)
    assert np.array_equal(steady_difference(own, [(0.3, own.copy()), (0.7, own.copy())]), own)


def test_noise_of_differences_is_averaged() -> None:
    draw = np.random.default_rng(0)
    values = [draw.normal(0, 5, (32, 32, 3)).astype(np.float32) for _ in range(9)]
    mean = steady_difference(values[0], [(1.0, value) for value in values[1:]])
    assert np.allclose(mean, np.mean(values, axis=0), atol=1e-4)


SIDE = 256
BROWN, BLUE = (90, 60, 40), (60, 80, 150)
EYES = [(int(x), int(y)) for x, y in np.round(TEMPLATE[:2] * SIDE)]


def face(iris: tuple[int, int, int] = BROWN, *, sigma: float = 1.0) -> np.ndarray:
    """Draw skin with texture of light and colour, eyes with whites, and lips: uint8 [256, 256, 3]."""
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 1, (SIDE, SIDE, 2)), (0, 0), 4) * 60
    picture = np.float32((195, 150, 130)) + noise[..., :1] * (1, 1, 1) + noise[..., 1:] * (0.6, -0.2, -0.4)
    picture = np.ascontiguousarray(picture, dtype=np.float32)
    for x, y in EYES:
        cv2.ellipse(picture, (x, y), (17, 8), 0, 0, 360, (225, 220, 218), -1)
        cv2.circle(picture, (x, y), 7, iris, -1)
    cv2.ellipse(picture, (128, 186), (28, 9), 0, 0, 360, (170, 80, 85), -1)
    return cv2.GaussianBlur(picture, (0, 0), sigma).clip(0, 255).round().astype(np.uint8)


def corrected(video: np.ndarray, restored: np.ndarray) -> np.ndarray:
    return restored + enlarge(resolved_chroma(video, np.float32(restored)), SIDE)


def chroma_error(picture: np.ndarray, truth: np.ndarray, at: tuple[int, int], reach: int = 3) -> float:
    """Distance of mean colours less luma around a point, in levels."""
    window = np.s_[at[1] - reach : at[1] + reach + 1, at[0] - reach : at[0] + reach + 1]
    difference = picture[window].astype(float).mean(axis=(0, 1)) - truth[window].mean(axis=(0, 1))
    return float(np.linalg.norm(difference - difference @ (0.299, 0.587, 0.114)))


@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_eyes_that_the_network_turns_blue_are_brown_again(sigma: float) -> None:
    truth, video, restored = face(), face(sigma=sigma), face(BLUE)
    result = corrected(video, restored)
    for eye in EYES:
        assert chroma_error(result, truth, eye) < 0.35 * chroma_error(restored, truth, eye)


def test_a_face_like_the_video_is_left_as_it_is() -> None:
    assert np.abs(resolved_chroma(face(), face())).max() < 1e-3


def test_luma_stays_the_networks() -> None:
    change = resolved_chroma(face(sigma=2), np.float32(face(BLUE)))
    assert np.abs(change @ np.float32((0.299, 0.587, 0.114))).max() < 1e-2
    assert np.abs(change).max() > 10


def smeared(picture: np.ndarray) -> np.ndarray:
    """Blur the chroma alone along the line, as tape does."""
    planes = cv2.cvtColor(np.float32(picture) / 255, cv2.COLOR_RGB2YCrCb)
    planes[..., 1:] = cv2.GaussianBlur(planes[..., 1:], (0, 0), 14, sigmaY=5)
    return (cv2.cvtColor(planes, cv2.COLOR_YCrCb2RGB) * 255).clip(0, 255).round().astype(np.uint8)


def test_whites_of_eyes_and_skin_stay_where_tape_smears_the_colours() -> None:
    truth = face()
    video = smeared(truth)
    result = corrected(video, truth)
    for x, y in EYES:
        white = (x + 12, y)
        assert chroma_error(result, truth, white, 1) < 0.4 * chroma_error(video, truth, white, 1)


def test_noise_of_the_videos_colours_does_not_come_back() -> None:
    truth = face()
    noise = cv2.GaussianBlur(np.random.default_rng(1).normal(0, 1, (SIDE, SIDE, 3)), (0, 0), 4)
    video = (truth + noise / noise.std() * 12).clip(0, 255).round().astype(np.uint8)
    cheek = np.s_[120:170, 70:190]
    left = np.abs(resolved_chroma(video, np.float32(truth)))
    assert enlarge(left, SIDE)[cheek].mean() < 0.35 * np.abs(video[cheek].astype(float) - truth[cheek]).mean()


def test_tensors_get_the_same_change() -> None:
    pairs = [(face(sigma=2), face(BLUE)), (smeared(face()), face(BLUE)), (face(BLUE), face())]
    videos, restored = (
        torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() for images in zip(*pairs, strict=True)
    )
    found = clip_colour.resolved_chroma(videos, restored).permute(0, 2, 3, 1).numpy()
    for one, pair in zip(found, pairs, strict=True):
        assert np.abs(one - resolved_chroma(*pair)).max() < 0.02
    alone = clip_colour.resolved_chroma(videos[1:2], restored[1:2]).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(alone[0], found[1])
