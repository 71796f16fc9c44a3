"""The network against spandrel's implementation of the same architecture, and its own contract."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from vidrestore.errors import ConfigError, ModelError
from vidrestore.models.gfpgan import GFPGAN, Encoding, GFPGANConfig

OFFICIAL = GFPGANConfig()
SHAPES = {
    "official 512": OFFICIAL,
    "compact 256": GFPGANConfig(out_size=256, num_style_feat=256, channel_multiplier=1, num_mlp=2, narrow=0.5),
    "narrow 1024": GFPGANConfig(out_size=1024, num_style_feat=64, num_mlp=2, narrow=0.125),
    "all channels conditioned": GFPGANConfig(out_size=256, num_style_feat=32, num_mlp=1, narrow=0.125, sft_half=False),
    "one code": GFPGANConfig(out_size=256, num_style_feat=32, num_mlp=2, narrow=0.125, different_w=False),
    "mapped codes": GFPGANConfig(out_size=256, num_style_feat=32, num_mlp=3, narrow=0.125, input_is_latent=False),
    "one mapped code": GFPGANConfig(
        out_size=256, num_style_feat=32, num_mlp=3, narrow=0.125, input_is_latent=False, different_w=False
    ),
}
Build = Callable[[GFPGANConfig], GFPGAN]
Faces = Callable[[GFPGANConfig, int], Tensor]


@pytest.mark.parametrize(
    "config",
    [
        # the largest takes half a minute, and differs from the others in nothing but numbers
        pytest.param(config, id=name, marks=[pytest.mark.nightly] if config is OFFICIAL else [])
        for name, config in SHAPES.items()
    ],
)
def test_output_and_pyramid_equal_spandrels(
    config: GFPGANConfig, random_network: Build, oracle: Callable[[GFPGANConfig], Any], make_faces: Faces
) -> None:
    network, reference = random_network(config), oracle(config)
    reference.load_state_dict(network.state_dict(), strict=True)
    faces = make_faces(config, 1)
    with torch.inference_mode():
        wanted, wanted_pyramid = reference(faces, return_rgb=True, randomize_noise=False)
        image, pyramid = network.forward_with_pyramid(faces)
    assert (image - wanted).abs().max() <= 1e-4 * wanted.std()
    assert len(pyramid) == len(wanted_pyramid) == config.log_size - 2
    for ours, theirs in zip(pyramid, wanted_pyramid, strict=True):
        assert (ours - theirs).abs().max() <= 1e-4 * theirs.std()


@pytest.mark.parametrize("config", SHAPES.values(), ids=SHAPES.keys())
def test_state_of_spandrels_network_loads_strictly_and_tells_the_configuration(
    config: GFPGANConfig, oracle: Callable[[GFPGANConfig], Any]
) -> None:
    with torch.device("meta"):
        state = oracle(config).state_dict()
        GFPGAN(config).load_state_dict(state, strict=True, assign=True)
    assert GFPGANConfig.from_state_dict(state) == replace(config, input_is_latent=True)


def test_official_configuration_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in GFPGAN(OFFICIAL).parameters())
    assert count == pytest.approx(86.4e6, rel=0.01)


@pytest.mark.integration
def test_a_batch_of_eight_equals_eight_single_calls(
    small: GFPGANConfig, random_network: Build, make_faces: Faces
) -> None:
    network, faces = random_network(small), make_faces(small, 8)
    with torch.inference_mode():
        together = network(faces)
        alone = torch.cat([network(face[None]) for face in faces])
    assert (together - alone).abs().max() <= 1e-5 * alone.abs().max()


def test_memory_layout_does_not_change_the_result(
    small: GFPGANConfig, random_network: Build, make_faces: Faces
) -> None:
    network, faces = random_network(small), make_faces(small, 2)
    names = {name: tensor.shape for name, tensor in network.state_dict().items()}
    with torch.inference_mode():
        plain = network(faces)
        network.to_channels_last()
        assert network.stylegan_decoder.style_conv1.modulated_conv.weight[0].is_contiguous(
            memory_format=torch.channels_last
        )
        laid_out = network(faces.contiguous(memory_format=torch.channels_last))
    assert (plain - laid_out).abs().max() <= 1e-4 * plain.std()
    assert {name: tensor.shape for name, tensor in network.state_dict().items()} == names


def test_two_calls_give_the_same_bits_because_the_noise_is_stored(
    tiny: GFPGANConfig, random_network: Build, make_faces: Faces
) -> None:
    network, faces = random_network(tiny), make_faces(tiny, 1)
    with torch.inference_mode():
        first = network(faces)
        assert torch.equal(first, network(faces))
        network.stylegan_decoder.noises.noise12.zero_()
        assert not torch.equal(first, network(faces))


@pytest.mark.parametrize("different_w", [True, False])
def test_encoding_and_decoding_compose_to_the_forward_pass(
    tiny: GFPGANConfig, random_network: Build, make_faces: Faces, *, different_w: bool
) -> None:
    config = replace(tiny, different_w=different_w)
    network, faces = random_network(config), make_faces(config, 2)
    with torch.inference_mode():
        codes, conditions = encoding = network.encode(faces)
        assert codes.shape == (2, config.num_latent, config.num_style_feat)
        assert [tuple(scale.shape[2:]) for scale, _ in conditions] == [(s, s) for s in (8, 16, 32, 64, 128, 256)]
        assert torch.equal(network.decode(encoding), network(faces))
        assert not torch.allclose(network.decode(Encoding(codes * 1.1, conditions)), network(faces))


def test_every_parameter_that_the_forward_pass_uses_gets_a_gradient(
    tiny: GFPGANConfig, random_network: Build, make_faces: Faces
) -> None:
    network = random_network(tiny).train()
    image, pyramid = network.forward_with_pyramid(make_faces(tiny, 1))
    (image.square().mean() + sum(level.square().mean() for level in pyramid)).backward()
    idle = {name for name, parameter in network.named_parameters() if parameter.grad is None}
    assert all(name.startswith("stylegan_decoder.style_mlp.") for name in idle)  # codes are latents already


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"out_size": 96}, "256, 512, 1024"),
        ({"out_size": 500}, "out_size is 500"),
        ({"num_style_feat": 0}, "num_style_feat is 0; give 1 or more"),
        ({"channel_multiplier": 0}, "channel_multiplier is 0"),
        ({"num_mlp": -1}, "num_mlp is -1; give 0 or more"),
        ({"narrow": 0.1}, "makes all of them even"),
        ({"narrow": 0.0}, "makes all of them even"),
    ],
)
def test_impossible_configurations_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GFPGANConfig(**options)


def test_other_architectures_are_told_apart(tiny: GFPGANConfig, random_network: Build) -> None:
    with pytest.raises(ModelError, match="not a clean GFP-GAN"):
        GFPGANConfig.from_state_dict({"conv_first.weight": torch.zeros(64, 3, 3, 3)})
    with pytest.raises(ModelError, match="0 tensors, the first is 'none'"):
        GFPGANConfig.from_state_dict({})
    state = random_network(tiny).state_dict()
    del state["toRGB.2.bias"]
    with pytest.raises(ModelError, match=r"1 tensors differ, the first is toRGB\.2\.bias with shape missing"):
        GFPGANConfig.from_state_dict(state)
    state["toRGB.2.bias"] = torch.zeros(4)
    with pytest.raises(ModelError, match=r"shape \(4,\), wanted \(3,\)"):
        GFPGANConfig.from_state_dict(state)


def test_decoding_takes_fresh_noise_and_uses_the_stored_one_without_it(
    tiny: GFPGANConfig, random_network: Build, make_faces: Faces
) -> None:
    network, faces = random_network(tiny), make_faces(tiny, 2)
    decoder = network.stylegan_decoder
    with torch.inference_mode():
        encoding = network.encode(faces)
        stored = network.decode(encoding)
        drawn = decoder.draw_noises(2, torch.Generator().manual_seed(1))
        fresh = network.decode(encoding, drawn)
        assert torch.equal(stored, network.decode(encoding, tuple(decoder.noises.buffers())))
        assert not torch.allclose(stored, fresh)
        image, pyramid = network.forward_with_pyramid(faces, drawn)
        assert torch.equal(image, fresh)
        assert torch.equal(network.forward_with_pyramid(faces)[0], network(faces))
        assert torch.equal(pyramid[-1], network.forward_with_pyramid(faces)[1][-1])  # the U-Net knows no noise
