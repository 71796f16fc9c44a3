"""Colours of a restored face against those of the video: none is invented where the video has none."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from vidrestore.media.pixel_formats import bit_depth, plane_shapes
from vidrestore.restoration.config import CompositorConfig
from vidrestore.restoration.face.compositor import Compositor
from vidrestore.restoration.face.cropper import FaceCropper
from vidrestore.types import FaceTrack, Frame, FrameFaces, Planes, Restoration

WIDTH, HEIGHT, SIDE = 200, 160, 128
FORMATS = ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p10le", "yuv420p12le"]
RGB_FORMATS = ["gbrp", "gbrp10le", "rgb24"]
TONE = {1: (112, -0.06), 2: (143, 0.05)}
"""Chroma of a toned video in codes of 8 bits: constant and slope over luma."""


def light(scale: int = 1) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 1, (HEIGHT, WIDTH))
    grey = 110 + cv2.GaussianBlur(noise, (0, 0), 3) * 250
    return (grey.clip(20, 230) * scale).round().astype(np.uint16 if scale > 1 else np.uint8)


def frame_of(planes: Planes, pixel_format: str) -> Frame:
    return Frame(0, 0, Fraction(1, 25), 1, WIDTH, HEIGHT, pixel_format, planes)


def with_chroma(pixel_format: str, blue: int, red: int) -> Frame:
    scale = 2 ** (bit_depth(pixel_format) - 8)
    shapes = plane_shapes(pixel_format, WIDTH, HEIGHT)
    luma = light(scale)
    chroma = (np.full(shape, code * scale, luma.dtype) for shape, code in zip(shapes[1:], (blue, red), strict=True))
    return frame_of((luma, *chroma), pixel_format)


def restored(frame: Frame) -> Frame:
    """Paste a face of every colour, lighter than the video's."""
    turn = 110 * np.eye(2)
    to_display = np.hstack([turn, np.array([[WIDTH / 2], [HEIGHT / 2]]) - turn @ np.array([[0.5], [0.5]])])
    item = FrameFaces(frame, (FaceTrack(0, to_display, 110.0, 0.99, np.eye(4)),))
    (face,) = FaceCropper(SIDE)(item).faces
    colours = cv2.GaussianBlur(np.random.default_rng(1).normal(0, 1, (SIDE, SIDE, 3)), (0, 0), 3) * 500
    crop = (face.crop + 15 + colours).clip(0, 255).astype(np.uint8)
    return Compositor(CompositorConfig())(FrameFaces(frame, (Restoration(face, crop),)))


def test_nearly_even_light_lets_no_colour_run_away() -> None:
    """In fog chroma follows from no luma: a slope of noise must not be continued to the lights of a restored face."""
    luma = np.full((HEIGHT, WIDTH), 200, np.uint8)
    luma[80:82, 100:102] = 201
    chroma = [np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8) for _ in range(2)]
    for plane in chroma:
        plane[40, 50] = 131
    result = restored(frame_of((luma, *chroma), "yuv420p"))
    for plane in result.planes[1:]:
        assert 122 <= plane.min() <= plane.max() <= 134


@pytest.mark.parametrize("pixel_format", FORMATS)
@pytest.mark.parametrize(("blue", "red"), [(128, 128), (110, 141), (129, 127)])
def test_an_even_tone_stays_exactly_as_it_is(pixel_format: str, blue: int, red: int) -> None:
    video = with_chroma(pixel_format, blue, red)
    result = restored(video)
    assert not np.array_equal(result.planes[0], video.planes[0])
    assert np.array_equal(result.planes[1], video.planes[1])
    assert np.array_equal(result.planes[2], video.planes[2])


@pytest.mark.parametrize("pixel_format", RGB_FORMATS)
def test_grey_in_rgb_stays_grey(pixel_format: str) -> None:
    plane = light(2 ** (bit_depth(pixel_format) - 8))
    planes = (np.dstack([plane] * 3),) if pixel_format == "rgb24" else (plane, plane.copy(), plane.copy())
    result = restored(frame_of(planes, pixel_format))
    found = [result.planes[0][..., index] for index in range(3)] if pixel_format == "rgb24" else [*result.planes]
    assert not np.array_equal(found[0], plane)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv444p10le"])
def test_a_tone_that_follows_the_light_is_followed(pixel_format: str) -> None:
    scale = 2 ** (bit_depth(pixel_format) - 8)
    luma = light(scale)

    def toned(plane: int, over: np.ndarray) -> np.ndarray:
        constant, slope = TONE[plane]
        return (constant * scale + slope * over.astype(float)).round().astype(luma.dtype)

    result = restored(frame_of((luma, toned(1, luma), toned(2, luma)), pixel_format))
    for plane in (1, 2):
        wanted = toned(plane, result.planes[0]).astype(int)
        assert np.abs(result.planes[plane].astype(int) - wanted).max() <= 2


def test_the_grey_noise_of_a_codec_does_not_grow() -> None:
    video = with_chroma("yuv420p", 128, 128)
    noise = np.random.default_rng(2).integers(127, 130, video.planes[1].shape).astype(np.uint8)
    result = restored(frame_of((video.planes[0], noise, noise[::-1].copy()), "yuv420p"))
    assert max(int(np.abs(plane.astype(int) - 128).max()) for plane in result.planes[1:]) <= 1


def test_colour_of_a_colourful_video_is_not_limited() -> None:
    shapes = plane_shapes("yuv420p", WIDTH, HEIGHT)
    random = np.random.default_rng(3)
    chroma = (random.integers(16, 241, shape).astype(np.uint8) for shape in shapes[1:])
    result = restored(frame_of((light(), *chroma), "yuv420p"))
    centre = np.s_[HEIGHT // 4 - 12 : HEIGHT // 4 + 12, WIDTH // 4 - 12 : WIDTH // 4 + 12]
    assert result.planes[1][centre].std() > 10


def test_faint_colour_stays() -> None:
    video = with_chroma("yuv420p", 128, 128)
    planes = [plane.copy() for plane in video.planes]
    planes[1][:, : WIDTH // 4] -= 4
    planes[2][:, : WIDTH // 4] += 6
    result = restored(frame_of(tuple(planes), "yuv420p"))
    departure = np.abs(result.planes[2].astype(int) - 128).max()
    assert 4 <= departure <= 12
