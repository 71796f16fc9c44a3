"""Occlusion: where something covers a face, the video stays as it is.

A small network (`models.visibility`) predicts for every original crop where the face itself is seen. Its predictions
are averaged along the video's motion, so that the border of a hand does not flicker, and become a factor of the mask
with which faces are blended into the frame.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from vidrestore.restoration.config import OcclusionConfig
from vidrestore.restoration.temporal.flow import sampling_grid, warp
from vidrestore.types import Float32, FlowField, UInt8


def visibility_to_alpha(answer: UInt8, config: OcclusionConfig) -> Float32:
    """Convert the visibility of a face (0..255, from `FaceVisibility`) to an alpha mask float32 [64, 64], 0..1."""
    levels = np.arange(256, dtype=np.float32) / 255
    part = np.clip((levels - config.hidden) / (config.seen - config.hidden), 0, 1)
    shares: Float32 = (part * part * (3 - 2 * part)).astype(np.float32)[answer]
    return shares


def smooth_visibility(own: Float32, neighbours: Sequence[tuple[float, FlowField, Float32]]) -> Float32:
    """Return the weighted mean, float32 [m, m], of alphas over frames, along the video's motion.

    Args:
        own: alpha in the frame itself, whose weight is 1; float32 [m, m], 0..1.
        neighbours: temporal weight, path to the neighbour's crop, and its alpha. Equal alphas stay as they are.
    """
    side = own.shape[0]
    change, total = np.zeros_like(own), np.ones_like(own)
    for temporal_weight, path, share in neighbours:
        confidence = cv2.resize(path.confidence, (side, side), interpolation=cv2.INTER_AREA) * np.float32(
            temporal_weight
        )
        small = cv2.resize(path.shift, (side, side), interpolation=cv2.INTER_AREA)
        places = sampling_grid(np.asarray(small * np.float32(side / path.shift.shape[0]), dtype=np.float32))
        change += confidence * (warp(share, places, border=cv2.BORDER_REPLICATE) - own)
        total += confidence
    return np.asarray(own + change / total, dtype=np.float32)
