"""GFP-GAN, the "clean" architecture of the published v1.2, v1.3 and v1.4 checkpoints.

Source: Wang et al., "Towards Real-World Blind Face Restoration with Generative Facial Prior" (2021), section 3:
a U-Net removes the damage and yields a style code and spatial conditions; a StyleGAN2 decoder draws the face
under them. Parameter names and shapes are those of the checkpoints, which therefore load strictly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch.nn.functional as F  # noqa: N812  the name that every reader of network code expects
from torch import Tensor, nn

from vidrestore.errors import ConfigError, ModelError
from vidrestore.models.shapes_only import check_shapes
from vidrestore.models.stylegan2 import SLOPE, StyleDecoder, double, to_channels_last

_SIZES = (64, 128, 256, 512, 1024)


@dataclass(frozen=True, slots=True)
class GFPGANConfig:
    """The shape of the network; the defaults are those of the official checkpoints.

    Raises:
        ConfigError: A value does not make a network.
    """

    out_size: int = 512
    """Side of the square that goes in and comes out, in pixels: 64, 128, 256, 512 or 1024."""
    num_style_feat: int = 512
    """Dimensions of a style code."""
    channel_multiplier: int = 2
    """Widens the levels from 64x64 up, as in StyleGAN2's large configuration."""
    num_mlp: int = 8
    """Linear layers of the mapping network; unused, but in the checkpoint, when `input_is_latent`."""
    input_is_latent: bool = True
    """The U-Net yields W+ codes; otherwise Z codes, which the mapping network turns into W."""
    different_w: bool = True
    """A style code for each layer; otherwise one for all."""
    narrow: float = 1.0
    """Scales every channel count."""
    sft_half: bool = True
    """Condition half of the decoder's channels; otherwise all."""

    def __post_init__(self) -> None:
        if self.out_size not in _SIZES:
            raise ConfigError(f"out_size is {self.out_size}; GFP-GAN is built for {', '.join(map(str, _SIZES))}")
        for name, least in (("num_style_feat", 1), ("channel_multiplier", 1), ("num_mlp", 0)):
            value = getattr(self, name)
            if value < least:
                raise ConfigError(f"{name} is {value}; give {least} or more")
        odd = {side: count for side, count in self.channels.items() if not count or count % 2}
        if odd:
            raise ConfigError(
                f"narrow is {self.narrow}, which gives {odd} channels per side; the U-Net has half as many as the "
                "decoder, so give a value that makes all of them even, such as 0.25, 0.5 or 1"
            )

    @property
    def log_size(self) -> int:
        """Base-2 logarithm of `out_size`."""
        return self.out_size.bit_length() - 1

    @property
    def num_latent(self) -> int:
        """Number of style codes that the decoder takes."""
        return 2 * self.log_size - 2

    @property
    def channels(self) -> dict[int, int]:
        """Channels of the decoder at each side; the U-Net has half as many."""
        widths = {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128, 256: 64, 512: 32, 1024: 16}
        return {
            side: int(width * (self.channel_multiplier if side >= 64 else 1) * self.narrow)  # noqa: PLR2004  64x64 is where StyleGAN2 starts to widen
            for side, width in widths.items()
            if side <= self.out_size
        }

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> Self:
        """Read the configuration off the tensor shapes of a clean GFP-GAN.

        `input_is_latent` leaves no trace in them and is taken to be True, as in every published checkpoint.

        Raises:
            ModelError: The tensors are not those of a clean GFP-GAN.
        """
        try:
            config = cls._inferred(state)
        except (KeyError, IndexError, ConfigError) as error:
            raise ModelError(
                f"these weights are not a clean GFP-GAN ({type(error).__name__}: {error}; {len(state)} tensors, the "
                f"first is {next(iter(state), 'none')!r}); wanted GFPGANv1.2, v1.3, v1.4 or one trained by vidrestore"
            ) from error
        check_shapes(lambda: GFPGAN(config), state, f"a clean GFP-GAN of {config.out_size} px")
        return config

    @classmethod
    def _inferred(cls, state: Mapping[str, Tensor]) -> Self:
        log_size = 2 + _count(state, "conv_body_down.", ".conv1.weight")
        num_style_feat = state["stylegan_decoder.style_conv1.modulated_conv.modulation.weight"].shape[1]
        narrow = state["stylegan_decoder.constant_input.weight"].shape[1] / 512
        wide = state["stylegan_decoder.style_convs.6.modulated_conv.weight"].shape[1]  # at 64x64
        condition = state["condition_scale.0.2.weight"].shape
        return cls(
            out_size=2**log_size,
            num_style_feat=num_style_feat,
            channel_multiplier=round(wide / (256 * narrow)) if narrow else 0,
            num_mlp=_count(state, "stylegan_decoder.style_mlp.", ".weight"),
            different_w=state["final_linear.weight"].shape[0] != num_style_feat,
            narrow=narrow,
            sft_half=condition[0] == condition[1],
        )


