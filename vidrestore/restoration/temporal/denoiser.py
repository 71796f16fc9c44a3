"""Temporal denoising: each original crop is averaged with its neighbours along the motion before it is restored.

Grain, tape noise and coding errors change from frame to frame; the face does not. A network that sees less of the
former restores more of the latter, and more steadily (multi-frame restoration, as in Tassano et al. 2020, with a motion
that is searched instead of learnt). Where frame and neighbour differ by more than the noise, the frame's own pixels
remain; light and colour are always its own.
"""

from dataclasses import replace

from vidrestore.media.colour import to_uint8
from vidrestore.restoration.config import DenoiserConfig
from vidrestore.restoration.temporal.blend import Blender, BlendView, changed, view_of, working
from vidrestore.restoration.temporal.window import FaceWindow, Neighbour
from vidrestore.types import AlignedFace


class Denoiser(FaceWindow[AlignedFace, BlendView]):
    """Replaces each aligned crop by its mean along the motion; a crop that does not change stays exactly as it is.

    Support and latency are those of `FaceWindow`. Memory: per face `past + future + 1` views of 1.3 MB each at 256 px.

    Args:
        config: options of the stage.
        lag: maximum number of frames held back, for live video; `config.frames` when not given.
    """

    def __init__(self, config: DenoiserConfig | None = None, *, lag: int | None = None) -> None:
        config = config or DenoiserConfig()
        self._blender = Blender(texture_tolerance=config.texture_tolerance, colour_tolerance=config.colour_tolerance)
        super().__init__(frames=config.frames, lag=lag, active=config.frames > 0)

    def features(self, face: AlignedFace) -> BlendView:
        """Return the features of the crop."""
        crop = working(face.crop, face.to_crop)
        return view_of(crop, crop)

    def combine(self, face: AlignedFace, own: BlendView, neighbours: list[Neighbour[BlendView]]) -> AlignedFace:
        """Average the crop with its neighbours along the motion."""
        return replace(face, crop=to_uint8(changed(face.crop, own.image, self._blender.mean(own, neighbours))))
