"""Discriminators, which separate real faces from generated ones: of the whole face, and of an eye or a mouth.

Sources: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020), section 4.1, for the residual
discriminator, in the "clean" form (means of 2x2 pixels instead of low-pass filters, no custom kernels); Wang et al.,
GFP-GAN (2021), section 3.3, for the local discriminators of facial components. They serve training only: no
published checkpoint is loaded into them, so their parameter names are their own.

Weights start with the standard deviation that StyleGAN2's equalised learning rate gives them at run time; the rate
itself belongs to the optimiser (`training.loop.optimizer`).

Shape suffixes: B batch, C channels, H and W space, G groups, F features.
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F  # noqa: N812  the name that every reader of network code expects
from torch import Tensor, nn

from vidrestore.models.stylegan2 import SLOPE

_HALVE = 1 / math.sqrt(2)
"""Keeps the variance where two branches are added."""
_ROOT_FLOOR = 1e-4
"""Constant under the root of the minibatch deviation: with StyleGAN2's 1e-8 its gradient grows without bound as the
faces of a batch grow alike, and training ends in NaN."""


def _initialised(layer: nn.Conv2d | nn.Linear, *, linear: bool = False) -> nn.Conv2d | nn.Linear:
    """Set zero bias and normal weights that keep the variance through a leaky ReLU (or none, if `linear`)."""
    if linear:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
    else:
        nn.init.kaiming_normal_(layer.weight, a=SLOPE)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class _DownBlock(nn.Module):
    """Residual block of two 3x3 convolutions and a 1x1 shortcut, at half the size."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = _initialised(nn.Conv2d(in_channels, in_channels, 3, padding=1))
        self.conv2 = _initialised(nn.Conv2d(in_channels, out_channels, 3, padding=1))
        self.skip = _initialised(nn.Conv2d(in_channels, out_channels, 1, bias=False), linear=True)

    def forward(self, features_BCHW: Tensor) -> Tensor:
        """Map features [B, I, H, W] to [B, O, H/2, W/2]."""
        features = F.leaky_relu(self.conv1(features_BCHW), SLOPE)
        features = F.leaky_relu(self.conv2(F.avg_pool2d(features, 2)), SLOPE)
        shortcut: Tensor = self.skip(F.avg_pool2d(features_BCHW, 2))
        return (features + shortcut) * _HALVE


class StyleDiscriminator(nn.Module):
    """StyleGAN2's residual discriminator.

    Args:
        channels: Channels at each side, from 4 up to the image's; those of the decoder it plays against.
        out_size: Side of the images in pixels.
        stddev_group: Faces whose deviation from one another is shown to the last layers, at most: a batch that is no
            multiple of it is shared out among smaller groups.
    """

    def __init__(self, *, channels: Mapping[int, int], out_size: int, stddev_group: int = 4) -> None:
        super().__init__()
        self.stddev_group = stddev_group
        sides = [2**level for level in range(out_size.bit_length() - 1, 2, -1)]
        self.from_rgb = _initialised(nn.Conv2d(3, channels[out_size], 1))
        self.blocks = nn.ModuleList(_DownBlock(channels[side], channels[side // 2]) for side in sides)
        self.final_conv = _initialised(nn.Conv2d(channels[4] + 1, channels[4], 3, padding=1))
        self.final_linear = _initialised(nn.Linear(channels[4] * 4 * 4, channels[4]))
        self.logit = _initialised(nn.Linear(channels[4], 1), linear=True)

    def forward(self, faces_B3HW: Tensor) -> Tensor:
        """Return logits [B, 1], high for real faces; images are in about [-1, 1]."""
        features = F.leaky_relu(self.from_rgb(faces_B3HW), SLOPE)
        for block in self.blocks:
            features = block(features)
        features = torch.cat((features, minibatch_deviation(features, self.stddev_group)), dim=1)
        features = F.leaky_relu(self.final_conv(features), SLOPE)
        features = F.leaky_relu(self.final_linear(features.reshape(features.shape[0], -1)), SLOPE)
        logits: Tensor = self.logit(features)
        return logits


def minibatch_deviation(features_BCHW: Tensor, group: int) -> Tensor:
    """Return how much the faces of a batch differ, [B, 1, H, W]: one number for each group of faces.

    In float32 whatever the autocast. Source: Karras et al., "Progressive Growing of GANs" (2018), section 3, with
    StyleGAN2's groups: every (B / group)-th face belongs to the same one.
    """
    batch, channels, height, width = features_BCHW.shape
    group = next(size for size in range(min(group, batch), 0, -1) if batch % size == 0)
    grouped = features_BCHW.float().reshape(group, batch // group, channels, height, width)
    deviation = (grouped.var(dim=0, correction=0) + _ROOT_FLOOR).sqrt().mean(dim=(1, 2, 3))
    spread = deviation.repeat(group)[:, None, None, None].expand(-1, 1, height, width)
    return spread.to(features_BCHW.dtype)


class ComponentDiscriminator(nn.Module):
    """Discriminator of eyes or mouths, which also yields the features whose Gram matrices are compared.

    Six 3x3 convolutions with two halvings between them: each logit judges a patch, not the whole component.

    Args:
        width: Channels of the first layer; the last ones have four times as many.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        wide, widest = 2 * width, 4 * width
        self.conv1 = _initialised(nn.Conv2d(3, width, 3, padding=1))
        self.conv2 = _initialised(nn.Conv2d(width, wide, 3, padding=1))
        self.conv3 = _initialised(nn.Conv2d(wide, wide, 3, padding=1))
        self.conv4 = _initialised(nn.Conv2d(wide, widest, 3, padding=1))
        self.conv5 = _initialised(nn.Conv2d(widest, widest, 3, padding=1))
        self.logit = _initialised(nn.Conv2d(widest, 1, 3, padding=1), linear=True)

    def forward(self, components_B3HW: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return logits [B, 1, H/4, W/4] and two feature maps, at half and at a quarter of the size."""
        features = F.leaky_relu(self.conv1(components_B3HW), SLOPE)
        features = F.avg_pool2d(F.leaky_relu(self.conv2(features), SLOPE), 2)
        middle = F.leaky_relu(self.conv3(features), SLOPE)
        features = F.avg_pool2d(F.leaky_relu(self.conv4(middle), SLOPE), 2)
        deep = F.leaky_relu(self.conv5(features), SLOPE)
        logits: Tensor = self.logit(deep)
        return logits, (middle, deep)
