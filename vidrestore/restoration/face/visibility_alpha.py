"""What is in front of a face stays in front of it: where the face is not seen, the film stays as it is.

A small network (`model.visibility`) says for every crop of the film where the face itself is seen. Its answers are
averaged along the film's motion, so that the border of a hand does not flicker, and become a share of the mask that
faces are pasted with.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from vidrestore.restoration.config import OcclusionConfig
from vidrestore.restoration.temporal.flow import sampling_grid, warp
from vidrestore.types import Float32, FlowField, UInt8


def visibility_to_alpha(answer: UInt8, config: OcclusionConfig) -> Float32:
    """float32 [64, 64], 0..1: how much of the restored face to show, from what `FaceVisibility` says (0..255)."""
    levels = np.arange(256, dtype=np.float32) / 255
    part = np.clip((levels - config.hidden) / (config.seen - config.hidden), 0, 1)
    shares: Float32 = (part * part * (3 - 2 * part)).astype(np.float32)[answer]
    return shares


def smooth_visibility(own: Float32, neighbours: Sequence[tuple[float, FlowField, Float32]]) -> Float32:
    """Weighted mean float32 [m, m] of shares over frames, along the film's motion.

    Args:
        own: float32 [m, m], 0..1, of the frame itself, whose weight is 1.
        neighbours: nearness, path to the neighbour's crop, and its share. Equal shares stay as they are.
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
