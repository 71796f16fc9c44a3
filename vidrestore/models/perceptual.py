"""Perceptual similarity of images: feature maps of classification networks, for the perceptual loss and the evaluation.

Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution" (2016). Two backbones share one
interface: MobileNetV2 (Sandler et al. 2018), whose weights the package carries, and VGG19 (Simonyan and Zisserman
2014), which the paper of GFP-GAN uses, from a file.

Shape suffixes: B batch, C or I or O channels, H and W space.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from vidrestore.errors import ModelError
from vidrestore.models.checkpoint import load_state_dict

WEIGHTS = Path(__file__).parent / "weights" / "mobilenetv2_features.safetensors"
"""torchvision's mobilenet_v2 for ImageNet (BSD-3-Clause): `features.0` to `features.17` under torchvision's names,
normalisations folded into the convolutions, float16."""

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet, RGB in [0, 1]: both backbones were trained with them."""

_MOBILENETV2_GROUPS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, channels, blocks and first stride of each group; table 2 of the paper."""
_MOBILENETV2_LAYERS = (1, 3, 6, 13, 17)
"""The last block at each resolution, 1/2 to 1/32."""
_MOBILENETV2_SCALES = (0.235, 0.512, 0.562, 0.466, 0.152)
"""Mean magnitude of each of those maps on 256 px faces; dividing by it lets no layer drown the others."""

_VGG19_CONVOLUTIONS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
"""Number of convolutions at each resolution, and their channels."""
_VGG19_LAYERS = (2, 7, 16, 25, 34)
"""conv1_2, conv2_2, conv3_4, conv4_4 and conv5_4, before their activation."""
_VGG19_WEIGHTS = (0.1, 0.1, 1.0, 1.0, 1.0)


class PerceptualFeatures(nn.Module):
    """Network from images to feature maps at several depths; frozen and always in evaluation mode.

    `weights` are the weights of the maps in a loss.
    """

    def __init__(
        self, features: nn.Sequential, *, layers: Sequence[int], scales: Sequence[float], weights: Sequence[float]
    ) -> None:
        super().__init__()
        self.features = features
        self.weights = tuple(weights)
        self._scales = dict(zip(layers, scales, strict=True))
        self.register_buffer("mean", 2 * torch.tensor(_MEAN)[:, None, None] - 1, persistent=False)
        self.register_buffer("deviation", 2 * torch.tensor(_DEVIATION)[:, None, None], persistent=False)
        self.requires_grad_(requires_grad=False)
        self.eval()

    def forward(self, images_B3HW: Tensor) -> tuple[Tensor, ...]:
        """Map images, float [B, 3, H, W], RGB in [-1, 1], to one [B, C, h, w] per layer, shallow to deep."""
        features = (images_B3HW.float() - self.get_buffer("mean")) / self.get_buffer("deviation")
        maps: list[Tensor] = []
        for layer, block in enumerate(self.features):
            features = block(features)
            if layer in self._scales:
                maps.append(features / self._scales[layer])
        return tuple(maps)

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002, FBT001, FBT002  torch's signature
        """Stay in evaluation mode, whatever the mode of the trained network."""
        return super().train(mode=False)


class MobileNetV2Features(PerceptualFeatures):
    """MobileNetV2 with the package's weights: five maps of like magnitude, 1/2 to 1/32 of the size, equal weights."""

    def __init__(self) -> None:
        features = _mobilenetv2()
        super().__init__(
            features, layers=_MOBILENETV2_LAYERS, scales=_MOBILENETV2_SCALES, weights=(1.0,) * len(_MOBILENETV2_LAYERS)
        )
        self.load_state_dict({name: tensor.float() for name, tensor in load_state_dict(WEIGHTS).items()})


class VGG19Features(PerceptualFeatures):
    """VGG19 of a file: the five maps and weights that GFP-GAN is trained with.

    Args:
        path: torchvision's `vgg19-dcbb9e9d.pth`, or the same names in a `.safetensors` file.

    Raises:
        ModelError: The file is missing, damaged or holds another architecture.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(_vgg19(), layers=_VGG19_LAYERS, scales=(1.0,) * len(_VGG19_LAYERS), weights=_VGG19_WEIGHTS)
        state = {name: tensor.float() for name, tensor in load_state_dict(path).items() if name.startswith("features.")}
        last = f"features.{_VGG19_LAYERS[-1]}"
        if f"{last}.weight" not in state:
            raise ModelError(f"{path} has no {last}.weight; give torchvision's weights of vgg19")
        try:
            self.load_state_dict(state)
        except RuntimeError as error:
            first_lines = " ".join(str(error).split())[:300]
            raise ModelError(f"{path} holds another network than torchvision's vgg19: {first_lines}") from error


def feature_distance(features_a: Sequence[Tensor], features_b: Sequence[Tensor]) -> Tensor:
    """Return the perceptual distance of each pair, float32 [B]: mean over layers of the mean absolute difference.

    Args:
        features_a: Output of a `PerceptualFeatures` for some images.
        features_b: Its output for others of the same size.
    """
    distances = [
        (one.float() - other.float()).abs().mean(dim=(1, 2, 3))
        for one, other in zip(features_a, features_b, strict=True)
    ]
    return torch.stack(distances).mean(dim=0)


class InvertedResidual(nn.Module):
    """Block that widens, filters each channel and narrows without activation; residual where the shapes allow it."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        self.adds = stride == 1 and in_channels == out_channels
        hidden = in_channels * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [_activated(in_channels, hidden, kernel=1)]
        layers.append(_activated(hidden, hidden, stride=stride, groups=hidden))
        layers.append(nn.Conv2d(hidden, out_channels, 1))
        self.conv = nn.Sequential(*layers)

    def forward(self, features_BIHW: Tensor) -> Tensor:
        """Map features [B, I, H, W] to [B, O, H / stride, W / stride]."""
        narrowed: Tensor = self.conv(features_BIHW)
        return features_BIHW + narrowed if self.adds else narrowed


def _activated(
    in_channels: int, out_channels: int, *, kernel: int = 3, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, groups=groups)
    return nn.Sequential(convolution, nn.ReLU6())


def _mobilenetv2() -> nn.Sequential:
    """Build the layers up to the last block, without the widening and the classifier after it."""
    channels = 32
    layers: list[nn.Module] = [_activated(3, channels, stride=2)]
    for expansion, out_channels, blocks, first_stride in _MOBILENETV2_GROUPS:
        for block in range(blocks):
            stride = 1 if block else first_stride
            layers.append(InvertedResidual(channels, out_channels, stride=stride, expansion=expansion))
            channels = out_channels
    return nn.Sequential(*layers)


def _vgg19() -> nn.Sequential:
    """Build the layers up to conv5_4."""
    channels = 3
    layers: list[nn.Module] = []
    for count, out_channels in _VGG19_CONVOLUTIONS:
        for _ in range(count):
            layers += [nn.Conv2d(channels, out_channels, 3, padding=1), nn.ReLU()]
            channels = out_channels
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers[: _VGG19_LAYERS[-1] + 1])
