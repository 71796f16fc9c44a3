"""A light restorer for CPUs and live streams: a convolutional U-Net that a GFP-GAN teaches, without style codes.

It works at half the picture's side and below, with ordinary convolutions where there are many pixels, for those use a
CPU best, and with depthwise ones and wide 1x1 convolutions where there are few. It costs an eighth of the embedded
GFP-GAN. Sources: Ronneberger et al., "U-Net" (2015); Shi et al., "Real-Time Single Image and Video Super-Resolution
Using an Efficient Sub-Pixel Convolutional Neural Network" (2016), section 3.2; Sandler et al., "MobileNetV2" (2018),
section 3, for the depthwise blocks.

Shape suffixes: B batch, C channels, H and W space.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F  # noqa: N812  the name that every reader of network code expects
from torch import Tensor, nn

from vidrestore.errors import ConfigError, ModelError
from vidrestore.models.shapes_only import check_shapes
from vidrestore.models.stylegan2 import SLOPE, double

_LEVELS = 5
_KERNEL = 5
_EXPANSION = 2


@dataclass(frozen=True, slots=True)
class LightConfig:
    """The shape of the network.

    Raises:
        ConfigError: a value does not make a network.
    """

    out_size: int = 256
    """Side of the square that goes in and comes out, in pixels: a multiple of 32."""
    channels: tuple[int, ...] = (24, 48, 128, 256, 384)
    """Channels at a half, a quarter ... a 32nd of the side."""

    def __post_init__(self) -> None:
        if self.out_size <= 0 or self.out_size % 2**_LEVELS:
            raise ConfigError(f"out_size is {self.out_size}; give a multiple of {2**_LEVELS}")
        if len(self.channels) != _LEVELS or min(self.channels) < 1:
            raise ConfigError(f"channels are {self.channels}; give {_LEVELS} numbers above 0")

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> Self:
        """Read the configuration off the tensors' shapes; the side of the picture leaves no trace in them.

        Raises:
            ModelError: the tensors are not those of a light restorer.
        """
        try:
            channels = (state["first.weight"].shape[0], *(state[f"down.{n}.weight"].shape[0] for n in range(4)))
            config = cls(channels=channels)
        except (KeyError, IndexError, ConfigError) as error:
            raise ModelError(f"these weights are not a light restorer ({type(error).__name__}: {error})") from error
        check_shapes(lambda: LightRestorer(config), state, "a light restorer")
        return config

    @staticmethod
    def describes(state: Mapping[str, Tensor]) -> bool:
        """Return whether tensors are more like a light restorer's than like a GFP-GAN's."""
        return "first.weight" in state and "down.0.weight" in state


class _Convolutions(nn.Module):
    """Two 3x3 convolutions next to a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features_BCHW: Tensor) -> Tensor:
        change: Tensor = self.conv2(F.leaky_relu(self.conv1(features_BCHW), SLOPE))
        return features_BCHW + change


class _Depthwise(nn.Module):
    """A depthwise convolution and two 1x1 convolutions next to a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(channels, channels, _KERNEL, padding=_KERNEL // 2, groups=channels)
        self.conv1 = nn.Conv2d(channels, channels * _EXPANSION, 1)
        self.conv2 = nn.Conv2d(channels * _EXPANSION, channels, 1)

    def forward(self, features_BCHW: Tensor) -> Tensor:
        change: Tensor = self.conv2(F.leaky_relu(self.conv1(self.spatial(features_BCHW)), SLOPE))
        return features_BCHW + change


class LightRestorer(nn.Module):
    """The network, from and to RGB in [-1, 1]; what it adds to the damaged face is drawn."""

    def __init__(self, config: LightConfig) -> None:
        super().__init__()
        self.config = config
        half, quarter, eighth, sixteenth, least = config.channels
        self.first = nn.Conv2d(12, half, 3, padding=1)
        self.down = nn.ModuleList(
            nn.Conv2d(above, below, 1) for above, below in zip(config.channels, config.channels[1:], strict=False)
        )
        self.falling = nn.ModuleList(
            (
                nn.Sequential(nn.Conv2d(quarter, quarter, 3, padding=1), nn.LeakyReLU(SLOPE)),
                _Convolutions(eighth),
                nn.Sequential(_Depthwise(sixteenth), _Depthwise(sixteenth)),
                nn.Sequential(*(_Depthwise(least) for _ in range(4))),
            )
        )
        self.up = nn.ModuleList(
            nn.Conv2d(below, above, 1) for above, below in zip(config.channels, config.channels[1:], strict=False)
        )
        self.rising = nn.ModuleList(
            (
                nn.Sequential(nn.Conv2d(half, half, 3, padding=1), nn.LeakyReLU(SLOPE)),
                _Convolutions(quarter),
                nn.Sequential(nn.Conv2d(eighth, eighth, 3, padding=1), nn.LeakyReLU(SLOPE)),
                nn.Sequential(*(_Depthwise(sixteenth) for _ in range(3))),
            )
        )
        self.last = nn.Conv2d(half, 12, 3, padding=1)

    def forward(self, faces_B3HW: Tensor) -> Tensor:
        """Restore a batch of aligned faces [B, 3, out_size, out_size] in [-1, 1]; not clamped."""
        features = F.leaky_relu(self.first(F.pixel_unshuffle(faces_B3HW, 2)), SLOPE)
        shortcuts: list[Tensor] = []
        for narrow, block in zip(self.down, self.falling, strict=True):
            shortcuts.append(features)
            features = block(narrow(F.avg_pool2d(features, 2)))
        for widen, block, shortcut in zip(reversed(self.up), reversed(self.rising), reversed(shortcuts), strict=True):
            features = block(shortcut + double(widen(features)))
        return faces_B3HW + F.pixel_shuffle(self.last(features), 2)

    def to_channels_last(self) -> Self:
        """Lay the convolution weights out as [O, k, k, I] in memory, in place."""
        return self.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]  # torch's


@torch.no_grad()
def initialised_light(config: LightConfig, *, seed: int) -> LightRestorer:
    """Make a light restorer ready to be trained, in float32 on the CPU: it begins by returning the damaged face."""
    torch.manual_seed(seed)
    network = LightRestorer(config)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, a=SLOPE)
            assert module.bias is not None  # noqa: S101  built with one
            nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, _Convolutions | _Depthwise):
            module.conv2.weight *= 0.2
    for transitions, gain in ((network.down, 1.0), (network.up, 0.5)):  # what goes up is added to a shortcut
        for transition in transitions:
            assert isinstance(transition, nn.Conv2d)  # noqa: S101  built so
            nn.init.kaiming_normal_(transition.weight, nonlinearity="linear")
            transition.weight.mul_(gain)
    network.last.weight *= 0.05
    return network
