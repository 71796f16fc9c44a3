"""Faces that are moved and recoloured a little, with their landmarks."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vidrestore.errors import ConfigError
from vidrestore.training.data.jitter import JitterConfig, jitter

SIDE = 64
STILL = JitterConfig(
    probability=1, turn_degrees=0, shift=0, zoom_octaves=0, brightness_octaves=0, tint_octaves=0, saturation_octaves=0
)
POINTS = torch.tensor([[20.0, 24.0], [43.0, 25.0], [31.5, 34.0], [24.0, 46.0], [40.0, 45.0]])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def spotted(batch: int) -> Tensor:
    """Grey pictures with a soft white spot at each landmark: its centre of mass can be found again."""
    row = torch.arange(SIDE, dtype=torch.float32)
    distance = (row[None, None, :] - POINTS[:, 0, None, None]) ** 2 + (
        row[None, :, None] - POINTS[:, 1, None, None]
    ) ** 2
    spots = torch.exp(-distance / (2 * 1.5**2)).amax(0)
    return (0.2 + 0.6 * spots).expand(batch, 3, SIDE, SIDE).contiguous()


def brightest(picture: Tensor, near: Tensor) -> Tensor:
    """Centre of the spot around `near`, to a fraction of a pixel."""
    row = torch.arange(SIDE, dtype=torch.float32)
    window = ((row[None, :] - near[0]).abs() < 5) & ((row[:, None] - near[1]).abs() < 5)
    weight = (picture.mean(0) - 0.3).clamp(min=0) * window
    return torch.stack(((weight * row[None, :]).sum(), (weight * row[:, None]).sum())) / weight.sum()


@pytest.mark.parametrize(
    "config",
    [
        replace(STILL, turn_degrees=12),
        replace(STILL, shift=0.08),
        replace(STILL, zoom_octaves=0.2),
        replace(STILL, turn_degrees=8, shift=0.05, zoom_octaves=0.15),
    ],
    ids=["turn", "shift", "zoom", "all"],
)
def test_landmarks_go_where_the_picture_goes(config: JitterConfig) -> None:
    found = jitter(spotted(6), POINTS.expand(6, 5, 2), config, seeded())
    assert (found.landmarks - POINTS).abs().amax() > 1
    for picture, points in zip(found.images, found.landmarks, strict=True):
        for point in points:
            assert torch.allclose(brightest(picture, point), point, atol=0.15)


def test_what_is_not_hit_stays_to_the_bit() -> None:
    images = torch.rand(16, 3, SIDE, SIDE, generator=seeded(1))
    found = jitter(images, POINTS.expand(16, 5, 2), replace(JitterConfig(), probability=0.5), seeded())
    kept = [torch.equal(after, before) for after, before in zip(found.images, images, strict=True)]
    moved = [not torch.allclose(after, POINTS, atol=1e-3) for after in found.landmarks]
    assert 0 < sum(kept) < 16
    assert 0 < sum(moved) < 16
    assert not any(same and went for same, went in zip(kept, moved, strict=True))
    untouched = jitter(images, POINTS.expand(16, 5, 2), replace(JitterConfig(), probability=0), seeded())
    assert torch.equal(untouched.images, images)
    assert torch.allclose(untouched.landmarks, POINTS.expand(16, 5, 2), atol=1e-4)


def test_colours_change_by_what_was_asked_and_stay_in_range() -> None:
    grey = torch.full((64, 3, 8, 8), 0.25)
    bright = jitter(grey, POINTS.expand(64, 5, 2), replace(STILL, brightness_octaves=0.5), seeded()).images
    assert 0.25 / 2**0.5 - 1e-4 <= bright.min() < 0.2
    assert 0.31 < bright.max() <= 0.25 * 2**0.5 + 1e-4
    assert torch.allclose(bright[:, 0], bright[:, 2])
    tinted = jitter(grey, POINTS.expand(64, 5, 2), replace(STILL, tint_octaves=0.2), seeded()).images
    assert (tinted[:, 0] - tinted[:, 2]).abs().amax() > 0.02
    assert torch.allclose(
        jitter(grey, POINTS.expand(64, 5, 2), replace(STILL, saturation_octaves=1), seeded()).images, grey, atol=1e-6
    )
    loud = jitter(torch.rand(8, 3, 8, 8), POINTS.expand(8, 5, 2), replace(STILL, brightness_octaves=1), seeded()).images
    assert loud.min() >= 0
    assert loud.max() <= 1


def test_a_generator_decides_alone() -> None:
    images, points = torch.rand(4, 3, SIDE, SIDE), POINTS.expand(4, 5, 2)
    first, again, other = (jitter(images, points, JitterConfig(), seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.landmarks, again.landmarks)
    assert not torch.equal(first.images, other.images)


@pytest.mark.parametrize(
    ("field", "value"), [("probability", 1.5), ("shift", -0.1), ("turn_degrees", 90), ("saturation_octaves", 3)]
)
def test_an_impossible_amount_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=field):
        replace(JitterConfig(), **{field: value})


def test_some_faces_become_old_film_with_their_truth() -> None:
    images = torch.rand(400, 3, 8, 8, generator=seeded(2))
    config = replace(STILL, probability=0, faded_probability=0.5)
    shown = jitter(images, POINTS.expand(400, 5, 2), config, seeded()).images
    same = (shown == images).flatten(1).all(1)
    grey = ((shown[:, 0] - shown[:, 1]).abs() < 1e-6).flatten(1).all(1) & ~same
    colours = shown[:, 0] / shown[:, 2].clamp(min=1e-6)
    unclipped = (shown > 1e-3) & (shown < 1)
    assert 0.4 < same.float().mean() < 0.6
    assert 0.18 < grey.float().mean() < 0.32
    spread = [float(ratio[whole.all(0)].std()) for ratio, whole in zip(colours, unclipped, strict=True)]
    toned = sum(value < 1e-4 for value, is_grey, kept in zip(spread, grey, same, strict=True) if not (is_grey or kept))
    assert 0.07 < toned / 400 < 0.18  # one colour of light, many of dark


def test_faded_faces_are_drawn_by_the_generator_alone() -> None:
    images, points = torch.rand(8, 3, SIDE, SIDE), POINTS.expand(8, 5, 2)
    config = JitterConfig(faded_probability=0.7)
    first, again = (jitter(images, points, config, seeded(3)).images for _ in range(2))
    assert torch.equal(first, again)
    with pytest.raises(ConfigError, match="faded_probability"):
        JitterConfig(faded_probability=-0.1)
