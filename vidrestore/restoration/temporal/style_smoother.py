"""Smoothing of style codes: GFP-GAN's W+ codes of a face are averaged over neighbouring frames.

The codes hold identity and light; expression and pose come from the spatial conditions, which stay those of each frame
(Wang et al. 2021, section 3.2). So codes may be averaged where images may not. The window reaches to both sides
offline, and into the past for live video.
"""

from dataclasses import replace

import numpy as np

from vidrestore.restoration.config import StyleConfig
from vidrestore.restoration.temporal.window import FaceWindow, Neighbour
from vidrestore.types import AlignedFace, Float32


class StyleSmoother(FaceWindow[AlignedFace, Float32]):
    """Replaces the style codes of each face by their weighted mean over the window; equal codes stay as they are.

    Support, latency and memory are those of `FaceWindow`; a view is 14 KB for the embedded model.
    """

    def __init__(self, config: StyleConfig, *, lag: int | None = None) -> None:
        super().__init__(frames=config.frames, lag=lag, active=config.frames > 0)

    def features(self, face: AlignedFace) -> Float32:
        """Return the face's own style codes."""
        assert face.codes is not None, "the engine encodes faces before it smooths their codes"  # noqa: S101
        return face.codes

    def combine(self, face: AlignedFace, own: Float32, neighbours: list[Neighbour[Float32]]) -> AlignedFace:
        """Replace the codes by their weighted mean."""
        change = np.zeros_like(own)
        for near in neighbours:
            change += np.float32(near.temporal_weight) * (near.features - own)
        total = 1 + sum(near.temporal_weight for near in neighbours)
        return replace(face, codes=own + change / np.float32(total))
