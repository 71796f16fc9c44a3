"""Boxes around eyes and mouth, and their crops, against positions worked out by hand."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from vidrestore.faces.alignment import TEMPLATE
from vidrestore.training.gan.components import (
    Boxes,
    colour_places,
    component_boxes,
    crop_components,
    eye_side,
    mouth_side,
)


@pytest.fixture
def ramps() -> Tensor:
    """[1, 3, 8, 8]: x, y and their sum, so that a crop tells where it was taken."""
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    return torch.stack((x, y, x + y))[None]


def template_landmarks(size: int) -> Tensor:
    return torch.tensor(TEMPLATE * size - 0.5)[None]


def squares(boxes: Boxes) -> Iterator[Tensor]:
    yield from (boxes.left_eye, boxes.right_eye, boxes.mouth)


def test_box_of_the_whole_picture_gives_the_picture(ramps: Tensor) -> None:
    torch.testing.assert_close(crop_components(ramps, torch.tensor([[-0.5, -0.5, 7.5, 7.5]]), 8), ramps)


def test_shifted_box_gives_the_pixels_it_covers(ramps: Tensor) -> None:
    crop = crop_components(ramps, torch.tensor([[1.5, 2.5, 4.5, 5.5]]), 3)
    torch.testing.assert_close(crop, ramps[:, :, 3:6, 2:5])


def test_box_between_pixels_is_interpolated(ramps: Tensor) -> None:
    crop = crop_components(ramps, torch.tensor([[1.75, 2.0, 2.75, 3.0]]), 2)
    torch.testing.assert_close(crop[0, 0, 0], torch.tensor([2.0, 2.5]))
    torch.testing.assert_close(crop[0, 1, :, 0], torch.tensor([2.25, 2.75]))


def test_each_picture_is_cropped_by_its_own_box(ramps: Tensor) -> None:
    boxes = torch.tensor([[-0.5, -0.5, 1.5, 1.5], [3.5, 3.5, 5.5, 5.5]])
    crops = crop_components(ramps.expand(2, -1, -1, -1), boxes, 2)
    torch.testing.assert_close(crops, torch.cat((ramps[:, :, :2, :2], ramps[:, :, 4:6, 4:6])))


def test_gradient_reaches_the_box_and_nothing_beside_it() -> None:
    images = torch.zeros(1, 3, 8, 8, requires_grad=True)
    crop_components(images, torch.tensor([[1.5, 2.5, 4.5, 5.5]]), 3).sum().backward()
    wanted = torch.zeros(1, 3, 8, 8)
    wanted[:, :, 3:6, 2:5] = 1
    torch.testing.assert_close(images.grad, wanted)


def test_crops_are_exact_under_autocast(ramps: Tensor) -> None:
    box = torch.tensor([[1.25, 2.5, 5.3, 5.5]])
    wanted = crop_components(ramps, box, 5)
    with torch.autocast("cpu", torch.bfloat16):
        found = crop_components(ramps.bfloat16(), box, 5)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted)


def test_boxes_hold_what_they_are_named_after() -> None:
    boxes = component_boxes(template_landmarks(512), 512)
    points = template_landmarks(512)[0]
    inside = [[bool(((box[0, :2] < point) & (point < box[0, 2:])).all()) for point in points] for box in squares(boxes)]
    assert inside == [
        [True, False, False, False, False],
        [False, True, False, False, False],
        [False, False, True, True, True],  # with the upper lip up to the nose
    ]
    sides = [(box[0, 2] - box[0, 0]).item() for box in squares(boxes)]
    assert sides == pytest.approx([99.7, 99.7, 131.2], abs=0.5)


def test_boxes_scale_with_the_picture() -> None:
    large, small = (component_boxes(template_landmarks(size), size) for size in (512, 256))
    for one, other in zip(squares(large), squares(small), strict=True):
        torch.testing.assert_close((one + 0.5) / 2, other + 0.5, rtol=0, atol=1e-4)
    assert (eye_side(512), mouth_side(512), eye_side(256), mouth_side(256)) == (80, 120, 40, 60)


def test_turned_head_keeps_its_boxes_large() -> None:
    frontal = template_landmarks(256)
    turned = frontal.clone()
    turned[..., 0] = 128 + (turned[..., 0] - 128) / 4
    wanted, found = component_boxes(frontal, 256), component_boxes(turned, 256)
    assert found.left_eye[0, 3] - found.left_eye[0, 1] >= 0.95 * (wanted.left_eye[0, 3] - wanted.left_eye[0, 1])


@pytest.mark.parametrize("shift", [-300.0, 300.0])
def test_boxes_are_squares_inside_the_picture_wherever_the_landmarks_lie(shift: float) -> None:
    for landmarks in (template_landmarks(256) + shift, torch.zeros(1, 5, 2), template_landmarks(256) * 9):
        for box in squares(component_boxes(landmarks, 256)):
            assert box.min() >= -0.5
            assert box.max() <= 255.5
            width, height = (box[0, 2] - box[0, 0]).item(), (box[0, 3] - box[0, 1]).item()
            assert width == pytest.approx(height, abs=1e-3)
            assert width >= 16


def test_landmarks_get_no_gradient() -> None:
    assert not component_boxes(template_landmarks(256).requires_grad_(), 256).mouth.requires_grad


def test_colour_counts_at_irises_and_mouth() -> None:
    landmarks = torch.tensor([[[96.0, 120.0], [160.0, 118.0], [128.0, 157.0], [100.0, 186.0], [156.0, 185.0]]])
    places = colour_places(landmarks, 256)
    assert places.shape == (1, 1, 256, 256)
    for x, y in ((96, 120), (160, 118), (128, 185)):
        assert places[0, 0, y, x] > 0.99
    assert places[0, 0, 185, 104] > 0.5  # near a corner of the mouth
    for x, y in ((128, 120), (96, 145), (20, 20), (128, 240)):
        assert places[0, 0, y, x] < 0.02
