"""Adaptive augmentation: exact where it can be, and a probability that is steered."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vidrestore.errors import ConfigError
from vidrestore.training.gan import augmentation
from vidrestore.training.gan.augmentation import AdaptiveAugmentation, AugmentationConfig, augment
from vidrestore.training.loop.distributed import DistributedContext

MACHINE = DistributedContext(torch.device("cpu"), compile=False)
RESAMPLING = 1e-4
"""What bilinear resampling at an image's own pixels changes, at most, of values in [-1, 1]."""


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(batch: int = 6, side: int = 16) -> Tensor:
    return torch.rand(batch, 3, side, side, generator=generator(9)) * 2 - 1


def tables(batch: int) -> tuple[Tensor, Tensor]:
    source = generator(3)
    uniforms = torch.rand(augmentation._UNIFORMS, batch, generator=source)
    return uniforms, torch.randn(augmentation._NORMALS, batch, generator=source)


class _ChosenDraws(augmentation._Draws):
    """Draws that hit only the transformation of one number in the order of draws, with one amount."""

    def __init__(self, chosen: int, amount: float, batch: int = 1) -> None:
        super().__init__(*tables(batch), torch.tensor(1.0))
        self.chosen, self.amount, self.count = chosen, amount, 0

    def where_hit(self, amount: Tensor, neutral: float, *, probability: Tensor | None = None) -> Tensor:  # noqa: ARG002
        value = self.amount if self.count == self.chosen else neutral
        self.count += 1
        return torch.full_like(amount, value)


def placed(chosen: int, amount: float, pictures: Tensor) -> Tensor:
    draw = _ChosenDraws(chosen, amount, len(pictures))
    return augmentation._resample(pictures, augmentation._geometry(draw, pictures.shape[-1]))


MIRROR, QUARTER, SHIFT_X, SHIFT_Y, SIZE, BEFORE, STRETCH, AFTER, DRIFT_X, DRIFT_Y = range(10)
BRIGHTNESS, CONTRAST, FLIP, HUE, SATURATION = range(5)


def test_nothing_happens_at_probability_zero() -> None:
    pictures = images()
    changed = augment(pictures, torch.tensor(0.0), generator())
    assert changed.dtype == torch.float32
    assert (changed - pictures).abs().max() < RESAMPLING


def test_every_picture_is_changed_at_probability_one() -> None:
    pictures = images(16)
    changed = augment(pictures, torch.tensor(1.0), generator())
    assert ((changed - pictures).abs().mean(dim=(1, 2, 3)) > 0.05).all()


def test_about_the_share_of_the_probability_is_hit() -> None:
    draw = augmentation._Draws(*tables(4000), torch.tensor(0.3))
    hit = draw.where_hit(torch.ones(4000), 0.0)
    assert hit.mean() == pytest.approx(0.3, abs=0.03)


def test_two_turns_leave_a_picture_upright_as_often_as_one_transformation_would() -> None:
    shares: list[float] = []

    class Watched(augmentation._Draws):
        def where_hit(self, amount: Tensor, neutral: float, *, probability: Tensor | None = None) -> Tensor:
            shares.append(float(self.probability if probability is None else probability))
            return super().where_hit(amount, neutral, probability=probability)

    augmentation._geometry(Watched(*tables(2), torch.tensor(0.64)), 16)
    assert [shares[BEFORE], shares[AFTER]] == pytest.approx([0.4, 0.4])  # (1 - 0.4) ** 2 == 1 - 0.64
    assert shares[:BEFORE] == pytest.approx([0.64] * BEFORE)


def test_every_number_that_is_drawn_is_used_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[augmentation._Draws] = []

    class Kept(augmentation._Draws):
        def __init__(self, uniforms: Tensor, normals: Tensor, probability: Tensor) -> None:
            super().__init__(uniforms, normals, probability)
            made.append(self)

    monkeypatch.setattr(augmentation, "_Draws", Kept)
    augmentation.transformations(*tables(2), torch.tensor(0.5), 16)
    assert [len(made), len(made[0]._uniforms), len(made[0]._normals)] == [1, 0, 0]


