"""Less noise for the network: each crop of the film averaged with its neighbours along the motion, before restoring.

What grain, tape and codec add changes from frame to frame, what is there does not. A network that sees less of the
first restores more of the second, and does so more steadily (multi-frame restoration, as in Tassano et al. 2020, with a
motion that is searched instead of learnt). Where film and neighbour disagree by more than the noise, the frame's own
pixels remain; light and colour are always its own.
"""

from dataclasses import replace

from vidrestore.media.colour import to_uint8
from vidrestore.restoration.config import DenoiserConfig
from vidrestore.restoration.temporal.blend import Blender, BlendView, changed, view_of, working
from vidrestore.restoration.temporal.window import FaceWindow, Neighbour
from vidrestore.types import AlignedFace


class Denoiser(FaceWindow[AlignedFace, BlendView]):
    """Replaces each aligned crop by its mean along the motion; a crop that does not change stays exactly as it is.

    Support and latency are those of `FaceWindow`. Memory: per face `past + future + 1` views of 1.3 MB at 256 px.

    Args:
        config: how much is done.
        lag: most frames that may be held back, for live video; as many as `config.frames` when not given.
    """

    def __init__(self, config: DenoiserConfig | None = None, *, lag: int | None = None) -> None:
        config = config or DenoiserConfig()
        self._blender = Blender(texture_tolerance=config.texture_tolerance, colour_tolerance=config.colour_tolerance)
        super().__init__(frames=config.frames, lag=lag, active=config.frames > 0)

    def features(self, face: AlignedFace) -> BlendView:
        """The crop, and what it is compared by."""
        crop = working(face.crop, face.to_crop)
        return view_of(crop, crop)

    def combine(self, face: AlignedFace, own: BlendView, neighbours: list[Neighbour[BlendView]]) -> AlignedFace:
        """Average along the motion."""
        return replace(face, crop=to_uint8(changed(face.crop, own.picture, self._blender.mean(own, neighbours))))
