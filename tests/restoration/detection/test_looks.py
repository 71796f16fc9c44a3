"""Looks: what their pictures show, and that together they show everything."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from vidrestore.media.geometry import display_size, frame_to_display, make_preview
from vidrestore.restoration.detection.looks import (
    Look,
    close_look,
    cut_look,
    far_look,
    narrowest_face,
    preview_look,
    search_scale,
    tiles,
    turned_looks,
)
from vidrestore.types import Detection, Float64, Frame

WIDTH, HEIGHT = 320, 240
SPOT = np.array([80.0, 60.0, 1.0])
"""Middle of the bright spot, frame pixels."""


def a_frame(**changes: object) -> Frame:
    """Black, but for a bright spot."""
    picture = np.zeros((HEIGHT, WIDTH), np.uint8)
    picture[57:64, 77:84] = 255
    frame = Frame(0, 0, Fraction(1, 25), 1, WIDTH, HEIGHT, "gray", (picture,))
    return replace(frame, **changes)  # type: ignore[arg-type]


def spot_in(frame: Frame, look: Look) -> Float64:
    """Where a look's picture shows the spot, in display pixels."""
    picture = cut_look(frame, look).mean(axis=2)
    assert picture.shape == (look.height, look.width)
    rows, columns = np.indices(picture.shape)
    seen = np.array([(columns * picture).sum(), (rows * picture).sum(), picture.sum()]) / picture.sum()
    shown: Float64 = look.to_display @ seen
    return shown


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(16, 11)])
def test_a_look_shows_what_lies_where_its_map_says(rotation: int, aspect: Fraction, *, mirrored: bool) -> None:
    frame = a_frame(rotation=rotation, mirrored=mirrored, sample_aspect_ratio=aspect)
    spot = frame_to_display(frame) @ SPOT
    looks = [far_look(frame), preview_look(frame, longest_side=160)]
    looks += [
        close_look(spot[0] + 4, spot[1] - 3, width=width, angle=angle)
        for width in (16, 90)
        for angle in (0, 0.7, 3, -2)
    ]
    for look in looks:
        np.testing.assert_allclose(spot_in(frame, look), spot, atol=0.5)


@pytest.mark.parametrize("longest_side", [160, 960])
def test_the_look_of_a_preview_is_its_map_and_turned_looks_are_those_of_its_turned_pictures(longest_side: int) -> None:
    frame = a_frame()
    look = preview_look(frame, longest_side=longest_side)
    preview = make_preview(frame, longest_side=longest_side)
    assert preview.shape[:2] == (look.height, look.width)
    for quarters, turned in enumerate(turned_looks(look), start=1):
        picture = np.rot90(preview, quarters)
        assert picture.shape[:2] == (turned.height, turned.width)
        brightest = np.argwhere(picture[..., 0] == picture.max()).mean(axis=0)[::-1]
        np.testing.assert_allclose(turned.to_display @ [*brightest, 1], SPOT[:2], atol=0.6)


def test_a_close_look_shows_a_face_upright_in_its_middle_and_80_pixels_wide() -> None:
    look = close_look(100, 50, width=40, angle=np.pi / 2)
    assert look.scale == pytest.approx(2)
    middle = [(look.width - 1) / 2, (look.height - 1) / 2]
    np.testing.assert_allclose(look.to_display @ [*middle, 1], [100, 50])
    # the top of a head that is turned clockwise by a right angle lies to the right
    np.testing.assert_allclose(look.to_display @ [middle[0], middle[1] - 20, 1], [110, 50], atol=1e-9)
    assert close_look(0, 0, width=4, angle=0).scale == 4, "what is enlarged further shows no more"


def test_a_detection_moves_with_its_look() -> None:
    turned = turned_looks(preview_look(a_frame(), longest_side=960))[1]
    points = np.array([[10, 20], [30, 20], [20, 30], [12, 40], [28, 40]], np.float32)
    found = turned.in_display(Detection(points, np.array([0, 10, 40, 50], np.float32), 0.9))
    np.testing.assert_allclose(found.landmarks, [WIDTH - 1, HEIGHT - 1] - points)
    np.testing.assert_allclose(found.box, [WIDTH - 41, HEIGHT - 51, WIDTH - 1, HEIGHT - 11])


@pytest.mark.parametrize(
    ("size", "min_face", "scale"),
    [
        ((1920, 1080), 16, 1),
        ((3840, 2160), 16, 1),
        ((640, 360), 16, 1.5),
        ((1920, 1080), 8, 2),
        ((1920, 1080), 64, 0.25),
    ],
)
def test_the_smallest_wanted_face_decides_the_scale(size: tuple[int, int], min_face: float, scale: float) -> None:
    if min_face == 64:  # the whole picture fits into one tile at more than is needed
        assert search_scale(*size, min_face=min_face) == pytest.approx(0.375)
    else:
        assert search_scale(*size, min_face=min_face) == pytest.approx(scale)


@pytest.mark.parametrize(
    ("size", "min_face", "searched", "narrowest"),
    [
        ((1920, 1080), 16, True, 16),
        ((1920, 1080), 16, False, 32),
        ((3840, 2160), 2, True, 8),
        ((640, 360), 4, False, 16),
        ((640, 360), 40, True, 40),
    ],
)
def test_the_narrowest_face_that_is_searched_is_told(
    size: tuple[int, int], min_face: float, narrowest: float, *, searched: bool
) -> None:
    assert narrowest_face(*size, preview_side=960, searched=searched, min_face=min_face) == narrowest


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (3840, 2160), (640, 360), (1200, 1199)])
def test_every_small_face_lies_whole_in_some_tile(size: tuple[int, int]) -> None:
    wide, high = size
    frame = replace(a_frame(), width=wide, height=high, planes=())
    looks = list(tiles(frame, preview_look(frame, longest_side=960), min_face=16))
    assert {(look.width <= 1024, look.height <= 608) for look in looks} == {(True, True)}
    assert len({(look.width, look.height) for look in looks}) == 1, "one shape: a GPU runs them in one batch"
    ends = np.array(
        [np.concatenate([look.to_display[:, 2], look.to_display @ [look.width, look.height, 1]]) for look in looks]
    )
    face = 24
    for x in np.linspace(0, display_size(frame)[0] - face, 97):
        for y in np.linspace(0, display_size(frame)[1] - face, 89):
            left, top, right, bottom = ends.T
            inside = (left <= x + 0.5) & (top <= y + 0.5) & (right >= x + face - 1) & (bottom >= y + face - 1)
            assert inside.any(), (x, y)


def test_there_are_no_tiles_where_the_preview_shows_as_much() -> None:
    frame = replace(a_frame(), width=1280, height=720, planes=())
    preview = preview_look(frame, longest_side=960)
    assert list(tiles(frame, preview, min_face=16))
    assert not list(tiles(frame, preview, min_face=24))
