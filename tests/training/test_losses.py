"""Every loss against a value worked out by hand, and where its gradients go."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from vidrestore.errors import ConfigError
from vidrestore.training.gan import losses
from vidrestore.training.gan.losses import LossWeights

SOFTPLUS_0 = math.log(2)


def test_weights_default_to_the_papers() -> None:
    weights = LossWeights()
    assert (weights.l1, weights.perceptual, weights.adversarial) == (0.1, 1, 0.1)
    assert (weights.component_adversarial, weights.component_style, weights.identity) == (1, 200, 10)
    assert LossWeights(identity=0).identity == 0


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_weight_that_is_negative_or_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match=r"pyramid is \S+; use .*0 or more"):
        LossWeights(pyramid=value)


def test_l1_is_the_mean_absolute_difference() -> None:
    assert losses.l1(torch.tensor([1.0, -1.0]), torch.tensor([0.5, 1.0])).item() == pytest.approx(1.25)


def test_pyramid_compares_each_scale_with_the_truth_averaged_over_areas() -> None:
    truth = torch.zeros(1, 3, 4, 4)
    truth[..., 0, 0] = 1.0  # its 2x2 corner has a mean of 1/4
    images = (torch.zeros(1, 3, 2, 2), torch.full((1, 3, 4, 4), 0.5))
    assert losses.pyramid_l1(images, truth).item() == pytest.approx(0.25 / 4 + 0.5)


def test_pyramid_weight_falls_in_a_line_to_zero() -> None:
    weights = [losses.pyramid_weight(step, initial=2.0, until=100) for step in (0, 25, 100, 500)]
    assert weights == pytest.approx([2.0, 1.5, 0.0, 0.0])
    assert losses.pyramid_weight(0, until=0) == 0


def test_perceptual_weighs_layers() -> None:
    restored = (torch.ones(1, 2, 2, 2), torch.ones(1, 4, 1, 1))
    truth = (torch.zeros(1, 2, 2, 2), torch.full((1, 4, 1, 1), 3.0))
    assert losses.perceptual(restored, truth, (0.5, 10.0)).item() == pytest.approx(0.5 + 20)


def test_perceptual_wants_one_weight_of_each_layer() -> None:
    with pytest.raises(ValueError, match="zip"):
        losses.perceptual((torch.ones(1, 1, 1, 1),), (torch.ones(1, 1, 1, 1),), (1.0, 1.0))


def test_gram_is_the_product_of_channels_over_their_number_and_area() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])  # channels (1, 2) and (3, -1)
    wanted = torch.tensor([[[5.0, 1.0], [1.0, 10.0]]]) / 4
    torch.testing.assert_close(losses.gram(features), wanted)


def test_style_is_the_distance_of_gram_matrices_and_blind_to_position() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])
    assert losses.style((features,), (features.flip(3),), (1.0,)).item() == pytest.approx(0)
    wanted = (5 + 1 + 1 + 10) / 4 / 4
    assert losses.style((features,), (torch.zeros_like(features),), (2.0,)).item() == pytest.approx(2 * wanted)
    component = losses.component_style((features, features), (torch.zeros_like(features),) * 2)
    assert component.item() == pytest.approx(2 * wanted)


def test_adversarial_losses_are_logistic() -> None:
    zero, one = torch.zeros(2, 1), torch.ones(2, 1, 3, 3)
    assert losses.generator_adversarial(zero).item() == pytest.approx(SOFTPLUS_0)
    assert losses.generator_adversarial(one).item() == pytest.approx(math.log(1 + math.exp(-1)))
    assert losses.discriminator_adversarial(zero, zero).item() == pytest.approx(2 * SOFTPLUS_0)
    wanted = math.log(1 + math.exp(-1)) + SOFTPLUS_0
    assert losses.discriminator_adversarial(one, zero).item() == pytest.approx(wanted)


def test_generators_gradient_does_not_vanish_when_the_discriminator_is_sure() -> None:
    logits = torch.full((1, 1), -30.0, requires_grad=True)
    losses.generator_adversarial(logits).backward()
    assert logits.grad is not None
    assert logits.grad.item() == pytest.approx(-1)


def test_r1_is_the_squared_gradient_norm_and_trains_the_discriminator() -> None:
    images = torch.ones(2, 3, 2, 2, requires_grad=True)
    slope = torch.tensor(0.5, requires_grad=True)
    penalty = losses.r1_penalty((slope * images).sum(dim=(1, 2, 3)), images)
    assert penalty.item() == pytest.approx(12 * 0.25)
    penalty.backward()
    assert slope.grad is not None
    assert slope.grad.item() == pytest.approx(12 * 2 * 0.5)
    assert images.grad is None or not images.grad.any()


def test_path_lengths_average_squares_over_layers() -> None:
    """Image = codes.w in each of 2x2 pixels: the gradient is w * sum(noise) / 2 in each layer."""
    codes = torch.zeros(1, 2, 3, requires_grad=True)
    direction = torch.tensor([[3.0, 4.0, 0.0], [0.0, 0.0, 1.0]], requires_grad=True)
    images = (codes * direction).sum(dim=(1, 2))[:, None, None, None].expand(1, 1, 2, 2)
    noise = torch.tensor([[[[1.0, 2.0], [-1.0, 2.0]]]])  # sums to 4
    length = math.sqrt(((2 * 5) ** 2 + 2**2) / 2)
    penalty, lengths = losses.path_length(images, codes, 5.0, noise=noise)
    assert lengths.tolist() == pytest.approx([length])
    assert not lengths.requires_grad
    assert penalty.item() == pytest.approx((length - 5) ** 2, rel=1e-5)
    penalty.backward()
    assert direction.grad is not None
    assert direction.grad.any()


def test_path_length_takes_one_code_of_an_image() -> None:
    codes = torch.zeros(2, 3, requires_grad=True)
    images = codes.sum(dim=1)[:, None, None, None].expand(2, 1, 1, 1)
    _, lengths = losses.path_length(images, codes, torch.zeros(()), noise=torch.ones(2, 1, 1, 1))
    assert lengths.tolist() == pytest.approx([math.sqrt(3)] * 2)


def test_identity_is_zero_for_one_person_and_does_not_depend_on_the_dimensions() -> None:
    for dimensions in (4, 256):
        embedding = F.normalize(torch.ones(2, dimensions), dim=1)
        assert losses.identity(embedding, embedding).item() == 0
        assert losses.identity(embedding, -embedding).item() == pytest.approx(2)


def test_identity_cosine_tells_the_angle() -> None:
    one, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]])
    assert losses.identity_cosine(one, one).item() == pytest.approx(0)
    assert losses.identity_cosine(one, other).item() == pytest.approx(0.4)


PAIRWISE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": losses.l1,
    "pyramid_l1": lambda a, b: losses.pyramid_l1((a,), b),
    "perceptual": lambda a, b: losses.perceptual((a,), (b,), (1.0,)),
    "style": lambda a, b: losses.style((a,), (b,), (1.0,)),
    "component_style": lambda a, b: losses.component_style((a,), (b,)),
    "identity": lambda a, b: losses.identity(a.flatten(1), b.flatten(1)),
    "identity_cosine": lambda a, b: losses.identity_cosine(a.flatten(1), b.flatten(1)),
}


@pytest.mark.parametrize("loss", PAIRWISE.values(), ids=PAIRWISE.keys())
def test_gradients_reach_the_restored_side_alone(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    generator = torch.Generator().manual_seed(3)
    restored, truth = (torch.randn(2, 3, 4, 4, generator=generator).requires_grad_() for _ in range(2))
    loss(restored, truth).backward()
    assert restored.grad is not None
    assert restored.grad.any()
    assert truth.grad is None


@pytest.mark.parametrize("loss", PAIRWISE.values(), ids=PAIRWISE.keys())
def test_losses_reduce_in_float32_under_autocast(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    generator = torch.Generator().manual_seed(4)
    restored, truth = (torch.randn(2, 3, 32, 32, generator=generator).bfloat16() for _ in range(2))
    wanted = loss(restored.double().float(), truth.double().float())
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(restored, truth)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-7)


def test_chroma_does_not_count_brightness_and_counts_colour() -> None:
    truth = torch.zeros(2, 3, 8, 8)
    assert losses.chroma_l1(truth + 0.5, truth, cell=4).item() == pytest.approx(0, abs=1e-6)
    blue = truth.clone()
    blue[:, 2] = 1  # luma 0.114: Cb is (1 - 0.114) / 1.772 = 0.5, Cr is -0.114 / 1.402
    assert losses.chroma_l1(blue, truth, cell=4).item() == pytest.approx((0.5 + 0.114 / 1.402) / 2)


def test_chroma_compares_means_of_cells() -> None:
    truth = torch.zeros(1, 3, 4, 4)
    restored = truth.clone()
    restored[:, 0, ::2] = 1
    restored[:, 0, 1::2] = -1
    assert losses.chroma_l1(restored, truth, cell=2).item() == pytest.approx(0, abs=1e-6)
    assert losses.chroma_l1(restored, truth, cell=1).item() > 0.1


def test_chroma_of_places_is_theirs_alone_and_each_image_counts_alike() -> None:
    truth = torch.zeros(2, 3, 8, 8)
    restored = truth.clone()
    restored[:, 0, :4, :4] = 1
    places = torch.zeros(2, 1, 8, 8)
    places[0, :, :4, :4] = 1
    places[1, :, 4:, 4:] = 1
    inside = losses.chroma_l1(restored[:1], truth[:1], cell=2, places_B1HW=places[:1])
    both = losses.chroma_l1(restored, truth, cell=2, places_B1HW=places)
    assert both.item() == pytest.approx(inside.item() / 2)
    assert inside.item() > losses.chroma_l1(restored, truth, cell=2).item()


def test_chroma_teaches_the_restored_side_only() -> None:
    restored = torch.zeros(1, 3, 4, 4, requires_grad=True)
    truth = torch.ones(1, 3, 4, 4, requires_grad=True) * torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    losses.chroma_l1(restored, truth, cell=2).backward()
    assert restored.grad is not None
    assert restored.grad.abs().sum() > 0
