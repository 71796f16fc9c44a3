"""Blending restored faces into frames: in the face's region only, in the frame's own planes and bit depth."""

import math
from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np

from vidrestore.faces.alignment import FACE_CENTRE, FACE_RADII, face_distance
from vidrestore.media.colour import Box, Writable, alpha_blend, average_to_grid, code_values, plane_steps
from vidrestore.restoration.config import CompositorConfig
from vidrestore.restoration.face.colour_range import within_video_colours
from vidrestore.restoration.face.cropper import crop_bounds, resized_to_original, to_region, working_side
from vidrestore.types import Float32, Float64, Frame, FrameFaces, Restoration, UInt8

_FACE = (
    FACE_CENTRE[0] - FACE_RADII[0],
    FACE_CENTRE[1] - FACE_RADII[1],
    FACE_CENTRE[0] + FACE_RADII[0],
    FACE_CENTRE[1] + FACE_RADII[1],
)
"""Bounds of the ellipse of `face_mask`: left, top, right, bottom as fractions of the crop's side."""
_ENLARGED = 4
"""Factor by which a crop is enlarged that has less than half a pixel for each pixel of the frame."""


class Compositor:
    """Blends restorations into copies of the planes of their frame.

    A sample outside every face's ellipse, and every frame without faces, comes out bit-identical.
    """

    def __init__(self, config: CompositorConfig) -> None:
        self._config = config

    def __call__(self, item: FrameFaces[Restoration]) -> Frame:
        """Return the frame with its faces restored; without faces, or at strength 0, return the same object."""
        shown = [face for face in item.faces if face.weight * self._config.strength > 0]
        if not shown:
            return item.frame
        planes: tuple[Writable, ...] = tuple(plane.copy() for plane in item.frame.planes)
        for face in shown:
            self._paste(planes, item.frame, face)
        return replace(item.frame, planes=planes)

    def _paste(self, planes: tuple[Writable, ...], frame: Frame, restoration: Restoration) -> None:
        crop, to_crop = _coarser(restoration.crop, restoration.face.to_crop)
        box = crop_bounds(to_crop, crop.shape[0], frame, part=_FACE)
        if box.empty:
            return
        mask = face_mask(crop.shape[0], self._config.feather)
        shown = restoration.face.visibility
        if shown is not None:
            mask = np.asarray(mask * cv2.resize(shown, mask.shape, interpolation=cv2.INTER_LINEAR), dtype=np.float32)
        mask = mask * np.float32(self._config.strength * restoration.weight)
        share = _render(mask, to_crop, box, (1, 1), cv2.BORDER_CONSTANT, smooth=False)
        for plane, values in enumerate(within_video_colours(code_values(crop, frame), frame, box)):
            steps = plane_steps(frame, plane)
            new = _render(values, to_crop, box, steps, cv2.BORDER_REPLICATE, smooth=steps == (1, 1))
            alpha_blend(planes[plane], frame, plane, box, new, average_to_grid(share, steps))


def _coarser(crop: UInt8, to_crop: Float64) -> tuple[UInt8, Float64]:
    """Average a crop down that is many times finer than the frame, to at least twice as fine; return it and its map."""
    side = crop.shape[0]
    small = working_side(side, to_crop)
    if small == side:
        return crop, to_crop
    coarse = np.asarray(cv2.resize(crop, (small, small), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return coarse, (resized_to_original((side, side), (small, small)) @ np.vstack([to_crop, [0, 0, 1]]))[:2]


def _render(
    image: Float32, to_crop: Float64, box: Box, steps: tuple[int, int], border: int, *, smooth: bool
) -> Float32:
    """Draw a crop or mask into a region of a frame, on the grid of a plane; return float32 [rows, columns(, 3)].

    A crop finer than the grid is drawn at a whole multiple of it first and then averaged down, so that little aliases
    and nothing is blurred twice; what is drawn bilinearly is averaged first, which is faster. A much coarser crop is
    enlarged first, cubically, and then drawn bilinearly: as good as drawing it cubically, and faster.

    Args:
        image: float32 [S, S] or [S, S, 3].
        to_crop: float64 [2, 3], frame pixels -> crop pixels.
        box: the region, in frame pixels.
        steps: frame pixels, across and down, to a sample of the plane.
        border: OpenCV's border mode beyond the crop.
        smooth: whether to interpolate cubically; else bilinearly, as players do with chroma.
    """
    size = (-(-box.width // steps[0]), -(-box.height // steps[1]))
    matrix = to_region(to_crop, box) @ resized_to_original((1, 1), steps)
    fineness = np.linalg.norm(matrix[:, :2], axis=0)
    if smooth and fineness.max() < 1 / 2:
        image, matrix = _scaled(image, matrix, image.shape[0] * _ENLARGED, cv2.INTER_CUBIC)
        smooth = False
    elif not smooth and fineness.min() >= 3 / 2:
        image, matrix = _scaled(image, matrix, round(image.shape[0] / round(fineness.min())), cv2.INTER_AREA)
    # a crop a quarter finer than the grid has next to nothing that aliases
    across, down = np.linalg.norm(matrix[:, :2], axis=0) / (5 / 4 if smooth else 1)
    whole = math.ceil if smooth else round
    many = (size[0] * max(1, whole(across)), size[1] * max(1, whole(down)))
    flags = (cv2.INTER_CUBIC if smooth else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP
    drawn = cv2.warpAffine(image, (matrix @ resized_to_original(many, size))[:2], many, flags=flags, borderMode=border)
    if many != size:
        drawn = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)
    return np.asarray(drawn, dtype=np.float32)


def _scaled(image: Float32, matrix: Float64, side: int, interpolation: int) -> tuple[Float32, Float64]:
    """Resize a square image, and return the map to it in place of the map to the image."""
    resized = np.asarray(cv2.resize(image, (side, side), interpolation=interpolation), dtype=np.float32)
    before = image.shape[0]
    return resized, (resized_to_original((before, before), (side, side)) @ np.vstack([matrix, [0, 0, 1]]))[:2]


@lru_cache(maxsize=8)
def face_mask(size: int, feather: float) -> Float32:
    """Draw the soft ellipse of the face in crop space.

    Args:
        size: side of the crop in pixels.
        feather: 0..1, the outer fraction of the radius over which the mask falls (smoothstep).

    Returns:
        float32 [size, size], 0..1, read-only; exactly 0 on the crop's border.
    """
    inside = np.clip((1 - face_distance(size)) / max(feather, 1e-6), 0, 1)
    mask: Float32 = (inside * inside * (3 - 2 * inside)).astype(np.float32)
    mask.setflags(write=False)
    return mask