def _count(state: Mapping[str, Tensor], prefix: str, suffix: str) -> int:
    return sum(name.startswith(prefix) and name.endswith(suffix) for name in state)


class Encoding(NamedTuple):
    """Output of the U-Net for a batch of faces: all inputs of the decoder."""

    codes: Tensor
    """[B, num_latent, D], W+ style codes, which a temporal stage may smooth."""
    conditions: tuple[tuple[Tensor, Tensor], ...]
    """(scale, shift) of each level from 8x8 up, [B, C', H, W] each: expression and pose, frame by frame."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a linear shortcut, at half or twice the size."""

    def __init__(self, in_channels: int, out_channels: int, *, up: bool) -> None:
        super().__init__()
        self.up = up
        self.conv1 = nn.Conv2d(in_channels, in_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.skip = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, features_BCHW: Tensor) -> Tensor:
        """Map features [B, I, H, W] to [B, O, 2H, 2W] or [B, O, H/2, W/2].

        The shortcut's 1x1 convolution commutes with the resampling and runs at the smaller size. Bilinear
        halving with half-pixel centres is the mean of 2x2 pixels.
        """
        features = F.leaky_relu(self.conv1(features_BCHW), SLOPE)
        if self.up:
            return F.leaky_relu(self.conv2(double(features)), SLOPE) + double(self.skip(features_BCHW))
        shortcut: Tensor = self.skip(F.avg_pool2d(features_BCHW, 2))
        return F.leaky_relu(self.conv2(F.avg_pool2d(features, 2)), SLOPE) + shortcut


def _condition_head(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, 3, padding=1),
        nn.LeakyReLU(SLOPE),
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
    )


