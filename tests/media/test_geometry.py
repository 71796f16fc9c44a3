"""Rotation and pixel shape."""

from fractions import Fraction

import numpy as np
import pytest

from vidrestore.media.geometry import display_size, frame_to_display, make_preview, preview_scale
from vidrestore.types import Frame


def a_frame(
    width: int, height: int, rotation: int = 0, aspect: Fraction = Fraction(1), *, mirrored: bool = False
) -> Frame:
    """Black, but for a bright spot a quarter in from the left and an eighth down from the top."""
    picture = np.zeros((height, width), np.uint8)
    picture[height // 8 - 3 : height // 8 + 4, width // 4 - 3 : width // 4 + 4] = 255
    return Frame(
        0,
        0,
        Fraction(1, 25),
        1,
        width,
        height,
        "gray",
        (picture,),
        rotation=rotation,
        mirrored=mirrored,
        sample_aspect_ratio=aspect,
    )


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(16, 11), Fraction(8, 9)])
@pytest.mark.parametrize("longest_side", [1000, 160])
@pytest.mark.parametrize("mirrored", [False, True])
def test_preview_and_map_agree_on_where_a_spot_is(
    rotation: int, aspect: Fraction, longest_side: int, *, mirrored: bool
) -> None:
    frame = a_frame(320, 240, rotation, aspect, mirrored=mirrored)
    preview = make_preview(frame, longest_side=longest_side).mean(axis=2)
    scale = preview_scale(frame, longest_side=longest_side)
    rows, columns = np.indices(preview.shape)
    seen = np.array([(columns * preview).sum(), (rows * preview).sum()]) / preview.sum()
    told = frame_to_display(frame) @ np.array([80, 30, 1.0])
    np.testing.assert_allclose((seen + 0.5) * scale - 0.5, told, atol=0.6)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_corners_of_the_frame_are_corners_of_the_display(rotation: int) -> None:
    frame = a_frame(320, 240, rotation)
    width, height = display_size(frame)
    corners = np.array([[0, 0, 1], [319, 0, 1], [0, 239, 1], [319, 239, 1]]) @ frame_to_display(frame).T
    wanted = {(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)}
    assert {tuple(corner) for corner in corners.round().astype(int).tolist()} == wanted


def test_a_wide_pixel_makes_a_wide_display_and_a_small_video_is_not_enlarged() -> None:
    assert display_size(a_frame(720, 576, 0, Fraction(16, 15))) == (768, 576)
    assert display_size(a_frame(720, 576, 90, Fraction(16, 15))) == (576, 768)
    assert preview_scale(a_frame(100, 50), longest_side=640) == (1.0, 1.0)
    assert make_preview(a_frame(100, 50), longest_side=640).shape == (50, 100, 3)