def test_the_generator_alone_decides() -> None:
    pictures, half = images(), torch.tensor(0.5)
    first = augment(pictures, half, generator(1))
    torch.manual_seed(123)
    assert torch.equal(first, augment(pictures, half, generator(1)))
    assert not torch.equal(first, augment(pictures, half, generator(2)))


def test_how_much_randomness_is_used_does_not_depend_on_the_probability() -> None:
    states = []
    for probability in (0.0, 0.5, 1.0):
        source = generator(4)
        augment(images(), torch.tensor(probability), source)
        states.append(source.get_state())
    assert torch.equal(states[0], states[1])
    assert torch.equal(states[0], states[2])


@pytest.mark.parametrize(
    ("chosen", "amount", "wanted"),
    [
        (MIRROR, -1.0, lambda pictures: pictures.flip(3)),
        (QUARTER, 1, lambda pictures: torch.rot90(pictures, 1, (2, 3))),
        (QUARTER, 2, lambda pictures: pictures.flip(2, 3)),
    ],
)
def test_mirrorings_and_quarter_turns_are_exact(chosen: int, amount: float, wanted: Any) -> None:
    pictures = images()
    assert (placed(chosen, amount, pictures) - wanted(pictures)).abs().max() < RESAMPLING


@pytest.mark.parametrize("pixels", [-2, 1, 2])
@pytest.mark.parametrize(("chosen", "axis"), [(SHIFT_X, 3), (SHIFT_Y, 2)])
def test_shifts_by_whole_pixels_are_exact_and_mirror_the_border(chosen: int, axis: int, pixels: int) -> None:
    pictures = images()
    wide = torch.from_numpy(np.pad(pictures.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)), mode="symmetric"))
    wanted = wide.narrow(axis, 2 + pixels, 16).narrow(5 - axis, 2, 16)
    assert (placed(chosen, pixels * 2 / 16, pictures) - wanted).abs().max() < RESAMPLING


def test_integer_shifts_are_drawn_in_whole_pixels_up_to_an_eighth() -> None:
    amounts: list[Tensor] = []

    class Watched(augmentation._Draws):
        def where_hit(self, amount: Tensor, neutral: float, *, probability: Tensor | None = None) -> Tensor:  # noqa: ARG002
            amounts.append(amount)
            return super().where_hit(amount, neutral)

    augmentation._geometry(Watched(*tables(500), torch.tensor(1.0)), 32)
    for chosen in (SHIFT_X, SHIFT_Y):
        pixels = amounts[chosen] * 32 / 2
        assert (pixels - pixels.round()).abs().max() < 1e-5
        assert pixels.abs().max() == 4


def test_a_picture_scaled_by_two_shows_its_middle() -> None:
    ramp = torch.linspace(-1, 1, 16).expand(1, 3, 16, 16)
    matrix = augmentation._geometry(_ChosenDraws(SIZE, 0.5), 16)
    torch.testing.assert_close(matrix[0], torch.diag(torch.tensor([0.5, 0.5, 1.0])))
    seen = augmentation._resample(ramp, matrix)
    torch.testing.assert_close(seen[0, 0, 0], torch.linspace(-0.5, 0.5, 16), atol=RESAMPLING, rtol=0)


def test_a_stretch_keeps_the_area() -> None:
    matrix = augmentation._geometry(_ChosenDraws(STRETCH, 1.5), 16)[0]
    assert torch.det(matrix).item() == pytest.approx(1.0)
    assert matrix[0, 0].item() == pytest.approx(1.5)


def test_turns_keep_lengths() -> None:
    matrix = augmentation._turn(torch.tensor([0.7]))[0, :2, :2]
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(2))


def coloured(chosen: int, amount: float, colour: list[float]) -> Tensor:
    matrix = augmentation._colour(_ChosenDraws(chosen, amount))[0]
    torch.testing.assert_close(matrix[3], torch.tensor([0.0, 0.0, 0.0, 1.0]))
    return (matrix @ torch.tensor([*colour, 1.0]))[:3]


GREY, ORANGE = [0.4, 0.4, 0.4], [0.9, 0.3, -0.6]


