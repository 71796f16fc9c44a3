"""Visibility of a pasted face's border: gradients across the border of its mask that the truth lacks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from vidrestore.errors import RestorationError
from vidrestore.types import Float32, Float64

RING_SHARE: Final = 0.08
"""Half the ring's width, as a share of the aligned square's side: the soft edge of the mask, and a little more."""
_SECTORS: Final = 18
_LEVELS: Final = 10
"""Cells of the ring: along it and across it."""
_BLUR_SHARE: Final = 0.008
"""Sigma of the blur before, in sides of the square: noise is no seam, and a seam is longer than it."""


@dataclass(frozen=True, slots=True)
class Ring:
    """The surroundings of a mask's border, in cells."""

    rows: NDArray[np.intp] = field(repr=False)
    """[n], rows of the ring's pixels."""
    columns: NDArray[np.intp] = field(repr=False)
    normals: Float32 = field(repr=False)
    """float32 [n, 2], (x, y): normals of unit length, outwards."""
    cells: NDArray[np.intp] = field(repr=False)
    """[n], 0..179: cell of each pixel, sector * 10 + level."""


def ring_around(mask: Float32) -> Ring:
    """Return the ring around the contour 0.5 of a mask, float32 [S, S] in 0..1.

    Raises:
        RestorationError: the mask has no such contour.
    """
    inside = (mask >= 0.5).astype(np.uint8)  # noqa: PLR2004  the contour
    if mask.ndim != 2 or not inside.any() or inside.all():  # noqa: PLR2004  [S, S]
        raise RestorationError(f"the mask {list(mask.shape)} lies wholly on one side of 0.5; it has no border")
    # The signed distance to the contour gives the ring (|distance| < half), its normals (the gradient) and the levels
    # of its cells; the angle around the mask's centre gives their sectors.
    # OpenCV's own transform, in several threads, does not give the same last bits twice.
    distance = (distance_transform_edt(1 - inside) - distance_transform_edt(inside)).astype(np.float32)
    half = RING_SHARE * mask.shape[0]
    rows, columns = np.nonzero(np.abs(distance) < half)
    smooth = np.asarray(cv2.GaussianBlur(distance, (0, 0), 2.0), np.float32)
    down, across = _slopes(smooth)
    normals = np.stack([across[rows, columns], down[rows, columns]], axis=1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
    centre_row, centre_column = (float(axis.mean()) for axis in np.nonzero(inside))
    turn = np.arctan2(rows - centre_row, columns - centre_column) / (2 * np.pi) % 1
    sector = np.minimum((turn * _SECTORS).astype(np.intp), _SECTORS - 1)
    level = ((distance[rows, columns] / half + 1) / 2 * _LEVELS).astype(np.intp).clip(0, _LEVELS - 1)
    return Ring(rows, columns, normals.astype(np.float32), sector * _LEVELS + level)


def seam_energy(luma: Float32, others: Sequence[Float32], ring: Ring) -> float:
    """Return gradient energy across the ring beyond that of other videos, (grey levels per crop pixel)^2; 0 is no seam.

    After a light blur, the gradient along the ring's normal is averaged over cells of 20 degrees and a tenth of the
    ring's width, in which texture and noise cancel for the most part and a seam, which runs along the ring, does not.
    Its mean square over a sector is the sector's energy; what it has beyond the largest of the others', if anything,
    is averaged over the sectors: one that is smoother does not make up for another with a seam.

    Args:
        luma: float32 [S, S] of the aligned face, grey levels 0..255.
        others: one or more lumas of the same kind: the truth, whose edges are no seams; also the input, around whose
            own edges the face was pasted.
        ring: result of `ring_around` for a mask of the same size.

    Raises:
        RestorationError: there are no others, or the pictures are not of one shape.
    """
    shapes = [list(crop.shape) for crop in (luma, *others)]
    if len(shapes) == 1 or any(shape != shapes[0] for shape in shapes) or luma.ndim != 2:  # noqa: PLR2004  [S, S]
        raise RestorationError(f"crops are {shapes}; wanted [S, S] of two videos or more")
    known = np.max([_sector_energies(other, ring) for other in others], axis=0)
    return float(np.maximum(_sector_energies(luma, ring) - known, 0).mean())


def _slopes(picture: Float32) -> tuple[Float32, Float32]:
    """Compute central differences down and across, float32 [S, S] each, per pixel."""
    return np.asarray(np.gradient(picture, axis=0), np.float32), np.asarray(np.gradient(picture, axis=1), np.float32)


def _sector_energies(luma: Float32, ring: Ring) -> Float64:
    """Return the energy of each sector, float64 [18], (grey levels per pixel)^2."""
    smooth = np.asarray(cv2.GaussianBlur(luma, (0, 0), _BLUR_SHARE * luma.shape[0]), np.float32)
    down, across = _slopes(smooth)
    # Slope along the normal, averaged over each cell before it is squared: only what runs along the ring remains.
    slope = across[ring.rows, ring.columns] * ring.normals[:, 0] + down[ring.rows, ring.columns] * ring.normals[:, 1]
    count = _SECTORS * _LEVELS
    pixels = np.bincount(ring.cells, minlength=count)
    cells = np.bincount(ring.cells, slope, minlength=count) / np.maximum(pixels, 1)
    energies: Float64 = np.square(cells).reshape(_SECTORS, _LEVELS).mean(axis=1)
    return energies
