"""The StyleGAN2 decoder of GFP-GAN, in its "clean" form: bilinear resampling and no custom kernels.

Sources: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020), section 2.2 for the
modulated convolution and section 4 for the skip generator; Wang et al., "Towards Real-World Blind Face
Restoration with Generative Facial Prior" (2021), section 3.4 for the channel-split spatial feature transform.
Parameter names and shapes are those of the published checkpoints.

Shape suffixes: B batch, C or I or O channels, H and W space, N style layers, D style dimensions, k kernel.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  the name that every reader of network code expects
from torch import Tensor, nn

SLOPE = 0.2
"""Negative slope of every leaky ReLU."""
GAIN = math.sqrt(2)
"""Factor of a style convolution in the clean form, which restores the variance that its leaky ReLU removes."""


def double(features_BCHW: Tensor) -> Tensor:
    """Double the size bilinearly, [B, C, H, W] -> [B, C, 2H, 2W]."""
    if torch.is_grad_enabled() and features_BCHW.requires_grad:
        doubled: Tensor = _Double.apply(features_BCHW)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return doubled
    return F.interpolate(features_BCHW, scale_factor=2.0, mode="bilinear", align_corners=False)


class _Double(torch.autograd.Function):
    """`double` with a gradient that gathers: torch's own scatters with atomic additions, slow and in no fixed order."""

    @staticmethod
    def forward(ctx: Any, features_BCHW: Tensor) -> Tensor:  # noqa: ANN401, ARG004  torch gives it no type
        return F.interpolate(features_BCHW, scale_factor=2.0, mode="bilinear", align_corners=False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ANN401, ARG004  as above
        """Sum the four outputs that a row (column) reaches, weighted 1/4, 3/4, 3/4, 1/4; differentiable again."""
        (gradient,) = gradients
        for dim in (2, 3):
            side = gradient.shape[dim]
            edges = gradient.narrow(dim, 0, 1), gradient, gradient.narrow(dim, side - 1, 1)
            padded = torch.cat(edges, dim)
            first, second, third, fourth = (padded[_every_other(dim, start, side)] for start in range(4))
            gradient = 0.25 * (first + fourth) + 0.75 * (second + third)
        return gradient


def _every_other(dim: int, start: int, side: int) -> tuple[slice, ...]:
    return (*[slice(None)] * dim, slice(start, start + side - 1, 2))


def per_channel(scale_BC: Tensor, like: Tensor) -> Tensor:
    """Reshape [B, C] to [B, C, 1, 1] in the dtype of `like`, ready to multiply it."""
    return scale_BC.to(like.dtype)[:, :, None, None]


def to_channels_last(network: nn.Module) -> None:
    """Lay convolution weights out as [O, k, k, I] in memory, in place; shapes and names do not change."""
    for parameter in network.parameters():
        data = parameter.data
        if data.dim() == 4:  # noqa: PLR2004  a plain convolution's weight
            parameter.data = data.contiguous(memory_format=torch.channels_last)
        elif data.dim() == 5:  # noqa: PLR2004  a modulated one's, [1, O, I, k, k]
            parameter.data = data[0].contiguous(memory_format=torch.channels_last)[None]


class NormStyleCode(nn.Module):
    """Scales a code to unit mean square along dimension 1, as StyleGAN2 does before its mapping network."""

    def forward(self, code_BD: Tensor) -> Tensor:
        """Scale codes [B, D] (or [B, N, D], also along dimension 1, as checkpoints were trained); the shape stays."""
        return code_BD * torch.rsqrt(code_BD.square().mean(dim=1, keepdim=True) + 1e-8)


class ModulatedConv2d(nn.Module):
    """A convolution whose input channels are scaled by a style and whose output channels are normalised.

    Scaling the input, convolving with the one shared weight and scaling the output gives what modulating and
    demodulating the weight gives (equations 1 to 3), but the batch keeps its own dimension: it is never folded
    into groups, so a batch costs one ordinary convolution. A demodulated one's output is scaled by `GAIN`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int,
        num_style_feat: int,
        demodulate: bool = True,
        upsample: bool = False,
    ) -> None:
        super().__init__()
        self.demodulate = demodulate
        self.upsample = upsample
        self.padding = kernel_size // 2
        self.modulation = nn.Linear(num_style_feat, in_channels)
        nn.init.kaiming_normal_(self.modulation.weight, nonlinearity="linear")
        nn.init.ones_(self.modulation.bias)
        self.weight = nn.Parameter(torch.empty(1, out_channels, in_channels, kernel_size, kernel_size))
        nn.init.normal_(self.weight, std=1 / math.sqrt(in_channels * kernel_size**2))

    def forward(self, features_BIHW: Tensor, code_BD: Tensor) -> Tensor:
        """Map features [B, I, H, W] and codes [B, D] to [B, O, H, W], or [B, O, 2H, 2W] when it upsamples."""
        weight_OIkk = self.weight[0]
        scale_BI = self.modulation(code_BD)
        features = features_BIHW * per_channel(scale_BI, features_BIHW)
        if self.upsample:
            features = double(features)
        features_BOHW = F.conv2d(features, weight_OIkk, padding=self.padding)
        if not self.demodulate:
            return features_BOHW
        return features_BOHW * per_channel(self._demodulation(scale_BI), features_BOHW)

    def _demodulation(self, scale_BI: Tensor) -> Tensor:
        """Return `GAIN` over the norm of each output channel's modulated weight, float32 [B, O].

        In float32 whatever the features are: a rounded norm would tint whole channels.
        """
        with torch.autocast(scale_BI.device.type, enabled=False):
            power_OI = self.weight[0].float().square().sum(dim=(2, 3))
            norm_BO = F.linear(scale_BI.float().square(), power_OI)
            return GAIN * torch.rsqrt(norm_BO + 1e-8)


class StyleConv(nn.Module):
    """A modulated 3x3 convolution, stored noise, bias and leaky ReLU."""

    def __init__(self, in_channels: int, out_channels: int, *, num_style_feat: int, upsample: bool = False) -> None:
        super().__init__()
        self.modulated_conv = ModulatedConv2d(
            in_channels, out_channels, kernel_size=3, num_style_feat=num_style_feat, upsample=upsample
        )
        self.weight = nn.Parameter(torch.zeros(1))
        """The strength of the noise."""
        self.bias = nn.Parameter(torch.zeros(1, out_channels, 1, 1))

    def forward(self, features_BIHW: Tensor, code_BD: Tensor, noise_11HW: Tensor) -> Tensor:
        """Map features [B, I, H, W], codes [B, D] and noise of the output's size to [B, O, H', W']."""
        features = self.modulated_conv(features_BIHW, code_BD)
        # Two additions, each broadcast one way: their sum as one [1, C, H, W] map is much slower on a CPU.
        # Both in the features' dtype: under autocast a float32 sum would make every later map twice as large.
        noise, bias = (self.weight * noise_11HW).to(features.dtype), self.bias.to(features.dtype)
        return F.leaky_relu((features + noise) + bias, SLOPE)


class ToRGB(nn.Module):
    """Layer from features to an RGB image, added to the doubled image of the level below.

    Images are summed in float32 at least: bf16 resolves half a grey level near white and black, and nine such
    roundings would show as banding.
    """

    def __init__(self, in_channels: int, *, num_style_feat: int) -> None:
        super().__init__()
        self.modulated_conv = ModulatedConv2d(
            in_channels, 3, kernel_size=1, num_style_feat=num_style_feat, demodulate=False
        )
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, features_BCHW: Tensor, code_BD: Tensor, below_B3hw: Tensor | None = None) -> Tensor:
        """Map features [B, C, H, W], codes [B, D] and the image of half the size (None at 4x4) to [B, 3, H, W]."""
        image_B3HW: Tensor = self.modulated_conv(features_BCHW, code_BD)
        image_B3HW = image_B3HW.to(torch.promote_types(image_B3HW.dtype, torch.float32)) + self.bias
        return image_B3HW if below_B3hw is None else image_B3HW + double(below_B3hw)


