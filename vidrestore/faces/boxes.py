"""Arithmetic of detections and their boxes; it needs no network."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vidrestore.types import Detection, Float32


def nms(boxes: Float32, scores: Float32, *, threshold: float) -> list[int]:
    """Return the indices of the boxes that greedy non-maximum suppression keeps, best first.

    Boxes float32 [a, 4] (left, top, right, bottom), scores float32 [a]; equal scores keep their order.
    """
    remaining: NDArray[np.intp] = np.argsort(-scores, kind="stable")
    kept = []
    while remaining.size:
        best, remaining = remaining[0], remaining[1:]
        kept.append(int(best))
        remaining = remaining[box_iou(boxes[best : best + 1], boxes[remaining])[0] <= threshold]
    return kept


def box_iou(first: Float32, second: Float32) -> Float32:
    """Return the intersection over union of boxes [a, 4] and [b, 4] (left, top, right, bottom): [a, b] in 0..1."""
    left_top = np.maximum(first[:, None, :2], second[None, :, :2])
    right_bottom = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.clip(right_bottom - left_top, 0, None), axis=2)
    areas = [np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1) for boxes in (first, second)]
    ratio: Float32 = shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, np.finfo(np.float32).tiny)
    return ratio


def scale(detection: Detection, factors: tuple[float, float]) -> Detection:
    """Scale a detection by factors of width and height, e.g. from preview to display pixels."""
    factor = np.array(factors)
    landmarks: Float32 = ((detection.landmarks + 0.5) * factor - 0.5).astype(np.float32)
    box: Float32 = ((detection.box.reshape(2, 2) + 0.5) * factor - 0.5).reshape(4).astype(np.float32)
    return replace(detection, landmarks=landmarks, box=box)
