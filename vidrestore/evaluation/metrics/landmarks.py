"""Whether features stay where they are: the landmarks of a restored face against those of the truth."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np

from vidrestore.errors import RestorationError
from vidrestore.faces.alignment import TEMPLATE
from vidrestore.types import Detection, Float32, Float64, UInt8

Detect = Callable[[Sequence[UInt8]], Sequence[tuple[Detection, ...]]]
"""What `FaceDetector` is: pictures uint8 [h, w, 3] RGB of any sizes -> the faces in each, best first."""

JITTER_FRAMES: Final = 3
"""Consecutive frames that a second difference needs."""

_STRAY: Final = 0.75
"""Mean distance from the template, in its eye distances, of landmarks that are another face's; a profile's are 0.6."""
_POSES: Final = ((0, 1, 0, 0), (4, 0.9, 4, -5), (-5, 0.85, -5, 2), (2, 0.95, 5, 4))
"""Degrees, scale, and shift (x, y) in 256ths of the side, of the copies in which a face is searched. A detector's error
changes with the place of a face in its grid and with its size, so that the mean over several copies has less of it."""
_POSE_SIDE: Final = 256
_MIRRORED: Final = (1, 0, 2, 4, 3)
"""For each point of a face, the index of its counterpart in the mirrored face."""


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
        """Mean error of the faces found in both; NaN where there are none."""
        return statistics.fmean(self.percents) if self.percents else math.nan

    def __add__(self, other: "LandmarkErrors") -> "LandmarkErrors":
        """Return the errors of the faces of both."""
        return LandmarkErrors(self.percents + other.percents, self.missed + other.missed, self.unknown + other.unknown)


def find_landmarks(detect: Detect, images: Sequence[UInt8]) -> list[Float32 | None]:
    """Find the landmarks of each aligned face, float32 [5, 2] in its pixels, or None where the detector finds none.

    Args:
        detect: the detector.
        images: uint8 [S, S, 3] RGB each, aligned. Of several faces in one, that nearest to the template is meant.
    """
    return [_nearest(faces, image.shape[0]) for faces, image in zip(detect(images), images, strict=True)]


def steady_landmarks(detect: Detect, images: Sequence[UInt8]) -> list[Float32 | None]:
    """Find the landmarks of each aligned face, as `find_landmarks`, with less of the detector's own noise.

    The mean over eight slightly turned, smaller and shifted copies, half of them mirrored, so that a mirrored face has
    exactly mirrored landmarks up to rounding. Copies in which no face is found, or only a neighbour's, do not count.
    None where the face as it is shows none, or fewer than half of the copies do. `detect` gets the copies of one face
    at a time.
    """
    return [_steady(detect, image) for image in images]


def believable(landmarks: Float32 | None, side: int) -> Float32 | None:
    """Return landmarks in a crop of `side` pixels, or None where they are those of a neighbouring face."""
    if landmarks is None:
        return None
    template = TEMPLATE * side - 0.5
    eyes = float(np.linalg.norm(template[1] - template[0]))
    return landmarks if np.linalg.norm(landmarks - template, axis=1).mean() <= _STRAY * eyes else None


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
    """Return the mean Euclidean distance of five points [5, 2], per cent of the distance between the wanted eyes.

    Raises:
        RestorationError: the points have another shape, or the wanted eyes coincide.
    """
    if found.shape != (5, 2) or wanted.shape != (5, 2):
        raise RestorationError(f"landmarks are {list(found.shape)} and {list(wanted.shape)}; wanted [5, 2] and [5, 2]")
    between_eyes = float(np.linalg.norm(wanted[1] - wanted[0]))
    if not between_eyes > 0:
        raise RestorationError(f"the wanted eyes are {between_eyes} px apart; wanted two different points")
    return 100 * float(np.linalg.norm(found - wanted, axis=1).mean()) / between_eyes


def landmark_jitter(offsets: Float32 | Float64, eye_distance: float) -> float:
    """Return the second difference over three consecutive frames, per cent of the eye distance, 0 or more; 0 is steady.

    The root mean square over the five points of |o(t - 2) - 2 o(t - 1) + o(t)|. What moves evenly does not count, and
    what the truth does is not in the offsets: a constant error and a drift are no jitter.

    Args:
        offsets: [3, 5, 2], pixels: a video's landmarks less the truth's, in consecutive frames.
        eye_distance: in the same pixels, above 0.

    Raises:
        RestorationError: the offsets have another shape, or the distance is not above 0.
    """
    if offsets.shape != (JITTER_FRAMES, 5, 2) or not eye_distance > 0:
        raise RestorationError(
            f"offsets are {list(offsets.shape)} and the eyes {eye_distance} px apart; wanted [3, 5, 2] and more than 0"
        )
    wide = offsets.astype(np.float64)
    second = wide[0] - 2 * wide[1] + wide[2]
    return 100 * math.sqrt(float(np.square(second).sum(axis=1).mean())) / eye_distance


def _nearest(faces: Sequence[Detection], side: int) -> Float32 | None:
    template = TEMPLATE * side - 0.5
    return min(
        (face.landmarks for face in faces),
        key=lambda landmarks: float(np.linalg.norm(landmarks - template, axis=1).sum()),
        default=None,
    )


@dataclass(frozen=True, slots=True)
class _Pose:
    """A transformation of a crop."""

    to_copy: Float64
    """float64 [2, 3], crop pixels -> pixels of the copy, which is as large."""
    mirrored: bool

    def copy(self, image: UInt8) -> UInt8:
        """Return the copy of a crop, uint8 [S, S, 3]."""
        size = image.shape[1::-1]
        copy = cv2.warpAffine(image, self.to_copy, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(copy, np.uint8)

    def back(self, landmarks: Float32) -> Float32:
        """Map landmarks [5, 2] from the copy to the crop."""
        to_crop = np.asarray(cv2.invertAffineTransform(self.to_copy), np.float64)
        points: Float32 = (landmarks @ to_crop[:, :2].T + to_crop[:, 2]).astype(np.float32)
        return points[list(_MIRRORED)] if self.mirrored else points


@lru_cache(maxsize=4)
def _poses(side: int) -> tuple[_Pose, ...]:
    """Return the poses of crops of so many pixels; the first is the crop as it is."""
    # Each pose turns and scales about the middle, then shifts; its mirrored twin mirrors the crop first.
    middle = (side - 1) / 2
    poses = []
    for degrees, scale, *shift in _POSES:
        pose = np.vstack([cv2.getRotationMatrix2D((middle, middle), degrees, scale), [0, 0, 1]])
        pose[:2, 2] += np.array(shift) * side / _POSE_SIDE
        mirror = np.array([[-1, 0, side - 1], [0, 1, 0], [0, 0, 1]])
        poses += [_Pose(pose[:2], mirrored=False), _Pose((pose @ mirror)[:2], mirrored=True)]
    return tuple(poses)


def _steady(detect: Detect, image: UInt8) -> Float32 | None:
    side = image.shape[0]
    poses = _poses(side)
    found = find_landmarks(detect, [pose.copy(image) for pose in poses])
    back = [None if points is None else pose.back(points) for pose, points in zip(poses, found, strict=True)]
    first, *others = (believable(points, side) for points in back)
    if first is None:
        return None
    sure = [first, *(points for points in others if points is not None)]
    if 2 * len(sure) < len(poses):
        return None
    mean: Float32 = np.stack(sure).mean(axis=0)
    return mean
