"""One face of a photograph as an aligned square, cut as the restorer cuts it out of a frame."""

from typing import Final

import numpy as np

from vidrestore.faces.alignment import crop_matrix, place, similarity, transform
from vidrestore.media.colour import Box
from vidrestore.restoration.face.cropper import to_region, warp_crop
from vidrestore.types import Float32, Float64, UInt8

_CORNERS: Final = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float64)
_UNMOVED: Final = np.array([[1, 0, 0], [0, 1, 0]], dtype=np.float64)
_MARGIN_SHARE: Final = 0.02
"""Margin that interpolation may read, as a share of the square's side."""
_MARGIN: Final = 2


def cut_face(photograph: UInt8, landmarks: Float32, *, size: int) -> tuple[UInt8, Float32, float]:
    """Cut out a face with the five-point template; one larger than `size` is averaged down, so that nothing aliases.

    Args:
        photograph: uint8 [h, w, 3] RGB.
        landmarks: float32 [5, 2], pixels of the photograph.
        size: side of the result in pixels.

    Returns:
        uint8 [size, size, 3] RGB (beyond the photograph's edge its mirror image); the landmarks in it, float32
        [5, 2]; and the side of the square in pixels of the photograph.
    """
    pose = similarity(landmarks)
    to_photograph = transform(pose)
    to_crop = crop_matrix(to_photograph, size, _UNMOVED)
    side = float(np.exp(pose[0]))
    box = _around(to_photograph, photograph.shape, margin=_MARGIN + round(side * _MARGIN_SHARE))
    region = np.ascontiguousarray(photograph[box.top : box.bottom, box.left : box.right])
    crop = warp_crop(region, to_region(to_crop, box), size)
    moved = landmarks @ to_crop[:, :2].T + to_crop[:, 2]
    return crop, moved.astype(np.float32), side


def _around(to_photograph: Float64, shape: tuple[int, ...], *, margin: int) -> Box:
    corners = place(to_photograph, _CORNERS)
    left, top = (max(0, int(edge)) for edge in np.floor(corners.min(axis=0)) - margin)
    right, bottom = (int(edge) for edge in np.ceil(corners.max(axis=0)) + 1 + margin)
    return Box(left, top, min(shape[1], right), min(shape[0], bottom))