@pytest.mark.parametrize(("chosen", "amount"), [(HUE, 1.1), (HUE, math.pi), (SATURATION, 0.0), (SATURATION, 3.0)])
def test_hue_and_saturation_leave_grey_alone_and_keep_the_mean_of_a_colour(chosen: int, amount: float) -> None:
    torch.testing.assert_close(coloured(chosen, amount, GREY), torch.tensor(GREY))
    changed = coloured(chosen, amount, ORANGE)
    assert changed.mean().item() == pytest.approx(sum(ORANGE) / 3, abs=1e-6)
    assert (changed - torch.tensor(ORANGE)).abs().max() > 0.1


def test_no_saturation_is_grey() -> None:
    torch.testing.assert_close(coloured(SATURATION, 0.0, ORANGE), torch.full((3,), 0.2))


def test_a_third_of_a_hue_turn_moves_each_channel_to_the_next() -> None:
    torch.testing.assert_close(coloured(HUE, 2 * math.pi / 3, ORANGE), torch.tensor([-0.6, 0.9, 0.3]))


def test_a_luma_flip_negates_grey_and_keeps_what_is_coloured() -> None:
    torch.testing.assert_close(coloured(FLIP, 1.0, GREY), -torch.tensor(GREY))
    colour = torch.tensor([0.5, 0.0, -0.5])
    torch.testing.assert_close(coloured(FLIP, 1.0, colour.tolist()), colour)


def test_brightness_adds_and_contrast_multiplies() -> None:
    torch.testing.assert_close(coloured(BRIGHTNESS, 0.25, ORANGE), torch.tensor(ORANGE) + 0.25)
    torch.testing.assert_close(coloured(CONTRAST, 0.5, ORANGE), torch.tensor(ORANGE) / 2)


def test_gradients_reach_the_pictures() -> None:
    pictures = images().requires_grad_()
    augment(pictures, torch.tensor(0.7), generator()).square().mean().backward()
    assert pictures.grad is not None
    assert torch.isfinite(pictures.grad).all()
    assert (pictures.grad.abs().sum(dim=(1, 2, 3)) > 0).all()


def steered(target: float = 0.6, **options: Any) -> AdaptiveAugmentation:
    defaults = {"images_to_full": 100, "initial": 0.4, "interval_steps": 2}
    return AdaptiveAugmentation(AugmentationConfig(target=target, **(defaults | options)), MACHINE)


@pytest.mark.parametrize(("sign", "wanted"), [(1.0, 0.5), (0.0, 0.3)])
def test_the_probability_rises_when_the_critic_is_sure_and_falls_when_it_is_not(sign: float, wanted: float) -> None:
    control = steered()
    control.observe(torch.tensor(sign), 5, 0)
    assert control.probability.item() == pytest.approx(0.4)  # half of the interval
    control.observe(torch.tensor(sign), 5, 1)
    assert control.probability.item() == pytest.approx(wanted)  # 10 images of 100


def test_the_verdict_is_the_mean_over_the_interval_alone() -> None:
    control = steered()
    for step, sign in enumerate((1.0, 1.0, 1.0, 0.1)):  # means 1 and 0.55 against 0.6: up, then down
        control.observe(torch.tensor(sign), 5, step)
    assert control.probability.item() == pytest.approx(0.4)


@pytest.mark.parametrize(("sign", "bound"), [(1.0, 0.8), (-1.0, 0.0)])
def test_the_probability_stays_between_zero_and_its_maximum(sign: float, bound: float) -> None:
    control = steered()
    for step in range(40):
        control.observe(torch.tensor(sign), 5, step)
    assert control.probability.item() == pytest.approx(bound)


def test_a_saved_control_goes_on_within_its_interval() -> None:
    whole, first, second = steered(), steered(), steered()
    for control in (whole, first):
        control.observe(torch.tensor(1.0), 5, 0)
    saved = first.state_dict()
    first.observe(torch.tensor(-1.0), 5, 1)  # what is saved does not move with it
    second.load_state_dict(saved)
    for control in (whole, second):
        control.observe(torch.tensor(0.5), 5, 1)
    assert whole.probability.item() == pytest.approx(0.5)
    assert torch.equal(whole.probability, second.probability)


@pytest.mark.parametrize(
    "options",
    [{"initial": -0.1}, {"initial": 0.9}, {"maximum": 1.5}, {"images_to_full": 0}, {"interval_steps": 0}],
)
def test_impossible_controls_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        AugmentationConfig(**options)