class ConstantInput(nn.Module):
    """The learned 4x4 feature map that every face grows from."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, channels, 4, 4))
        nn.init.normal_(self.weight)

    def forward(self, batch: int) -> Tensor:
        """Return the map for a batch, [batch, C, 4, 4], as a view."""
        return self.weight.expand(batch, -1, -1, -1)


class StoredNoise(nn.Module):
    """The noise maps of all style layers, float32 [1, 1, H, W] each, as buffers of the checkpoint.

    Restoring never draws new ones: fresh noise in each call makes a still video flicker. Training does
    (`StyleDecoder.draw_noises`), so that no one map is learned by heart.
    """

    def __init__(self, log_size: int) -> None:
        super().__init__()
        for layer in range(2 * log_size - 3):
            side = 2 ** ((layer + 5) // 2)
            self.register_buffer(f"noise{layer}", torch.randn(1, 1, side, side))

    def forward(self, layer: int) -> Tensor:
        """Return the map of one layer, [1, 1, H, W]."""
        return self.get_buffer(f"noise{layer}")


def style_mlp(num_style_feat: int, num_mlp: int) -> nn.Sequential:
    """Build the mapping network: normalisation, then `num_mlp` linear layers with leaky ReLU."""
    layers: list[nn.Module] = [NormStyleCode()]
    for _ in range(num_mlp):
        linear = nn.Linear(num_style_feat, num_style_feat)
        nn.init.kaiming_normal_(linear.weight, a=SLOPE)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers)


def spatial_transform(features_BCHW: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Apply a condition to the last channels of the features: all of them, or half under `sft_half`.

    The condition's channel count says how many; the first channels stay the generative prior's own
    (GFP-GAN, equation 6).
    """
    kept = features_BCHW.shape[1] - scale.shape[1]
    if not kept:
        return features_BCHW * scale + shift
    return torch.cat((features_BCHW[:, :kept], features_BCHW[:, kept:] * scale + shift), dim=1)


