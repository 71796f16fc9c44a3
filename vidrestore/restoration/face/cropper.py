"""Cutting tracked faces out of a frame, upright and at the network's size."""

import math

import cv2
import numpy as np

from vidrestore.faces.alignment import crop_matrix
from vidrestore.media.colour import Box, align_box, region_to_rgb
from vidrestore.media.geometry import frame_to_display
from vidrestore.types import AlignedFace, FaceTrack, Float64, Frame, FrameFaces, UInt8

_MARGIN = 3
"""Frame pixels around the crop that interpolation and chroma upsampling may touch."""

_FINER = 2.0
"""Minimum number of crop pixels per frame pixel when a crop is halved."""


class FaceCropper:
    """Turns face tracks into aligned crops; only the surroundings of each face are converted to RGB.

    Args:
        crop_size: side of the crop in pixels, the network's input size.
    """

    def __init__(self, crop_size: int) -> None:
        self._crop_size = crop_size

    def __call__(self, item: FrameFaces[FaceTrack]) -> FrameFaces[AlignedFace]:
        """Cut out every face; a track that lies wholly outside the frame gives no crop."""
        display = frame_to_display(item.frame)
        faces = (self._align(item.frame, track, display) for track in item.faces)
        return FrameFaces(item.frame, tuple(face for face in faces if face), item.shot, item.detector_ran)

    def _align(self, frame: Frame, track: FaceTrack, display: Float64) -> AlignedFace | None:
        to_crop = crop_matrix(track.to_display, self._crop_size, display)
        box = crop_bounds(to_crop, self._crop_size, frame, margin=_MARGIN)
        if box.empty:
            return None
        scale, matrix, size = scale_factor(to_crop), to_region(to_crop, box), None
        if scale < 1:  # averaged down before it is converted: a fraction of the work, and rounded once less
            size = _shrunk(box.width, box.height, scale)
            matrix = matrix @ resized_to_original(size, (box.width, box.height))
        crop = _warped(region_to_rgb(frame, box, size=size), matrix, self._crop_size)
        return AlignedFace(track, crop, to_crop)


def crop_bounds(
    to_crop: Float64,
    crop_size: int,
    frame: Frame,
    *,
    margin: int = 0,
    part: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
) -> Box:
    """Find the frame pixels that a crop covers: the bounding box of its corners, clipped and chroma-aligned.

    Args:
        to_crop: float64 [2, 3], frame pixels -> crop pixels.
        crop_size: side of the crop in pixels.
        frame: clips the box, which is empty when crop and frame do not overlap.
        margin: frame pixels to add on each side.
        part: the part of the crop to cover: left, top, right, bottom as fractions of the crop's side.
    """
    left, top, right, bottom = (edge * crop_size - 0.5 for edge in part)
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    inverse = np.asarray(cv2.invertAffineTransform(to_crop), dtype=np.float64)
    points = corners @ inverse[:, :2].T + inverse[:, 2]
    first = np.floor(points.min(axis=0)).astype(int) - margin
    last = np.ceil(points.max(axis=0)).astype(int) + 1 + margin
    return align_box(Box(int(first[0]), int(first[1]), int(last[0]), int(last[1])), frame)


def to_region(to_crop: Float64, box: Box) -> Float64:
    """Rebase an affine map from frame pixels to the pixels of a region."""
    moved: Float64 = to_crop.copy()
    moved[:, 2] += to_crop[:, :2] @ np.array([box.left, box.top], dtype=np.float64)
    return moved


def warp_crop(region: UInt8, to_crop: Float64, crop_size: int) -> UInt8:
    """Warp a region onto the crop; a face larger than the crop is averaged down first, so that nothing aliases.

    Args:
        region: uint8 [h, w, 3] RGB.
        to_crop: float64 [2, 3], region pixels -> crop pixels.
        crop_size: side of the crop in pixels.

    Returns:
        uint8 [crop_size, crop_size, 3] RGB; beyond the frame's edge it is mirrored, as in the training data.
    """
    scale = scale_factor(to_crop)
    if scale < 1:
        height, width = region.shape[:2]
        small = _shrunk(width, height, scale)
        region = np.asarray(cv2.resize(region, small, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        to_crop = to_crop @ resized_to_original(small, (width, height))
    return _warped(region, to_crop, crop_size)


def _shrunk(width: int, height: int, scale: float) -> tuple[int, int]:
    return max(1, round(width * scale)), max(1, round(height * scale))


def _warped(region: UInt8, to_crop: Float64, crop_size: int) -> UInt8:
    size = (crop_size, crop_size)
    crop = cv2.warpAffine(region, to_crop, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(crop, dtype=np.uint8)


def scale_factor(matrix: Float64) -> float:
    """Return the output pixels per input pixel of an affine map: the root of its determinant."""
    return math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))


def working_side(side: int, to_crop: Float64, *, least: int = 1) -> int:
    """Halve the side of a crop while it stays twice as fine as the frame and not below `least` pixels.

    Args:
        side: side of the crop before, in pixels.
        to_crop: float64 [2, 3], frame pixels -> crop pixels.
        least: smallest side to return, in pixels.
    """
    fine = scale_factor(to_crop)
    while side >= 2 * least and fine >= 2 * _FINER:
        side, fine = side // 2, fine / 2
    return side


def resized_to_original(resized: tuple[int, int], original: tuple[int, int]) -> Float64:
    """Return the map float64 [3, 3] from pixels of a resized image to those of the original; sizes (width, height)."""
    ratio_x, ratio_y = original[0] / resized[0], original[1] / resized[1]
    return np.array([[ratio_x, 0, (ratio_x - 1) / 2], [0, ratio_y, (ratio_y - 1) / 2], [0, 0, 1]])
