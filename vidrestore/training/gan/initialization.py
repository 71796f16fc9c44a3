"""Initial weights of a GFP-GAN's training: the prior's decoder, undisturbed at first."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from vidrestore.errors import ModelError
from vidrestore.models.checkpoint import load_state_dict
from vidrestore.models.gfpgan import GFPGAN, GFPGANConfig, ResidualBlock
from vidrestore.models.stylegan2 import SLOPE

_PREFIX = "stylegan_decoder."
MEAN_CODE = "mean_code"
"""Name of a further tensor in a prior's file: float32 [D], the mean of W."""


@torch.no_grad()
def initialised(config: GFPGANConfig, *, seed: int, prior: Mapping[str, Tensor] | None = None) -> GFPGAN:
    """Make a GFP-GAN ready to be trained, in float32 on the CPU.

    The U-Net's branches keep the variance of what passes. Every condition starts near "scale by one, shift by
    nothing" and the style codes near the prior's mean, so that the first output is about the prior's mean face
    rather than noise.

    Args:
        config: Shape of the network.
        seed: Seed of the random weights.
        prior: The decoder's tensors by name, with `mean_code` or without; None to start from a random decoder.

    Raises:
        ModelError: The prior is of another shape.
    """
    torch.manual_seed(seed)
    network = GFPGAN(config)
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            nn.init.kaiming_normal_(module.conv1.weight, a=SLOPE)
            nn.init.kaiming_normal_(module.conv2.weight, a=SLOPE)
            module.conv2.weight *= 0.5
            nn.init.kaiming_normal_(module.skip.weight, nonlinearity="linear")
            for convolution in (module.conv1, module.conv2):
                assert convolution.bias is not None  # noqa: S101  built with one
                nn.init.zeros_(convolution.bias)
    for heads, neutral in ((network.condition_scale, 1.0), (network.condition_shift, 0.0)):
        for head in heads:
            assert isinstance(head, nn.Sequential)  # noqa: S101  the condition heads are built so
            last = head[-1]
            assert isinstance(last, nn.Conv2d)  # noqa: S101  and end in a convolution
            assert last.bias is not None  # noqa: S101  with a bias
            last.weight *= 0.25
            nn.init.constant_(last.bias, neutral)
    nn.init.kaiming_normal_(network.final_linear.weight, nonlinearity="linear")
    network.final_linear.weight *= 0.25
    nn.init.zeros_(network.final_linear.bias)
    if prior is not None:
        load_prior(network, prior)
    return network


@torch.no_grad()
def load_prior(network: GFPGAN, prior: Mapping[str, Tensor]) -> None:
    """Put a prior into a network's decoder, strictly, and its mean code under the U-Net's codes.

    Raises:
        ModelError: The prior is of another shape.
    """
    tensors = {name: tensor.float() for name, tensor in prior.items() if name != MEAN_CODE}
    wanted = network.stylegan_decoder.state_dict()
    differing = sorted(
        name
        for name in wanted.keys() | tensors.keys()
        if name not in wanted or name not in tensors or wanted[name].shape != tensors[name].shape
    )
    if differing:
        name = differing[0]
        found, needed = (list(state[name].shape) if name in state else "missing" for state in (tensors, wanted))
        raise ModelError(
            f"this prior does not fit: {len(differing)} tensors differ, the first is {name} with shape {found}, wanted "
            f"{needed}; train one with the same out_size, narrow, channel_multiplier, num_style_feat and num_mlp"
        )
    network.stylegan_decoder.load_state_dict(tensors)
    if MEAN_CODE in prior:
        count = network.config.num_latent if network.config.different_w else 1
        network.final_linear.bias.copy_(prior[MEAN_CODE].float().repeat(count))


def read_prior(path: Path) -> dict[str, Tensor]:
    """Read the decoder's tensors from a file: a prior's own, or those inside a whole GFP-GAN.

    Raises:
        ModelError: The file is missing or damaged.
    """
    state = load_state_dict(path)
    inside = {name.removeprefix(_PREFIX): tensor for name, tensor in state.items() if name.startswith(_PREFIX)}
    return inside or state
