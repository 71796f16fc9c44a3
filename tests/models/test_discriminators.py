"""The critics: shapes, the deviation of a batch by hand, and gradients that stay finite."""

import math

import pytest
import torch

from vidrestore.models.discriminators import ComponentDiscriminator, StyleDiscriminator, minibatch_deviation
from vidrestore.models.gfpgan import GFPGANConfig

TINY = GFPGANConfig(out_size=64, num_style_feat=16, channel_multiplier=1, num_mlp=2, narrow=1 / 32)
ROOT_FLOOR = 1e-4


def tiny_discriminator(seed: int = 0) -> StyleDiscriminator:
    torch.manual_seed(seed)
    return StyleDiscriminator(channels=TINY.channels, out_size=TINY.out_size)


def test_one_logit_a_face() -> None:
    assert tiny_discriminator()(torch.randn(8, 3, 64, 64)).shape == (8, 1)


def test_a_block_for_each_halving_down_to_4_pixels() -> None:
    assert len(tiny_discriminator().blocks) == 4  # 64 -> 32 -> 16 -> 8 -> 4


def test_signals_of_order_one_give_logits_of_order_one() -> None:
    torch.manual_seed(1)
    channels = dict.fromkeys((4, 8, 16, 32, 64), 32)
    logits = StyleDiscriminator(channels=channels, out_size=64)(torch.randn(64, 3, 64, 64))
    assert 0.1 < logits.abs().mean() < 3


@pytest.mark.parametrize("width", [8, 12])
def test_a_component_gets_a_logit_a_patch_and_two_feature_maps(width: int) -> None:
    logits, (middle, deep) = ComponentDiscriminator(width)(torch.randn(2, 3, 20, 20))
    assert logits.shape == (2, 1, 5, 5)
    assert middle.shape == (2, 2 * width, 10, 10)
    assert deep.shape == (2, 4 * width, 5, 5)


def test_a_component_of_odd_side_is_judged_too() -> None:
    logits, (middle, deep) = ComponentDiscriminator(8)(torch.randn(2, 3, 15, 15))
    assert (logits.shape[-1], middle.shape[-1], deep.shape[-1]) == (3, 7, 3)


def test_deviation_is_the_mean_over_features_of_the_root_of_the_variance() -> None:
    features = torch.zeros(2, 2, 1, 1)
    features[0, 0], features[1, 0] = 1.0, 5.0  # variance 4; the other channel has none
    wanted = (math.sqrt(4 + ROOT_FLOOR) + math.sqrt(ROOT_FLOOR)) / 2
    deviation = minibatch_deviation(features, 2)
    assert deviation.shape == (2, 1, 1, 1)
    torch.testing.assert_close(deviation.flatten(), torch.full((2,), wanted))


def test_deviation_is_of_each_group_by_itself() -> None:
    features = torch.tensor([0.0, 7.0, 2.0, 7.0]).reshape(4, 1, 1, 1)  # groups of two: faces 0 and 2, 1 and 3
    alike, apart = math.sqrt(ROOT_FLOOR), math.sqrt(1 + ROOT_FLOOR)
    torch.testing.assert_close(minibatch_deviation(features, 2).flatten(), torch.tensor([apart, alike, apart, alike]))


def test_deviation_covers_the_whole_map_in_the_features_dtype() -> None:
    deviation = minibatch_deviation(torch.randn(4, 3, 4, 4).bfloat16(), 4)
    assert deviation.shape == (4, 1, 4, 4)
    assert deviation.dtype == torch.bfloat16
    assert len(deviation.unique()) == 1


@pytest.mark.parametrize(("batch", "groups"), [(1, 1), (3, 1), (4, 1), (6, 2), (8, 2), (10, 5)])
def test_any_batch_can_be_judged_in_equal_groups_of_four_at_most(batch: int, groups: int) -> None:
    torch.manual_seed(2)
    deviation = minibatch_deviation(torch.randn(batch, 3, 4, 4), 4)
    assert deviation.shape == (batch, 1, 4, 4)
    assert len(deviation.unique()) == groups
    assert tiny_discriminator()(torch.randn(batch, 3, 64, 64)).shape == (batch, 1)


def test_the_deviation_reaches_the_logits() -> None:
    discriminator, face = tiny_discriminator(), torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        alone = discriminator(face)
        beside_others = discriminator(torch.cat((face, torch.randn(3, 3, 64, 64))))[:1]
    assert (alone - beside_others).abs() > 1e-4


def test_gradients_are_finite_when_all_faces_are_equal() -> None:
    discriminator = tiny_discriminator()
    faces = torch.randn(1, 3, 64, 64).repeat(4, 1, 1, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(faces).sum(), faces, create_graph=True)
    gradient.square().sum().backward()  # the second derivative, which R1 takes
    assert torch.isfinite(gradient).all()
    assert all(
        torch.isfinite(parameter.grad).all() for parameter in discriminator.parameters() if parameter.grad is not None
    )
    assert discriminator.from_rgb.weight.grad is not None


def test_gradient_of_the_deviation_stays_bounded_as_faces_grow_alike() -> None:
    for spread in (1e-2, 1e-4, 1e-8, 0.0):
        features = (1 + spread * torch.randn(4, 2, 4, 4, generator=torch.Generator().manual_seed(3))).requires_grad_()
        (first,) = torch.autograd.grad(minibatch_deviation(features, 4).sum(), features, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), features)
        assert first.abs().max() < 2
        assert second.abs().max() < 100  # with the 1e-8 of StyleGAN2 it reaches thousands
