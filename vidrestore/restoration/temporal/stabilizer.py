"""Stabilisation: restored faces do not flicker from frame to frame more than the video itself.

    original crop ──> flow between neighbours ──┐
    restored crop ──────────────────────────────┴─> temporal blend ──> fine detail ──> colour lock ──> crop

A network turns the noise of the video into wrinkles that come and go. Crops of one track lie in one nearly still space,
so results at the same point of the face in neighbouring frames can be averaged. Lai et al. 2018 and Lei et al. 2020
train networks for this; here a bounded window of frames suffices.
"""

from dataclasses import dataclass, replace

import numpy as np

from vidrestore.media.colour import to_uint8
from vidrestore.restoration.config import StabilizerConfig
from vidrestore.restoration.face.colour_match import enlarge, low_frequencies, resolved_chroma, steady_difference
from vidrestore.restoration.face.visibility_alpha import smooth_visibility
from vidrestore.restoration.temporal.blend import Blender, BlendView, changed, view_of, working
from vidrestore.restoration.temporal.detail import match_detail
from vidrestore.restoration.temporal.window import FaceWindow, Neighbour
from vidrestore.types import Float32, Restoration


class Stabilizer(FaceWindow[Restoration, "_View"]):
    """Replaces each restored crop and its visibility by stabilised ones; nothing else of a face changes.

    Support and latency are those of `FaceWindow`. Equal crops come out equal, and without colour lock unchanged.
    Memory: per face `past + future + 1` views of 1.5 MB each at 256 px, flow included.

    Args:
        config: options of the stage.
        lag: maximum number of frames held back, for live video; `config.frames` when not given.
    """

    def __init__(self, config: StabilizerConfig | None = None, *, lag: int | None = None) -> None:
        self._config = config or StabilizerConfig()
        config = self._config
        self._blender = Blender(texture_tolerance=config.texture_tolerance, colour_tolerance=config.colour_tolerance)
        super().__init__(frames=config.frames, lag=lag, active=config.blend or config.colour_lock > 0)

    def features(self, face: Restoration) -> "_View":
        """Return the features of the restored crop, and its difference in colour from the video."""
        crop, original = (working(crop, face.face.to_crop) for crop in (face.crop, face.face.crop))
        view = view_of(crop, original)
        return _View(view, low_frequencies(original) - view.low, face.face.visibility)

    def combine(self, face: Restoration, own: "_View", neighbours: list[Neighbour["_View"]]) -> Restoration:
        """Blend along the motion, restore the energy of fine detail, and lock the colours."""
        config = self._config
        difference = steady_difference(
            own.difference, [(near.temporal_weight, near.features.difference) for near in neighbours]
        )
        change = np.float32(config.colour_lock) * difference
        result = restored = own.blend.image.astype(np.float32)
        if config.blend:
            others = [Neighbour(near.temporal_weight, near.path, near.features.blend) for near in neighbours]
            result = self._blender.mean(own.blend, others)
            if config.max_detail_gain:
                result = match_detail(result, restored, most_gain=config.max_detail_gain)
            change += own.difference - difference
        steady = result + enlarge(change, result.shape[0])
        if config.colour_lock:
            original = working(face.face.crop, face.face.to_crop)
            fine = np.float32(config.colour_lock) * resolved_chroma(original, result)
            steady += enlarge(fine, result.shape[0])
        return replace(
            face,
            crop=to_uint8(changed(face.crop, own.blend.image, steady)),
            face=replace(face.face, visibility=_steady_share(own, neighbours)),
        )


@dataclass(frozen=True, slots=True)
class _View:
    blend: BlendView
    difference: Float32
    """float32 [32, 32, 3] RGB: low frequencies of the original crop less those of the restored crop."""
    visibility: Float32 | None
    """float32 [m, m], 0..1, see `AlignedFace`."""


def _steady_share(own: _View, neighbours: list[Neighbour[_View]]) -> Float32 | None:
    if own.visibility is None:
        return None
    known = [
        (near.temporal_weight, near.path, near.features.visibility)
        for near in neighbours
        if near.features.visibility is not None
    ]
    return smooth_visibility(own.visibility, known)
