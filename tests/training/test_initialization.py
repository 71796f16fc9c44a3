"""What a GFP-GAN starts with: conditions that do nothing, and the prior's mean face."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vidrestore.errors import ModelError
from vidrestore.models.checkpoint import save_safetensors
from vidrestore.models.gfpgan import GFPGANConfig
from vidrestore.models.stylegan2 import StyleDecoder
from vidrestore.training.gan.initialization import MEAN_CODE, initialised, read_prior

WIDE = GFPGANConfig(out_size=64, num_style_feat=32, channel_multiplier=1, num_mlp=2, narrow=1 / 8)
"""Wide enough that means over channels are means."""


def faces(batch: int = 4) -> Tensor:
    small = torch.rand(batch, 3, 8, 8, generator=torch.Generator().manual_seed(3)) * 2 - 1
    return small.repeat_interleave(8, 2).repeat_interleave(8, 3)


def decoder_of(config: GFPGANConfig) -> StyleDecoder:
    """A trained prior in small: the strengths of its noise and its biases are no longer zero."""
    torch.manual_seed(8)
    decoder = StyleDecoder(
        channels=config.channels,
        out_size=config.out_size,
        num_style_feat=config.num_style_feat,
        num_mlp=config.num_mlp,
    )
    for name, parameter in decoder.named_parameters():
        if parameter.dim() == 1 or name.endswith("bias"):
            torch.nn.init.normal_(parameter, mean=1.0 if "modulation" in name else 0.0, std=0.1)
    return decoder


def prior_of(config: GFPGANConfig) -> dict[str, Tensor]:
    decoder = decoder_of(config)
    with torch.no_grad():
        mean = decoder.style_mlp(torch.randn(500, config.num_style_feat)).mean(dim=0)
    return decoder.state_dict() | {MEAN_CODE: mean}


def test_conditions_start_near_scale_by_one_and_shift_by_nothing() -> None:
    network = initialised(WIDE, seed=0)
    with torch.no_grad():
        _, conditions = network.encode(faces())
    for scale, shift in conditions:
        assert scale.mean().item() == pytest.approx(1, abs=0.15)
        assert shift.mean().item() == pytest.approx(0, abs=0.15)
        assert scale.std() < 0.5
        assert shift.std() < 0.5


def test_the_unet_keeps_its_signal_through_all_levels() -> None:
    network = initialised(WIDE, seed=0)
    with torch.no_grad():
        _, pyramid = network._unet(faces())
    for features in pyramid:
        assert 0.2 < features.std() < 5


@pytest.mark.parametrize("different_w", [True, False])
def test_codes_start_near_the_priors_mean(*, different_w: bool) -> None:
    config = replace(WIDE, different_w=different_w)
    prior = prior_of(config)
    prior[MEAN_CODE] = torch.linspace(-2, 2, config.num_style_feat)
    network = initialised(config, seed=0, prior=prior)
    with torch.no_grad():
        codes, _ = network.encode(faces(32))
    assert codes.shape == (32, config.num_latent, config.num_style_feat)
    assert (codes.mean(dim=(0, 1)) - prior[MEAN_CODE]).abs().mean() < 0.3
    assert codes.std(dim=0).mean() < 0.6


def test_the_first_output_is_near_the_priors_mean_face() -> None:
    prior = prior_of(WIDE)
    network = initialised(WIDE, seed=0, prior=prior)
    with torch.no_grad():
        mean_codes = prior[MEAN_CODE].expand(1, WIDE.num_latent, -1)
        mean_face = network.stylegan_decoder(mean_codes)
        others = network.stylegan_decoder(torch.randn(4, WIDE.num_latent, WIDE.num_style_feat))
        first = network(faces())
    assert torch.isfinite(first).all()
    off = (first - mean_face).abs().mean()
    assert off < 0.5 * mean_face.std()
    assert off < 0.5 * (others - mean_face).abs().mean()


def test_the_decoder_is_the_priors_to_the_bit(tiny: GFPGANConfig) -> None:
    prior = prior_of(tiny)
    network = initialised(tiny, seed=0, prior=prior)
    state = network.stylegan_decoder.state_dict()
    assert state.keys() == prior.keys() - {MEAN_CODE}
    assert all(torch.equal(state[name], prior[name]) for name in state)


def test_the_seed_decides(tiny: GFPGANConfig) -> None:
    first, again, other = (initialised(tiny, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["final_linear.weight"], other["final_linear.weight"])


def without_a_tensor(prior: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in prior.items() if name != "constant_input.weight"}


def with_a_tensor_more(prior: dict[str, Tensor]) -> dict[str, Tensor]:
    return prior | {"a.weight": torch.zeros(2)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_a_tensor, r"1 tensors differ, the first is constant_input\.weight with shape missing, wanted \[1, 16"),
        (with_a_tensor_more, r"1 tensors differ, the first is a\.weight with shape \[2\], wanted missing"),
    ],
)
def test_a_prior_with_other_tensors_is_refused(
    tiny: GFPGANConfig, change: Callable[[dict[str, Tensor]], dict[str, Tensor]], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        initialised(tiny, seed=0, prior=change(prior_of(tiny)))


def test_a_prior_of_another_width_is_refused_with_advice(tiny: GFPGANConfig) -> None:
    prior = prior_of(replace(tiny, narrow=1 / 16))
    with pytest.raises(ModelError, match=r"the first is constant_input\.weight with shape \[1, 32, 4, 4\]") as caught:
        initialised(tiny, seed=0, prior=prior)
    assert "wanted [1, 16, 4, 4]; train one with the same out_size, narrow" in caught.value.message


def test_a_prior_is_read_from_its_own_file_or_out_of_a_whole_network(tmp_path: Path, tiny: GFPGANConfig) -> None:
    prior = prior_of(tiny)
    save_safetensors(prior, tmp_path / "prior.safetensors", {})
    save_safetensors(initialised(tiny, seed=0, prior=prior).state_dict(), tmp_path / "whole.safetensors", {})
    own, inside = read_prior(tmp_path / "prior.safetensors"), read_prior(tmp_path / "whole.safetensors")
    assert own.keys() == prior.keys()
    assert inside.keys() == prior.keys() - {MEAN_CODE}
    assert all(torch.equal(own[name], inside[name]) for name in inside)


def test_a_prior_in_half_precision_is_used_in_float32(tiny: GFPGANConfig) -> None:
    prior = {name: tensor.half() for name, tensor in prior_of(tiny).items()}
    network = initialised(tiny, seed=0, prior=prior)
    assert {tensor.dtype for tensor in network.state_dict().values()} == {torch.float32}
