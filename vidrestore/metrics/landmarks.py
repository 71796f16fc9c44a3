"""Whether features stay where they are: the landmarks of a restored face against those of the truth."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from vidrestore.errors import RestorationError
from vidrestore.faces.alignment import TEMPLATE
from vidrestore.types import Detection, Float32, Float64, UInt8

Detect = Callable[[Sequence[UInt8]], Sequence[tuple[Detection, ...]]]
"""What `FaceDetector` is: pictures uint8 [h, w, 3] RGB of any sizes -> the faces in each, best first."""


@dataclass(frozen=True, slots=True)
class LandmarkErrors:
    """Errors of several faces; every face is in exactly one of the three."""

    percents: tuple[float, ...]
    """Mean distance of the five points, per cent of the truth's inter-ocular distance; of faces found in both."""
    missed: int = 0
    """Faces of the truth in whose restoration none was found."""
    unknown: int = 0
    """Faces not found in the truth, so that there is nothing to compare with."""

    @property
    def mean_percent(self) -> float:
        """Of the faces found in both; NaN where there are none."""
        return statistics.fmean(self.percents) if self.percents else math.nan

    def __add__(self, other: "LandmarkErrors") -> "LandmarkErrors":
        """The faces of both."""
        return LandmarkErrors(self.percents + other.percents, self.missed + other.missed, self.unknown + other.unknown)


def find_landmarks(detect: Detect, images: Sequence[UInt8]) -> list[Float32 | None]:
    """The landmarks of each aligned face, float32 [5, 2] in its pixels, or None where the detector finds none.

    Args:
        detect: the detector.
        images: uint8 [S, S, 3] RGB each, aligned. Of several faces in one, that nearest to the template is meant.
    """
    return [_nearest(faces, image.shape[0]) for faces, image in zip(detect(images), images, strict=True)]


def landmark_errors(restored: Iterable[Float32 | None], truth: Iterable[Float32 | None]) -> LandmarkErrors:
    """Compare what `find_landmarks` found in restored faces with what it found in their truths, one by one."""
    percents, missed, unknown = [], 0, 0
    for found, wanted in zip(restored, truth, strict=True):
        if wanted is None:
            unknown += 1
        elif found is None:
            missed += 1
        else:
            percents.append(landmark_error(found, wanted))
    return LandmarkErrors(tuple(percents), missed, unknown)


def landmark_error(found: Float32 | Float64, wanted: Float32 | Float64) -> float:
    """Mean Euclidean distance of five points [5, 2], per cent of the distance between the wanted eyes.

    Raises:
        RestorationError: the points have another shape, or the wanted eyes coincide.
    """
    if found.shape != (5, 2) or wanted.shape != (5, 2):
        raise RestorationError(f"landmarks are {list(found.shape)} and {list(wanted.shape)}; wanted [5, 2] and [5, 2]")
    between_eyes = float(np.linalg.norm(wanted[1] - wanted[0]))
    if not between_eyes > 0:
        raise RestorationError(f"the wanted eyes are {between_eyes} px apart; wanted two different points")
    return 100 * float(np.linalg.norm(found - wanted, axis=1).mean()) / between_eyes


def _nearest(faces: Sequence[Detection], side: int) -> Float32 | None:
    template = TEMPLATE * side - 0.5
    return min(
        (face.landmarks for face in faces),
        key=lambda landmarks: float(np.linalg.norm(landmarks - template, axis=1).sum()),
        default=None,
    )
