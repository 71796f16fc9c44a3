"""The decoder's parts against their definitions in the paper."""

import pytest
import torch

from vidrestore.models.stylegan2 import (
    GAIN,
    ModulatedConv2d,
    NormStyleCode,
    StoredNoise,
    StyleConv,
    StyleDecoder,
    ToRGB,
    double,
    spatial_transform,
)


def by_the_paper(layer: ModulatedConv2d, features: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
    """Equations 1 to 3: fold the style into a weight of each sample's own."""
    if layer.upsample:
        features = torch.nn.functional.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
    images = []
    for sample, style in zip(features, layer.modulation(code), strict=True):
        weight = layer.weight[0] * style[None, :, None, None]
        if layer.demodulate:
            weight = GAIN * weight / torch.sqrt(weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8)
        images.append(torch.nn.functional.conv2d(sample[None], weight, padding=layer.padding))
    return torch.cat(images)


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("upsample", [True, False])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_modulated_convolution_equals_the_folded_weights_of_the_paper(
    *, demodulate: bool, upsample: bool, kernel_size: int
) -> None:
    torch.manual_seed(1)
    layer = ModulatedConv2d(12, 10, kernel_size=kernel_size, num_style_feat=6, demodulate=demodulate, upsample=upsample)
    features, code = torch.randn(3, 12, 8, 8), torch.randn(3, 6)
    assert layer(features, code).sub(by_the_paper(layer, features, code)).abs().max() < 1e-5


def test_demodulated_convolution_has_the_same_variance_whatever_the_style() -> None:
    torch.manual_seed(2)
    layer = ModulatedConv2d(64, 32, kernel_size=3, num_style_feat=8)
    out = layer(torch.randn(4, 64, 32, 32), 5 * torch.randn(4, 8))
    assert 0.9 * GAIN < out[..., 1:-1, 1:-1].std() < 1.1 * GAIN


def test_demodulation_is_computed_in_float32_when_the_features_are_bf16() -> None:
    torch.manual_seed(3)
    layer = ModulatedConv2d(64, 32, kernel_size=3, num_style_feat=8).bfloat16()
    scale = layer.modulation(torch.randn(2, 8).bfloat16())
    assert layer._demodulation(scale).dtype == torch.float32
    assert layer(torch.randn(2, 64, 8, 8).bfloat16(), torch.randn(2, 8).bfloat16()).dtype == torch.bfloat16


def test_style_convolution_adds_the_noise_it_is_given() -> None:
    torch.manual_seed(4)
    layer = StyleConv(4, 4, num_style_feat=3)
    torch.nn.init.constant_(layer.weight, 0.5)
    torch.nn.init.constant_(layer.bias, 100.0)  # keeps the leaky ReLU on its straight side
    features, code, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 3), torch.randn(1, 1, 8, 8)
    difference = layer(features, code, noise) - layer(features, code, torch.zeros_like(noise))
    assert torch.allclose(difference, (0.5 * noise).expand_as(difference), atol=2e-5)


def test_images_are_summed_in_float32_when_the_features_are_bf16() -> None:
    layer = ToRGB(4, num_style_feat=3).bfloat16()
    assert layer(torch.randn(1, 4, 8, 8).bfloat16(), torch.randn(1, 3).bfloat16()).dtype == torch.float32


def test_a_condition_of_half_the_channels_leaves_the_first_half_alone() -> None:
    features, scale, shift = torch.randn(2, 8, 4, 4), torch.randn(2, 4, 4, 4), torch.randn(2, 4, 4, 4)
    out = spatial_transform(features, scale, shift)
    assert torch.equal(out[:, :4], features[:, :4])
    assert torch.equal(out[:, 4:], features[:, 4:] * scale + shift)


def test_a_condition_of_all_channels_changes_all() -> None:
    features, scale, shift = torch.randn(3, 2, 8, 4, 4)
    assert torch.equal(spatial_transform(features, scale, shift), features * scale + shift)


def test_normalised_codes_have_unit_mean_square() -> None:
    codes = NormStyleCode()(7 * torch.randn(5, 32))
    assert torch.allclose(codes.square().mean(dim=1), torch.ones(5), atol=1e-5)


