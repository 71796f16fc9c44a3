"""Whether eyes, mouth and skin keep their colours: distances in the a*b* plane of CIELAB, by region of a face.

A face whose brown eyes turned blue loses next to nothing by PSNR, and everything to anyone who knows it. Images are
uint8 [B, 3, S, S] RGB of aligned faces; brightness does not count. A distance of 2.3 is about the smallest that an
eye notices.

Shape suffixes: B batch, R regions, H and W space.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  the name that every reader of network code expects
from torch import Tensor

from vidrestore.types import Float32

_CELLS: Final = 64
"""Cells along a side: colours are means of cells, so that noise and texture do not count, and an iris has nine."""
_IRIS_RADIUS: Final = 0.09
"""Radii and offsets are shares of the face's scale, the larger of the distances from eye to eye and eyes to mouth."""
_MOUTH_HEIGHT: Final = 0.16
_CHEEK_RADIUS: Final = 0.14
_CHEEK_OFFSET: Final = 0.08
"""Distance by which a cheek's disc is moved outwards from the line between eye and corner of the mouth."""
_WHITE_D65: Final = (0.95047, 1.0, 1.08883)
_RGB_TO_XYZ: Final = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.072175),
    (0.0193339, 0.119192, 0.9503041),
)
_LINEAR_BELOW: Final = 0.04045
_CUBIC_ABOVE: Final = (6 / 29) ** 3


@dataclass(frozen=True, slots=True)
class ChromaErrors:
    """Mean distances in the a*b* plane, of the faces whose landmarks are known."""

    irises: tuple[float, ...] = ()
    mouths: tuple[float, ...] = ()
    """Lips and what is seen between them."""
    cheeks: tuple[float, ...] = ()

    def __add__(self, other: "ChromaErrors") -> "ChromaErrors":
        """Return the errors of the faces of both."""
        return ChromaErrors(self.irises + other.irises, self.mouths + other.mouths, self.cheeks + other.cheeks)


@torch.no_grad()
def chroma_errors(restored_B3HW: Tensor, truth_B3HW: Tensor, landmarks: Sequence[Float32 | None]) -> ChromaErrors:
    """Compare the colours of restored faces with those of their truths.

    Args:
        restored_B3HW: uint8 RGB.
        truth_B3HW: of the same shape and device.
        landmarks: landmarks of the B truths, float32 [5, 2], pixels (x, y); None where unknown: the face is left out.
    """
    known = [index for index, points in enumerate(landmarks) if points is not None]
    if not known:
        return ChromaErrors()
    points = np.stack([points for points in landmarks if points is not None])
    regions_BRHW = _regions(torch.from_numpy(points).to(truth_B3HW.device).float(), truth_B3HW.shape[-1])
    colours = [_cells(_chroma(images[known])) for images in (restored_B3HW, truth_B3HW)]
    distance_B1HW = (colours[0] - colours[1]).norm(dim=1, keepdim=True)
    counts_BRHW = _cells(regions_BRHW)
    means_BR = (distance_B1HW * counts_BRHW).sum(dim=(2, 3)) / counts_BRHW.sum(dim=(2, 3)).clamp(min=1e-6)
    irises, mouths, cheeks = (tuple(column.tolist()) for column in means_BR.double().unbind(1))
    return ChromaErrors(irises, mouths, cheeks)


def _cells(images_BCHW: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(images_BCHW, min(_CELLS, images_BCHW.shape[-1]))


def _chroma(images_B3HW: Tensor) -> Tensor:
    """Convert sRGB to a* and b*, float32 [B, 2, H, W]."""
    coded = images_B3HW.float() / 255
    light = torch.where(coded <= _LINEAR_BELOW, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    xyz = torch.einsum("ij,bjhw->bihw", light.new_tensor(_RGB_TO_XYZ), light)
    share = xyz / xyz.new_tensor(_WHITE_D65)[:, None, None]
    root = torch.where(
        share > _CUBIC_ABOVE, share.clamp(min=_CUBIC_ABOVE) ** (1 / 3), share * (29 / 6) ** 2 / 3 + 4 / 29
    )
    return torch.stack((500 * (root[:, 0] - root[:, 1]), 200 * (root[:, 1] - root[:, 2])), dim=1)


def _regions(points_B52: Tensor, side: int) -> Tensor:
    """Return masks of irises, mouth and cheeks: float32 [B, 3, side, side], 0 or 1."""
    eyes, corners = points_B52[:, :2], points_B52[:, 3:]
    across = eyes[:, 1] - eyes[:, 0]
    scale_B = torch.maximum(across.norm(dim=1), (corners.mean(1) - eyes.mean(1)).norm(dim=1))
    outwards = F.normalize(across, dim=1)[:, None] * torch.tensor([[-1.0], [1.0]], device=points_B52.device)
    cheeks = (eyes + corners) / 2 + outwards * (_CHEEK_OFFSET * scale_B)[:, None, None]
    half_mouth_B = (corners[:, 1] - corners[:, 0]).norm(dim=1) / 2
    iris, cheek, height = _IRIS_RADIUS * scale_B, _CHEEK_RADIUS * scale_B, _MOUTH_HEIGHT * scale_B
    regions = [
        torch.maximum(_ellipse(eyes[:, 0], iris, iris, side), _ellipse(eyes[:, 1], iris, iris, side)),
        _ellipse(corners.mean(1), half_mouth_B, height, side),
        torch.maximum(_ellipse(cheeks[:, 0], cheek, cheek, side), _ellipse(cheeks[:, 1], cheek, cheek, side)),
    ]
    return torch.stack(regions, dim=1)


def _ellipse(centre_B2: Tensor, width_B: Tensor, height_B: Tensor, side: int) -> Tensor:
    row = torch.arange(side, device=centre_B2.device, dtype=torch.float32)
    x_B1W = ((row - centre_B2[:, :1]) / width_B[:, None].clamp(min=1))[:, None].square()
    y_BH1 = ((row - centre_B2[:, 1:]) / height_B[:, None].clamp(min=1))[:, :, None].square()
    return (x_B1W + y_BH1 <= 1).float()