class StyleDecoder(nn.Module):
    """StyleGAN2's skip generator with a spatial condition after the first convolution of each level.

    `channels` maps each side (4, 8, ... `out_size`) to the decoder's channel count there.
    """

    def __init__(self, *, channels: Mapping[int, int], out_size: int, num_style_feat: int, num_mlp: int) -> None:
        super().__init__()
        log_size = out_size.bit_length() - 1
        self.num_latent = 2 * log_size - 2
        self.style_mlp = style_mlp(num_style_feat, num_mlp)
        self.constant_input = ConstantInput(channels[4])
        self.style_conv1 = StyleConv(channels[4], channels[4], num_style_feat=num_style_feat)
        self.to_rgb1 = ToRGB(channels[4], num_style_feat=num_style_feat)
        self.style_convs = nn.ModuleList()
        self.to_rgbs = nn.ModuleList()
        for level in range(3, log_size + 1):
            below, here = channels[2 ** (level - 1)], channels[2**level]
            self.style_convs.append(StyleConv(below, here, num_style_feat=num_style_feat, upsample=True))
            self.style_convs.append(StyleConv(here, here, num_style_feat=num_style_feat))
            self.to_rgbs.append(ToRGB(here, num_style_feat=num_style_feat))
        self.noises = StoredNoise(log_size)

    def forward(
        self,
        codes_BND: Tensor,
        conditions: Sequence[tuple[Tensor, Tensor]] | None = None,
        noises: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Draw the faces.

        Args:
            codes_BND: [B, num_latent, D], W+ style codes, one per style layer.
            conditions: (scale, shift) of each level from 8x8 up, [B, C', H, W] each, where C' is the decoder's
                channel count there, or half of it; None for the generative prior alone.
            noises: [B or 1, 1, H, W] for each style layer, from `draw_noises`; None for the stored ones.

        Returns:
            [B, 3, out_size, out_size], RGB in about [-1, 1].
        """
        noise = self.noises if noises is None else noises.__getitem__
        features = self.constant_input(codes_BND.shape[0])
        features = self.style_conv1(features, codes_BND[:, 0], noise(0))
        image: Tensor = self.to_rgb1(features, codes_BND[:, 1])
        levels = [None] * len(self.to_rgbs) if conditions is None else conditions
        for level, (to_rgb, condition) in enumerate(zip(self.to_rgbs, levels, strict=True)):
            first = 2 * level
            features = self.style_convs[first](features, codes_BND[:, first + 1], noise(first + 1))
            if condition is not None:
                features = spatial_transform(features, *condition)
            features = self.style_convs[first + 1](features, codes_BND[:, first + 2], noise(first + 2))
            image = to_rgb(features, codes_BND[:, first + 3], image)
        return image

    def draw_noises(self, batch: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Draw normal noise for each style layer, float32 [batch, 1, H, W], on the device of `generator`."""
        sizes = [stored.shape[-1] for stored in self.noises.buffers()]
        return tuple(torch.randn(batch, 1, s, s, generator=generator, device=generator.device) for s in sizes)
