"""Where the faces of the truth are: found in every frame, tracked, smoothed, and the same for every video."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np

from vidrestore.evaluation.metrics.regions import Region
from vidrestore.evaluation.videos.config import ComparisonConfig
from vidrestore.faces.alignment import crop_matrix
from vidrestore.faces.boxes import scale
from vidrestore.faces.tracker import Tracker
from vidrestore.media.geometry import frame_to_display, make_preview, preview_scale
from vidrestore.media.shots import ShotDetector
from vidrestore.restoration.config import CompositorConfig
from vidrestore.restoration.face.compositor import face_mask
from vidrestore.restoration.face.selection import face_width
from vidrestore.stages import run
from vidrestore.types import Detection, FaceTrack, Float32, Frame, FrameFaces, UInt8

Detect = Callable[[Sequence[UInt8]], Sequence[tuple[Detection, ...]]]

_CONTOUR: Final = 0.5


@dataclass(frozen=True, slots=True)
class Scene:
    """A frame of the truth and the faces in it."""

    frame: Frame
    shot: int
    tracks: tuple[FaceTrack, ...]
    """Faces large enough to be measured, by rising id."""
    too_small: int
    """Faces too small to be measured."""
    faces: Region = field(repr=False)
    """bool [h, w], frame pixels: where the mask of a face that is pasted in is at least one half."""
    elsewhere: Region = field(repr=False)
    """bool [h, w]: where no mask reaches, of small faces neither."""


def scenes(frames: Iterable[Frame], detect: Detect, config: ComparisonConfig) -> Iterator[Scene]:
    """Yield the frames of the truth with their faces; holds what the tracker holds back."""
    for item in run(Tracker(config.tracker), _detected(frames, detect, config)):
        yield scene_of(item, config)


def scene_of(item: FrameFaces[FaceTrack], config: ComparisonConfig) -> Scene:
    """Lay the restorer's masks on the faces of a frame."""
    measured = tuple(track for track in item.faces if face_width(track) >= config.min_face)
    masks = {track.id: _mask(item.frame, track, config.crop_size) for track in item.faces}
    nowhere = np.zeros((item.frame.height, item.frame.width), np.bool_)
    inside = [masks[track.id] >= _CONTOUR for track in measured]
    reached = [mask > 0 for mask in masks.values()]
    return Scene(
        frame=item.frame,
        shot=item.shot,
        tracks=measured,
        too_small=len(item.faces) - len(measured),
        faces=np.logical_or.reduce([nowhere, *inside]),
        elsewhere=~np.logical_or.reduce([nowhere, *reached]),
    )


def pasted_mask(size: int) -> Float32:
    """Return the restorer's own mask in the crop, float32 [size, size], 0..1."""
    return face_mask(size, CompositorConfig().feather)


def _detected(frames: Iterable[Frame], detect: Detect, config: ComparisonConfig) -> Iterator[FrameFaces[Detection]]:
    cuts, shot = ShotDetector(config.shots), 0
    for frame in frames:
        preview = make_preview(frame, longest_side=config.preview_side)
        shot += cuts.is_cut(preview)
        (found,) = detect([preview])
        factors = preview_scale(frame, longest_side=config.preview_side)
        yield FrameFaces(frame, tuple(scale(face, factors) for face in found), shot)


def _mask(frame: Frame, track: FaceTrack, size: int) -> Float32:
    """Return a face's mask, float32 [h, w] in frame pixels, 0..1."""
    to_crop = crop_matrix(track.to_display, size, frame_to_display(frame))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    mask = cv2.warpAffine(pasted_mask(size), to_crop, (frame.width, frame.height), flags=flags)
    return np.asarray(mask, np.float32)
