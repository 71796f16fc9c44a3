"""Identity: embeddings of aligned faces by interchangeable recognition networks, for training and measuring.

Faces come aligned to the restorer's template. Recognition networks want them tighter, at a fixed size: the crop is
one fixed similarity, sampled differentiably and averaged over areas so that it does not alias.

Shape suffixes: B batch, H and W or S space, D dimensions of the embedding.
"""

import math
import warnings
from pathlib import Path
from typing import Any, Final, Self

import torch
import torch.nn.functional as F  # noqa: N812  the name that every reader of network code expects
from torch import Tensor, nn

from vidrestore.errors import ModelError
from vidrestore.models.arcface import GreyResNet18, load_arcface_network
from vidrestore.models.mobileface import load_mobileface

OUR_TEMPLATE: Final = (
    (192.98 + 239.95j, 318.90 + 240.19j, 256.63 + 314.02j, 201.26 + 371.41j, 313.09 + 371.15j),
    512,
)
"""Left eye, right eye, nose tip, mouth corners (x + iy, pixel centres at integers) and the side of the square they
lie in: what `vidrestore.faces.alignment` aligns to."""
ARCFACE_TEMPLATE: Final = (
    (38.2946 + 51.6963j, 73.5318 + 51.5014j, 56.0252 + 71.7366j, 41.5493 + 92.3655j, 70.7299 + 92.2041j),
    112,
)
"""The same points in the template of ArcFace (Deng et al. 2019) and its followers."""


class ArcFaceCrop(nn.Module):
    """Crop of aligned faces of any size to the 112 px that ArcFace networks expect."""

    def __init__(self) -> None:
        super().__init__()
        self.side = ARCFACE_TEMPLATE[1]
        self.factor, self.shift = _between(ARCFACE_TEMPLATE, OUR_TEMPLATE)

    def forward(self, faces_B3SS: Tensor) -> Tensor:
        """Crop faces, float [B, 3, S, S], to float32 [B, 3, 112, 112], in float32 even under autocast.

        Each pixel is the mean of as many bilinear samples as it covers pixels of the face.
        """
        samples = max(1, math.ceil(abs(self.factor) * faces_B3SS.shape[-1] / self.side))
        with torch.autocast(faces_B3SS.device.type, enabled=False):
            grid_HW2 = self._grid(samples * self.side, faces_B3SS.device)
            grid = grid_HW2.expand(len(faces_B3SS), -1, -1, -1)
            fine = F.grid_sample(faces_B3SS.float(), grid, mode="bilinear", align_corners=False)
            return F.avg_pool2d(fine, samples)

    def _grid(self, side: int, device: torch.device) -> Tensor:
        """Return the place of each sample in the face, float32 [side, side, 2]: (x, y), -1 to 1 from edge to edge."""
        axis = (2 * torch.arange(side, device=device, dtype=torch.float32) + 1) / side - 1
        x, y = axis[None, :], axis[:, None]
        cosine, sine = self.factor.real, self.factor.imag
        return torch.stack((cosine * x - sine * y + self.shift.real, sine * x + cosine * y + self.shift.imag), dim=-1)


class WholeCrop(nn.Module):
    """Reduction of whole aligned faces of any size, as the grey network of GFP-GAN expects them."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, faces_B3SS: Tensor) -> Tensor:
        """Reduce faces, float [B, 3, S, S], to float32 [B, 3, side, side]."""
        return F.interpolate(
            faces_B3SS.float(), (self.side, self.side), mode="bilinear", align_corners=False, antialias=True
        )


class IdentityEmbedding(nn.Module):
    """A crop and a recognition network; frozen, always in evaluation mode, differentiable in the faces."""

    def __init__(self, network: nn.Module, crop: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.crop = crop
        self.requires_grad_(requires_grad=False)
        self.eval()

    def forward(self, faces_B3SS: Tensor) -> Tensor:
        """Embed faces.

        Args:
            faces_B3SS: float [B, 3, S, S], RGB in [-1, 1], aligned to the restorer's template; S from about 128.

        Returns:
            float32 [B, D] of unit length: the cosine between two faces is the sum of products.
        """
        return F.normalize(self.network(self.crop(faces_B3SS)).float(), dim=1)

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002, FBT001, FBT002  torch's signature
        """Stay in evaluation mode: batch statistics of restored faces would move the measure."""
        return super().train(mode=False)


class TorchScriptEmbedding(IdentityEmbedding):
    """Any TorchScript network that maps [B, 3, 112, 112] RGB in [-1, 1], aligned as ArcFace does, to [B, D].

    Loading TorchScript runs code of the file: give only files whose source you trust.

    Raises:
        ModelError: The file is missing or no TorchScript, or the network does not map faces to vectors.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(_load_script(path), ArcFaceCrop())