def test_stored_noise_is_a_buffer_for_each_layer_at_its_size() -> None:
    noise = StoredNoise(log_size=8)
    shapes = {name: tuple(tensor.shape) for name, tensor in noise.state_dict().items()}
    sides = [4, 8, 8, 16, 16, 32, 32, 64, 64, 128, 128, 256, 256]
    assert shapes == {f"noise{layer}": (1, 1, side, side) for layer, side in enumerate(sides)}
    assert noise(3) is noise.noise3


def test_the_decoder_refuses_conditions_of_too_few_levels() -> None:
    decoder = StyleDecoder(channels={4: 4, 8: 4, 16: 4}, out_size=16, num_style_feat=3, num_mlp=1)
    condition = (torch.ones(1, 2, 8, 8), torch.zeros(1, 2, 8, 8))
    with pytest.raises(ValueError, match="zip"):
        decoder(torch.randn(1, decoder.num_latent, 3), [condition])


def small_decoder() -> StyleDecoder:
    """A decoder whose noise has a strength, so that it shows."""
    torch.manual_seed(5)
    decoder = StyleDecoder(channels={4: 8, 8: 8, 16: 4}, out_size=16, num_style_feat=6, num_mlp=1)
    for name, parameter in decoder.named_parameters():
        if parameter.shape == (1,):
            torch.nn.init.constant_(parameter, 0.5)
        elif name.endswith("bias"):
            torch.nn.init.normal_(parameter, mean=1.0 if "modulation" in name else 0.0, std=0.1)
    return decoder


def test_missing_conditions_equal_scale_one_and_shift_zero() -> None:
    decoder, codes = small_decoder(), torch.randn(2, 6, 6)
    neutral = [
        (torch.ones(2, channels // 2, s, s), torch.zeros(2, channels // 2, s, s)) for channels, s in ((8, 8), (4, 16))
    ]
    alone = decoder(codes)
    assert alone.shape == (2, 3, 16, 16)
    assert torch.equal(alone, decoder(codes, neutral))
    changed = [(scale + 1, shift) for scale, shift in neutral]
    assert not torch.allclose(alone, decoder(codes, changed))


def test_noise_that_is_not_given_is_the_stored_noise() -> None:
    decoder, codes = small_decoder(), torch.randn(2, 6, 6)
    stored = tuple(decoder.noises.buffers())
    assert torch.equal(decoder(codes), decoder(codes, None, stored))
    assert not torch.allclose(decoder(codes), decoder(codes, None, [torch.zeros_like(noise) for noise in stored]))


def test_each_layer_takes_its_own_noise() -> None:
    decoder, codes = small_decoder(), torch.randn(1, 6, 6)
    stored = list(decoder.noises.buffers())
    for layer, noise in enumerate(stored):
        changed = [*stored[:layer], noise + 1, *stored[layer + 1 :]]
        assert not torch.allclose(decoder(codes), decoder(codes, None, changed))


def test_drawn_noise_fits_each_layer_and_face_and_comes_of_the_generator_alone() -> None:
    decoder = small_decoder()
    first = decoder.draw_noises(3, torch.Generator().manual_seed(1))
    again = decoder.draw_noises(3, torch.Generator().manual_seed(1))
    other = decoder.draw_noises(3, torch.Generator().manual_seed(2))
    assert [tuple(noise.shape) for noise in first] == [(3, 1, side, side) for side in (4, 8, 8, 16, 16)]
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not any(torch.equal(one, two) for one, two in zip(first, other, strict=True))
    assert torch.cat([noise.flatten() for noise in first]).std().item() == pytest.approx(1, abs=0.1)


def test_faces_of_one_code_differ_by_their_noise_alone() -> None:
    decoder, codes = small_decoder(), torch.randn(1, 6, 6).expand(2, -1, -1)
    stored = decoder(codes)
    assert torch.allclose(stored[0], stored[1], atol=1e-5)
    drawn = decoder(codes, None, decoder.draw_noises(2, torch.Generator().manual_seed(1)))
    assert not torch.allclose(drawn[0], drawn[1], atol=1e-2)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (5, 4)])
def test_doubling_has_the_gradient_of_bilinear_resampling(height: int, width: int) -> None:
    features = torch.randn(2, 3, height, width, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, 3, 2 * height, 2 * width, dtype=torch.float64)
    (ours,) = torch.autograd.grad((double(features) * weights).sum(), features)
    plain = torch.nn.functional.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)
    (wanted,) = torch.autograd.grad((plain * weights).sum(), features)
    torch.testing.assert_close(ours, wanted)
    assert torch.autograd.gradgradcheck(double, (features,)), "path length differentiates twice"
