"""RetinaFace (Deng et al. 2020) on MobileNet 0.25, the network of the embedded detector.

Names of parameters, order of operations and results are those of facexlib's network of the same weights. facexlib
itself imports torchvision, and that the compiler of torch: three seconds that a short video does not have.

Shape suffixes: B batch, C channels, H and W space, A anchors.
"""

import torch
import torch.nn.functional as F  # noqa: N812  the name that every reader of network code expects
from torch import Tensor, nn

_SLOPE = 0.1
_PYRAMID_CHANNELS = 64
_ANCHORS_PER_CELL = 2


class MobileRetinaFace(nn.Module):
    """Maps float32 BGR minus (104, 117, 123), [B, 3, H, W], to boxes, scores and landmarks of the anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.body = _MobileNet()
        self.fpn = _FeaturePyramid((64, 128, 256), _PYRAMID_CHANNELS)
        self.ssh1, self.ssh2, self.ssh3 = (_ContextModule(_PYRAMID_CHANNELS) for _ in range(3))
        self.BboxHead, self.ClassHead, self.LandmarkHead = (
            nn.ModuleList(_Head(_PYRAMID_CHANNELS, values) for _ in range(3)) for values in (4, 2, 10)
        )

    def forward(self, images_B3HW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return boxes [B, A, 4], softmax scores [B, A, 2] (background, face) and landmarks [B, A, 10], undecoded."""
        pyramid = self.fpn(self.body(images_B3HW))
        features = [ssh(level) for ssh, level in zip((self.ssh1, self.ssh2, self.ssh3), pyramid, strict=True)]
        boxes, classes, landmarks = (
            torch.cat([head(level) for head, level in zip(heads, features, strict=True)], dim=1)
            for heads in (self.BboxHead, self.ClassHead, self.LandmarkHead)
        )
        return boxes, F.softmax(classes, dim=-1), landmarks


class _MobileNet(nn.Module):
    """The three stages of MobileNet 0.25 (Howard et al. 2017) at 1/8, 1/16 and 1/32 of the size."""

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(
            _convolution(3, 8, stride=2),
            *(_separable(a, b, stride=stride) for a, b, stride in ((8, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2))),
            _separable(64, 64, stride=1),
        )
        self.stage2 = nn.Sequential(_separable(64, 128, stride=2), *(_separable(128, 128, stride=1) for _ in range(5)))
        self.stage3 = nn.Sequential(_separable(128, 256, stride=2), _separable(256, 256, stride=1))

    def forward(self, images_B3HW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first = self.stage1(images_B3HW)
        second = self.stage2(first)
        return first, second, self.stage3(second)


class _FeaturePyramid(nn.Module):
    """A feature pyramid (Lin et al. 2017): coarse levels are added to finer ones."""

    def __init__(self, inputs: tuple[int, int, int], channels: int) -> None:
        super().__init__()
        self.output1, self.output2, self.output3 = (_convolution(count, channels, size=1) for count in inputs)
        self.merge1, self.merge2 = _convolution(channels, channels), _convolution(channels, channels)

    def forward(self, levels: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        fine, middle, coarse = self.output1(levels[0]), self.output2(levels[1]), self.output3(levels[2])
        middle = self.merge2(middle + F.interpolate(coarse, size=middle.shape[2:], mode="nearest"))
        fine = self.merge1(fine + F.interpolate(middle, size=fine.shape[2:], mode="nearest"))
        return fine, middle, coarse


class _ContextModule(nn.Module):
    """SSH (Najibi et al. 2017): convolutions of 3, 5 and 7 pixels in parallel, the larger ones as chains."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        self.conv3X3 = _convolution(channels, half, activated=False)
        self.conv5X5_1 = _convolution(channels, quarter)
        self.conv5X5_2 = _convolution(quarter, quarter, activated=False)
        self.conv7X7_2 = _convolution(quarter, quarter)
        self.conv7x7_3 = _convolution(quarter, quarter, activated=False)

    def forward(self, features_BCHW: Tensor) -> Tensor:
        shared = self.conv5X5_1(features_BCHW)
        sizes = [self.conv3X3(features_BCHW), self.conv5X5_2(shared), self.conv7x7_3(self.conv7X7_2(shared))]
        return F.relu(torch.cat(sizes, dim=1))


class _Head(nn.Module):
    """Values of each anchor, in the order of the image's rows."""

    def __init__(self, channels: int, values: int) -> None:
        super().__init__()
        self._values = values
        self.conv1x1 = nn.Conv2d(channels, _ANCHORS_PER_CELL * values, 1)

    def forward(self, features_BCHW: Tensor) -> Tensor:
        found: Tensor = self.conv1x1(features_BCHW).permute(0, 2, 3, 1).contiguous()
        return found.view(found.shape[0], -1, self._values)


def _convolution(inputs: int, outputs: int, *, size: int = 3, stride: int = 1, activated: bool = True) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    activation = [nn.LeakyReLU(_SLOPE, inplace=True)] if activated else []
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), *activation)


def _separable(inputs: int, outputs: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.LeakyReLU(_SLOPE, inplace=True),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(_SLOPE, inplace=True),
    )
