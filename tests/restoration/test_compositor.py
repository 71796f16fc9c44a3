"""Cutting faces out and putting them back."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from vidrestore.errors import ConfigError
from vidrestore.media.colour import code_values, plane_steps
from vidrestore.media.pixel_formats import plane_shapes
from vidrestore.restoration.config import CompositorConfig
from vidrestore.restoration.face.compositor import Compositor, face_mask
from vidrestore.restoration.face.cropper import FaceCropper, crop_bounds
from vidrestore.types import FaceTrack, Frame, FrameFaces, Restoration

MakeItem = Callable[..., FrameFaces[FaceTrack]]


def restored(
    item: FrameFaces[FaceTrack], size: int = 128, weight: float = 1.0, paint: int | None = None
) -> FrameFaces[Restoration]:
    aligned = FaceCropper(size)(item)
    faces = tuple(
        Restoration(face, face.crop if paint is None else np.full_like(face.crop, paint), weight)
        for face in aligned.faces
    )
    return FrameFaces(aligned.frame, faces)


def colourful(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Draw a plane of a video whose colours are of all kinds, so that no face has more of it."""
    return np.random.default_rng(seed).integers(16, 240, shape).astype(np.uint8)


def luma(frame: Frame) -> np.ndarray:
    return frame.planes[0].astype(int)


@pytest.mark.parametrize("size", [40.0, 100.0, 180.0])
@pytest.mark.parametrize("angle", [0.0, 0.4, -2.0])
def test_a_face_put_back_unchanged_leaves_the_picture_as_it_was(make_item: MakeItem, size: float, angle: float) -> None:
    item = make_item((150.0, 110.0, size, angle))
    result = Compositor(CompositorConfig())(restored(item, 256))
    assert np.abs(luma(result) - luma(item.frame)).max() <= 3
    assert np.abs(luma(result) - luma(item.frame)).mean() < 0.2


@pytest.mark.parametrize("angle", [0.0, 0.4, -2.0])
def test_so_does_one_much_coarser_than_the_picture(make_item: MakeItem, angle: float) -> None:
    item = make_item((150.0, 110.0, 180.0, angle))
    result = Compositor(CompositorConfig())(restored(item, 64))
    assert np.abs(luma(result) - luma(item.frame)).mean() < 0.2


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv411p", "yuv410p", "yuv444p"])
@pytest.mark.parametrize("size", [40.0, 120.0, 220.0])
def test_chroma_lies_where_luma_does(make_item: MakeItem, pixel_format: str, size: float) -> None:
    item = make_item((150.0, 110.0, size, 0.3))
    shape = plane_shapes(pixel_format, 320, 240)
    frame = replace(
        item.frame, pixel_format=pixel_format, planes=tuple(colourful(one, seed) for seed, one in enumerate(shape))
    )
    ramp = np.add.outer(0.2 * np.arange(128), 0.5 * np.arange(128))
    crop = np.dstack([80 + ramp, np.full_like(ramp, 120), 200 - ramp]).round().astype(np.uint8)
    face = Restoration(FaceCropper(128)(FrameFaces(frame, item.faces)).faces[0], crop)
    result = Compositor(CompositorConfig())(FrameFaces(frame, (face,)))
    across, down = plane_steps(frame, 1)
    for plane in (1, 2):
        row, column = 110 // down, 150 // across
        x, y = face.face.to_crop @ [column * across + (across - 1) / 2, row * down + (down - 1) / 2, 1]
        colour = np.array([[[80 + 0.2 * y + 0.5 * x, 120, 200 - 0.2 * y - 0.5 * x]]], np.float32)
        assert result.planes[plane][row, column] == pytest.approx(code_values(colour, frame)[plane][0, 0], abs=0.7)


