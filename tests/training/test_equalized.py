"""Parameter groups stand in for StyleGAN's run-time scales: the rates, and the proof that a step is the same."""

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from vidrestore.models.discriminators import ComponentDiscriminator, StyleDiscriminator
from vidrestore.models.gfpgan import GFPGANConfig
from vidrestore.models.stylegan2 import StyleDecoder
from vidrestore.training.loop.equalized import equalized_groups

RATE = 0.002


def rates_of(network: nn.Module) -> dict[str, float]:
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    groups = equalized_groups(network, learning_rate=RATE)
    return {names[id(parameter)]: group["lr"] for group in groups for parameter in group["params"]}


def decoder_of(config: GFPGANConfig) -> StyleDecoder:
    return StyleDecoder(
        channels=config.channels,
        out_size=config.out_size,
        num_style_feat=config.num_style_feat,
        num_mlp=config.num_mlp,
    )


def test_decoder_layers_learn_at_the_rate_over_the_root_of_fan_in(tiny: GFPGANConfig) -> None:
    rates, channels, codes = rates_of(decoder_of(tiny)), tiny.channels[4], tiny.num_style_feat
    assert rates["style_conv1.modulated_conv.weight"] == pytest.approx(RATE / math.sqrt(channels * 9))
    assert rates["style_conv1.modulated_conv.modulation.weight"] == pytest.approx(RATE / math.sqrt(codes))
    assert rates["to_rgb1.modulated_conv.weight"] == pytest.approx(RATE / math.sqrt(channels))
    for name in ("style_conv1.modulated_conv.modulation.bias", "style_conv1.bias", "style_conv1.weight"):
        assert rates[name] == RATE
    assert rates["to_rgb1.bias"] == rates["constant_input.weight"] == RATE


def test_the_mapping_network_learns_at_a_hundredth(tiny: GFPGANConfig) -> None:
    rates = rates_of(decoder_of(tiny))
    assert rates["style_mlp.1.weight"] == pytest.approx(0.01 * RATE / math.sqrt(tiny.num_style_feat))
    assert rates["style_mlp.1.bias"] == pytest.approx(0.01 * RATE)


def test_layers_of_a_discriminator_likewise(tiny: GFPGANConfig) -> None:
    network = StyleDiscriminator(channels=tiny.channels, out_size=tiny.out_size)
    rates, channels = rates_of(network), tiny.channels[4]
    assert rates["from_rgb.weight"] == pytest.approx(RATE / math.sqrt(3))
    assert rates["final_conv.weight"] == pytest.approx(RATE / math.sqrt((channels + 1) * 9))
    assert rates["final_linear.weight"] == pytest.approx(RATE / math.sqrt(channels * 16))
    assert rates["final_linear.bias"] == RATE


def test_every_parameter_is_in_one_group(tiny: GFPGANConfig) -> None:
    for network in (
        decoder_of(tiny),
        StyleDiscriminator(channels=tiny.channels, out_size=tiny.out_size),
        nn.ModuleDict({"eye": ComponentDiscriminator(8), "mouth": ComponentDiscriminator(8)}),
    ):
        groups = equalized_groups(network, learning_rate=RATE)
        grouped = [id(parameter) for group in groups for parameter in group["params"]]
        assert len(grouped) == len(set(grouped))
        assert set(grouped) == {id(parameter) for parameter in network.parameters()}
        assert all(group["lr"] == group["base_lr"] for group in groups)
        assert len({group["lr"] for group in groups}) == len(groups)


class _Plain(nn.Module):
    """Weights that hold the scale already."""

    def __init__(self, convolution: Tensor, linear: Tensor) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 4, 3, padding=1, dtype=torch.float64)
        self.linear = nn.Linear(64, 3, dtype=torch.float64)
        with torch.no_grad():
            self.convolution.weight.copy_(convolution / math.sqrt(18))
            self.linear.weight.copy_(linear / math.sqrt(64))
            self.convolution.bias.zero_()
            self.linear.bias.zero_()

    def forward(self, images: Tensor) -> Tensor:
        answer: Tensor = self.linear(torch.tanh(self.convolution(images)).flatten(1))
        return answer


class _Scaled(nn.Module):
    """StyleGAN's layers: unit weights, multiplied by c at every use."""

    def __init__(self, convolution: Tensor, linear: Tensor) -> None:
        super().__init__()
        self.convolution, self.linear = nn.Parameter(convolution.clone()), nn.Parameter(linear.clone())
        self.convolution_bias = nn.Parameter(torch.zeros(4, dtype=torch.float64))
        self.linear_bias = nn.Parameter(torch.zeros(3, dtype=torch.float64))

    def forward(self, images: Tensor) -> Tensor:
        weight = self.convolution / math.sqrt(18)
        features = torch.tanh(F.conv2d(images, weight, self.convolution_bias, padding=1))
        return F.linear(features.flatten(1), self.linear / math.sqrt(64), self.linear_bias)


def test_adam_on_the_groups_steps_as_adam_on_explicitly_scaled_layers() -> None:
    generator = torch.Generator().manual_seed(0)
    convolution = torch.randn(4, 2, 3, 3, generator=generator, dtype=torch.float64)
    linear = torch.randn(3, 64, generator=generator, dtype=torch.float64)
    plain, scaled = _Plain(convolution, linear), _Scaled(convolution, linear)
    # A tiny epsilon: Adam's own is the one thing that does depend on the gradient's scale.
    options = {"betas": (0.0, 0.99), "eps": 1e-20}
    ours = torch.optim.Adam(equalized_groups(plain, learning_rate=0.01), **options)
    theirs = torch.optim.Adam(scaled.parameters(), lr=0.01, **options)
    start = plain.linear.weight.detach().clone()
    for _ in range(3):
        images = torch.randn(5, 2, 4, 4, generator=generator, dtype=torch.float64)
        for network, optimizer in ((plain, ours), (scaled, theirs)):
            optimizer.zero_grad()
            (network(images) - 1).square().mean().backward()
            optimizer.step()
        torch.testing.assert_close(plain(images), scaled(images), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(plain.linear.weight * 8, scaled.linear, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(plain.convolution.weight * math.sqrt(18), scaled.convolution, rtol=1e-10, atol=1e-10)
    assert (plain.linear.weight - start).abs().min() > 1e-5