def load_arcface(path: Path) -> IdentityEmbedding:
    """Load ArcFace from a checkpoint: facexlib's IR-SE 50 or GFP-GAN's grey ResNet-18, recognised by the tensors.

    Raises:
        ModelError: The file is missing, damaged or holds another architecture.
    """
    network = load_arcface_network(path)
    return IdentityEmbedding(network, WholeCrop(128) if isinstance(network, GreyResNet18) else ArcFaceCrop())


def load_identity(name_or_path: str | Path = "mobileface") -> IdentityEmbedding:
    """Load an identity network by name ("mobileface", which is in the package) or from a file.

    `.pth` and `.safetensors` are ArcFace checkpoints; `.pt` and `.ts` are TorchScript, whose loading runs code.

    Raises:
        ModelError: The name or the kind of file is unknown, or the file cannot be used.
    """
    if str(name_or_path) == "mobileface":
        return IdentityEmbedding(load_mobileface(), ArcFaceCrop())
    path = Path(name_or_path).expanduser()
    if path.suffix in {".pth", ".safetensors"}:
        return load_arcface(path)
    if path.suffix in {".pt", ".ts"}:
        return TorchScriptEmbedding(path)
    raise ModelError(
        f"unknown identity network {str(name_or_path)!r}; give 'mobileface', an ArcFace checkpoint (.pth, "
        ".safetensors) or a TorchScript network (.pt, .ts)"
    )


def _load_script(path: Path) -> nn.Module:
    if not path.is_file():
        raise ModelError(f"{path} does not exist or is not a file; give the path of a TorchScript network")
    jit: Any = torch.jit  # its functions carry no types
    try:
        with warnings.catch_warnings(action="ignore"):  # torch advises to export again, which is not up to the user
            network: nn.Module = jit.load(str(path), map_location="cpu")
            embedding: object = network.eval()(torch.zeros(2, 3, 112, 112))
    except (RuntimeError, ValueError, TypeError) as error:
        first_line = str(error).strip().partition("\n")[0][:160]
        raise ModelError(f"cannot run {path} as TorchScript on [2, 3, 112, 112]: {first_line}") from error
    if not isinstance(embedding, Tensor) or embedding.ndim != 2:  # noqa: PLR2004  [B, D]
        came = tuple(embedding.shape) if isinstance(embedding, Tensor) else type(embedding).__name__
        raise ModelError(f"{path} maps [2, 3, 112, 112] to {came}; wanted one tensor [2, D] of embeddings")
    return network


def _between(
    source: tuple[tuple[complex, ...], int], target: tuple[tuple[complex, ...], int]
) -> tuple[complex, complex]:
    """Return factor a and shift b of the least-squares similarity, target = a * source + b, -1 to 1 from edge to edge.

    A similarity and not a general affinity: recognition networks were trained on faces in their own proportions.
    """
    left, right = ([(2 * point + 1 + 1j) / side - (1 + 1j) for point in points] for points, side in (source, target))
    left_mean, right_mean = sum(left) / len(left), sum(right) / len(right)
    pairs = [(one - left_mean, other - right_mean) for one, other in zip(left, right, strict=True)]
    factor = sum(one.conjugate() * other for one, other in pairs) / sum(abs(one) ** 2 for one, _ in pairs)
    return factor, right_mean - factor * left_mean
