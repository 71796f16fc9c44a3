"""Faces in photographs: found in pictures of any size, and cut out as the restorer cuts them out of a frame."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final

import cv2
import numpy as np

from vidrestore.faces.alignment import crop_matrix, place, similarity, transform
from vidrestore.faces.boxes import nms, scale
from vidrestore.media.colour import Box
from vidrestore.restoration.face.cropper import to_region, warp_crop
from vidrestore.stages import BatchStage
from vidrestore.types import Detection, Float32, UInt8

_NEAR_SIDE: Final = 512
"""Longer side in pixels of the preview in which large faces are searched; the detector's anchors end at 512."""
_FAR_FACE: Final = 24.0
"""Width in pixels of the smallest wanted face in the preview in which small faces are searched."""
_SAME_FACE_OVERLAP: Final = 0.4
_MARGIN: Final = 0.25
"""Margin around the small preview, as a share of its longer side."""
_CORNERS: Final = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float64)
_UNMOVED: Final = np.array([[1, 0, 0], [0, 1, 0]], dtype=np.float64)
_CUT_MARGIN_SHARE: Final = 0.02
"""Margin that interpolation may read, as a share of the square's side."""
_CUT_MARGIN: Final = 2


@dataclass(frozen=True, slots=True)
class _Preview:
    """A preview of a photograph, perhaps with a margin around it."""

    picture: UInt8 = field(repr=False)
    """uint8 [h, w, 3] RGB."""
    factors: tuple[float, float]
    """Photograph pixels per preview pixel in x and y."""
    left: int = 0
    """Preview pixels of the margin on the left."""
    top: int = 0
    """Preview pixels of the margin at the top."""


class PhotographFaces:
    """A batch stage from photographs, uint8 [h, w, 3] RGB, to the faces in each, best first, in its pixels.

    Every photograph is searched in a small preview with a margin around it, so that a face that fills the picture is
    found; a large photograph a second time, at the smallest size that the smallest wanted face allows.

    Args:
        detector: the batch stage that finds faces in pictures.
        min_face: width in photograph pixels of the smallest face that matters; None: large faces only.
    """

    def __init__(self, detector: BatchStage[UInt8, tuple[Detection, ...]], *, min_face: float | None = None) -> None:
        self._detector = detector
        self._min_face = min_face

    def __call__(self, items: Sequence[UInt8], /) -> list[tuple[Detection, ...]]:
        """Return the faces of each photograph."""
        previews = [self._previews(item) for item in items]
        found = iter(self._detector([preview.picture for preview in chain.from_iterable(previews)]))
        return [_unique([_in_photograph(face, one) for one in of_item for face in next(found)]) for of_item in previews]

    def _previews(self, photograph: UInt8) -> list[_Preview]:
        # A small preview with a margin shows large faces; a second, larger one is needed only where the smallest wanted
        # face would be too small in the first.
        longer = max(photograph.shape[:2])
        near = min(longer, _NEAR_SIDE)
        previews = [_with_margin(_preview(photograph, near / longer), side=near + 2 * int(near * _MARGIN))]
        far = 0.0 if self._min_face is None else min(1.0, _FAR_FACE / max(self._min_face, _FAR_FACE))
        if round(far * longer) > near:
            previews.append(_preview(photograph, far))
        return previews


def _preview(photograph: UInt8, share: float) -> _Preview:
    height, width = photograph.shape[:2]
    small = (max(1, round(width * share)), max(1, round(height * share)))
    resized = cv2.resize(photograph, small, interpolation=cv2.INTER_AREA)
    return _Preview(np.asarray(resized, np.uint8), (width / small[0], height / small[1]))


def _with_margin(preview: _Preview, *, side: int) -> _Preview:
    """Put the preview in the middle of a square, so that upright and wide photographs go into one batch.

    The border's pixels are repeated: a mirrored border shows half faces, and those are found as faces.
    """
    height, width = preview.picture.shape[:2]
    top, left = (side - height) // 2, (side - width) // 2
    margins = (top, side - height - top, left, side - width - left)
    square = cv2.copyMakeBorder(preview.picture, *margins, cv2.BORDER_REPLICATE)
    return replace(preview, picture=np.asarray(square, np.uint8), left=left, top=top)


def _in_photograph(face: Detection, preview: _Preview) -> Detection:
    margin = np.array([preview.left, preview.top], np.float32)
    moved = replace(face, landmarks=face.landmarks - margin, box=face.box - np.tile(margin, 2))
    return scale(moved, preview.factors)


def _unique(faces: list[Detection]) -> tuple[Detection, ...]:
    """Keep the detection with the highest score of each face that was found at several sizes, best first."""
    if not faces:
        return ()
    boxes = np.stack([face.box for face in faces])
    scores = np.array([face.score for face in faces], np.float32)
    return tuple(faces[index] for index in nms(boxes, scores, threshold=_SAME_FACE_OVERLAP))


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
    margin = _CUT_MARGIN + round(side * _CUT_MARGIN_SHARE)
    corners = place(to_photograph, _CORNERS)
    left, top = (max(0, int(edge)) for edge in np.floor(corners.min(axis=0)) - margin)
    right, bottom = (int(edge) for edge in np.ceil(corners.max(axis=0)) + 1 + margin)
    box = Box(left, top, min(photograph.shape[1], right), min(photograph.shape[0], bottom))
    region = np.ascontiguousarray(photograph[box.top : box.bottom, box.left : box.right])
    crop = warp_crop(region, to_region(to_crop, box), size)
    moved = landmarks @ to_crop[:, :2].T + to_crop[:, 2]
    return crop, moved.astype(np.float32), side