class GFPGAN(nn.Module):
    """The network, from and to tensors in [-1, 1]; the restorer converts ranges and dtypes and forms batches."""

    def __init__(self, config: GFPGANConfig) -> None:
        super().__init__()
        self.config = config
        channels = {side: count // 2 for side, count in config.channels.items()}
        sides = [2**level for level in range(3, config.log_size + 1)]

        self.conv_body_first = nn.Conv2d(3, channels[config.out_size], 1)
        self.conv_body_down = nn.ModuleList(
            ResidualBlock(channels[side], channels[side // 2], up=False) for side in reversed(sides)
        )
        self.final_conv = nn.Conv2d(channels[4], channels[4], 3, padding=1)
        self.conv_body_up = nn.ModuleList(ResidualBlock(channels[side // 2], channels[side], up=True) for side in sides)
        self.toRGB = nn.ModuleList(nn.Conv2d(channels[side], 3, 1) for side in sides)
        self.final_linear = nn.Linear(
            channels[4] * 4 * 4, config.num_style_feat * (config.num_latent if config.different_w else 1)
        )
        self.stylegan_decoder = StyleDecoder(
            channels=config.channels,
            out_size=config.out_size,
            num_style_feat=config.num_style_feat,
            num_mlp=config.num_mlp,
        )
        share = 1 if config.sft_half else 2
        self.condition_scale = nn.ModuleList(_condition_head(channels[s], channels[s] * share) for s in sides)
        self.condition_shift = nn.ModuleList(_condition_head(channels[s], channels[s] * share) for s in sides)

    def forward(self, faces_B3HW: Tensor, codes_BND: Tensor | None = None) -> Tensor:
        """Restore a batch of aligned faces.

        Args:
            faces_B3HW: [B, 3, out_size, out_size], RGB in [-1, 1].
            codes_BND: [B, num_latent, D], style codes in place of the faces' own, such as `codes` of several frames
                averaged.

        Returns:
            The same shape and nominal range; not clamped. Deterministic: the noise is the checkpoint's.
        """
        encoding = self.encode(faces_B3HW)
        return self.decode(encoding if codes_BND is None else encoding._replace(codes=codes_BND))

    def codes(self, faces_B3HW: Tensor) -> Tensor:
        """Return the style codes alone, [B, num_latent, D]: a fifth of the network's work."""
        features, _ = self._descend(faces_B3HW)
        return self._codes_of(features)

    def encode(self, faces_B3HW: Tensor) -> Encoding:
        """Run the U-Net: return the style codes and spatial conditions of a batch in [-1, 1]."""
        codes_BND, pyramid = self._unet(faces_B3HW)
        return Encoding(codes_BND, self._conditions(pyramid))

    def decode(self, encoding: Encoding, noises: Sequence[Tensor] | None = None) -> Tensor:
        """Run the decoder: draw faces [B, 3, out_size, out_size] from (perhaps smoothed) codes and conditions.

        Training passes fresh `noises` (`StyleDecoder.draw_noises`); restoring uses the stored ones.
        """
        image_B3HW: Tensor = self.stylegan_decoder(encoding.codes, encoding.conditions, noises)
        return image_B3HW

    def forward_with_pyramid(
        self, faces_B3HW: Tensor, noises: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run `forward`; also return RGB images of the U-Net at 8x8, ... `out_size`, for the pyramid loss (3.2)."""
        codes_BND, pyramid = self._unet(faces_B3HW)
        images = tuple(to_rgb(features) for to_rgb, features in zip(self.toRGB, pyramid, strict=True))
        return self.decode(Encoding(codes_BND, self._conditions(pyramid)), noises), images

    def to_channels_last(self) -> Self:
        """Lay the convolution weights out as [O, k, k, I] in memory, in place; shapes and names do not change."""
        to_channels_last(self)
        return self

    def _unet(self, faces_B3HW: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the codes [B, N, D] and the rising half's features at 8x8, 16x16, ... `out_size`."""
        features, shortcuts = self._descend(faces_B3HW)
        codes_BND = self._codes_of(features)
        pyramid: list[Tensor] = []
        for up, shortcut in zip(self.conv_body_up, reversed(shortcuts), strict=True):
            features = up(features + shortcut)
            pyramid.append(features)
        return codes_BND, tuple(pyramid)

    def _descend(self, faces_B3HW: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the falling half's last features [B, C, 4, 4], and those of each side before."""
        features = F.leaky_relu(self.conv_body_first(faces_B3HW), SLOPE)
        shortcuts: list[Tensor] = []
        for down in self.conv_body_down:
            features = down(features)
            shortcuts.append(features)
        return F.leaky_relu(self.final_conv(features), SLOPE), shortcuts

    def _codes_of(self, features_BC44: Tensor) -> Tensor:
        # reshape, not view: channels_last features have no flat view
        return self._codes(self.final_linear(features_BC44.reshape(features_BC44.shape[0], -1)))

    def _codes(self, flat: Tensor) -> Tensor:
        config = self.config
        codes = flat.reshape(-1, config.num_latent, config.num_style_feat) if config.different_w else flat
        if not config.input_is_latent:
            codes = self.stylegan_decoder.style_mlp(codes)
        return codes if config.different_w else codes[:, None].expand(-1, config.num_latent, -1)

    def _conditions(self, pyramid: tuple[Tensor, ...]) -> tuple[tuple[Tensor, Tensor], ...]:
        heads = zip(self.condition_scale, self.condition_shift, pyramid, strict=True)
        return tuple((scale(features), shift(features)) for scale, shift, features in heads)