def test_pixels_outside_the_face_are_bit_identical(make_item: MakeItem) -> None:
    item = make_item((150.0, 110.0, 80.0, 0.2))
    planes = (item.frame.planes[0], *(colourful(plane.shape, 1) for plane in item.frame.planes[1:]))
    prepared = restored(replace(item, frame=replace(item.frame, planes=planes)), paint=255)
    result = Compositor(CompositorConfig())(prepared)
    box = crop_bounds(prepared.faces[0].face.to_crop, 128, item.frame)
    for plane, (new, old) in enumerate(zip(result.planes, prepared.frame.planes, strict=True)):
        step = 2 if plane else 1
        changed = np.argwhere(new != old)
        assert changed.size
        rows, columns = changed[:, 0] * step, changed[:, 1] * step
        assert (rows >= box.top).all() and (rows < box.bottom).all()  # noqa: PT018
        assert (columns >= box.left).all() and (columns < box.right).all()  # noqa: PT018
    distance = np.hypot(*(np.argwhere(luma(result) != luma(item.frame)) - [110, 150]).T)
    assert distance.max() <= 0.5 * 80, "the mask is an ellipse inside the aligned square"


def test_the_middle_of_the_face_is_the_restored_one(make_item: MakeItem) -> None:
    item = make_item((150.0, 110.0, 80.0, 0.0))
    result = Compositor(CompositorConfig())(restored(item, paint=255))
    assert (luma(result)[100:120, 140:160] == 235).all()


@pytest.mark.parametrize(("strength", "weight", "share"), [(0.5, 1.0, 0.5), (1.0, 0.25, 0.25), (0.5, 0.5, 0.25)])
def test_strength_and_weight_set_the_share_of_the_restored_face(
    make_item: MakeItem, strength: float, weight: float, share: float
) -> None:
    item = make_item((150.0, 110.0, 80.0, 0.0))
    result = Compositor(CompositorConfig(strength=strength))(restored(item, weight=weight, paint=255))
    before, after = luma(item.frame)[110, 150], luma(result)[110, 150]
    assert after == pytest.approx(before + share * (235 - before), abs=1)


def test_without_faces_or_strength_the_very_same_frame_comes_out(make_item: MakeItem) -> None:
    item = make_item()
    assert Compositor(CompositorConfig())(restored(item)) is item.frame
    item = make_item((150.0, 110.0, 80.0, 0.0))
    assert Compositor(CompositorConfig(strength=0))(restored(item, paint=255)) is item.frame


def test_the_input_frame_is_never_written_to(make_item: MakeItem) -> None:
    item = make_item((150.0, 110.0, 80.0, 0.0))
    before = [plane.copy() for plane in item.frame.planes]
    Compositor(CompositorConfig())(restored(item, paint=255))
    assert all(np.array_equal(plane, old) for plane, old in zip(item.frame.planes, before, strict=True))


@pytest.mark.parametrize("place", [(0.0, 0.0), (319.0, 239.0), (-20.0, 100.0), (160.0, 255.0)])
def test_a_face_cut_by_the_edge_of_the_picture_is_restored_where_it_shows(
    make_item: MakeItem, place: tuple[float, float]
) -> None:
    item = make_item((*place, 100.0, 0.1))
    result = Compositor(CompositorConfig())(restored(item, paint=255))
    assert (luma(result) != luma(item.frame)).any()


def test_a_face_wholly_outside_the_picture_gives_no_crop(make_item: MakeItem) -> None:
    assert FaceCropper(128)(make_item((-300.0, 100.0, 80.0, 0.0))).faces == ()


def test_a_large_face_is_averaged_down_not_aliased(make_item: MakeItem) -> None:
    item = make_item((160.0, 120.0, 230.0, 0.0), pixel_format="gray")
    checks = (np.indices((240, 320)).sum(axis=0) % 2 * 255).astype(np.uint8)
    fine = FrameFaces(Frame(0, 0, item.frame.time_base, 1, 320, 240, "gray", (checks,)), item.faces)
    crop = FaceCropper(64)(fine).faces[0].crop
    assert crop.std() < 25, "one-pixel checks become grey"


def test_the_mask_is_one_in_the_face_and_zero_on_the_border() -> None:
    mask = face_mask(256, 0.25)
    assert mask[140, 128] == 1
    assert max(mask[0].max(), mask[-1].max(), mask[:, 0].max(), mask[:, -1].max()) == 0
    assert np.abs(np.diff(mask, axis=0)).max() < 0.1, "no visible step"
    assert not mask.flags.writeable


@pytest.mark.parametrize("options", [{"strength": 1.5}, {"strength": -0.1}, {"feather": 2.0}])
def test_impossible_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="use 0 to 1"):
        CompositorConfig(**options)
