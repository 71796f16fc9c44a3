"""The RetinaFace networks, loaded with known weights and made ready to run.

The one on ResNet-50 is facexlib's, without its `detect_faces`, which keeps the scale of the last image as state.
"""

import math
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vidrestore.errors import ModelError
from vidrestore.faces.config import NetworkName
from vidrestore.models import zoo
from vidrestore.models.checkpoint import load_state_dict
from vidrestore.models.retinaface import MobileRetinaFace
from vidrestore.models.torchvision_ops import ensure_torchvision_imports
from vidrestore.types import Float64

_MOBILE: Final[NetworkName] = "retinaface-mobile0.25"
_ANCHORS = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))
"""Step of the grid of anchors in pixels, and their sides, for each level of the pyramid."""
_IMAGE_DIMENSIONS = 4
_CENTRE_VARIANCE, _SIZE_VARIANCE = 0.1, 0.2


def load_network(
    name: NetworkName, device: torch.device, *, state: Mapping[str, torch.Tensor] | None = None
) -> nn.Module:
    """Build a RetinaFace that maps float32 BGR minus (104, 117, 123), [n, 3, h, w], to raw predictions.

    Boxes float32 [n, a, 4], softmax scores [n, a, 2] (background, face) and landmarks [n, a, 10], for the `a` anchors
    of `anchors(h, w)`. Normalisations are folded into the convolutions and memory is channels last, which nearly halves
    the time on a CPU. `state`, with keys with or without `module.`, replaces the known weights.

    Raises:
        ModelError: the weights are missing, corrupt or of another architecture.
    """
    network = MobileRetinaFace() if name == _MOBILE else _from_facexlib(name)
    try:
        weights = load_state_dict(zoo.resolve(name)) if state is None else state
        network.load_state_dict({key.removeprefix("module."): value for key, value in weights.items()}, strict=True)
    except RuntimeError as error:
        raise ModelError(f"the weights of {name} do not fit the network: {error}") from error
    _fold_normalisations(network)
    for parameter in network.parameters():
        if parameter.ndim == _IMAGE_DIMENSIONS:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network.requires_grad_(requires_grad=False).eval().to(device)


@lru_cache(maxsize=8)
def anchors(height: int, width: int) -> torch.Tensor:
    """Return the anchors of an image, float32 [a, 4] on the CPU: centre x and y, width, height as fractions of it."""
    levels: list[Float64] = []
    for step, sides in _ANCHORS:
        rows, columns = np.arange(math.ceil(height / step)) + 0.5, np.arange(math.ceil(width / step)) + 0.5
        y, x, side = np.meshgrid(rows * step / height, columns * step / width, sides, indexing="ij")
        levels.append(np.stack([x, y, side / width, side / height], axis=-1).reshape(-1, 4))
    return torch.from_numpy(np.concatenate(levels).astype(np.float32))


def decode(
    boxes: torch.Tensor, landmarks: torch.Tensor, anchors: torch.Tensor, *, height: int, width: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Decode raw predictions of one image to boxes [a, 4] (left, top, right, bottom) and landmarks [a, 5, 2] in pixels.

    Pixel centres lie at integers, as measured on mirrored faces.
    """
    size = torch.tensor([width, height], dtype=torch.float32, device=anchors.device)
    centre, extent = anchors[:, :2] * size, anchors[:, 2:] * size
    middle = centre + boxes[:, :2] * _CENTRE_VARIANCE * extent
    half = extent * torch.exp(boxes[:, 2:] * _SIZE_VARIANCE) / 2
    points = centre[:, None] + landmarks.reshape(-1, 5, 2) * _CENTRE_VARIANCE * extent[:, None]
    return torch.cat([middle - half, middle + half], dim=1), points


def _from_facexlib(name: NetworkName) -> nn.Module:
    ensure_torchvision_imports()
    from facexlib.detection.retinaface import RetinaFace  # noqa: PLC0415  torchvision must be mended first

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(The parameter 'pretrained'|Arguments other than a weight enum)")
        network: nn.Module = RetinaFace(name.removeprefix("retinaface-"), device=torch.device("cpu"))
    return network


def _fold_normalisations(network: nn.Module) -> None:
    for parent in network.modules():
        if not isinstance(parent, nn.Sequential):
            continue
        for index in range(len(parent) - 1):
            convolution, norm = parent[index], parent[index + 1]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                parent[index] = fuse_conv_bn_eval(convolution.eval(), norm.eval())
                parent[index + 1] = nn.Identity()
