"""Networks with every parameter random: the zeros and ones of a fresh network would hide mistakes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from vidrestore.models.gfpgan import GFPGAN, GFPGANConfig
from vidrestore.models.torchvision_ops import ensure_torchvision_imports

SMALL = GFPGANConfig(out_size=256, num_style_feat=64, channel_multiplier=2, num_mlp=2, narrow=0.25)
TINY = GFPGANConfig(out_size=256, num_style_feat=16, channel_multiplier=1, num_mlp=1, narrow=1 / 16)


@pytest.fixture(scope="session")
def small() -> GFPGANConfig:
    """A network wide enough for vectorised kernels, quick enough to run many times."""
    return SMALL


@pytest.fixture(scope="session")
def tiny() -> GFPGANConfig:
    """The smallest useful network."""
    return TINY


@pytest.fixture(scope="session")
def random_network() -> Callable[[GFPGANConfig], GFPGAN]:
    """Build a network whose parameters and buffers are all drawn anew, scaled to carry signals of order one."""

    def build(config: GFPGANConfig) -> GFPGAN:
        with torch.device("meta"):
            network = GFPGAN(config)
        network.to_empty(device="cpu").eval()
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for name, tensor in network.state_dict().items():
                tensor.normal_(generator=generator)
                if tensor.dim() >= 2 and "noises" not in name and "constant" not in name and "bias" not in name:
                    tensor.div_(tensor[0].numel() ** 0.5 if tensor.dim() < 5 else tensor[0, 0].numel() ** 0.5)
                elif name.endswith("bias") or tensor.numel() == 1:
                    tensor.mul_(0.2).add_(1.0 if name.endswith("modulation.bias") else 0.0)
        return network

    return build


def random_faces(config: GFPGANConfig, batch: int, generator: torch.Generator) -> torch.Tensor:
    """Float [batch, 3, S, S] in [-1, 1]: blocks of eight pixels, more face-like than white noise."""
    small = torch.rand(batch, 3, config.out_size // 8, config.out_size // 8, generator=generator) * 2 - 1
    return small.repeat_interleave(8, 2).repeat_interleave(8, 3)


@pytest.fixture
def make_faces() -> Callable[[GFPGANConfig, int], torch.Tensor]:
    """Draw a batch for a network, always the same."""

    def build(config: GFPGANConfig, batch: int) -> torch.Tensor:
        return random_faces(config, batch, torch.Generator().manual_seed(11))

    return build


@pytest.fixture(scope="session")
def oracle() -> Callable[[GFPGANConfig], Any]:
    """Build spandrel's GFP-GAN (MIT) of the same shape; the reference that parity is held against."""
    ensure_torchvision_imports()
    architecture = pytest.importorskip("spandrel.architectures.GFPGAN")

    def build(config: GFPGANConfig) -> Any:
        return architecture.GFPGAN(**{name: getattr(config, name) for name in config.__slots__}).eval()

    return build
