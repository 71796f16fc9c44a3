"""A frame of one video: its pixels, and its faces as networks and profiles see them."""

from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from torch import Tensor

from vidrestore.evaluation.images.metric_models import MetricModels
from vidrestore.evaluation.metrics.expression import eyes_profile, mouth_profile
from vidrestore.evaluation.metrics.features import features_of
from vidrestore.evaluation.metrics.identity import embeddings_of
from vidrestore.evaluation.metrics.landmarks import steady_landmarks
from vidrestore.evaluation.metrics.temporal import luma
from vidrestore.evaluation.videos.reference_faces import Scene
from vidrestore.media.colour import Box, region_to_rgb
from vidrestore.restoration.face.cropper import FaceCropper
from vidrestore.types import Float32, Float64, Frame, FrameFaces, UInt8


@dataclass(frozen=True, slots=True)
class Faces:
    """The measured faces of a frame in one video: B of them, in the order of `ids`."""

    ids: tuple[int, ...]
    """Ids of their tracks."""
    to_crops: tuple[Float64, ...] = field(repr=False)
    """float64 [2, 3] each, frame pixels -> crop pixels."""
    images: Tensor = field(repr=False)
    """Crops, uint8 [B, 3, S, S] RGB, on the CPU."""
    lumas: tuple[Float32, ...] = field(repr=False)
    """Lumas of the crops, float32 [S, S] each, grey levels 0..255."""
    features: tuple[Tensor, ...] = field(repr=False)
    """Maps of the feature network, each [B, C, h, w]."""
    embeddings: Tensor = field(repr=False)
    """Embeddings [B, D], unit length, on the CPU."""
    landmarks: tuple[Float32 | None, ...] = field(repr=False)
    """Landmarks, float32 [5, 2] in crop pixels; None where the detector does not find the face."""
    mouths: tuple[Float32, ...] = field(repr=False)
    """Profiles, see `metrics.expression`."""
    eyes: tuple[Float32, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class View:
    """A frame of one video."""

    picture: UInt8 = field(repr=False)
    """Pixels of the frame, uint8 [h, w, 3] RGB."""
    luma: Float32 = field(repr=False)
    """Luma of the frame, float32 [h, w], grey levels 0..255."""
    faces: Faces | None
    """None in a frame without faces to measure."""

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the tracks of its faces."""
        return self.faces.ids if self.faces else ()


class Viewer:
    """Views frames of any video at the places of the truth's faces."""

    def __init__(self, judges: MetricModels, crop_size: int) -> None:
        self._judges = judges
        self._align = FaceCropper(crop_size)

    def view(self, frame: Frame, scene: Scene) -> View:
        """View the frame of a video that belongs to a scene of the truth."""
        picture = region_to_rgb(frame, Box(0, 0, frame.width, frame.height))
        return View(picture, luma(picture), self._faces(frame, scene))

    def _faces(self, frame: Frame, scene: Scene) -> Faces | None:
        aligned = self._align(FrameFaces(frame, scene.tracks, scene.shot)).faces
        if not aligned:
            return None
        crops = [face.crop for face in aligned]
        images = torch.stack([torch.from_numpy(crop).permute(2, 0, 1) for crop in crops])
        shown = images.to(self._judges.device)
        lumas = tuple(luma(crop) for crop in crops)
        return Faces(
            ids=tuple(face.track.id for face in aligned),
            to_crops=tuple(face.to_crop for face in aligned),
            images=images,
            lumas=lumas,
            features=features_of(self._judges.describe, shown),
            embeddings=embeddings_of(self._judges.embed, shown).float().cpu(),
            landmarks=tuple(steady_landmarks(self._judges.detect, crops)),
            mouths=tuple(map(mouth_profile, lumas)),
            eyes=tuple(map(eyes_profile, lumas)),
        )


def grey(view: View) -> UInt8:
    """Convert to grey, uint8 [h, w], as the flow takes it."""
    return np.asarray(cv2.convertScaleAbs(view.luma), np.uint8)


def chosen(features: tuple[Tensor, ...], rows: list[int]) -> tuple[Tensor, ...]:
    """Select the maps of some faces."""
    return tuple(layer[rows] for layer in features)
