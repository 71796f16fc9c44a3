"""ArcFace networks (Deng et al. 2019) of the two checkpoints that face restoration is measured and trained with.

The first, "IR-SE 50", is facexlib's `recognition_arcface_ir_se50.pth` for aligned RGB faces of 112 px; facexlib's
own network class (MIT) is used. The second, "grey ResNet-18", is `arcface_resnet18.pth`, which GFP-GAN was trained
with, for grey faces of 128 px: a residual network whose blocks normalise before the first convolution. Neither file
is part of this package.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from vidrestore.errors import ModelError
from vidrestore.models.checkpoint import load_state_dict
from vidrestore.models.shapes_only import shapes_only
from vidrestore.models.torchvision_ops import ensure_torchvision_imports

_LUMA = (0.2989, 0.5870, 0.1140)
"""Weights of red, green and blue that the grey network was trained with."""


class ResidualBlock(nn.Module):
    """Residual block: normalise, convolve, normalise, PReLU, convolve, normalise; the same PReLU after the sum."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, in_channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.prelu = nn.PReLU()
        self.conv2 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or in_channels != out_channels:
            projection = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(out_channels))

    def forward(self, features_BIHW: Tensor) -> Tensor:
        """Map features [B, I, H, W] to [B, O, H / stride, W / stride]."""
        features: Tensor = self.prelu(self.bn1(self.conv1(self.bn0(features_BIHW))))
        features = self.bn2(self.conv2(features))
        added: Tensor = self.prelu(features + self.downsample(features_BIHW))
        return added


class GreyResNet18(nn.Module):
    """Network from the luma of faces to embeddings; parameter names are those of the published checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.prelu = nn.PReLU()
        self.maxpool = nn.MaxPool2d(2)
        self.layer1 = _layer(64, 64, stride=1)
        self.layer2 = _layer(64, 128, stride=2)
        self.layer3 = _layer(128, 256, stride=2)
        self.layer4 = _layer(256, 512, stride=2)
        self.bn4 = nn.BatchNorm2d(512)
        self.fc5 = nn.Linear(512 * 8 * 8, 512)
        self.bn5 = nn.BatchNorm1d(512)

    def forward(self, faces_B3HW: Tensor) -> Tensor:
        """Embed faces [B, 3, 128, 128], RGB in [-1, 1], as [B, 512]."""
        red, green, blue = faces_B3HW.unbind(dim=1)
        grey_B1HW = (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue)[:, None]
        features: Tensor = self.maxpool(self.prelu(self.bn1(self.conv1(grey_B1HW))))
        features = self.layer4(self.layer3(self.layer2(self.layer1(features))))
        embedding_BD: Tensor = self.bn5(self.fc5(self.bn4(features).flatten(1)))
        return embedding_BD


def load_arcface_network(path: Path) -> nn.Module:
    """Read either network from a `.pth` or `.safetensors` file, in float32 on the CPU, in evaluation mode.

    Returns:
        `GreyResNet18`, or facexlib's IR-SE 50, which maps [B, 3, 112, 112] RGB in [-1, 1] to [B, 512].

    Raises:
        ModelError: The file is missing, damaged or holds another architecture.
    """
    state = {name.removeprefix("module."): tensor for name, tensor in load_state_dict(path).items()}
    with shapes_only():  # initialising 43 million parameters that are then replaced takes seconds
        network = _matching(state, path)
    try:
        network.load_state_dict({name: _in_float32(tensor) for name, tensor in state.items()}, assign=True)
    except RuntimeError as error:
        first_lines = " ".join(str(error).split())[:300]
        raise ModelError(f"{path} is not the ArcFace network that its names promise: {first_lines}") from error
    return network.eval()


def _matching(state: Mapping[str, Tensor], path: Path) -> nn.Module:
    if "fc5.weight" in state and "layer1.0.bn0.weight" in state:
        return GreyResNet18()
    if "input_layer.0.weight" in state and "body.0.res_layer.5.fc1.weight" in state:
        ensure_torchvision_imports()
        from facexlib.recognition.arcface_arch import Backbone  # noqa: PLC0415  torchvision must be mended first

        backbone: nn.Module = Backbone(50, 0.6, "ir_se")
        return backbone
    raise ModelError(
        f"{path} holds {len(state)} tensors ({', '.join(sorted(state)[:3])}, ...), which are of neither facexlib's "
        "IR-SE 50 nor GFP-GAN's grey ResNet-18; for other networks export TorchScript (.pt)"
    )


def _layer(in_channels: int, out_channels: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(
        ResidualBlock(in_channels, out_channels, stride=stride), ResidualBlock(out_channels, out_channels, stride=1)
    )


def _in_float32(tensor: Tensor) -> Tensor:
    return tensor.to(torch.float32) if tensor.is_floating_point() else tensor
