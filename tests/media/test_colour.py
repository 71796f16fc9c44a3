"""Regions of native planes to RGB and back."""

from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidrestore.errors import InputError
from vidrestore.media.colour import (
    Box,
    Writable,
    align_box,
    alpha_blend,
    code_values,
    plane_steps,
    region_to_rgb,
    sampling,
)
from vidrestore.media.pixel_formats import NATIVE_FORMATS
from vidrestore.types import Colour, Frame

FORMATS = NATIVE_FORMATS


def a_frame(pixel_format: str, width: int = 32, height: int = 24, seed: int = 0, **kinds: object) -> Frame:
    """Noise in every plane, over the whole range of codes."""
    shape = sampling(pixel_format)
    generator = np.random.default_rng(seed)
    kind = np.uint8 if shape.bits == 8 else np.uint16
    planes = []
    for plane in range(1 if shape.family in {"gray", "rgb"} else 3):
        steps = (shape.step_x, shape.step_y) if shape.family == "yuv" and plane else (1, 1)
        size: tuple[int, ...] = (-(-height // steps[1]), -(-width // steps[0]))
        size = (*size, 3) if shape.family == "rgb" else size
        values = generator.integers(0, shape.peak + 1, size, dtype=np.int64).astype(kind)
        values.setflags(write=False)
        planes.append(values)
    return Frame(0, 0, Fraction(1, 25), 1, width, height, pixel_format, tuple(planes), **kinds)  # type: ignore[arg-type]


def whole(frame: Frame) -> Box:
    return Box(0, 0, frame.width, frame.height)


def paint(planes: tuple[Writable, ...], frame: Frame, box: Box, colour: tuple[int, int, int], share: float) -> None:
    """Mix one colour into a region of every plane."""
    for plane, values in enumerate(code_values(np.array([[colour]], np.uint8), frame)):
        across, down = plane_steps(frame, plane)
        size = (-(-box.height // down), -(-box.width // across))
        new = np.broadcast_to(values[0, 0], (*size, 3) if values.ndim == 3 else size).astype(np.float32)
        alpha_blend(planes[plane], frame, plane, box, new, np.full(size, share, np.float32))


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_where_the_mask_is_zero_not_one_bit_changes(pixel_format: str) -> None:
    frame = a_frame(pixel_format)
    planes = tuple(plane.copy() for plane in frame.planes)
    paint(planes, frame, whole(frame), (200, 200, 200), 0)
    assert all(np.array_equal(new, old) for new, old in zip(planes, frame.planes, strict=True))


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_a_colour_written_in_full_is_read_back(pixel_format: str) -> None:
    frame = a_frame(pixel_format)
    planes = tuple(plane.copy() for plane in frame.planes)
    colour = (150, 150, 150) if pixel_format.startswith("gray") else (180, 120, 90)
    paint(planes, frame, whole(frame), colour, 1)
    painted = Frame(0, 0, Fraction(1, 25), 1, 32, 24, pixel_format, planes)
    assert np.abs(region_to_rgb(painted, whole(frame)).astype(int) - colour).max() <= 2


@pytest.mark.parametrize("matrix", [1, 5, 6, 7, 9])
@pytest.mark.parametrize("full_range", [False, True])
def test_colours_agree_with_ffmpegs_own_conversion(matrix: int, *, full_range: bool) -> None:
    smooth = np.linspace(40, 215, 64 * 48 * 3).reshape(48, 64, 3).astype(np.uint8)
    source = av.VideoFrame.from_ndarray(smooth, format="rgb24")
    swscale = {1: 1, 5: 5, 6: 5, 7: 7, 9: 9}[matrix]
    converted = source.reformat(format="yuv444p", dst_colorspace=swscale, dst_color_range=2 if full_range else 1)
    planes = tuple(np.frombuffer(p, np.uint8).reshape(-1, p.line_size)[:48, :64].copy() for p in converted.planes)
    frame = Frame(
        0, 0, Fraction(1, 25), 1, 64, 48, "yuv444p", planes, colour=Colour(matrix=matrix, full_range=full_range)
    )
    assert np.abs(region_to_rgb(frame, whole(frame)).astype(int) - smooth).max() <= 3


def test_an_untagged_video_is_read_as_players_read_it() -> None:
    small, large = a_frame("yuv444p", 8, 480), a_frame("yuv444p", 8, 1080)
    for frame, assumed in ((small, 6), (large, 1)):
        tagged = Frame(
            0, 0, Fraction(1, 25), 1, 8, frame.height, "yuv444p", frame.planes, colour=Colour(matrix=assumed)
        )
        assert np.array_equal(region_to_rgb(frame, whole(frame)), region_to_rgb(tagged, whole(frame)))


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv411p"])
@given(
    left=st.integers(-9, 40), top=st.integers(-9, 40), wide=st.integers(1, 50), high=st.integers(1, 50),
    width=st.integers(1, 33), height=st.integers(1, 25),
)  # fmt: skip
def test_boxes_lie_in_the_frame_and_on_whole_chroma_samples(
    pixel_format: str, left: int, top: int, wide: int, high: int, width: int, height: int
) -> None:
    frame = a_frame(pixel_format, width, height)
    shape = sampling(pixel_format)
    box = align_box(Box(left, top, left + wide, top + high), frame)
    if box.empty:
        return
    assert 0 <= box.left < box.right <= width
    assert 0 <= box.top < box.bottom <= height
    assert box.left % shape.step_x == box.top % shape.step_y == 0
    assert box.right % shape.step_x == 0 or box.right == width
    assert region_to_rgb(frame, box).shape == (box.height, box.width, 3)
    planes = tuple(plane.copy() for plane in frame.planes)
    paint(planes, frame, box, (0, 0, 0), 1)


@pytest.mark.parametrize(("full_range", "white", "colour"), [(False, 235, 240), (True, 255, 255)])
def test_what_overshoots_the_range_of_pictures_is_taken_as_its_limit(
    white: int, colour: int, *, full_range: bool
) -> None:
    frame = a_frame("yuv420p", colour=Colour(full_range=full_range))
    planes = tuple(plane.copy() for plane in frame.planes)
    for plane, most in enumerate((white, colour)):
        size = planes[plane].shape
        alpha_blend(
            planes[plane], frame, plane, whole(frame), np.full(size, 300, np.float32), np.ones(size, np.float32)
        )
        assert (planes[plane] == most).all()


def test_only_the_region_changes() -> None:
    frame = a_frame("yuv420p")
    planes = tuple(plane.copy() for plane in frame.planes)
    box = Box(8, 4, 16, 12)
    paint(planes, frame, box, (0, 0, 0), 1)
    luma = planes[0].copy()
    assert (luma[4:12, 8:16] == 16).all()
    luma[4:12, 8:16] = frame.planes[0][4:12, 8:16]
    assert np.array_equal(luma, frame.planes[0])
    chroma = planes[1].copy()
    chroma[2:6, 4:8] = frame.planes[1][2:6, 4:8]
    assert np.array_equal(chroma, frame.planes[1])


def test_a_format_that_frames_are_not_carried_in_is_refused() -> None:
    with pytest.raises(InputError, match="pixel format nv12"):
        sampling("nv12")
