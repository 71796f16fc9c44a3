"""The colours and the light of the film, kept on the restored face.

A network gives a face the colours of the faces that it learnt from, a little differently in every frame. What differs
at low frequencies between the crop of the film and the restored one is measured in every frame. Its mean over some
frames is the network's bias, which is undone in the share `strength`; how a single frame departs from that mean is
flicker, which is undone in full. So the face follows the lamp that flickers in the film, and not the network.
"""

from collections.abc import Iterable

import cv2
import numpy as np

from vidrestore.types import Float32, UInt8

_CELLS = 32
"""Side of the small picture that low frequencies are kept in, whatever the size of the crop."""
_SIGMA_CELLS = 4.0
"""Standard deviation of the low-pass: an eighth of the crop's side."""


def low_frequencies(picture: UInt8 | Float32) -> Float32:
    """Low frequencies float32 [32, 32, 3] of a picture [S, S, 3], in its units."""
    small = cv2.resize(picture, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(np.asarray(small, dtype=np.float32), (0, 0), _SIGMA_CELLS), dtype=np.float32)


def enlarge(low: Float32, side: int) -> Float32:
    """Low frequencies float32 [32, 32, 3] as a picture float32 [side, side, 3]."""
    return np.asarray(cv2.resize(low, (side, side), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def steady_difference(own: Float32, neighbours: Iterable[tuple[float, Float32]]) -> Float32:
    """Weighted mean float32 [32, 32, 3] of what the film has more than the restored face, over neighbouring frames.

    Args:
        own: float32 [32, 32, 3], low frequencies of film less restored in the frame itself, whose weight is 1.
        neighbours: weight and such a difference of each frame near. Equal differences give exactly `own`.
    """
    departure, total = np.zeros_like(own), 1.0
    for weight, other in neighbours:
        departure += np.float32(weight) * (other - own)
        total += weight
    return own + departure / np.float32(total)
