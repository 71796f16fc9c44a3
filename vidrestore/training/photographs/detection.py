"""Faces in photographs: of any size in pictures of any size, also those that fill the picture."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final

import cv2
import numpy as np

from vidrestore.faces.boxes import nms, scale
from vidrestore.stages import BatchStage
from vidrestore.types import Detection, UInt8

_NEAR_SIDE: Final = 512
"""Longer side in pixels of the preview in which large faces are searched; the detector's anchors end at 512."""
_FAR_FACE: Final = 24.0
"""Width in pixels of the smallest wanted face in the preview in which small faces are searched."""
_SAME_FACE_OVERLAP: Final = 0.4
_MARGIN: Final = 0.25
"""Margin around the small preview, as a share of its longer side."""


@dataclass(frozen=True, slots=True)
class _Look:
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
        looks = [self._looks(item) for item in items]
        found = iter(self._detector([look.picture for look in chain.from_iterable(looks)]))
        return [_unique([_in_photograph(face, look) for look in of_item for face in next(found)]) for of_item in looks]

    def _looks(self, photograph: UInt8) -> list[_Look]:
        # A small preview with a margin shows large faces; a second, larger one is needed only where the smallest wanted
        # face would be too small in the first.
        longer = max(photograph.shape[:2])
        near = min(longer, _NEAR_SIDE)
        looks = [_with_margin(_preview(photograph, near / longer), side=near + 2 * int(near * _MARGIN))]
        far = 0.0 if self._min_face is None else min(1.0, _FAR_FACE / max(self._min_face, _FAR_FACE))
        if round(far * longer) > near:
            looks.append(_preview(photograph, far))
        return looks


def _preview(photograph: UInt8, share: float) -> _Look:
    height, width = photograph.shape[:2]
    small = (max(1, round(width * share)), max(1, round(height * share)))
    resized = cv2.resize(photograph, small, interpolation=cv2.INTER_AREA)
    return _Look(np.asarray(resized, np.uint8), (width / small[0], height / small[1]))


def _with_margin(look: _Look, *, side: int) -> _Look:
    """Put the preview in the middle of a square, so that upright and wide photographs go into one batch.

    The border's pixels are repeated: a mirrored border shows half faces, and those are found as faces.
    """
    height, width = look.picture.shape[:2]
    top, left = (side - height) // 2, (side - width) // 2
    margins = (top, side - height - top, left, side - width - left)
    square = cv2.copyMakeBorder(look.picture, *margins, cv2.BORDER_REPLICATE)
    return replace(look, picture=np.asarray(square, np.uint8), left=left, top=top)


def _in_photograph(face: Detection, look: _Look) -> Detection:
    margin = np.array([look.left, look.top], np.float32)
    moved = replace(face, landmarks=face.landmarks - margin, box=face.box - np.tile(margin, 2))
    return scale(moved, look.factors)


def _unique(faces: list[Detection]) -> tuple[Detection, ...]:
    """Keep the detection with the highest score of each face that was found at several sizes, best first."""
    if not faces:
        return ()
    boxes = np.stack([face.box for face in faces])
    scores = np.array([face.score for face in faces], np.float32)
    return tuple(faces[index] for index in nms(boxes, scores, threshold=_SAME_FACE_OVERLAP))
