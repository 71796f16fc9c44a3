"""Looking at a face: its own landmarks, not those of a neighbour that looks into the crop."""

import numpy as np

from vidrestore.comparison.views import believable
from vidrestore.faces.alignment import TEMPLATE

CROP = np.zeros((256, 256, 3), np.uint8)
POINTS = (TEMPLATE * 256 - 0.5).astype(np.float32)
EYES = float(np.linalg.norm(POINTS[1] - POINTS[0]))


def test_landmarks_of_the_face_are_believed_and_those_of_a_neighbour_are_not() -> None:
    turned = POINTS + np.float32([0.5 * EYES, 0])
    assert believable(POINTS, CROP) is POINTS
    assert believable(turned, CROP) is turned
    assert believable(POINTS + np.float32([1.5 * EYES, 0]), CROP) is None
    assert believable(None, CROP) is None
